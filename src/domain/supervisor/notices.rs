//! What is worth a notification: policy over the difference of two snapshots.
//!
//! A trouble is told a moment after it began, so that what fails together is told together and a cause that shows a
//! little later than its consequences still comes first. Nothing is told of what the user asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::quiet::Quiet;
use crate::domain::{
    AgentSettings, Light, Moment, Notice, NoticeKey, Problem, ProcessState, ServiceId, ServiceView, Severity, Snapshot,
    Urgency,
};

/// How long a trouble is held back for others to join it.
const JOIN: Duration = Duration::from_secs(1);

/// How much longer a trouble is held back that was there before the machine slept.
const AFTER_SLEEP: Duration = Duration::from_secs(10);

/// How many lines a notification about several services has at the most.
const LINES: usize = 7;

/// From so many troubles at once on they are one notification.
const BURST: usize = 3;

/// So many troubles of one service within [`FLAP_WINDOW`] are flapping: it is said, and then no more.
const FLAPS: usize = 4;

/// The window in which troubles count as flapping, and how long it must be quiet to be told again.
const FLAP_WINDOW: Duration = Duration::from_secs(600);

/// What has been told, and what is about to be.
#[derive(Clone, Debug, Default)]
pub struct Board {
    paused: bool,
    muted: BTreeMap<ServiceId, Moment>,
    tracks: BTreeMap<ServiceId, Track>,
    /// Those that were told together, until all of them are well.
    burst: BTreeSet<ServiceId>,
    sources: Sources,
    quiet: Quiet,
    /// Those of which something would have been told, had it not been quiet.
    missed: BTreeSet<ServiceId>,
}

/// What is known of one service that is or was in trouble.
#[derive(Clone, Debug, Default)]
struct Track {
    /// Since when it has been in a trouble that is not told yet.
    pending: Option<Moment>,
    /// How long a trouble of this service must last to be told.
    after: Duration,
    /// Whether the pending trouble is another's consequence.
    covered: bool,
    /// How the present trouble has been told.
    told: Option<Told>,
    /// Whether what was told is that it has failed for good.
    told_failed: bool,
    /// When troubles were told.
    times: VecDeque<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// In a notification of its own.
    Alone,
    /// Together with others.
    Together,
    /// Not at all: paused, muted, switched off or quiet.
    Silently,
}

#[derive(Clone, Debug, Default)]
struct Sources {
    seen: Arc<[Problem]>,
    errors: Vec<Problem>,
    is_told: bool,
    is_new: bool,
}

impl Board {
    /// Shows nothing until told otherwise.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether nothing is shown.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Shows nothing of this service until then.
    pub fn mute(&mut self, id: &ServiceId, until: Moment) {
        self.muted.insert(id.clone(), until);
    }

    /// The user asked something of this service: what comes of it is no news, and what was is settled.
    pub fn asked(&mut self, id: &ServiceId) {
        if let Some(track) = self.tracks.get_mut(id) {
            track.pending = None;
            track.told = None;
        }
    }

    /// After a sleep: what has not been told yet must show itself again.
    pub fn forgive(&mut self, now: Moment) {
        for track in self.tracks.values_mut().filter(|track| track.pending.is_some()) {
            track.pending = Some(now + AFTER_SLEEP);
        }
    }

    /// Looks for what is new in `new`; recoveries and troubles are told by [`Self::step`].
    pub fn look(&mut self, now: Moment, old: &Snapshot, new: &Snapshot) {
        for view in new.services.unlike(&old.services).filter_map(|at| new.services.at(at)) {
            if is_trouble(view) {
                let track = self.tracks.entry(view.id.clone()).or_default();
                // That it has given up is news, even if it was told to be unhealthy before.
                let has_failed = view.process == ProcessState::Failed;
                let is_news = track.told.is_none() || (has_failed && !track.told_failed);
                track.after = view.service.notify.after;
                if is_news && track.pending.is_none() {
                    track.pending = Some(now);
                    track.covered = false;
                }
            } else if let Some(track) = self.tracks.get_mut(&view.id) {
                track.pending = None;
                if !view.wanted || view.light == Light::Gray {
                    track.told = None;
                }
            }
        }
        self.tracks.retain(|id, _| new.service(id.as_str()).is_some());
        self.burst.retain(|id| new.service(id.as_str()).is_some_and(|view| view.light != Light::Gray));
        self.missed.retain(|id| new.service(id.as_str()).is_some());
        if !Arc::ptr_eq(&self.sources.seen, &new.problems) {
            self.sources.look(&new.problems);
        }
    }

