//! Where a service's process is, and what can befall it: the data of [`Unit`](super::unit::Unit)'s decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::health::Board;
use super::meter::Meter;
use crate::domain::diff::changed_names;
use crate::domain::secrets::masked_words;
use crate::domain::text;
use crate::domain::{Exit, Moment, Outcome, PortHolder, RunId, Spared, Spawn, Step};

/// Where a service's process is.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// There is none, and nothing speaks against one.
    Idle,
    /// It ended by itself with success, and rests.
    Rested,
    /// A one-shot that succeeded.
    Completed,
    /// It ended and is not tried again, and why.
    Failed(String),
    /// It ended and is tried again then.
    Backoff(Moment),
    /// A process has been ordered: itself, or a step before.
    Spawning(Box<Attempt>),
    /// A step before its start lives.
    Preparing(Box<Preparing>),
    /// A step has succeeded, and what follows it has not been ordered yet.
    Prepared(Box<Attempt>),
    /// It lives.
    Up(Box<Life>),
    /// It is ending.
    Stopping(Box<Ending>),
    /// Another process has its port.
    Foreign(Box<Stranger>),
    /// It is not ours to run: it is only looked at.
    Watching(RunId, Box<Board>),
}

/// A start under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The run that has been ordered last.
    pub run: RunId,
    /// What the service itself is to be.
    pub spawn: Arc<Spawn>,
    /// What comes before.
    pub steps: Vec<Arc<Step>>,
    /// How many of these have succeeded.
    pub done: usize,
    /// Who had its port when it was last tried.
    pub stranger: Option<Box<Stranger>>,
}

impl Attempt {
    /// The step that is next; `None` if that is the service itself.
    pub fn step(&self) -> Option<&Arc<Step>> {
        self.steps.get(self.done)
    }

    /// The next step in words: "before start: make all".
    pub fn words(&self) -> String {
        let argv = self.step().map(|step| masked_words(&step.argv).join(" ")).unwrap_or_default();
        format!("before start: {}", text::plain_line(&argv, SHOWN))
    }
}

/// Characters of a command that are shown in a sentence.
const SHOWN: usize = 120;

/// A step before a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparing {
    /// The start that it belongs to; its run is the step's.
    pub attempt: Attempt,
    /// The step's main process.
    pub pid: u32,
    /// When it began.
    pub started: Moment,
    /// When the patience with it ends.
    pub deadline: Moment,
}

/// A living run.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// Its id.
    pub run: RunId,
    /// Its main process.
    pub pid: u32,
    /// When it began.
    pub started: Moment,
    /// Whether an earlier agent began it.
    pub adopted: bool,
    /// The hash of what was spawned; `None` if no record tells.
    pub spawn_hash: Option<String>,
    /// What was spawned; `None` if an earlier agent did.
    pub spawn: Option<Arc<Spawn>>,
    /// What it got of shared variables.
    pub shared: Shared,
    /// Until when it is too young for its being there to say that it works; `None` once it is not, or has probes.
    pub fresh_until: Option<Moment>,
    /// Its health.
    pub board: Board,
    /// What it uses.
    pub meter: Meter,
}

/// What a run got of shared variables, and which it would get otherwise by now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shared {
    got: Got,
    outdated: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Got {
    /// Nothing tells.
    #[default]
    Unknown,
    /// These.
    Values(Arc<BTreeMap<String, String>>),
    /// Those of which these are the hashes: what an earlier agent has left a record of.
    Hashes(BTreeMap<String, String>),
}

impl Shared {
    /// What is spawned as `spawn`.
    pub fn of(spawn: &Spawn) -> Self {
        Self { got: Got::Values(Arc::clone(&spawn.shared_env)), outdated: Vec::new() }
    }

    /// What the record of an earlier agent's run tells.
    pub fn recorded(hashes: Option<BTreeMap<String, String>>) -> Self {
        Self { got: hashes.map_or(Got::Unknown, Got::Hashes), outdated: Vec::new() }
    }

