//! The port `Actions`: each ends as is laid down for its name, or when somebody says so.

use std::time::Duration;

use pilotlight::domain::{ActionOrder, Event};
use pilotlight::engine::ports::Actions;

use super::{Due, Machine};

/// How long an action takes that ends by itself.
const QUICK: Duration = Duration::from_millis(5);

impl Actions for Machine {
    fn run(&mut self, order: ActionOrder) {
        self.actions.push(order.run.clone());
        if let Some((exit, words)) = self.ends_of_actions.get(&order.name).cloned() {
            self.later(QUICK, Due::Fact(Event::ActionEnded { run: order.run, exit, words }));
        }
    }
}
