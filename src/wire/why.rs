//! `why`: everything that explains one service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Foreign, LastExit, timestamp, word};
use crate::domain::{self, ActionState, HealthState, Light, ProcessState, RunId, ServiceView, Snapshot};
use crate::engine::Clock;

/// Everything that `why` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The service.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it should run.
    pub wanted: bool,
    /// `auto_start`, `user`, `dependency:<id>` or `none`.
    pub wanted_by: String,
    /// Whether it runs.
    #[serde(with = "word")]
    pub process: ProcessState,
    /// Whether it works.
    #[serde(with = "word")]
    pub health: HealthState,
    /// Its light.
    #[serde(with = "word")]
    pub light: Light,
    /// Why it is as it is.
    pub reason: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// Its main process.
    pub pid: Option<u32>,
    /// Automatic restarts since it was last started on purpose.
    pub restarts: u32,
    /// Whom it waits for, and whom those wait for, down to the root.
    pub blocked_by: Vec<Blocker>,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// The first thing that went wrong since it was last healthy.
    pub first_cause: Option<String>,
    /// The last lines of its log; null when there is no log.
    pub last_lines: Option<Vec<String>>,
    /// When it last turned healthy; null when that is not known any more.
    pub last_healthy: Option<Timestamp>,
    /// What has changed since then, oldest first: its definition, what it needs, what is checked out in its folder;
    /// null when it was not seen healthy.
    pub changed: Option<Vec<Change>>,
    /// What is checked out in its folder; null outside of every git checkout.
    pub checkout: Option<Checkout>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// What its last run left running when it ended; of what this agent has not seen itself, all that still runs.
    #[serde(default)]
    pub spared: Vec<Spared>,
    /// Who has its port instead, while `process` is `foreign`.
    pub foreign: Option<Foreign>,
    /// The action that was run for it last.
    pub last_action: Option<LastAction>,
}

/// A process that was left when its run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spared {
    /// The process.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

/// How the last action of a service came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastAction {
    /// Its name.
    pub name: String,
    /// `running`, `done` or `failed`.
    pub state: String,
    /// Since when.
    pub at: Timestamp,
    /// Why it failed.
    pub error: Option<String>,
}

impl LastAction {
    fn of(last: &domain::LastAction, clock: &Clock) -> Self {
        let (state, error) = match &last.state {
            ActionState::Running => ("running", None),
            ActionState::Done => ("done", None),
            ActionState::Failed(error) => ("failed", Some(error.clone())),
        };
        Self { name: last.name.clone(), state: state.to_owned(), at: timestamp(clock.wall(last.at)), error }
    }
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub text: String,
}

/// What is checked out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkout {
    /// The folder of the checkout.
    pub folder: String,
    /// The branch; null when none is checked out.
    pub branch: Option<String>,
    /// The commit, in full; null before the first one.
    pub head: Option<String>,
    /// How the commit came to be another one since the service was last healthy, oldest first.
    #[serde(skip)]
    pub moves: Vec<Change>,
}

/// One dependency that is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// Which.
    pub id: String,
    /// What about it.
    pub reason: String,
    /// Whom it holds up: the service itself, or another blocker.
    pub blocks: String,
}

impl Why {
    /// Explains `view` of `snapshot`, given the end of its log, what happened and what is checked out in its folder.
    pub fn of(
        view: &ServiceView,
        snapshot: &Snapshot,
        clock: &Clock,
        last_lines: Option<Vec<String>>,
        (events, checkout): (&[Event], Option<Checkout>),
    ) -> Self {
        let last_healthy = last_healthy(view, events);
        // An explanation gets pasted, and these are in the words of others.
        let hide = |text: &str| snapshot.secrets.hide(text).into_owned();
        let mut blocked_by = Vec::new();
        follow(view, snapshot, &mut BTreeSet::new(), &mut blocked_by);
        Self {
            id: view.id.to_string(),
            name: view.service.display.name.clone(),
            wanted: view.wanted,
            wanted_by: view.wanted_by.to_string(),
            process: view.process,
            health: view.health,
            light: view.light,
            reason: view.reason_at(clock.now()).into_owned(),
            since: timestamp(clock.wall(view.since)),
            pid: view.pid,
            restarts: view.restarts,
            blocked_by,
            last_exit: view.last_exit.as_ref().map(|last| LastExit::of(last, clock)),
            first_cause: view.first_cause.clone(),
            last_lines: last_lines.map(|lines| lines.iter().map(|line| hide(line)).collect()),
            last_healthy,
            changed: last_healthy.map(|since| {
                let changes = changes(view, since, events, checkout.as_ref()).into_iter();
                changes.map(|change| Change { text: hide(&change.text), ..change }).collect()
            }),
            checkout: checkout.map(|checkout| Checkout {
                folder: hide(&checkout.folder),
                branch: checkout.branch.as_deref().map(hide),
                ..checkout
            }),
            next_try: view.next_try.map(|at| timestamp(clock.wall(at))),
            spared: view.spared.iter().map(|left| Spared { pid: left.pid, command: left.command.clone() }).collect(),
            foreign: view.foreign.as_ref().map(|holder| Foreign::of(holder, clock)),
            last_action: view.last_action.as_ref().map(|last| LastAction::of(last, clock)),
        }
    }
}

