//! What faces see of one unit: its state in the outside's words, its light, and the reason in one sentence.

use std::sync::Arc;

use super::fleet::is_counted;
use super::phase::{Phase, Sequel, Stranger};
use super::unit::Unit;
use crate::domain::{HealthState, Intent, Kind, Light, Moment, Part, ProcessState, RunId, ServiceView};

/// The view of `unit` now; `since` goes on where nothing that it is about has changed.
pub fn view(unit: &Unit, intent: &Intent, now: Moment) -> ServiceView {
    let verdict = &unit.verdict;
    let wanted = verdict.is_wanted();
    let (process, health) = state(unit, wanted, now);
    let light = light(unit, wanted, process, health);
    let since = match &unit.view {
        Some(old) if (old.process, old.health, old.wanted) == (process, health, wanted) => old.since,
        Some(_) | None => now,
    };
    let (run, pid, started, adopted) = run(unit);
    ServiceView {
        id: unit.service.id.clone(),
        service: Arc::clone(&unit.service),
        wanted,
        wanted_by: verdict.wanted_by.clone(),
        process,
        health,
        light,
        reason: reason(unit, intent, process, health),
        since,
        pid,
        run,
        started,
        adopted,
        is_fresh: matches!(&unit.phase, Phase::Up(life) if life.fresh_until.is_some()),
        restarts: unit.restarts,
        last_exit: unit.last_exit.clone(),
        first_cause: unit.first_cause.clone().filter(|_| health != HealthState::Healthy),
        blocked_by: if process == ProcessState::Waiting { verdict.blocked_by.clone() } else { Vec::new() },
        next_try: match unit.phase {
            Phase::Backoff(until) => Some(until),
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Prepared(_)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => None,
        },
        spared: unit.spared.clone(),
        launch: unit.launch.clone(),
        counted: is_counted(unit),
        // Whoever keeps the actions adds it.
        last_action: None,
        foreign: unit.phase.stranger().map(|stranger| stranger.holder.clone()),
    }
}

/// The unit's phase and health in the outside's words.
fn state(unit: &Unit, wanted: bool, now: Moment) -> (ProcessState, HealthState) {
    let health = unit.board().map_or(HealthState::Stopped, |board| board.state(now));
    match &unit.phase {
        Phase::Idle if wanted && is_counted(unit) => (ProcessState::Waiting, HealthState::Stopped),
        Phase::Idle | Phase::Rested => (ProcessState::Stopped, HealthState::Stopped),
        Phase::Completed => (ProcessState::Completed, HealthState::Stopped),
        Phase::Failed(_) => (ProcessState::Failed, HealthState::Stopped),
        Phase::Backoff(_) => (ProcessState::Backoff, HealthState::Stopped),
        Phase::Foreign(_) => (ProcessState::Foreign, health),
        Phase::Spawning(attempt) if attempt.stranger.is_some() => (ProcessState::Foreign, health),
        Phase::Spawning(_) | Phase::Preparing(_) | Phase::Prepared(_) => {
            (ProcessState::Starting, HealthState::Starting)
        }
        Phase::Up(life) if life.board.is_settled() => (ProcessState::Running, health),
        Phase::Up(_) => (ProcessState::Starting, health),
        // What a step has left is no service that stops.
        Phase::Stopping(ending) if !ending.asked && matches!(ending.sequel, Sequel::Next(_)) => {
            (ProcessState::Starting, HealthState::Starting)
        }
        Phase::Stopping(_) => (ProcessState::Stopping, HealthState::Stopped),
        Phase::Watching(..) => match health {
            HealthState::Healthy | HealthState::Degraded => (ProcessState::Running, health),
            HealthState::Stopped | HealthState::Starting | HealthState::Unhealthy | HealthState::Unknown => {
                (ProcessState::Stopped, health)
            }
        },
    }
}

fn light(unit: &Unit, wanted: bool, process: ProcessState, health: HealthState) -> Light {
    if !wanted {
        return Light::Gray;
    }
    match process {
        ProcessState::Waiting if unit.verdict.by_user => Light::Gray,
        ProcessState::Waiting | ProcessState::Stopping | ProcessState::Backoff => Light::Yellow,
        ProcessState::Failed => Light::Red,
        ProcessState::Completed => Light::Green,
        ProcessState::Foreign => match health {
            HealthState::Unhealthy => Light::Red,
            HealthState::Stopped
            | HealthState::Starting
            | HealthState::Healthy
            | HealthState::Degraded
            | HealthState::Unknown => Light::Yellow,
        },
        ProcessState::Stopped | ProcessState::Starting | ProcessState::Running => match health {
            HealthState::Healthy => Light::Green,
            HealthState::Unhealthy => Light::Red,
            HealthState::Stopped | HealthState::Starting | HealthState::Degraded | HealthState::Unknown => {
                Light::Yellow
            }
        },
    }
}

