//! How a service goes down: asked by a signal or by its stop command, killed once its patience ends, and what comes
//! after.

use std::sync::Arc;
use std::time::Duration;

use super::phase::{CommandFact, Ending, Phase, Preparing, Sequel, StopCommand};
use super::restart::{End, Next};
use super::unit::{Orders, Unit};
use crate::domain::secrets::masked_words;
use crate::domain::{Effect, Exit, LastExit, Moment, Part, RunId, Signal, Spawn, SpawnOrder, StopTree};

/// How long killing may take before it is tried again.
pub const KILL_RETRY: Duration = Duration::from_secs(10);

impl Unit {
    /// Stops it; if it has a stop command, that runs as `by`.
    pub fn stop(&mut self, now: Moment, by: RunId, orders: &mut Orders<'_>) -> bool {
        self.bring_down(now, Some(by), orders)
    }

    /// Stops it at once.
    pub fn kill(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        self.bring_down(now, None, orders);
        let Phase::Stopping(ending) = &mut self.phase else { return false };
        let is_new = !ending.killed;
        if is_new {
            self.kill_ending(now, orders);
        }
        is_new
    }

    /// Asks it to end: by its stop command, as `by`, or by the signal.
    fn bring_down(&mut self, now: Moment, by: Option<RunId>, orders: &mut Orders<'_>) -> bool {
        let timeout = self.service.stop.timeout;
        match &mut self.phase {
            Phase::Up(life) => {
                let (run, spawn) = (life.run.clone(), life.spawn.clone());
                let (pid, started, adopted) = (Some(life.pid), life.started, life.adopted);
                let healthy_for = life.board.healthy_for(now);
                // Whom somebody wants down as well is not started again.
                let trouble = if self.verdict.down { None } else { self.trouble(now) };
                let ending = Ending {
                    run: run.clone(),
                    pid,
                    started,
                    adopted,
                    asked: trouble.is_none(),
                    sequel: trouble.clone().map_or(Sequel::Policy, Sequel::Trouble),
                    deadline: now + timeout,
                    killed: false,
                    survivors: Vec::new(),
                    exit: None,
                    healthy_for,
                    command: None,
                    is_over: false,
                };
                self.phase = Phase::Stopping(Box::new(ending));
                let how = self.ask(&run, spawn, by, orders);
                let text = trouble.map_or_else(|| how.clone(), |trouble| format!("{trouble}; {how}"));
                self.record("stopping", Some(&run), text, orders);
                true
            }
            Phase::Preparing(preparing) => {
                let run = preparing.attempt.run.clone();
                let text = format!("{}: asked to end", preparing.attempt.words());
                self.phase = Phase::Stopping(Box::new(Ending::of_step(preparing, now + timeout)));
                orders.effects.push(Effect::Ask { run: run.clone(), signal: Signal::Term, tree: StopTree::All });
                self.record("stopping", Some(&run), text, orders);
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
            | Phase::Prepared(_)
            | Phase::Backoff(_)
            | Phase::Failed(_)
            | Phase::Completed
            | Phase::Rested => {
                self.phase = Phase::Idle;
                true
            }
            // What has been ordered is stopped once it is there.
            Phase::Idle | Phase::Spawning(_) => false,
        }
    }

    /// Asks the living run to end, by its stop command if it has one and may; tells how.
    fn ask(&mut self, run: &RunId, spawned: Option<Arc<Spawn>>, by: Option<RunId>, orders: &mut Orders<'_>) -> String {
        let policy = &self.service.stop;
        // An earlier agent's run has the directory and the environment of its definition.
        let spawn = spawned.or_else(|| self.spawn().cloned());
        let (Some(argv), Some(spawn), Some(by)) = (&policy.command, spawn, by) else {
            orders.effects.push(Effect::Ask { run: run.clone(), signal: policy.signal, tree: policy.tree });
            return "asked to end".to_owned();
        };
        let by = by.of_stop_command();
        let text = format!("asked to end by its stop command: {}", masked_words(argv).join(" "));
        orders.effects.push(Effect::Spawn(SpawnOrder {
            id: self.service.id.clone(),
            run: by.clone(),
            spawn: Arc::new(Spawn { argv: argv.clone(), ..Spawn::clone(&spawn) }),
            port: None,
        }));
        if let Phase::Stopping(ending) = &mut self.phase {
            ending.command = Some(StopCommand { run: by, exit: None, killed: false });
        }
        text
    }

    /// Takes what befell the stop command.
    pub fn stop_command(&mut self, now: Moment, fact: CommandFact, orders: &mut Orders<'_>) -> bool {
        let Phase::Stopping(ending) = &mut self.phase else { return false };
        let Some(command) = &mut ending.command else { return false };
        let end = match fact {
            CommandFact::Begun => return false,
            CommandFact::Failed(error) => Err(format!("the stop command could not be started: {error}")),
            CommandFact::Exited { exit, left } if left > 0 => {
                // It has asked; what it has left beside is no part of the service.
                command.exit = Some(exit);
                orders.effects.push(Effect::Kill { run: command.run.clone(), tree: StopTree::All });
                return false;
            }
            CommandFact::Exited { exit, left: _ } => Ok(exit),
            CommandFact::Ended => Ok(command.exit.clone().unwrap_or(Exit::Unknown)),
        };
        let was_killed = command.killed;
        ending.command = None;
        if ending.is_over {
            self.finish(now, orders);
            return true;
        }
        if was_killed || ending.killed {
            return true;
        }
        ending.deadline = now + self.service.stop.timeout;
        match end {
            Ok(Exit::Code(0)) => {}
            Ok(exit) => self.ask_by_signal(&format!("the stop command {exit}"), orders),
            Err(text) => self.ask_by_signal(&text, orders),
        }
        true
    }

    /// The stop command was of no use, and why: the signal takes its place.
    fn ask_by_signal(&self, why: &str, orders: &mut Orders<'_>) {
        let Phase::Stopping(ending) = &self.phase else { return };
        let policy = &self.service.stop;
        let run = ending.run.clone();
        orders.effects.push(Effect::Ask { run: run.clone(), signal: policy.signal, tree: policy.tree });
        self.record("stopping", Some(&run), format!("{why}; asked by SIG{} instead", policy.signal.name()), orders);
    }

    /// The main process has ended.
    pub fn exited(&mut self, now: Moment, exit: Exit, left: u32, orders: &mut Orders<'_>) -> bool {
        // A new run was due anyway: how this one ends has no say.
        let asked = self.again || self.is_stale();
        let policy = &self.service.stop;
        let (signal, deadline) = (policy.signal, now + policy.timeout);
        match &mut self.phase {
            Phase::Up(life) => {
                let ending = Ending {
                    run: life.run.clone(),
                    pid: None,
                    started: life.started,
                    adopted: life.adopted,
                    asked,
                    sequel: Sequel::Policy,
                    deadline,
                    killed: false,
                    survivors: Vec::new(),
                    exit: Some(exit.clone()),
                    healthy_for: life.board.healthy_for(now),
                    command: None,
                    is_over: false,
                };
                self.phase = Phase::Stopping(Box::new(ending));
            }
            Phase::Preparing(preparing) => {
                let mut attempt = preparing.attempt.clone();
                let sequel = if exit == Exit::Code(0) {
                    attempt.done += 1;
                    Sequel::Next(Box::new(attempt))
                } else {
                    Sequel::NoStart(format!("{} {exit}", attempt.words()))
                };
                let ending = Ending {
                    pid: None,
                    asked,
                    sequel,
                    exit: Some(exit.clone()),
                    ..Ending::of_step(preparing, deadline)
                };
                self.phase = Phase::Stopping(Box::new(ending));
            }
            Phase::Stopping(ending) => {
                ending.pid = None;
                ending.exit = Some(exit.clone());
            }
            Phase::Idle
            | Phase::Prepared(_)
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => return false,
        }
        let Phase::Stopping(ending) = &self.phase else { return false };
        let (run, killed) = (ending.run.clone(), ending.killed);
        let kind = match run.part() {
            Part::Main => {
                self.last_exit = Some(LastExit { exit: exit.clone(), at: now });
                "exited"
            }
            Part::Step | Part::StopCommand => "prepared",
        };
        self.record(kind, Some(&run), exit.to_string(), orders);
        if left == 0 {
            self.spared = Vec::new();
            self.over(now, orders);
        } else if !killed {
            let tree = self.tree_of(&run);
            orders.effects.push(Effect::Ask { run, signal, tree });
        }
        true
    }

    /// How much of a run has to end: of all but the service itself nothing is ever left.
    fn tree_of(&self, run: &RunId) -> StopTree {
        match run.part() {
            Part::Main => self.service.stop.tree,
            Part::Step | Part::StopCommand => StopTree::All,
        }
    }

    /// Nothing of the ending run is left that has to end. Its stop command is waited for: it might stop the next run.
    pub fn over(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let Phase::Stopping(ending) = &mut self.phase else { return };
        ending.is_over = true;
        ending.survivors.clear();
        if ending.command.is_none() {
            self.finish(now, orders);
        }
    }

    /// The ending run is over, and nothing acts on it any more.
    fn finish(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let Phase::Stopping(ending) = std::mem::replace(&mut self.phase, Phase::Idle) else { return };
        let run = ending.run;
        if !self.spared.is_empty() && run.part() == Part::Main {
            let spared = self.spared.iter().map(|spared| format!("pid {} ({})", spared.pid, spared.command));
            let text = format!("left running: {}", spared.collect::<Vec<_>>().join(", "));
            self.record("spared", Some(&run), text, orders);
        }
        if ending.asked {
            self.record("stopped", Some(&run), "stopped".to_owned(), orders);
            return;
        }
        match ending.sequel {
            Sequel::Policy => {
                let exit = ending.exit.unwrap_or(Exit::Unknown);
                let text = exit.to_string();
                self.ended(now, &End::Exit(exit), text, ending.healthy_for, Some(run), orders);
            }
            Sequel::Trouble(text) => self.ended(now, &End::Trouble, text, ending.healthy_for, Some(run), orders),
            Sequel::NoStart(text) => self.ended(now, &End::LastingNoStart, text, Duration::ZERO, Some(run), orders),
            Sequel::Next(attempt) => self.phase = Phase::Prepared(attempt),
        }
    }

    /// A run ended that was not meant to; `text` says how.
    pub fn ended(
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
            if self.service.probes.is_empty() && healthy_for >= self.service.restart.reset_after {
                self.first_cause = None;
            }
            self.first_cause.get_or_insert_with(|| text.clone());
        }
        self.ended_by = Some(text.clone());
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
                let count = if restarts == 1 { "1 restart".to_owned() } else { format!("{restarts} restarts") };
                let text = format!("{text}; gave up after {count}{first}");
                self.phase = Phase::Failed(text.clone());
                self.record("failed", run.as_ref(), text, orders);
            }
        }
    }

    /// Goes on with an ending that has had its time: the stop command gives way to the signal, and asking to killing.
    /// True if that is new.
    pub fn ending_overdue(&mut self, now: Moment, orders: &mut Orders<'_>) -> bool {
        let timeout = self.service.stop.timeout;
        let Phase::Stopping(ending) = &mut self.phase else { return false };
        if now < ending.deadline {
            return false;
        }
        let run = ending.run.clone();
        if let Some(command) = ending.command.as_mut().filter(|command| !command.killed) {
            command.killed = true;
            orders.effects.push(Effect::Kill { run: command.run.clone(), tree: StopTree::All });
            ending.deadline = now + timeout;
            let text = format!("the stop command did not end within {} s: killed", timeout.as_secs_f64());
            if ending.is_over || ending.killed {
                self.record("killing", Some(&run), text, orders);
            } else {
                self.ask_by_signal(&text, orders);
            }
            return true;
        }
        let is_new = !ending.killed && !ending.is_over;
        self.kill_ending(now, orders);
        if is_new {
            let text = format!("did not end within {} s: killed", timeout.as_secs_f64());
            self.record("killing", Some(&run), text, orders);
        }
        is_new
    }

    /// Kills what is left of the ending run, and the command that asks it to end.
    pub fn kill_ending(&mut self, now: Moment, orders: &mut Orders<'_>) {
        let Phase::Stopping(ending) = &self.phase else { return };
        let tree = self.tree_of(&ending.run);
        let Phase::Stopping(ending) = &mut self.phase else { return };
        ending.killed = true;
        ending.deadline = now + KILL_RETRY;
        if let Some(command) = &mut ending.command {
            command.killed = true;
            orders.effects.push(Effect::Kill { run: command.run.clone(), tree: StopTree::All });
        }
        if !ending.is_over {
            orders.effects.push(Effect::Kill { run: ending.run.clone(), tree });
        }
    }
}

impl Ending {
    /// The end of a step, which is meant, with patience until `deadline`.
    pub fn of_step(preparing: &Preparing, deadline: Moment) -> Self {
        Self {
            run: preparing.attempt.run.clone(),
            pid: Some(preparing.pid),
            started: preparing.started,
            adopted: false,
            asked: true,
            sequel: Sequel::Policy,
            deadline,
            killed: false,
            survivors: Vec::new(),
            exit: None,
            healthy_for: Duration::ZERO,
            command: None,
            is_over: false,
        }
    }
}
