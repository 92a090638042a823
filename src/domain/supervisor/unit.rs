//! One service as the supervisor keeps it: its definition in use, the phase of its process, and what it remembers.
//!
//! What follows from a fact for this one service is decided here, for its starts in `start` and for its ends in `stop`;
//! whether it should run, and in which order, is not.

use std::sync::Arc;
use std::time::Duration;

use super::health::Board;
use super::phase::{Attempt, Input, Phase};
use super::restart::{End, History};
use super::verdict::Verdict;
use crate::domain::{
    Effect, HealthState, Kind, LastExit, Launch, MeasureOrder, Moment, Occurrence, Outcome, Part, ProbeOrder, RunId,
    Service, ServiceId, ServiceView, Spared, Spawn,
};

/// A service and all that is known of it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The definition in use; the last one if it has been removed.
    pub service: Arc<Service>,
    /// The hash of what the definition spawns.
    pub spawn_hash: Option<String>,
    /// No source defines it any more: it only has to end.
    pub removed: bool,
    /// Where its process is.
    pub phase: Phase,
    /// A new run is wished: the present one ends first.
    pub again: bool,
    /// Its automatic restarts, as the policy counts them.
    pub history: History,
    /// Its automatic restarts since the user or a definition started it.
    pub restarts: u32,
    /// The file that changes each time it starts, so that its changes restart nothing for now.
    pub loop_file: Option<String>,
    /// How its last run ended.
    pub last_exit: Option<LastExit>,
    /// What the last run that was not meant to end ended by, or why there was none.
    pub ended_by: Option<String>,
    /// What the last run left when it ended; from an earlier agent, what is left of all.
    pub spared: Vec<Spared>,
    /// The first thing that went wrong since it was last healthy.
    pub first_cause: Option<String>,
    /// How its last start went; `None` if this agent has not started it.
    pub launch: Option<Arc<Launch>>,
    /// Whether it is idle because a try that was due could not be made.
    pub is_retried: bool,
    /// A wanted service that brought it along; it stays up until it is stopped.
    pub brought_by: Option<ServiceId>,
    /// What the planner last found.
    pub verdict: Verdict,
    /// What faces see, as last published.
    pub view: Option<Arc<ServiceView>>,
}

/// Where a unit's orders go.
#[derive(Debug)]
pub struct Orders<'a> {
    /// The orders.
    pub effects: &'a mut Vec<Effect>,
    /// The catalog's generation, for the record.
    pub generation: u64,
}

impl Unit {
    /// A service that has never run.
    pub fn new(service: &Arc<Service>) -> Self {
        let mut unit = Self {
            service: Arc::clone(service),
            spawn_hash: None,
            removed: false,
            phase: Phase::Idle,
            again: false,
            history: History::default(),
            restarts: 0,
            loop_file: None,
            last_exit: None,
            ended_by: None,
            spared: Vec::new(),
            first_cause: None,
            launch: None,
            is_retried: false,
            brought_by: None,
            verdict: Verdict::default(),
            view: None,
        };
        unit.define(service);
        unit
    }

    /// Takes `service` as the definition in use.
    pub fn define(&mut self, service: &Arc<Service>) {
        self.spawn_hash = match &service.kind {
            Kind::Process(spawn) => Some(spawn.hash()),
            Kind::External | Kind::Detached | Kind::Settings => None,
        };
        self.service = Arc::clone(service);
        self.removed = false;
        self.compare_shared();
    }

    /// Finds out which shared variables the living run would get otherwise by the definition in use.
    pub fn compare_shared(&mut self) {
        if let (Kind::Process(spawn), Phase::Up(life)) = (&self.service.kind, &mut self.phase) {
            life.shared.compare(spawn);
        }
    }

    /// What the definition in use spawns.
    pub fn spawn(&self) -> Option<&Arc<Spawn>> {
        match &self.service.kind {
            Kind::Process(spawn) => Some(spawn),
            Kind::External | Kind::Detached | Kind::Settings => None,
        }
    }

