//! Linux: the clock that goes on while the machine sleeps, and by which the kernel tells when processes began.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The machine's age, with its sleep: its processes' starts count from the same boot.
pub(super) fn uptime() -> Duration {
    Reading::now().0
}

/// A reading of that clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading(Duration);

impl Reading {
    /// What it shows now.
    pub fn now() -> Self {
        // It is never negative.
        Self(Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default())
    }

    /// How much time lies between `earlier` and this.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