    /// Finds out what would be otherwise if the run were spawned as `spawn` now.
    pub fn compare(&mut self, spawn: &Spawn) {
        let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        self.outdated = match &self.got {
            Got::Unknown => Vec::new(),
            Got::Values(got) if Arc::ptr_eq(got, &spawn.shared_env) => Vec::new(),
            Got::Values(got) => names(changed_names(got, &spawn.shared_env)),
            Got::Hashes(got) => names(changed_names(got, &spawn.shared_hashes())),
        };
        if self.outdated.is_empty() && matches!(self.got, Got::Hashes(_)) {
            // They are the same, and these are in memory once for all services.
            self.got = Got::Values(Arc::clone(&spawn.shared_env));
        }
    }

    /// The names of the variables that would be otherwise, in their order.
    pub fn outdated(&self) -> &[String] {
        &self.outdated
    }
}

/// A run that is ending.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// Its id.
    pub run: RunId,
    /// Its main process, while it lives.
    pub pid: Option<u32>,
    /// When it began.
    pub started: Moment,
    /// Whether an earlier agent began it.
    pub adopted: bool,
    /// Whether it is meant to end. Else what comes after it is said by `sequel`.
    pub asked: bool,
    /// What comes after an end that was not meant.
    pub sequel: Sequel,
    /// When the patience with it (or with the killing of it) ends.
    pub deadline: Moment,
    /// Whether it has been killed.
    pub killed: bool,
    /// What survived being killed.
    pub survivors: Vec<u32>,
    /// How its main process ended.
    pub exit: Option<Exit>,
    /// The longest that it had been healthy.
    pub healthy_for: Duration,
    /// The command that asks it to end, while that lives.
    pub command: Option<StopCommand>,
    /// Whether the run itself is over, and only the command lives.
    pub is_over: bool,
}

/// What comes after a run that was not meant to end.
#[derive(Clone, Debug, PartialEq)]
pub enum Sequel {
    /// What the policy says to the way in which it ended.
    Policy,
    /// What the policy says to a failure: this is why it was ended.
    Trouble(String),
    /// It was a step that has failed, and how: there is no start.
    NoStart(String),
    /// It was a step that has succeeded: the start goes on.
    Next(Box<Attempt>),
}

/// The command that asks a run to end.
#[derive(Clone, Debug, PartialEq)]
pub struct StopCommand {
    /// Its own run.
    pub run: RunId,
    /// How it ended, while others of its tree are left.
    pub exit: Option<Exit>,
    /// Whether it has had its time, and was killed.
    pub killed: bool,
}

/// Somebody else on the service's own port.
#[derive(Clone, Debug, PartialEq)]
pub struct Stranger {
    /// The name under which it is probed.
    pub watch: RunId,
    /// Who it is.
    pub holder: PortHolder,
    /// Whether it works.
    pub board: Board,
    /// When the port is looked at again.
    pub recheck: Moment,
}

/// What can befall a unit.
#[derive(Clone, Debug)]
pub enum Input {
    /// The planner starts it, under this run id.
    Start(RunId),
    /// The planner stops it; its stop command runs under this run id.
    Stop(RunId),
    /// The planner can't start it although it is due: it goes on waiting, without a time.
    Wait,
    /// The agent ends at once.
    Kill,
    /// Its process lives.
    Spawned(u32),
    /// There is no process.
    SpawnFailed {
        /// Why.
        error: String,
        /// Whether trying again is of no use.
        lasting: bool,
    },
    /// Another process has its port.
    PortTaken(PortHolder),
    /// Its main process ended.
    Exited {
        /// How.
        exit: Exit,
        /// How many others of its tree are left.
        left: u32,
    },
    /// Nothing of it is left but these.
    Ended(Vec<Spared>),
    /// These survived.
    KillFailed(Vec<u32>),
    /// A probe was answered.
    Probed(usize, Outcome),
    /// Its memory was measured.
    Measured(Option<u64>),
    /// Something befell the command that asks it to end.
    StopCommand(CommandFact),
    /// A deadline may have passed.
    Time,
}

/// What can befall a stop command.
#[derive(Clone, Debug)]
pub enum CommandFact {
    /// It lives.
    Begun,
    /// There is no process, and why.
    Failed(String),
    /// Its main process ended.
    Exited {
        /// How.
        exit: Exit,
        /// How many others of its tree are left.
        left: u32,
    },
    /// Nothing of it is left, or what is left can't be killed.
    Ended,
}

