//! One service as the supervisor keeps it: its definition in use, the phase of its process, and what it remembers.
//!
//! What follows from a fact for this one service is decided here; whether it should run, and in which order, is not.

use std::sync::Arc;
use std::time::Duration;

use super::health::Board;
use super::phase::{Ending, Input, Life, Phase, Stranger};
use super::restart::{End, History, Next};
use super::verdict::Verdict;
use crate::domain::{
    Effect, Exit, HealthState, Kind, LastExit, Moment, Occurrence, Outcome, PortHolder, ProbeOrder, RunId, Service,
    ServiceId, ServiceView, Spawn, SpawnOrder,
};

/// How often a taken port is looked at again.
const PORT_RECHECK: Duration = Duration::from_secs(2);

/// How long killing may take before it is tried again.
const KILL_RETRY: Duration = Duration::from_secs(10);

/// A service and all that is known of it.
#[derive(Debug)]
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
    /// The first thing that went wrong since it was last healthy.
    pub first_cause: Option<String>,
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
            first_cause: None,
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
            Phase::Spawning(_, spawn, _) => self.spawn() != Some(spawn),
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => false,
        }
    }

    /// Forgets what earlier runs did: the user or a changed definition starts the service anew.
    pub fn start_afresh(&mut self) {
        self.history.clear();
        self.restarts = 0;
        self.loop_file = None;
        self.first_cause = None;
        match &mut self.phase {
            Phase::Failed(_) | Phase::Backoff(_) | Phase::Completed | Phase::Rested => self.phase = Phase::Idle,
            // How it ends has no say any more.
            Phase::Stopping(ending) => ending.asked = true,
            Phase::Idle | Phase::Spawning(..) | Phase::Up(_) | Phase::Foreign(_) | Phase::Watching(..) => {}
        }
    }

    /// Takes what befell it; true if anything changed that others may see or plan with.
    pub fn step(&mut self, now: Moment, input: Input, orders: &mut Orders<'_>) -> bool {
        match input {
            Input::Start(run) => self.start(now, run, orders),
            Input::Stop => self.stop(now, orders),
            Input::Kill => self.kill(now, orders),
            Input::Spawned(pid) => self.spawned(now, pid, orders),
            Input::SpawnFailed { error, lasting } => {
                let Phase::Spawning(..) = &self.phase else { return false };
                let end = if lasting { End::LastingNoStart } else { End::NoStart };
                self.ended(now, &end, error, Duration::ZERO, None, orders);
                true
            }
            Input::PortTaken(holder) => self.port_taken(now, holder, orders),
            Input::Exited { exit, left } => self.exited(now, exit, left, orders),
            Input::Ended => {
                let Phase::Stopping(_) = &self.phase else { return false };
                self.finish(now, orders);
                true
            }
            Input::KillFailed(pids) => {
                let Phase::Stopping(ending) = &mut self.phase else { return false };
                ending.survivors = pids;
                true
            }
            Input::Probed(index, outcome) => self.probed(now, index, outcome, orders),
            Input::Time => self.time(now, orders),
        }
    }

    fn start(&mut self, now: Moment, run: RunId, orders: &mut Orders<'_>) -> bool {
        if self.is_live() {
            return false;
        }
        self.again = false;
        let Some(spawn) = self.spawn().cloned() else {
            let board = self.fresh_board(now, now, HealthState::Unknown);
            self.phase = Phase::Watching(run, Box::new(board));
            return true;
        };
        let stranger = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Foreign(stranger) => Some(stranger),
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(..)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Watching(..) => None,
        };
        orders.effects.push(Effect::Spawn(SpawnOrder {
            id: self.service.id.clone(),
            run: run.clone(),
            spawn: Arc::clone(&spawn),
            port: self.service.port,
        }));
        self.phase = Phase::Spawning(run, spawn, stranger);
        true
    }

    fn stop(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        let policy = &self.service.stop;
        match &mut self.phase {
            Phase::Up(life) => {
                orders.effects.push(Effect::Ask { run: life.run.clone(), signal: policy.signal });
                let ending = Ending {
                    run: life.run.clone(),
                    pid: Some(life.pid),
                    started: life.started,
                    adopted: life.adopted,
                    asked: true,
                    deadline: now + policy.timeout,
                    killed: false,
                    survivors: Vec::new(),
                    exit: None,
                    healthy_for: life.board.healthy_for(now),
                };
                let run = life.run.clone();
                self.phase = Phase::Stopping(Box::new(ending));
                self.record("stopping", Some(&run), "asked to end".to_owned(), orders);
                true
            }
            Phase::Stopping(ending) => {
                // It was ending by itself; now it is also meant to, and its policy is not asked any more.
                let changed = !ending.asked;
                ending.asked = true;
                changed
            }
            Phase::Foreign(_)
            | Phase::Watching(..)
            | Phase::Backoff(_)
            | Phase::Failed(_)
            | Phase::Completed
            | Phase::Rested => {
                self.phase = Phase::Idle;
                true
            }
            // What has been ordered is stopped once it is there.
            Phase::Idle | Phase::Spawning(..) => false,
        }
    }

    fn kill(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        self.stop(now, orders);
        let Phase::Stopping(ending) = &mut self.phase else { return false };
        let is_new = !ending.killed;
        if is_new {
            ending.killed = true;
            ending.deadline = now + KILL_RETRY;
            orders.effects.push(Effect::Kill { run: ending.run.clone() });
        }
        is_new
    }

    fn spawned(&mut self, now: Moment, pid: u32, orders: &mut Orders<'_>) -> bool {
        let Phase::Spawning(run, spawn, _) = &self.phase else { return false };
        let life = Life {
            run: run.clone(),
            pid,
            started: now,
            adopted: false,
            spawn_hash: Some(spawn.hash()),
            spawn: Some(Arc::clone(spawn)),
            board: self.fresh_board(now, now, HealthState::Starting),
        };
        let run = life.run.clone();
        self.phase = Phase::Up(Box::new(life));
        self.record("started", Some(&run), format!("started as pid {pid}"), orders);
        self.note_health(now, HealthState::Starting, orders);
        self.probe_due(now, orders);
        true
    }

    /// Takes over a run that an earlier agent began.
    pub fn adopt(&mut self, now: Moment, found: &crate::domain::FoundRun, orders: &mut Orders<'_>) {
        let run = found.run.clone();
        if let Some(pid) = found.pid {
            self.phase = Phase::Up(Box::new(Life {
                run: run.clone(),
                pid,
                started: found.since,
                adopted: true,
                spawn_hash: found.spawn_hash.clone(),
                spawn: None,
                board: self.fresh_board(found.since, now, HealthState::Unknown),
            }));
            self.record("adopted", Some(&run), format!("taken over as pid {pid}"), orders);
            self.time(now, orders);
        } else {
            orders.effects.push(Effect::Ask { run: run.clone(), signal: self.service.stop.signal });
            self.phase = Phase::Stopping(Box::new(Ending {
                run: run.clone(),
                pid: None,
                started: found.since,
                adopted: true,
                // How a run of another definition has ended says nothing about this one.
                asked: found.spawn_hash.is_some() && found.spawn_hash != self.spawn_hash,
                deadline: now + self.service.stop.timeout,
                killed: false,
                survivors: Vec::new(),
                exit: Some(Exit::Unknown),
                healthy_for: Duration::ZERO,
            }));
            self.last_exit = Some(LastExit { exit: Exit::Unknown, at: now });
            self.record("exited", Some(&run), "ended while no agent ran; some of its tree is left".to_owned(), orders);
        }
    }

    fn port_taken(&mut self, now: Moment, holder: PortHolder, orders: &mut Orders<'_>) -> bool {
        let Phase::Spawning(run, _, stranger) = &mut self.phase else { return false };
        let run = run.clone();
        let known = stranger.take().filter(|known| known.holder == holder);
        let is_new = known.is_none();
        let stranger = match known {
            Some(mut known) => {
                known.recheck = now + PORT_RECHECK;
                known
            }
            None => Box::new(Stranger {
                watch: run.clone(),
                holder: holder.clone(),
                // It is no start of ours, so it has no grace.
                board: self.fresh_board(Moment::default(), now, HealthState::Unknown),
                recheck: now + PORT_RECHECK,
            }),
        };
        self.phase = Phase::Foreign(stranger);
        if is_new {
            self.record("foreign", Some(&run), holder.to_string(), orders);
            self.probe_due(now, orders);
        }
        is_new
    }

    fn exited(&mut self, now: Moment, exit: Exit, left: u32, orders: &mut Orders<'_>) -> bool {
        // A new run was due anyway: how this one ends has no say.
        let asked = self.again || self.is_stale();
        let policy = &self.service.stop;
        let signal = policy.signal;
        match &mut self.phase {
            Phase::Up(life) => {
                let ending = Ending {
                    run: life.run.clone(),
                    pid: None,
                    started: life.started,
                    adopted: life.adopted,
                    asked,
                    deadline: now + policy.timeout,
                    killed: false,
                    survivors: Vec::new(),
                    exit: Some(exit.clone()),
                    healthy_for: life.board.healthy_for(now),
                };
                self.phase = Phase::Stopping(Box::new(ending));
            }
            Phase::Stopping(ending) => {
                ending.pid = None;
                ending.exit = Some(exit.clone());
            }
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(..)
            | Phase::Foreign(_)
            | Phase::Watching(..) => return false,
        }
        let Phase::Stopping(ending) = &self.phase else { return false };
        let run = ending.run.clone();
        let killed = ending.killed;
        self.last_exit = Some(LastExit { exit: exit.clone(), at: now });
        self.record("exited", Some(&run), exit.to_string(), orders);
        if left == 0 {
            self.finish(now, orders);
        } else if !killed {
            orders.effects.push(Effect::Ask { run, signal });
        }
        true
    }

    /// The whole tree of the ending run is gone.
    fn finish(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let Phase::Stopping(ending) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        let run = ending.run;
        if ending.asked {
            self.record("stopped", Some(&run), "stopped".to_owned(), orders);
            return;
        }
        let exit = ending.exit.unwrap_or(Exit::Unknown);
        let text = exit.to_string();
        self.ended(now, &End::Exit(exit), text, ending.healthy_for, Some(run), orders);
    }

    /// A run ended that was not asked to; `text` says how.
    fn ended(
        &mut self,
        now: Moment,
        end: &End,
        text: String,
        healthy_for: Duration,
        run: Option<RunId>,
        orders: &mut Orders<'_>,
    ) {
        let success = matches!(end, End::Exit(exit) if self.service.restart.is_success(exit));
        if success && self.service.one_shot {
            self.phase = Phase::Completed;
            self.first_cause = None;
            self.record("completed", run.as_ref(), "completed".to_owned(), orders);
            return;
        }
        if !success {
            self.first_cause.get_or_insert_with(|| text.clone());
        }
        match self.history.after(&self.service.restart, now, end, healthy_for) {
            Next::RestartAt(at) => {
                self.restarts += 1;
                self.phase = Phase::Backoff(at);
                let wait = at.since(now);
                let when = if wait.is_zero() { "at once".to_owned() } else { format!("in {} s", wait.as_secs()) };
                self.record("backoff", run.as_ref(), format!("{text}; restarts {when}"), orders);
            }
            Next::Rest => {
                self.phase = Phase::Rested;
                self.record("rested", run.as_ref(), "exited by itself".to_owned(), orders);
            }
            Next::Fail => {
                self.phase = Phase::Failed(text.clone());
                self.record("failed", run.as_ref(), text, orders);
            }
            Next::GiveUp(restarts) => {
                let first = self.first_cause.as_deref().filter(|first| *first != text);
                let first = first.map(|first| format!("; at first: {first}")).unwrap_or_default();
                let text = format!("{text}; gave up after {restarts} restarts{first}");
                self.phase = Phase::Failed(text.clone());
                self.record("failed", run.as_ref(), text, orders);
            }
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
        if let Phase::Stopping(ending) = &mut self.phase
            && now >= ending.deadline
        {
            changed = !ending.killed;
            ending.killed = true;
            ending.deadline = now + KILL_RETRY;
            let run = ending.run.clone();
            orders.effects.push(Effect::Kill { run: run.clone() });
            if changed {
                let text = format!("did not end within {} s: killed", self.service.stop.timeout.as_secs_f64());
                self.record("killing", Some(&run), text, orders);
            }
        }
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

    /// Records a change of health, and keeps the first cause.
    fn note_health(&mut self, now: Moment, before: HealthState, orders: &mut Orders<'_>) {
        let Some(board) = self.board() else { return };
        let state = board.state(now);
        if state == before {
            return;
        }
        let text = board.complaint().map_or_else(|| state.as_str().to_owned(), str::to_owned);
        let run = self.phase.board_mut().map(|(run, _)| run.clone());
        match state {
            HealthState::Healthy => self.first_cause = None,
            HealthState::Unhealthy => {
                self.first_cause.get_or_insert_with(|| text.clone());
            }
            HealthState::Stopped | HealthState::Starting | HealthState::Degraded | HealthState::Unknown => {}
        }
        self.record(state.as_str(), run.as_ref(), text, orders);
    }

    fn fresh_board(&self, started: Moment, now: Moment, initial: HealthState) -> Board {
        // Any spread that is the same in every simulation will do.
        let phase = self.service.id.as_str().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        Board::new(&self.service.probes, started, now, initial, phase)
    }

    fn record(&self, kind: &'static str, run: Option<&RunId>, text: String, orders: &mut Orders<'_>) {
        orders.effects.push(Effect::Record(Occurrence {
            kind,
            generation: orders.generation,
            service: Some(self.service.id.clone()),
            run: run.cloned(),
            text,
        }));
    }
}
