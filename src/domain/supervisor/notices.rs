//! What is worth a notification: policy over the difference of two snapshots.
//!
//! A trouble is told a moment after it began, so that what fails together is told together and a cause that shows a
//! little later than its consequences still comes first. Nothing is told of what the user asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    AgentSettings, Light, Moment, Notice, NoticeKey, Problem, ProcessState, ServiceId, ServiceView, Severity, Snapshot,
    Urgency,
};

/// How long a trouble is held back for others to join it.
const JOIN: Duration = Duration::from_secs(1);

/// How much longer a trouble is held back that was there before the machine slept.
const AFTER_SLEEP: Duration = Duration::from_secs(10);

/// From so many troubles at once on they are one notification.
const BURST: usize = 3;

/// So many troubles of one service within [`FLAP_WINDOW`] are flapping: it is said, and then no more.
const FLAPS: usize = 4;

/// The window in which troubles count as flapping, and how long it must be quiet to be told again.
const FLAP_WINDOW: Duration = Duration::from_secs(600);

/// What has been told, and what is about to be.
#[derive(Debug, Default)]
pub struct Board {
    paused: bool,
    muted: BTreeMap<ServiceId, Moment>,
    tracks: BTreeMap<ServiceId, Track>,
    /// Those that were told together, until all of them are well.
    burst: BTreeSet<ServiceId>,
    sources: Sources,
}

/// What is known of one service that is or was in trouble.
#[derive(Debug, Default)]
struct Track {
    /// Since when it has been in a trouble that is not told yet.
    pending: Option<Moment>,
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
    /// Not at all: paused, muted or switched off.
    Silently,
}

#[derive(Debug, Default)]
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
        let same =
            |at: usize, view: &Arc<ServiceView>| old.services.get(at).is_some_and(|before| Arc::ptr_eq(before, view));
        for (at, view) in new.services.iter().enumerate() {
            if same(at, view) {
                continue;
            }
            if is_trouble(view) {
                let track = self.tracks.entry(view.id.clone()).or_default();
                // That it has given up is news, even if it was told to be unhealthy before.
                let has_failed = view.process == ProcessState::Failed;
                let is_news = track.told.is_none() || (has_failed && !track.told_failed);
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
        if !Arc::ptr_eq(&self.sources.seen, &new.problems) {
            self.sources.look(&new.problems);
        }
    }

    /// Tells what is due.
    pub fn step(&mut self, now: Moment, snapshot: &Snapshot, agent: &AgentSettings, notices: &mut Vec<Notice>) {
        let silent = self.paused || !agent.notifications;
        self.muted.retain(|_, until| *until > now);
        self.tell_recoveries(now, snapshot, silent, notices);
        self.tell_troubles(now, snapshot, silent, notices);
        if let Some(notice) = self.sources.tell(silent)
            && !silent
        {
            notices.push(notice);
        }
    }

    /// When the next trouble is told.
    pub fn next_deadline(&self) -> Option<Moment> {
        let open = self.tracks.values().filter(|track| !track.covered);
        open.filter_map(|track| track.pending).min().map(|since| since + JOIN)
    }

    fn tell_recoveries(&mut self, now: Moment, snapshot: &Snapshot, silent: bool, notices: &mut Vec<Notice>) {
        let is_green = |id: &ServiceId| snapshot.service(id.as_str()).is_some_and(|view| view.light == Light::Green);
        // Those that were told together are told to be well together.
        if !self.burst.is_empty() && self.burst.iter().all(is_green) {
            let ids = std::mem::take(&mut self.burst);
            if !silent {
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
            if alone && !silent && !track.is_flapping(now) && !self.muted.contains_key(id) {
                notices.push(Notice {
                    key: NoticeKey::Service(id.clone()),
                    urgency: Urgency::Low,
                    title: format!("{} has recovered", view.service.display.name),
                    body: view.reason.clone(),
                    service: Some(id.clone()),
                });
            }
        }
    }

    fn tell_troubles(&mut self, now: Moment, snapshot: &Snapshot, silent: bool, notices: &mut Vec<Notice>) {
        if !self.tracks.values().any(|track| track.pending.is_some_and(|since| since + JOIN <= now)) {
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
            if !track.covered && since <= now {
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
            let hushed = silent || !view.service.notify.enabled || self.muted.contains_key(&view.id) || was_flapping;
            track.told_failed = view.process == ProcessState::Failed;
            track.told = Some(if hushed { Told::Silently } else { Told::Alone });
            if !hushed {
                loud.push(view);
            }
        }
        if loud.len() < BURST {
            for view in loud {
                let flaps = self.tracks.get(&view.id).is_some_and(|track| track.is_flapping(now));
                notices.push(trouble(&view, snapshot, flaps));
            }
            return;
        }
        for view in &loud {
            if let Some(track) = self.tracks.get_mut(&view.id) {
                track.told = Some(Told::Together);
            }
            self.burst.insert(view.id.clone());
        }
        let lines = loud.iter().take(8).map(|view| format!("{}: {}", view.service.display.name, view.reason));
        let mut lines = lines.collect::<Vec<_>>();
        if loud.len() > lines.len() {
            lines.push(format!("and {} more", loud.len() - lines.len()));
        }
        notices.push(Notice {
            key: NoticeKey::Burst,
            urgency: Urgency::Critical,
            title: format!("{} services do not work", loud.len()),
            body: lines.join("\n"),
            service: None,
        });
    }
}

impl Track {
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

fn trouble(view: &ServiceView, snapshot: &Snapshot, flaps: bool) -> Notice {
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
    let mut body = view.reason.clone();
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