/// When the service of `view` last turned healthy and stayed so, as far as `events` tell.
///
/// Without a probe whatever runs is healthy, be it about to crash. So a run counts that has been healthy as long as its
/// restart policy calls a good one; if there is none, the last one before the present run; else the present one.
pub fn last_healthy(view: &ServiceView, events: &[Event]) -> Option<Timestamp> {
    let of_it = || events.iter().filter(|event| event.service.as_deref() == Some(view.id.as_str()));
    let turns: Vec<&Event> = of_it().filter(|event| event.kind == "healthy").collect();
    let end = |run: &Option<String>| of_it().find(|event| event.kind == "exited" && event.run == *run);
    let good = view.service.restart.reset_after.as_secs_f64();
    let lasted = |turn: &&&Event| match end(&turn.run) {
        Some(end) => end.at.duration_since(turn.at).as_secs_f64() >= good,
        None => turn.run.is_some() && turn.run.as_deref() == view.run.as_ref().map(RunId::as_str),
    };
    let last = turns.last()?;
    let before = || turns.iter().rev().find(|turn| turn.run != last.run);
    Some(turns.iter().rev().find(lasted).or_else(before).unwrap_or(last).at)
}

/// What has changed since the service of `view` turned healthy, oldest first.
fn changes(view: &ServiceView, since: Timestamp, events: &[Event], checkout: Option<&Checkout>) -> Vec<Change> {
    let mut changes = Vec::new();
    for event in events.iter().filter(|event| event.at >= since) {
        let Some(id) = event.service.as_deref() else { continue };
        let needed = view.service.depends_on.iter().any(|dependency| dependency.id.as_str() == id);
        let text = match event.kind.as_str() {
            "plan" | "changed" if id == view.id.as_str() || needed => match changed_fields(event) {
                Some(fields) if needed => format!("the definition of {id}, which it needs, changed: {fields}"),
                Some(fields) => format!("its definition changed: {fields}"),
                None => continue,
            },
            "started" | "exited" | "stopped" | "unhealthy" if needed => format!("{id}, which it needs: {}", event.text),
            _ => continue,
        };
        changes.push(Change { at: event.at, text });
    }
    let moves = checkout.iter().flat_map(|checkout| &checkout.moves);
    changes.extend(moves.map(|change| Change { at: change.at, text: format!("git: {}", change.text) }));
    changes.sort_by_key(|change| change.at);
    changes
}

/// The fields of a definition that took another value; `None` if it came or went as a whole.
fn changed_fields(event: &Event) -> Option<&str> {
    match event.kind.as_str() {
        // As earlier versions told it.
        "changed" => Some(&event.text),
        _ => event.text.split_once(": ").map(|(_, fields)| fields),
    }
}

/// Lists the blockers of `view`, each followed by its own.
fn follow<'a>(
    view: &'a ServiceView,
    snapshot: &'a Snapshot,
    seen: &mut BTreeSet<(&'a str, &'a str)>,
    found: &mut Vec<Blocker>,
) {
    for blocker in &view.blocked_by {
        if !seen.insert((blocker.id.as_str(), view.id.as_str())) {
            continue;
        }
        let (id, reason, blocks) = (blocker.id.to_string(), blocker.reason.clone(), view.id.to_string());
        found.push(Blocker { id, reason, blocks });
        if let Some(other) = snapshot.service(blocker.id.as_str()) {
            follow(other, snapshot, seen, found);
        }
    }
}
