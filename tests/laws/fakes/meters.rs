//! The port `Meters`: tells what it is told that a service uses, as long as its main process lives.

use std::time::Duration;

use pilotlight::domain::{Event, MeasureOrder};
use pilotlight::engine::ports::Meters;

use super::{Due, Machine};

/// How long a measurement takes.
const QUICK: Duration = Duration::from_millis(2);

impl Meters for Machine {
    fn measure(&mut self, order: MeasureOrder) {
        let lives = self.children.get(&order.run).is_some_and(|child| child.main);
        let memory = lives.then(|| self.memory.get(&order.id).copied().unwrap_or(1));
        self.later(QUICK, Due::Fact(Event::Measured { run: order.run, memory }));
    }
}
