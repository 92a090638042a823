//! `why`: everything that explains one service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, LastExit, timestamp, word};
use crate::domain::{HealthState, Light, ProcessState, ServiceView, Snapshot};
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
    /// What changed in the catalog since it last became healthy; null when it was not seen healthy.
    pub changed: Option<Vec<String>>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
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
    /// Explains `view` of `snapshot`, given the end of its log and what changed.
    pub fn of(
        view: &ServiceView,
        snapshot: &Snapshot,
        clock: &Clock,
        last_lines: Option<Vec<String>>,
        changed: Option<Vec<String>>,
    ) -> Self {
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
            reason: view.reason.clone(),
            since: timestamp(clock.wall(view.since)),
            pid: view.pid,
            restarts: view.restarts,
            blocked_by,
            last_exit: view.last_exit.as_ref().map(|last| LastExit::of(last, clock)),
            first_cause: view.first_cause.clone(),
            last_lines,
            changed,
            next_try: view.next_try.map(|at| timestamp(clock.wall(at))),
        }
    }
}

/// The changes of the catalog after the last time that `id` turned healthy; `None` if `events` don't tell of that.
pub fn changed_since_healthy(id: &str, events: &[Event]) -> Option<Vec<String>> {
    let turned = |event: &Event| event.kind == "healthy" && event.service.as_deref() == Some(id);
    let last = events.iter().rposition(turned)?;
    let later = events[last..].iter().filter(|event| event.kind == "generation");
    Some(later.map(|event| event.text.clone()).collect())
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
