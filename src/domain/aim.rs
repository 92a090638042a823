//! Whether what a wish is to bring about has come about, can still come about, or can't.
//!
//! Only judges one snapshot: waiting for the next one is the business of whoever waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::{Aim, Goal};
use super::id::ServiceId;
use super::service::Kind;
use super::snapshot::{HealthState, ProcessState, ServiceView, Snapshot};

/// What a snapshot says of an [`Aim`]. Reasons are fragments that fit behind the service's id and a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has come about.
    Reached,
    /// Not yet, and why.
    Pending(String),
    /// It is not wanted, and why: it may come about once somebody wants it.
    Unwanted(String),
    /// It will not come about unless somebody does something, and why.
    Hopeless(String),
}

/// Judges `aim` by `snapshot`.
pub fn judge(aim: &Aim, snapshot: &Snapshot) -> Verdict {
    let Some(view) = snapshot.service(aim.id.as_str()) else {
        return match aim.goal {
            Goal::Stopped => Verdict::Reached,
            Goal::Healthy | Goal::Running | Goal::Completed => Verdict::Hopeless("not defined any more".to_owned()),
        };
    };
    match aim.goal {
        Goal::Stopped => stopped(view),
        Goal::Healthy | Goal::Running | Goal::Completed => alive(aim, view, snapshot),
    }
}

/// What is to be said of `aim` although it is reached: that it is a stranger's work.
pub fn reservation(aim: &Aim, snapshot: &Snapshot) -> Option<String> {
    let view = match aim.goal {
        Goal::Healthy | Goal::Running => snapshot.service(aim.id.as_str())?,
        Goal::Stopped | Goal::Completed => return None,
    };
    let holder = view.foreign.as_ref()?;
    let told = format!("{} is not the agent's own: {}", aim.id, view.reason);
    // What is another service's, or can't be told apart, can neither be taken over nor ended as a stranger.
    let is_stranger = holder.service.is_none() && holder.process.is_some();
    let remedy = || format!("; `pilotlight adopt {0}` takes it over, `pilotlight stop --foreign {0}` ends it", aim.id);
    Some(if is_stranger { told + &remedy() } else { told })
}

/// How long to wait for `aims` when nobody has said: the time that the services give themselves, and a margin.
///
/// For a start it follows the longest chain of dependencies and adds their graces and steps, for a stop the longest chain of
/// dependents and adds their stop timeouts.
pub fn patience(aims: &[Aim], snapshot: &Snapshot) -> Duration {
    let mut starts = Chains::new(snapshot, Direction::Dependencies);
    let mut stops = Chains::new(snapshot, Direction::Dependents);
    let longest = aims.iter().map(|aim| match aim.goal {
        Goal::Stopped => stops.longest(&aim.id),
        // A restart has to stop the earlier run first.
        Goal::Healthy | Goal::Running | Goal::Completed if aim.not_run.is_some() => {
            stops.longest(&aim.id) + starts.longest(&aim.id)
        }
        Goal::Healthy | Goal::Running | Goal::Completed => starts.longest(&aim.id),
    });
    longest.max().unwrap_or_default().saturating_add(MARGIN)
}

/// What is added for a slow machine.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a one-shot (a migration, a build) may take before waiting for it ends.
const ONE_SHOT: Duration = Duration::from_secs(600);

fn stopped(view: &ServiceView) -> Verdict {
    match (view.process, view.pid) {
        (ProcessState::Failed, Some(pid)) => Verdict::Hopeless(format!("{} (pid {pid} still lives)", view.reason)),
        (ProcessState::Backoff, _) => Verdict::Pending(view.reason.clone()),
        // A stranger on its port is none of its processes; whoever waits has none either.
        (
            ProcessState::Stopped
            | ProcessState::Waiting
            | ProcessState::Failed
            | ProcessState::Completed
            | ProcessState::Foreign,
            None,
        ) => Verdict::Reached,
        (
            ProcessState::Stopped
            | ProcessState::Waiting
            | ProcessState::Starting
            | ProcessState::Running
            | ProcessState::Stopping
            | ProcessState::Completed
            | ProcessState::Foreign,
            _,
        ) => Verdict::Pending(told(view)),
    }
}

