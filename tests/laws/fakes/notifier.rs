//! The port `Notifier`: keeps all notices in their order.

use pilotlight::domain::Notice;
use pilotlight::engine::ports::Notifier;

use super::Machine;

impl Notifier for Machine {
    fn show(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}
