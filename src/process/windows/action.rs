//! One action on Windows: a job and a console of its own, as a service has them.

use std::io::PipeWriter;
use std::sync::Arc;

use super::console;
use super::held::Held;
use super::job::Job;
use super::spawn;
use crate::domain::{Exit, Signal, SpawnOrder};
use crate::engine::StateDir;

pub(in crate::process) use super::spawn::open_log;

/// All of an action.
#[derive(Debug)]
pub(in crate::process) struct Reach(Arc<Job>);

/// An action that has begun.
#[derive(Debug)]
pub(in crate::process) struct Begun {
    main: Held,
    job: Arc<Job>,
}

impl Begun {
    /// Starts it; all that it says goes into `input`. An error is a fragment.
    pub fn begin(order: &SpawnOrder, dir: &StateDir, input: PipeWriter) -> Result<Self, String> {
        let second = input.try_clone().map_err(|error| format!("it can't be listened to: {error}"))?;
        let made = spawn::make(order, dir, input.into(), second.into());
        let (main, job) = made.map_err(|not_spawned| not_spawned.error)?;
        if let Err(error) = main.resume() {
            let ended = job.terminate().map_or_else(|error| format!("; nor ended: {error}"), |()| String::new());
            return Err(format!("process cannot be let go: {error}{ended}"));
        }
        Ok(Self { main, job: Arc::new(job) })
    }

    /// By what it is reached.
    pub fn reach(&self) -> Reach {
        Reach(Arc::clone(&self.job))
    }

    /// Waits for the end of its main process, and tells how it ended.
    pub fn ended(&self) -> Exit {
        match self.main.wait() {
            Ok(()) => self.main.exit(),
            Err(error) => {
                tracing::error!("end of pid {} cannot be waited for: {error}", self.main.identity().pid);
                Exit::Unknown
            }
        }
    }

    /// Nothing is left to be collected here.
    pub fn collect(self) {}
}

/// Asks an action to end, by the keys for that. Blocks for a moment.
pub(in crate::process) fn ask(action: &Reach) {
    // Who has ended meanwhile, or has left its console, can't be asked.
    let _ = action.0.pids().and_then(|pids| console::press(Signal::Term, &pids));
}