impl CommandFact {
    /// What a fact of the command's run is to the run that it asks to end.
    pub fn of(input: Input) -> Option<Self> {
        match input {
            Input::Spawned(_) => Some(Self::Begun),
            Input::SpawnFailed { error, lasting: _ } => Some(Self::Failed(error)),
            Input::PortTaken(holder) => Some(Self::Failed(holder.to_string())),
            Input::Exited { exit, left } => Some(Self::Exited { exit, left }),
            Input::Ended(_) | Input::KillFailed(_) => Some(Self::Ended),
            Input::Start(_)
            | Input::Stop(_)
            | Input::Wait
            | Input::Kill
            | Input::Probed(..)
            | Input::Measured(_)
            | Input::StopCommand(_)
            | Input::Time => None,
        }
    }
}

impl Phase {
    /// Who has the port of the service, as far as it is known.
    pub fn stranger(&self) -> Option<&Stranger> {
        match self {
            Self::Foreign(stranger) => Some(stranger),
            Self::Spawning(attempt) => attempt.stranger.as_deref(),
            Self::Idle
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Preparing(_)
            | Self::Prepared(_)
            | Self::Up(_)
            | Self::Stopping(_)
            | Self::Watching(..) => None,
        }
    }

    /// Whether something of ours runs, or is about to.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Spawning(_) | Self::Preparing(_) | Self::Up(_) | Self::Stopping(_) => true,
            Self::Idle
            | Self::Prepared(_)
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Foreign(_)
            | Self::Watching(..) => false,
        }
    }

    /// The runs whose facts are about this.
    pub fn runs(&self) -> impl Iterator<Item = &RunId> + Clone {
        let (one, other) = match self {
            Self::Spawning(attempt) => (Some(&attempt.run), attempt.stranger.as_ref().map(|stranger| &stranger.watch)),
            Self::Preparing(preparing) => (Some(&preparing.attempt.run), None),
            Self::Up(life) => (Some(&life.run), None),
            Self::Stopping(ending) => (Some(&ending.run), ending.command.as_ref().map(|command| &command.run)),
            Self::Foreign(stranger) => (Some(&stranger.watch), None),
            Self::Watching(watch, _) => (Some(watch), None),
            Self::Idle | Self::Prepared(_) | Self::Rested | Self::Completed | Self::Failed(_) | Self::Backoff(_) => {
                (None, None)
            }
        };
        one.into_iter().chain(other)
    }

    /// The board that tells the health, if there is one.
    pub fn board(&self) -> Option<&Board> {
        match self {
            Self::Up(life) => Some(&life.board),
            Self::Foreign(stranger) => Some(&stranger.board),
            Self::Spawning(attempt) => attempt.stranger.as_ref().map(|stranger| &stranger.board),
            Self::Watching(_, board) => Some(board),
            Self::Idle
            | Self::Preparing(_)
            | Self::Prepared(_)
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Stopping(_) => None,
        }
    }

    /// The same board, to be changed; with the name under which it is probed.
    pub fn board_mut(&mut self) -> Option<(&RunId, &mut Board)> {
        match self {
            Self::Up(life) => Some((&life.run, &mut life.board)),
            Self::Foreign(stranger) => Some((&stranger.watch, &mut stranger.board)),
            Self::Spawning(attempt) => attempt.stranger.as_mut().map(|stranger| (&stranger.watch, &mut stranger.board)),
            Self::Watching(watch, board) => Some((watch, board)),
            Self::Idle
            | Self::Preparing(_)
            | Self::Prepared(_)
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Stopping(_) => None,
        }
    }

    /// When it has something to do by itself.
    pub fn next_deadline(&self) -> Option<Moment> {
        let board = self.board().and_then(Board::next_deadline);
        let own = match self {
            Self::Backoff(until) => Some(*until),
            Self::Preparing(preparing) => Some(preparing.deadline),
            Self::Up(life) => life.meter.next_deadline().into_iter().chain(life.fresh_until).min(),
            Self::Stopping(ending) => Some(ending.deadline),
            Self::Foreign(stranger) => Some(stranger.recheck),
            Self::Idle
            | Self::Prepared(_)
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Spawning(_)
            | Self::Watching(..) => None,
        };
        board.into_iter().chain(own).min()
    }
}
