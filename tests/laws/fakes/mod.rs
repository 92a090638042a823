//! A made-up machine that carries out the engine's orders in virtual time: no file, no process, no clock.
//!
//! It implements the ports of the engine, each in a file of its own, and answers into an inbox like the real ones. It
//! checks no laws; whoever holds it moves its time.

mod actions;
mod files;
mod logs;
mod meters;
mod notifier;
mod probes;
mod processes;
mod sources;
mod store;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::catalog::SourceFile;
use pilotlight::domain::{
    Event, Exit, FilePattern, Intent, LogPolicy, Moment, Notice, Occurrence, ProbeOrder, RunId, ServiceId,
};
use pilotlight::engine::ports::Inbox;

pub use self::logs::Log;
pub use self::notifier::Desktop;
pub use self::processes::{Aside, Behaviour, Child, Spawning, stranger_on};
use self::sources::UnderWay;
pub use self::sources::reading;

/// What a file said, and the source that it is, if it is one.
type Seen = (String, Option<Arc<SourceFile>>);

/// The machine; what others than the agent do to it is done to its fields.
pub struct Machine {
    pub now: Moment,
    /// How each service's processes behave from now on; the others as is the default.
    pub behaviours: BTreeMap<ServiceId, Behaviour>,
    /// All runs that ever had a process.
    pub children: BTreeMap<RunId, Child>,
    /// Ports that strangers listen on, and whether they work.
    pub strangers: BTreeMap<u16, bool>,
    /// How much memory each service uses, in bytes; the others next to none.
    pub memory: BTreeMap<ServiceId, u64>,
    /// The sources by name.
    pub disk: BTreeMap<String, String>,
    /// Each file as it was last read: what has not changed is one and the same.
    seen: RefCell<BTreeMap<String, Seen>>,
    /// The wishes that the agent knows.
    pub intent: Intent,
    /// Those that the next agent would find.
    stored: Intent,
    /// Whether nothing can be stored: the disk is full.
    pub is_full: bool,
    /// Whether they can't be read.
    pub is_intent_lost: bool,
    /// The actions that were ordered.
    pub actions: Vec<RunId>,
    /// How actions end by themselves, by their names: as [`Event::ActionEnded`] tells it.
    pub ends_of_actions: BTreeMap<String, (Option<Exit>, String)>,
    /// What is watched of whose files.
    pub watched_files: BTreeMap<ServiceId, Vec<FilePattern>>,
    /// What was recorded.
    pub history: Vec<Occurrence>,
    /// What was ordered to be shown.
    pub notices: Vec<Notice>,
    /// Where it is shown.
    pub desktop: Desktop,
    /// What services have written.
    pub logs: BTreeMap<ServiceId, Log>,
    /// Whose logs are kept, and within which bounds.
    pub policies: BTreeMap<ServiceId, LogPolicy>,
    inbox: Inbox,
    agenda: BTreeMap<(Moment, u64), Due>,
    sequence: u64,
    pids: u32,
    probing: BTreeSet<(RunId, usize)>,
    reading: Option<UnderWay>,
}

/// What lies ahead.
enum Due {
    /// This is told.
    Fact(Event),
    /// The reading under way is over.
    Read,
    /// The probe is answered, or has had its time.
    Answer(ProbeOrder, Patience),
    /// The run's main process ends in this way.
    Ends(RunId, Exit),
    /// Others of the run's tree end.
    OthersEnd(RunId),
    /// The log of this service is rotated if it is too long.
    Rotates(ServiceId),
}

/// Whether a probe is answered in time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    Lasts,
    Ends,
}

impl Machine {
    /// An empty machine that tells its facts to `inbox`.
    pub fn new(now: Moment, inbox: Inbox) -> Self {
        Self {
            now,
            behaviours: BTreeMap::new(),
            children: BTreeMap::new(),
            strangers: BTreeMap::new(),
            memory: BTreeMap::new(),
            disk: BTreeMap::new(),
            seen: RefCell::default(),
            intent: Intent::new(),
            stored: Intent::new(),
            is_full: false,
            is_intent_lost: false,
            actions: Vec::new(),
            ends_of_actions: BTreeMap::new(),
            watched_files: BTreeMap::new(),
            history: Vec::new(),
            notices: Vec::new(),
            desktop: Desktop::default(),
            logs: BTreeMap::new(),
            policies: BTreeMap::new(),
            inbox,
            agenda: BTreeMap::new(),
            sequence: 0,
            pids: 100,
            probing: BTreeSet::new(),
            reading: None,
        }
    }