fn alive(aim: &Aim, view: &ServiceView, snapshot: &Snapshot) -> Verdict {
    let earlier_run = aim.not_run.is_some() && view.run == aim.not_run;
    if !earlier_run && reached(aim.goal, view) {
        return Verdict::Reached;
    }
    if snapshot.shutting_down {
        return Verdict::Hopeless("the agent is ending".to_owned());
    }
    match &view.service.kind {
        Kind::Process(_) | Kind::External => {}
        Kind::Detached | Kind::Settings => return Verdict::Hopeless(told(view)),
    }
    if !view.wanted {
        return Verdict::Unwanted(format!("not wanted: {}", view.reason));
    }
    if earlier_run {
        return Verdict::Pending("still in its earlier run".to_owned());
    }
    match view.process {
        ProcessState::Waiting => waiting(view, snapshot),
        ProcessState::Failed => Verdict::Hopeless(told(view)),
        // Wanted and stopped: it ended by itself, and is left so. Only what others run may come by itself.
        ProcessState::Stopped if view.service.kind != Kind::External => Verdict::Hopeless(told(view)),
        // A stranger does not become this service's run by itself, however well it works.
        ProcessState::Foreign if !matches!(view.health, HealthState::Starting | HealthState::Unknown) => {
            Verdict::Hopeless(told(view))
        }
        ProcessState::Running if view.is_fresh => Verdict::Pending("too young to tell whether it lasts".to_owned()),
        ProcessState::Stopped
        | ProcessState::Starting
        | ProcessState::Running
        | ProcessState::Stopping
        | ProcessState::Backoff
        | ProcessState::Completed
        | ProcessState::Foreign => Verdict::Pending(told(view)),
    }
}

fn reached(goal: Goal, view: &ServiceView) -> bool {
    let works = matches!(view.health, HealthState::Healthy | HealthState::Degraded) && !view.is_fresh;
    let exited_well =
        view.wanted && view.last_exit.as_ref().is_some_and(|last| view.service.restart.is_success(&last.exit));
    match (goal, view.process) {
        (_, ProcessState::Completed) => true,
        (Goal::Completed, ProcessState::Stopped) => exited_well,
        (Goal::Running, ProcessState::Running) => !view.is_fresh,
        // A stranger that passes the probes serves as well as our own would.
        (Goal::Healthy, ProcessState::Running | ProcessState::Foreign) | (Goal::Running, ProcessState::Foreign) => {
            works
        }
        (
            Goal::Healthy | Goal::Running | Goal::Completed | Goal::Stopped,
            ProcessState::Stopped
            | ProcessState::Waiting
            | ProcessState::Starting
            | ProcessState::Running
            | ProcessState::Stopping
            | ProcessState::Backoff
            | ProcessState::Failed
            | ProcessState::Foreign,
        ) => false,
    }
}

/// A service that waits is as hopeless as the first hopeless one of those that it waits for.
fn waiting(view: &ServiceView, snapshot: &Snapshot) -> Verdict {
    match dead_end(view, snapshot, &mut BTreeSet::new()) {
        Some(reason) => Verdict::Hopeless(reason),
        None => Verdict::Pending(told(view)),
    }
}

