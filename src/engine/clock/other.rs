//! Where std's clock is all there is: on some systems it stands still while the machine sleeps.

use std::time::{Duration, Instant};

/// The machine's age: no process is older.
pub(super) fn uptime() -> Duration {
    // It is told in whole seconds. Unknown, it counts from now: what is older then seems to have just begun.
    Duration::from_secs(sysinfo::System::uptime().map_or(0, |uptime| uptime + 1))
}

/// A reading of that clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading(Instant);

impl Reading {
    /// What it shows now.
    pub fn now() -> Self {
        Self(Instant::now())
    }

    /// How much time lies between `earlier` and this.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}