    /// Whether the time of day has to be asked for.
    pub fn wants_time(&mut self, now: Moment, agent: &AgentSettings) -> bool {
        self.quiet.follow(now, agent.quiet_hours)
    }

    /// At `now` so much of the day has passed.
    pub fn tell_time(&mut self, now: Moment, since_midnight: Duration) {
        self.quiet.tell(now, since_midnight);
    }

    /// The time of day is not what it was.
    pub fn forget_time(&mut self) {
        self.quiet.forget();
    }

    /// Tells what is due; nothing as long as it is not known whether it is quiet.
    pub fn step(&mut self, now: Moment, snapshot: &Snapshot, agent: &AgentSettings, notices: &mut Vec<Notice>) {
        let Some(is_quiet) = self.quiet.is_quiet() else { return };
        let silence = match (self.paused || !agent.notifications, is_quiet) {
            (true, _) => Silence::Switched,
            (false, true) => Silence::Quiet,
            (false, false) => Silence::None,
        };
        self.muted.retain(|_, until| *until > now);
        self.tell_missed(snapshot, silence, notices);
        self.tell_recoveries(now, snapshot, silence, notices);
        self.tell_troubles(now, snapshot, silence, notices);
        // In quiet hours the sources wait for what has become of them by the end.
        if silence != Silence::Quiet
            && let Some(notice) = self.sources.tell(silence == Silence::Switched)
            && silence == Silence::None
        {
            notices.push(notice);
        }
    }