/// Why a waiting service waits in vain, if it does.
fn dead_end<'a>(view: &'a ServiceView, snapshot: &'a Snapshot, seen: &mut BTreeSet<&'a ServiceId>) -> Option<String> {
    if !seen.insert(&view.id) {
        return None;
    }
    view.blocked_by.iter().find_map(|blocker| {
        let because = || Some(format!("waits for {}, which {}", blocker.id, blocker.reason));
        let Some(other) = snapshot.service(blocker.id.as_str()) else { return because() };
        match other.process {
            ProcessState::Failed => because(),
            ProcessState::Foreign if other.health == HealthState::Unhealthy => because(),
            ProcessState::Stopped if other.service.kind != Kind::External => because(),
            ProcessState::Waiting if !other.wanted => because(),
            ProcessState::Waiting => {
                dead_end(other, snapshot, seen).map(|reason| format!("waits for {}, which {reason}", blocker.id))
            }
            ProcessState::Stopped
            | ProcessState::Starting
            | ProcessState::Running
            | ProcessState::Stopping
            | ProcessState::Backoff
            | ProcessState::Completed
            | ProcessState::Foreign => None,
        }
    })
}

/// The view's own reason, behind the word for its state unless it begins with it.
fn told(view: &ServiceView) -> String {
    let state = match view.process {
        ProcessState::Running => view.health.as_str(),
        ProcessState::Stopped
        | ProcessState::Waiting
        | ProcessState::Starting
        | ProcessState::Stopping
        | ProcessState::Backoff
        | ProcessState::Failed
        | ProcessState::Completed
        | ProcessState::Foreign => view.process.as_str(),
    };
    if view.reason.starts_with(state) { view.reason.clone() } else { format!("{state}: {}", view.reason) }
}

/// Which way a chain is followed.
#[derive(Clone, Copy)]
enum Direction {
    /// To what a service needs: the time of starting.
    Dependencies,
    /// To what needs it: the time of stopping.
    Dependents,
}

/// The longest times along the graph, each computed once.
struct Chains<'a> {
    snapshot: &'a Snapshot,
    neighbours: BTreeMap<&'a ServiceId, Vec<&'a ServiceId>>,
    direction: Direction,
    known: BTreeMap<&'a ServiceId, Duration>,
}

impl<'a> Chains<'a> {
    fn new(snapshot: &'a Snapshot, direction: Direction) -> Self {
        let mut neighbours: BTreeMap<&ServiceId, Vec<&ServiceId>> = BTreeMap::new();
        for view in snapshot.services.iter() {
            for needed in &view.service.depends_on {
                let (from, to) = match direction {
                    Direction::Dependencies => (&view.id, &needed.id),
                    Direction::Dependents => (&needed.id, &view.id),
                };
                neighbours.entry(from).or_default().push(to);
            }
        }
        Self { snapshot, neighbours, direction, known: BTreeMap::new() }
    }

    /// The time of `id` and of the longest chain behind it.
    fn longest(&mut self, id: &ServiceId) -> Duration {
        match self.snapshot.service(id.as_str()) {
            Some(view) => self.from(view),
            None => Duration::ZERO,
        }
    }

    fn from(&mut self, view: &'a ServiceView) -> Duration {
        if let Some(known) = self.known.get(&view.id) {
            return *known;
        }
        // Ends the walk should the graph have a cycle after all.
        self.known.insert(&view.id, Duration::ZERO);
        let behind = self.neighbours.get(&view.id).cloned().unwrap_or_default();
        let behind = behind.into_iter().map(|id| match self.snapshot.service(id.as_str()) {
            Some(other) => self.from(other),
            None => Duration::ZERO,
        });
        let longest = behind.max().unwrap_or_default().saturating_add(self.own(view));
        self.known.insert(&view.id, longest);
        longest
    }

    fn own(&self, view: &ServiceView) -> Duration {
        let service = &view.service;
        let start = || match service.one_shot {
            true => ONE_SHOT,
            false => service.probes.iter().map(|probe| probe.grace).max().unwrap_or_default(),
        };
        match self.direction {
            // The command has its time, and then the signal that takes its place.
            Direction::Dependents if service.stop.command.is_some() => service.stop.timeout.saturating_mul(2),
            Direction::Dependents => service.stop.timeout,
            Direction::Dependencies => {
                service.before_start.iter().fold(start(), |sum, step| sum.saturating_add(step.timeout))
            }
        }
    }
}

#[cfg(test)]
mod tests;