    /// Whether something of ours runs, or is about to.
    pub fn is_live(&self) -> bool {
        self.phase.is_live()
    }

    /// The board that tells the health, if there is one.
    pub fn board(&self) -> Option<&Board> {
        self.phase.board()
    }

    /// Whether the living run is not what the definition in use would spawn.
    pub fn is_stale(&self) -> bool {
        match &self.phase {
            Phase::Up(life) => life.spawn_hash.is_some() && life.spawn_hash != self.spawn_hash,
            Phase::Spawning(attempt) => !self.is_of_this(attempt),
            Phase::Preparing(preparing) => !self.is_of_this(&preparing.attempt),
            Phase::Idle
            | Phase::Prepared(_)
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => false,
        }
    }

    /// Whether a step before its start runs, or is about to.
    pub fn is_at_its_steps(&self) -> bool {
        match &self.phase {
            Phase::Spawning(attempt) => attempt.run.part() == Part::Step,
            Phase::Preparing(_) => true,
            Phase::Idle
            | Phase::Prepared(_)
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => false,
        }
    }

    /// Whether `attempt` is one at what the definition in use spawns, after the steps that it names.
    pub fn is_of_this(&self, attempt: &Attempt) -> bool {
        let steps_count = attempt.run.part() == Part::Step;
        self.spawn() == Some(&attempt.spawn) && (!steps_count || attempt.steps == self.service.before_start)
    }

    /// Why the living run is to be ended and counts as a failure, if it is.
    pub fn trouble(&self, now: Moment) -> Option<String> {
        let Phase::Up(life) = &self.phase else { return None };
        if self.service.restart.on_unhealthy && life.board.state(now) == HealthState::Unhealthy {
            return Some(match life.board.complaint() {
                Some(complaint) => format!("unhealthy: {complaint}"),
                None => "unhealthy".to_owned(),
            });
        }
        life.meter.trouble()
    }