    /// When the next trouble is told, or it gets quiet, or loud.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.quiet.is_quiet()?;
        let open = self.tracks.values().filter(|track| !track.covered);
        open.filter_map(Track::due).chain(self.quiet.next_deadline()).min()
    }

    /// Once it is no longer quiet: what would have been told, in one notification.
    fn tell_missed(&mut self, snapshot: &Snapshot, silence: Silence, notices: &mut Vec<Notice>) {
        if silence == Silence::Quiet || self.missed.is_empty() {
            return;
        }
        let missed = std::mem::take(&mut self.missed);
        if silence == Silence::Switched {
            return;
        }
        let mut lines = Vec::new();
        let mut lasting = 0;
        for view in missed.iter().filter_map(|id| snapshot.service(id.as_str())) {
            let name = &view.service.display.name;
            if is_trouble(view) {
                lasting += 1;
                lines.push(format!("{name}: {}", view.reason));
                if let Some(track) = self.tracks.get_mut(&view.id) {
                    // So that its recovery is told.
                    track.told = Some(Told::Alone);
                }
            } else {
                lines.push(format!("{name} was in trouble, and no longer is"));
            }
        }
        let title = match lasting {
            0 => "While it was quiet, there were troubles".to_owned(),
            1 => "While it was quiet, a service got into trouble".to_owned(),
            _ => format!("While it was quiet, {lasting} services got into trouble"),
        };
        lines.extend(self.sources.tell(false).map(|notice| format!("{}: {}", notice.title, notice.body)));
        let urgency = if lasting == 0 { Urgency::Low } else { Urgency::Critical };
        notices.push(Notice { key: NoticeKey::Digest, urgency, title, body: listed(lines), service: None });
    }

    fn tell_recoveries(&mut self, now: Moment, snapshot: &Snapshot, silence: Silence, notices: &mut Vec<Notice>) {
        let is_green = |id: &ServiceId| snapshot.service(id.as_str()).is_some_and(|view| view.light == Light::Green);
        // Those that were told together are told to be well together.
        if silence != Silence::Quiet && !self.burst.is_empty() && self.burst.iter().all(is_green) {
            let ids = std::mem::take(&mut self.burst);
            if silence == Silence::None {
                notices.push(Notice {
                    key: NoticeKey::Burst,
                    urgency: Urgency::Low,
                    title: "All of them have recovered".to_owned(),
                    body: ids.iter().map(ServiceId::as_str).collect::<Vec<_>>().join(", "),
                    service: None,
                });
            }
        }
        for (id, track) in &mut self.tracks {
            let alone = match track.told {
                Some(Told::Alone) => true,
                Some(Told::Silently | Told::Together) => false,
                None => continue,
            };
            let Some(view) = snapshot.service(id.as_str()).filter(|view| view.light == Light::Green) else { continue };
            track.told = None;
            if !alone || track.is_flapping(now) || self.muted.contains_key(id) {
                continue;
            }
            match silence {
                Silence::Switched => {}
                Silence::Quiet => drop(self.missed.insert(id.clone())),
                Silence::None => notices.push(Notice {
                    key: NoticeKey::Service(id.clone()),
                    urgency: Urgency::Low,
                    title: format!("{} has recovered", view.service.display.name),
                    body: view.reason.clone(),
                    service: Some(id.clone()),
                }),
            }
        }
    }

    fn tell_troubles(&mut self, now: Moment, snapshot: &Snapshot, silence: Silence, notices: &mut Vec<Notice>) {
        if !self.tracks.values().any(|track| track.due().is_some_and(|due| due <= now)) {
            return;
        }
        let mut due = Vec::new();
        for (id, track) in &mut self.tracks {
            let Some(since) = track.pending else { continue };
            let Some(view) = snapshot.service(id.as_str()) else { continue };
            let was_covered = std::mem::replace(&mut track.covered, has_troubled_need(view, snapshot));
            if was_covered && !track.covered {
                // What it needs is well again: now it is its own turn to recover.
                track.pending = Some(now);
                continue;
            }
            // Who joins within the time of the first is told with it.
            if !track.covered && since + track.after <= now {
                due.push(Arc::clone(view));
            }
        }
        let mut loud = Vec::new();
        for view in due {
            let Some(track) = self.tracks.get_mut(&view.id) else { continue };
            track.pending = None;
            let was_flapping = track.is_flapping(now);
            track.times.retain(|told| now.since(*told) < FLAP_WINDOW);
            track.times.push_back(now);
            let hushed = !view.service.notify.enabled || self.muted.contains_key(&view.id) || was_flapping;
            track.told_failed = view.process == ProcessState::Failed;
            track.told = Some(Told::Silently);
            match silence {
                Silence::None if !hushed => {
                    track.told = Some(Told::Alone);
                    loud.push(view);
                }
                Silence::Quiet if !hushed => drop(self.missed.insert(view.id.clone())),
                Silence::None | Silence::Quiet | Silence::Switched => {}
            }
        }
        if loud.len() < BURST {
            for view in loud {
                let flaps = self.tracks.get(&view.id).is_some_and(|track| track.is_flapping(now));
                notices.push(trouble(now, &view, snapshot, flaps));
            }
            return;
        }
        for view in &loud {
            if let Some(track) = self.tracks.get_mut(&view.id) {
                track.told = Some(Told::Together);
            }
            self.burst.insert(view.id.clone());
        }
        let lines = loud.iter().map(|view| format!("{}: {}", view.service.display.name, view.reason)).collect();
        notices.push(Notice {
            key: NoticeKey::Burst,
            urgency: Urgency::Critical,
            title: format!("{} services do not work", loud.len()),
            body: listed(lines),
            service: None,
        });
    }
}

/// Why nothing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// It is told.
    None,
    /// Paused or switched off: what happens is not made up for.
    Switched,
    /// Quiet hours: what happens is told after them.
    Quiet,
}

