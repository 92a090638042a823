//! The one place where moments, the system's clocks and the calendar meet.

use std::time::{Duration, Instant, SystemTime};

use crate::domain::Moment;

/// Reads the time as the domain knows it, and tells the calendar's time of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    at_origin: Moment,
}

impl Clock {
    /// A clock whose zero lies `uptime` (the age of the machine's boot) before now, and so before every process.
    pub fn start(uptime: Duration) -> Self {
        Self { origin: Instant::now(), at_origin: Moment::at(uptime) }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.at_origin + self.origin.elapsed()
    }

    /// The calendar's time at `moment`, by what the calendar says now.
    pub fn wall(&self, moment: Moment) -> SystemTime {
        let now = self.now();
        if moment <= now {
            SystemTime::now().checked_sub(now.since(moment)).unwrap_or(SystemTime::UNIX_EPOCH)
        } else {
            SystemTime::now() + moment.since(now)
        }
    }

    /// When `moment` will be (or was), for sleeping until then.
    pub fn instant(&self, moment: Moment) -> Instant {
        if moment >= self.at_origin { self.origin + moment.since(self.at_origin) } else { self.origin }
    }
}
