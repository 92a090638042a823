//! Time: a made-up machine whose time goes on to whatever comes next, and how long the real ones may take.

use std::time::Duration;

use pilotlight::domain::{Event, Moment};
use tokio::sync::mpsc;

use crate::fakes::Machine;

/// After so long a real world's condition will not come true.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The machine and what it has told.
pub struct Made {
    pub machine: Machine,
    facts: mpsc::UnboundedReceiver<Event>,
}

impl Made {
    pub fn new() -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        Self { machine: Machine::new(Moment::at(Duration::from_secs(1000)), inbox), facts }
    }

    /// The next fact.
    pub fn next(&mut self) -> Event {
        self.go_on().expect("nothing is told any more")
    }

    /// All facts that are still to come.
    pub fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.go_on()).collect()
    }

    /// What comes about next, if anything does; what was told of it.
    pub fn step(&mut self) -> Option<Event> {
        if let Some(next) = self.machine.next_moment() {
            self.machine.now = self.machine.now.max(next);
            self.machine.step();
        }
        self.facts.try_recv().ok()
    }

    fn go_on(&mut self) -> Option<Event> {
        loop {
            if let Ok(fact) = self.facts.try_recv() {
                return Some(fact);
            }
            let next = self.machine.next_moment()?;
            self.machine.now = self.machine.now.max(next);
            self.machine.step();
        }
    }
}