fn run(unit: &Unit) -> (Option<RunId>, Option<u32>, Option<Moment>, bool) {
    match &unit.phase {
        Phase::Up(life) => (Some(life.run.clone()), Some(life.pid), Some(life.started), life.adopted),
        Phase::Stopping(ending) => (Some(ending.run.clone()), ending.pid, Some(ending.started), ending.adopted),
        Phase::Spawning(attempt) if attempt.stranger.is_none() => (Some(attempt.run.clone()), None, None, false),
        // Its main process is yet to come.
        Phase::Preparing(preparing) => (Some(preparing.attempt.run.clone()), None, Some(preparing.started), false),
        Phase::Spawning(_)
        | Phase::Prepared(_)
        | Phase::Idle
        | Phase::Rested
        | Phase::Completed
        | Phase::Failed(_)
        | Phase::Backoff(_)
        | Phase::Foreign(_)
        | Phase::Watching(..) => (None, None, None, false),
    }
}

fn reason(unit: &Unit, intent: &Intent, process: ProcessState, health: HealthState) -> String {
    let service = &unit.service;
    let complaint = unit.board().and_then(|board| board.complaint());
    match &service.kind {
        Kind::Detached => return format!("not run by this version: {} is another engine's", service.type_name),
        Kind::Settings => return "only exports settings".to_owned(),
        Kind::Process(_) | Kind::External => {}
    }
    match &unit.phase {
        Phase::Idle if unit.removed => "removed".to_owned(),
        Phase::Idle if !service.enabled => match &service.disabled_at {
            Some(place) => format!("disabled in {place}"),
            None => "disabled".to_owned(),
        },
        Phase::Idle if process == ProcessState::Waiting => waiting(unit),
        Phase::Idle if intent.get(&service.id) == Some(&false) => "stopped by the user".to_owned(),
        Phase::Idle => "not started".to_owned(),
        Phase::Rested => "exited by itself".to_owned(),
        Phase::Completed => "completed".to_owned(),
        Phase::Failed(text) => text.clone(),
        Phase::Backoff(_) => {
            let cause = unit.first_cause.as_deref().unwrap_or("ended");
            match unit.ended_by.as_deref().filter(|last| *last != cause) {
                Some(last) => format!("{last}; will be tried again; at first: {cause}"),
                None => format!("{cause}; will be tried again"),
            }
        }
        Phase::Spawning(attempt) => match &attempt.stranger {
            Some(stranger) => foreign(stranger, complaint),
            None if attempt.run.part() == Part::Step => attempt.words(),
            None => "starting".to_owned(),
        },
        Phase::Preparing(preparing) => preparing.attempt.words(),
        Phase::Prepared(_) => "starting".to_owned(),
        Phase::Foreign(stranger) => foreign(stranger, complaint),
        Phase::Stopping(ending) if !ending.survivors.is_empty() => {
            let pids = ending.survivors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            format!("can't be killed: pid {pids}")
        }
        Phase::Stopping(ending) if ending.is_over => "stopped; its stop command still runs".to_owned(),
        Phase::Stopping(ending) if !ending.asked => match (&ending.sequel, &ending.exit) {
            (Sequel::Trouble(text), _) => format!("{text}; being stopped"),
            (Sequel::NoStart(text), _) => text.clone(),
            (Sequel::Next(_), _) => "what a step before the start has left is being ended".to_owned(),
            (Sequel::Policy, Some(exit)) => format!("{exit}; what it left is being ended"),
            (Sequel::Policy, None) => "ending".to_owned(),
        },
        Phase::Stopping(ending) if ending.killed => {
            format!("did not end within {} s: being killed", service.stop.timeout.as_secs_f64())
        }
        Phase::Stopping(_) if unit.again => "stopping, to be started again".to_owned(),
        Phase::Stopping(_) => "stopping".to_owned(),
        Phase::Watching(..) => match (health, complaint) {
            (HealthState::Healthy, _) => "healthy".to_owned(),
            (_, Some(complaint)) => complaint.to_owned(),
            (_, None) => "not asked yet".to_owned(),
        },
        Phase::Up(life) => {
            let base = match (health, complaint) {
                (HealthState::Healthy, _) => "healthy".to_owned(),
                (HealthState::Starting, Some(complaint)) => format!("starting: {complaint}"),
                (HealthState::Starting, None) => "starting".to_owned(),
                (HealthState::Unknown, _) => "taken over, not probed yet".to_owned(),
                (HealthState::Stopped | HealthState::Degraded | HealthState::Unhealthy, Some(complaint)) => {
                    complaint.to_owned()
                }
                (HealthState::Stopped | HealthState::Degraded | HealthState::Unhealthy, None) => {
                    health.as_str().to_owned()
                }
            };
            let base = match &unit.loop_file {
                Some(file) => format!("{base}; not restarted on changes for now: {file} changes each time it starts"),
                None => base,
            };
            match life.shared.outdated() {
                [] => base,
                names => format!("{base}; started before {} changed", names.join(", ")),
            }
        }
    }
}

fn foreign(stranger: &Stranger, complaint: Option<&str>) -> String {
    match complaint {
        Some(complaint) => format!("{}; {complaint}", stranger.holder),
        None => stranger.holder.to_string(),
    }
}

fn waiting(unit: &Unit) -> String {
    match unit.verdict.blocked_by.as_slice() {
        [] => "about to start".to_owned(),
        [only] if only.id == unit.service.id => format!("waits: it {}", only.reason),
        [only] => format!("waits for {}, which {}", only.id, only.reason),
        [first, rest @ ..] => format!("waits for {}, which {}, and for {} more", first.id, first.reason, rest.len()),
    }
}