/// The first lines, and how many more there are.
fn listed(mut lines: Vec<String>) -> String {
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

impl Track {
    /// When its trouble is told.
    fn due(&self) -> Option<Moment> {
        self.pending.map(|since| since + self.after.max(JOIN))
    }

    fn is_flapping(&self, now: Moment) -> bool {
        let recent = self.times.iter().filter(|told| now.since(**told) < FLAP_WINDOW).count();
        recent >= FLAPS
    }
}

impl Sources {
    fn look(&mut self, problems: &Arc<[Problem]>) {
        self.seen = Arc::clone(problems);
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).cloned().collect::<Vec<_>>();
        if errors != self.errors {
            self.errors = errors;
            self.is_new = true;
        }
    }

    fn tell(&mut self, silent: bool) -> Option<Notice> {
        if !std::mem::take(&mut self.is_new) {
            return None;
        }
        let notice = |urgency, title: String, body: String| {
            Some(Notice { key: NoticeKey::Sources, urgency, title, body, service: None })
        };
        let Some(first) = self.errors.first() else {
            let was_told = std::mem::take(&mut self.is_told);
            return if was_told {
                notice(Urgency::Low, "The configuration is good again".to_owned(), "All sources are in use.".to_owned())
            } else {
                None
            };
        };
        self.is_told |= !silent;
        let place = first.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let title = match self.errors.len() {
            1 => "The configuration has an error".to_owned(),
            count => format!("The configuration has {count} errors"),
        };
        let hint = first.hint.as_ref().map(|hint| format!("\n{hint}")).unwrap_or_default();
        notice(Urgency::Normal, title, format!("{place}{}{hint}", first.message))
    }
}

fn is_trouble(view: &ServiceView) -> bool {
    view.wanted && view.counted && (view.light == Light::Red || view.process == ProcessState::Foreign)
}

/// Whether something that it needs, directly or not, does not work: then that is the news.
fn has_troubled_need(view: &ServiceView, snapshot: &Snapshot) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = view.service.depends_on.iter().map(|dependency| dependency.id.clone()).collect::<Vec<_>>();
    while let Some(id) = open.pop() {
        if id == view.id || !seen.insert(id.clone()) {
            continue;
        }
        let Some(needed) = snapshot.service(id.as_str()) else { continue };
        let is_on_its_way = matches!(
            needed.process,
            ProcessState::Starting | ProcessState::Backoff | ProcessState::Stopping | ProcessState::Waiting
        );
        if needed.counted && needed.wanted && (needed.light == Light::Red || is_on_its_way) {
            return true;
        }
        open.extend(needed.service.depends_on.iter().map(|dependency| dependency.id.clone()));
    }
    false
}

fn trouble(now: Moment, view: &ServiceView, snapshot: &Snapshot, flaps: bool) -> Notice {
    let name = &view.service.display.name;
    let title = match view.process {
        ProcessState::Failed => format!("{name} has failed"),
        ProcessState::Foreign => match view.service.port {
            Some(port) => format!("Port {port} of {name} is taken"),
            None => format!("{name} can't start"),
        },
        ProcessState::Stopped
        | ProcessState::Waiting
        | ProcessState::Starting
        | ProcessState::Running
        | ProcessState::Stopping
        | ProcessState::Backoff
        | ProcessState::Completed => format!("{name} is unhealthy"),
    };
    let mut body = view.reason_at(now).into_owned();
    if let Some(first) = view.first_cause.as_ref().filter(|first| !view.reason.contains(first.as_str())) {
        body = format!("{body}\nAt first: {first}");
    }
    let affected = snapshot.services.iter().filter(|other| {
        other.id != view.id && other.wanted && other.light != Light::Green && needs(other, &view.id, snapshot)
    });
    let affected = affected.map(|other| other.service.display.name.as_str()).collect::<Vec<_>>();
    if !affected.is_empty() {
        body = format!("{body}\nAffected: {}", affected.join(", "));
    }
    if flaps {
        body =
            format!("{body}\nIt keeps failing and recovering: no more is said of it until it is quiet for 10 minutes");
    }
    Notice {
        key: NoticeKey::Service(view.id.clone()),
        urgency: Urgency::Critical,
        title,
        body,
        service: Some(view.id.clone()),
    }
}

/// Whether `view` needs `id`, directly or not.
fn needs(view: &ServiceView, id: &ServiceId, snapshot: &Snapshot) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![view.id.clone()];
    while let Some(next) = open.pop() {
        if !seen.insert(next.clone()) {
            continue;
        }
        let Some(at) = snapshot.service(next.as_str()) else { continue };
        for dependency in &at.service.depends_on {
            if dependency.id == *id {
                return true;
            }
            open.push(dependency.id.clone());
        }
    }
    false
}