    /// Tells the time of day: it is midnight whenever the clock shows whole days.
    pub fn tell_time_of_day(&mut self) {
        let seconds = self.now.since(Moment::default()).as_secs_f64() % (24.0 * 3600.0);
        let since_midnight = Duration::from_secs_f64(seconds);
        self.later(Duration::ZERO, Due::Fact(Event::TimeOfDay { since_midnight }));
    }

    /// When the next thing comes about.
    pub fn next_moment(&self) -> Option<Moment> {
        self.agenda.first_key_value().map(|((moment, _), _)| *moment)
    }

    /// Lets one thing come about that is due; false if there is none.
    pub fn step(&mut self) -> bool {
        if self.next_moment().is_none_or(|next| next > self.now) {
            return false;
        }
        match self.agenda.pop_first() {
            Some((_, Due::Fact(event))) => self.tell(event),
            Some((_, Due::Read)) => self.end_reading(),
            Some((_, Due::Answer(order, patience))) => self.answer(order, patience),
            Some((_, Due::Ends(run, exit))) => self.main_ends(&run, exit),
            Some((_, Due::OthersEnd(run))) => self.others_end(&run),
            Some((_, Due::Rotates(id))) => self.rotate(&id),
            None => {}
        }
        true
    }

    /// The agent dies: what was on its way to it is lost, what befalls processes goes on.
    pub fn lose_agent(&mut self) {
        self.agenda.retain(|_, due| match due {
            Due::Ends(..) | Due::OthersEnd(_) => true,
            Due::Fact(_) | Due::Read | Due::Answer(..) | Due::Rotates(_) => false,
        });
        self.intent.clone_from(&self.stored);
        self.probing.clear();
        self.reading = None;
        self.policies.clear();
        // What the next one is told of anew.
        self.logs.values_mut().for_each(Log::forget_told);
    }

    /// The machine sleeps for `span`: all that lies ahead comes so much later, and connections do not survive it.
    pub fn sleep(&mut self, span: Duration) {
        self.now = self.now + span;
        let agenda = std::mem::take(&mut self.agenda);
        self.agenda.extend(agenda.into_iter().map(|((moment, sequence), due)| {
            let due = match due {
                Due::Answer(order, _) => Due::Answer(order, Patience::Ends),
                Due::Fact(_) | Due::Read | Due::Ends(..) | Due::OthersEnd(_) | Due::Rotates(_) => due,
            };
            ((moment + span, sequence), due)
        }));
    }

    /// The agent does not run for `span`: what befalls processes goes on, what it does itself waits.
    pub fn stop_agent(&mut self, span: Duration) {
        let end = self.now + span;
        let is_its_own = |due: &Due| match due {
            // Facts lie in its inbox until it looks.
            Due::Ends(..) | Due::OthersEnd(_) | Due::Fact(_) => false,
            Due::Read | Due::Answer(..) | Due::Rotates(_) => true,
        };
        let agenda = std::mem::take(&mut self.agenda);
        self.agenda.extend(agenda.into_iter().map(|((moment, sequence), due)| {
            let moment = if is_its_own(&due) { moment.max(end) } else { moment };
            ((moment, sequence), due)
        }));
        self.go_on(end);
    }

    /// What is stored of the wishes is broken.
    pub fn lose_wishes(&mut self) {
        self.stored.clear();
        self.is_intent_lost = true;
    }

    /// Lets processes go on until `end` while nobody listens.
    pub fn go_on(&mut self, end: Moment) {
        while let Some(next) = self.next_moment().filter(|next| *next < end) {
            self.now = next.max(self.now);
            self.step();
        }
        self.now = end;
    }

    fn later(&mut self, span: Duration, due: Due) {
        self.at(self.now + span, due);
    }

    fn at(&mut self, moment: Moment, due: Due) {
        self.sequence += 1;
        self.agenda.insert((moment, self.sequence), due);
    }

    fn tell(&self, event: Event) {
        self.inbox.send(event).expect("whoever holds the machine listens to it");
    }
}
