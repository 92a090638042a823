//! How a service comes up: its steps before the start one after the other, its own process, and what an earlier agent
//! has left of it.

use std::sync::Arc;
use std::time::Duration;

use super::meter::Meter;
use super::phase::{Attempt, Ending, Life, Phase, Preparing, Sequel, Shared, Stranger};
use super::unit::{Orders, Unit};
use crate::domain::{
    Effect, Exit, FoundRun, HealthState, LastExit, Moment, Part, PortHolder, RunId, Spawn, SpawnOrder,
};

/// How often a taken port is looked at again.
const PORT_RECHECK: Duration = Duration::from_secs(2);

/// How long a run without probes must last before whoever has wished for it is told that it is up. What can't start (a
/// wrong argument, a missing file, a taken port) mostly ends well within that, and nobody minds waiting so long.
pub const FRESH: Duration = Duration::from_millis(250);

impl Unit {
    /// Starts it under the id `run`, or goes on with a start that a step has come before.
    pub fn start(&mut self, now: Moment, run: RunId, orders: &mut Orders<'_>) -> bool {
        if self.is_live() {
            return false;
        }
        self.again = false;
        let Some(spawn) = self.spawn().cloned() else {
            self.note_start(now, None);
            let board = self.fresh_board(now, now, HealthState::Unknown);
            self.phase = Phase::Watching(run, Box::new(board));
            return true;
        };
        let (stranger, prepared) = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Foreign(stranger) => (Some(stranger), None),
            Phase::Prepared(attempt) => (None, Some(attempt)),
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Watching(..) => (None, None),
        };
        // Steps that were made for another definition are no steps of this one.
        let done = prepared.filter(|attempt| self.is_of_this(attempt)).map_or(0, |attempt| attempt.done);
        let steps = self.service.before_start.clone();
        let mut attempt = Attempt { run, spawn, steps, done, stranger };
        self.note_start(now, Some(&attempt));
        let spawn = match attempt.step() {
            Some(step) => Arc::new(Spawn { argv: step.argv.clone(), ..Spawn::clone(&attempt.spawn) }),
            None => Arc::clone(&attempt.spawn),
        };
        if attempt.step().is_some() {
            attempt.run = attempt.run.of_step();
        }
        orders.effects.push(Effect::Spawn(SpawnOrder {
            id: self.service.id.clone(),
            run: attempt.run.clone(),
            spawn,
            // Nothing is prepared for a service whose port is taken.
            port: self.service.port,
        }));
        self.phase = Phase::Spawning(Box::new(attempt));
        true
    }

    /// What was ordered lives.
    pub fn spawned(&mut self, now: Moment, pid: u32, orders: &mut Orders<'_>) -> bool {
        let Phase::Spawning(attempt) = &self.phase else { return false };
        let run = attempt.run.clone();
        if run.part() == Part::Step
            && let Some(step) = attempt.step()
        {
            let (deadline, text) = (now + step.timeout, format!("{} (pid {pid})", attempt.words()));
            let attempt = Attempt { stranger: None, ..Attempt::clone(attempt) };
            self.phase = Phase::Preparing(Box::new(Preparing { attempt, pid, started: now, deadline }));
            self.record("preparing", Some(&run), text, orders);
            return true;
        }
        let life = Life {
            run: run.clone(),
            pid,
            started: now,
            adopted: false,
            spawn_hash: Some(attempt.spawn.hash()),
            spawn: Some(Arc::clone(&attempt.spawn)),
            shared: Shared::of(&attempt.spawn),
            fresh_until: self.fresh_until(now, now),
            board: self.fresh_board(now, now, HealthState::Starting),
            meter: Meter::new(self.service.limits.memory, now),
        };
        self.phase = Phase::Up(Box::new(life));
        self.compare_shared();
        self.record("started", Some(&run), format!("started as pid {pid}"), orders);
        self.note_health(now, HealthState::Starting, orders);
        self.probe_due(now, orders);
        true
    }

    /// Until when a run that began at `started` is too young to be relied on; `None` if it is not, or if probes tell.
    fn fresh_until(&self, started: Moment, now: Moment) -> Option<Moment> {
        let until = started + FRESH;
        (self.service.probes.is_empty() && now < until).then_some(until)
    }

    /// Takes note that its run has lasted; true if that is new.
    pub fn note_lasting(&mut self, now: Moment) -> bool {
        let Phase::Up(life) = &mut self.phase else { return false };
        life.fresh_until.take_if(|until| *until <= now).is_some()
    }

    /// Ends a step that has had its time; true if there was one.
    pub fn step_overdue(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        let Phase::Preparing(preparing) = &self.phase else { return false };
        let Some(step) = preparing.attempt.step().filter(|_| now >= preparing.deadline) else { return false };
        let text = format!("{} did not end within {} s: killed", preparing.attempt.words(), step.timeout.as_secs_f64());
        let run = preparing.attempt.run.clone();
        let ending = Ending {
            asked: false,
            sequel: Sequel::NoStart(text.clone()),
            ..Ending::of_step(preparing, now + self.service.stop.timeout)
        };
        self.phase = Phase::Stopping(Box::new(ending));
        self.record("killing", Some(&run), text, orders);
        self.kill_ending(now, orders);
        true
    }

    /// Another process has the port.
    pub fn port_taken(&mut self, now: Moment, holder: PortHolder, orders: &mut Orders<'_>) -> bool {
        let Phase::Spawning(attempt) = &mut self.phase else { return false };
        let run = attempt.run.clone();
        let known = attempt.stranger.take().filter(|known| known.holder.is_same(&holder));
        let is_new = known.is_none();
        let told = holder.to_string();
        let stranger = match known {
            Some(mut known) => {
                known.recheck = now + PORT_RECHECK;
                // It may call itself otherwise by now; when it began, it has not begun anew.
                known.holder = PortHolder { since: known.holder.since, ..holder };
                known
            }
            None => Box::new(Stranger {
                watch: run.clone(),
                holder,
                // It is no start of ours, so it has no grace.
                board: self.fresh_board(Moment::default(), now, HealthState::Unknown),
                recheck: now + PORT_RECHECK,
            }),
        };
        self.phase = Phase::Foreign(stranger);
        if is_new {
            self.record("foreign", Some(&run), told, orders);
            self.probe_due(now, orders);
        }
        is_new
    }

    /// Takes over a run that an earlier agent began.
    pub fn adopt(&mut self, now: Moment, found: &FoundRun, orders: &mut Orders<'_>) {
        self.launch = None;
        let run = found.run.clone();
        if let Some(pid) = found.pid {
            self.phase = Phase::Up(Box::new(Life {
                run: run.clone(),
                pid,
                started: found.since,
                adopted: true,
                spawn_hash: found.spawn_hash.clone(),
                spawn: None,
                shared: Shared::recorded(found.shared_hashes.clone()),
                fresh_until: self.fresh_until(found.since, now),
                board: self.fresh_board(found.since, now, HealthState::Unknown),
                meter: Meter::new(self.service.limits.memory, now),
            }));
            self.compare_shared();
            self.record("adopted", Some(&run), format!("taken over as pid {pid}"), orders);
            self.step(now, super::phase::Input::Time, orders);
        } else {
            let policy = &self.service.stop;
            orders.effects.push(Effect::Ask { run: run.clone(), signal: policy.signal, tree: policy.tree });
            self.phase = Phase::Stopping(Box::new(Ending {
                run: run.clone(),
                pid: None,
                started: found.since,
                adopted: true,
                // How a run of another definition has ended says nothing about this one.
                asked: found.spawn_hash.is_some() && found.spawn_hash != self.spawn_hash,
                sequel: Sequel::Policy,
                deadline: now + self.service.stop.timeout,
                killed: false,
                survivors: Vec::new(),
                exit: Some(Exit::Unknown),
                healthy_for: Duration::ZERO,
                command: None,
                is_over: false,
            }));
            self.last_exit = Some(LastExit { exit: Exit::Unknown, at: now });
            self.record("exited", Some(&run), "ended while no agent ran; some of its tree is left".to_owned(), orders);
        }
    }
}
