//! The port `Store`: remembers what it is given.

use pilotlight::domain::{Intent, Occurrence};
use pilotlight::engine::ports::Store;

use super::Machine;

impl Store for Machine {
    fn save_intent(&mut self, intent: &Intent) {
        self.intent.clone_from(intent);
    }

    fn record(&mut self, occurrence: &Occurrence) {
        self.history.push(occurrence.clone());
    }
}