    /// Forgets what earlier runs did: the user or a changed definition starts the service anew.
    pub fn start_afresh(&mut self) {
        self.history.clear();
        self.restarts = 0;
        self.loop_file = None;
        self.first_cause = None;
        match &mut self.phase {
            Phase::Failed(_) | Phase::Backoff(_) | Phase::Completed | Phase::Rested | Phase::Prepared(_) => {
                self.phase = Phase::Idle;
            }
            // How it ends has no say any more.
            Phase::Stopping(ending) => ending.asked = true,
            Phase::Idle
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Up(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => {}
        }
    }

    /// Takes what befell it; true if anything changed that others may see or plan with.
    pub fn step(&mut self, now: Moment, input: Input, orders: &mut Orders<'_>) -> bool {
        match input {
            Input::Start(run) => self.start(now, run, orders),
            Input::Stop(by) => self.stop(now, by, orders),
            Input::Wait => {
                let was_due = matches!(self.phase, Phase::Backoff(_) | Phase::Foreign(_) | Phase::Prepared(_));
                if was_due {
                    self.is_retried = true;
                    self.phase = Phase::Idle;
                }
                was_due
            }
            Input::Kill => self.kill(now, orders),
            Input::Spawned(pid) => self.spawned(now, pid, orders),
            Input::SpawnFailed { error, lasting } => {
                let Phase::Spawning(attempt) = &self.phase else { return false };
                let is_step = attempt.run.part() == Part::Step;
                let error = if is_step { format!("{}: {error}", attempt.words()) } else { error };
                let end = if lasting { End::LastingNoStart } else { End::NoStart };
                self.ended(now, &end, error, Duration::ZERO, None, orders);
                true
            }
            Input::PortTaken(holder) => self.port_taken(now, holder, orders),
            Input::Exited { exit, left } => self.exited(now, exit, left, orders),
            Input::Ended(spared) => {
                let Phase::Stopping(_) = &self.phase else { return false };
                self.spared = spared;
                self.over(now, orders);
                true
            }
            Input::KillFailed(pids) => {
                let Phase::Stopping(ending) = &mut self.phase else { return false };
                ending.survivors = pids;
                true
            }
            Input::Probed(index, outcome) => self.probed(now, index, outcome, orders),
            Input::Measured(memory) => {
                let Phase::Up(life) = &mut self.phase else { return false };
                let before = life.meter.trouble().is_some();
                life.meter.answer(now, memory);
                before != life.meter.trouble().is_some()
            }
            Input::StopCommand(fact) => self.stop_command(now, fact, orders),
            Input::Time => self.time(now, orders),
        }
    }

    fn probed(&mut self, now: Moment, index: usize, outcome: Outcome, orders: &mut Orders<'_>) -> bool {
        let Some((_, board)) = self.phase.board_mut() else { return false };
        let before = (board.state(now), board.is_settled());
        let changed = board.answer(now, index, outcome);
        self.note_health(now, before.0, orders);
        changed
    }

    fn time(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        let mut changed = false;
        if let Some((_, board)) = self.phase.board_mut() {
            let before = board.state(now - Duration::from_nanos(1));
            changed = board.end_grace(now);
            if changed {
                self.note_health(now, before, orders);
            }
            self.probe_due(now, orders);
        }
        self.measure_due(now, orders);
        changed |= self.note_lasting(now);
        changed |= self.step_overdue(now, orders);
        changed |= self.ending_overdue(now, orders);
        changed || matches!(self.phase, Phase::Backoff(until) if until <= now) || self.port_is_due(now)
    }

    /// Whether it is time to try whether its port has become free.
    pub fn port_is_due(&self, now: Moment) -> bool {
        matches!(&self.phase, Phase::Foreign(stranger) if stranger.recheck <= now)
    }

    /// Orders all probes that are due.
    pub fn probe_due(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let id = self.service.id.clone();
        let spawn = self.spawn().cloned();
        let Some((run, board)) = self.phase.board_mut() else { return };
        for (index, probe) in board.take_due(now) {
            let order = ProbeOrder { id: id.clone(), run: run.clone(), index, probe, spawn: spawn.clone() };
            orders.effects.push(Effect::Probe(order));
        }
    }

    /// Orders its memory to be measured, if that is due.
    fn measure_due(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let Phase::Up(life) = &mut self.phase else { return };
        if life.meter.take_due(now) {
            let order = MeasureOrder { id: self.service.id.clone(), run: life.run.clone(), pid: life.pid };
            orders.effects.push(Effect::Measure(order));
        }
    }

    /// Records a change of health, and keeps the first cause.
    pub fn note_health(&mut self, now: Moment, before: HealthState, orders: &mut Orders<'_>) {
        let Some(board) = self.board() else { return };
        let state = board.state(now);
        if state == before {
            return;
        }
        let text = board.complaint().map_or_else(|| state.as_str().to_owned(), str::to_owned);
        let run = self.phase.board_mut().map(|(run, _)| run.clone());
        match state {
            // Without probes that says only that it runs, and what crashes again and again does so each time.
            HealthState::Healthy if self.service.probes.is_empty() => {}
            HealthState::Healthy => self.first_cause = None,
            HealthState::Unhealthy => {
                self.first_cause.get_or_insert_with(|| text.clone());
            }
            HealthState::Stopped | HealthState::Starting | HealthState::Degraded | HealthState::Unknown => {}
        }
        self.record(state.as_str(), run.as_ref(), text, orders);
    }

    /// A board for a run that began at `started`.
    pub fn fresh_board(&self, started: Moment, now: Moment, initial: HealthState) -> Board {
        // Any spread that is the same in every simulation will do.
        let phase = self.service.id.as_str().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        Board::new(&self.service.probes, started, now, initial, phase)
    }

    /// Adds a line to what happened.
    pub fn record(&self, kind: &'static str, run: Option<&RunId>, text: String, orders: &mut Orders<'_>) {
        orders.effects.push(Effect::Record(Occurrence {
            kind,
            generation: orders.generation,
            service: Some(self.service.id.clone()),
            run: run.cloned(),
            text,
        }));
    }
}
