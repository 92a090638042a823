//! The port `Store`: remembers what it is given, unless the disk is full.

use pilotlight::domain::{Intent, Occurrence};
use pilotlight::engine::ports::Store;

use super::Machine;

impl Store for Machine {
    fn save_intent(&mut self, intent: &Intent) {
        self.intent.clone_from(intent);
        self.store();
    }

    fn record(&mut self, occurrences: &[Occurrence]) {
        self.history.extend_from_slice(occurrences);
        // What could not be stored is tried again.
        self.store();
    }
}

impl Machine {
    fn store(&mut self) {
        if !self.is_full {
            self.stored.clone_from(&self.intent);
        }
    }
}
