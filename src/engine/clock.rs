//! The one place where moments, the system's clocks and the calendar meet.

use std::time::{Duration, Instant, SystemTime};

#[cfg_attr(target_os = "linux", path = "clock/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "clock/other.rs")]
mod platform;

use self::platform::Reading;
use crate::domain::Moment;

/// Reads the time as the domain knows it, and tells the calendar's time of a moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Reading,
    at_origin: Moment,
}

impl Clock {
    /// A clock whose zero lies `uptime` (the age of the machine's boot) before now, and so before every process.
    pub fn start(uptime: Duration) -> Self {
        Self { origin: Reading::now(), at_origin: Moment::at(uptime) }
    }

    /// A clock whose zero is the machine's boot, by the kernel's own reckoning where that is told.
    pub fn since_boot() -> Self {
        Self::start(platform::uptime())
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.at_origin + Reading::now().since(self.origin)
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

    /// How much of the day has passed, in local time.
    pub fn since_midnight(&self) -> Duration {
        let time = jiff::ZonedDateTime::now().time();
        let seconds = (u64::from(time.hour().unsigned_abs()) * 60 + u64::from(time.minute().unsigned_abs())) * 60;
        Duration::new(seconds + u64::from(time.second().unsigned_abs()), time.subsec_nanosecond().unsigned_abs())
    }

    /// When `moment` will be, for waiting until then; now if it has passed. Timers stand still while the machine sleeps:
    /// who waits over a sleep has to ask again.
    pub fn instant(&self, moment: Moment) -> Instant {
        Instant::now() + moment.since(self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_the_day_that_has_passed_is_that_of_the_local_time() {
        let clock = Clock::start(Duration::ZERO);
        let (before, told, after) = loop {
            let now = || jiff::ZonedDateTime::now();
            let (before, told, after) = (now(), clock.since_midnight(), now());
            if before.date() == after.date() {
                break (before, told, after);
            }
        };
        let into_day = |zoned: &jiff::ZonedDateTime| {
            let start = zoned.datetime().date().at(0, 0, 0, 0);
            Duration::try_from(zoned.datetime().duration_since(start)).unwrap()
        };
        assert!((into_day(&before)..=into_day(&after)).contains(&told), "{told:?}");
    }
}
