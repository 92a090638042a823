//! Where a service's process is, and what can befall it: the data of [`Unit`](super::unit::Unit)'s decisions.

use std::sync::Arc;
use std::time::Duration;

use super::health::Board;
use crate::domain::{Exit, Moment, Outcome, PortHolder, RunId, Spawn};

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
    /// It has been ordered; with the stranger that had its port when it was last tried.
    Spawning(RunId, Arc<Spawn>, Option<Box<Stranger>>),
    /// It lives.
    Up(Box<Life>),
    /// It is ending.
    Stopping(Box<Ending>),
    /// Another process has its port.
    Foreign(Box<Stranger>),
    /// It is not ours to run: it is only looked at.
    Watching(RunId, Box<Board>),
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
    /// Its health.
    pub board: Board,
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
    /// Whether it ends because we asked; else its main process ended by itself, and the rest follows.
    pub asked: bool,
    /// When the patience with it (or with the killing of it) ends.
    pub deadline: Moment,
    /// Whether it has been killed.
    pub killed: bool,
    /// What survived being killed.
    pub survivors: Vec<u32>,
    /// How its main process ended.
    pub exit: Option<Exit>,
    /// How long it had been healthy.
    pub healthy_for: Duration,
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
    /// The planner stops it.
    Stop,
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
    /// Nothing of it is left.
    Ended,
    /// These survived.
    KillFailed(Vec<u32>),
    /// A probe was answered.
    Probed(usize, Outcome),
    /// A deadline may have passed.
    Time,
}

impl Phase {
    /// Whether something of ours runs, or is about to.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Spawning(..) | Self::Up(_) | Self::Stopping(_) => true,
            Self::Idle
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Foreign(_)
            | Self::Watching(..) => false,
        }
    }

    /// Whether facts of `run` are about this. The one place where late facts are dropped.
    pub fn concerns(&self, run: &RunId) -> bool {
        match self {
            Self::Spawning(attempt, _, stranger) => {
                attempt == run || stranger.as_ref().is_some_and(|stranger| stranger.watch == *run)
            }
            Self::Up(life) => life.run == *run,
            Self::Stopping(ending) => ending.run == *run,
            Self::Foreign(stranger) => stranger.watch == *run,
            Self::Watching(watch, _) => watch == run,
            Self::Idle | Self::Rested | Self::Completed | Self::Failed(_) | Self::Backoff(_) => false,
        }
    }

    /// The board that tells the health, if there is one.
    pub fn board(&self) -> Option<&Board> {
        match self {
            Self::Up(life) => Some(&life.board),
            Self::Foreign(stranger) | Self::Spawning(_, _, Some(stranger)) => Some(&stranger.board),
            Self::Watching(_, board) => Some(board),
            Self::Idle
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Spawning(_, _, None)
            | Self::Stopping(_) => None,
        }
    }

    /// The same board, to be changed; with the name under which it is probed.
    pub fn board_mut(&mut self) -> Option<(&RunId, &mut Board)> {
        match self {
            Self::Up(life) => Some((&life.run, &mut life.board)),
            Self::Foreign(stranger) | Self::Spawning(_, _, Some(stranger)) => {
                Some((&stranger.watch, &mut stranger.board))
            }
            Self::Watching(watch, board) => Some((watch, board)),
            Self::Idle
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Backoff(_)
            | Self::Spawning(_, _, None)
            | Self::Stopping(_) => None,
        }
    }

    /// When it has something to do by itself.
    pub fn next_deadline(&self) -> Option<Moment> {
        let board = self.board().and_then(Board::next_deadline);
        let own = match self {
            Self::Backoff(until) => Some(*until),
            Self::Stopping(ending) => Some(ending.deadline),
            Self::Foreign(stranger) => Some(stranger.recheck),
            Self::Idle
            | Self::Rested
            | Self::Completed
            | Self::Failed(_)
            | Self::Spawning(..)
            | Self::Up(_)
            | Self::Watching(..) => None,
        };
        board.into_iter().chain(own).min()
    }
}
