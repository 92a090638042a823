//! When a log is looked at again, so that it is rotated in time and nobody is woken for nothing.
//!
//! A log that nobody writes to is not looked at. One that is written to is looked at when, at twice the speed that was
//! seen, it would be full: at most ten times a second, at least every five seconds. So a service that begins to write
//! 200 MB a second after a quiet time has written 200 MB too much at worst, one that becomes so fast while it writes
//! slowly a gigabyte; what is kept stays bounded all the same, for only what would stay is copied.

use std::time::Duration;

/// The shortest time between two looks.
pub(super) const SHORTEST: Duration = Duration::from_millis(100);
/// The longest time between two looks at a log that grows.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// The longest time until the first look at a log that begins to grow.
const FIRST: Duration = Duration::from_secs(1);
/// Bytes a second that a log may grow by as long as nothing is known of it.
const ASSUMED: u64 = 200_000_000;

/// What follows from a look at a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is too long.
    Rotate,
    /// It is looked at again after this time.
    Look(Duration),
    /// It is looked at when something has been written to it.
    Wait,
}

/// After a look at a log of `length` bytes that may have `limit`; since the last look it has `grown` by so many bytes.
pub(super) fn after_look(length: u64, limit: u64, grown: u64, since: Duration) -> Next {
    if length > limit {
        return Next::Rotate;
    }
    if grown == 0 {
        return Next::Wait;
    }
    let speed = grown as f64 / since.as_secs_f64().max(0.001);
    let until_full = (limit - length) as f64 / (2.0 * speed);
    Next::Look(Duration::from_secs_f64(until_full.clamp(SHORTEST.as_secs_f64(), LONGEST.as_secs_f64())))
}

/// How soon a log of `length` bytes is looked at that has begun to grow.
pub(super) fn after_write(length: u64, limit: u64) -> Duration {
    let until_full = Duration::from_secs_f64(limit.saturating_sub(length) as f64 / ASSUMED as f64);
    until_full.clamp(SHORTEST, FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn a_log_is_looked_at_before_it_can_be_full_but_never_without_a_pause() {
        let second = Duration::from_secs(1);
        let look = |millis| Next::Look(Duration::from_millis(millis));
        for (length, limit, grown, next) in [
            (51 * MB, 50 * MB, 0, Next::Rotate),
            (50 * MB, 50 * MB, 0, Next::Wait),
            (10 * MB, 50 * MB, 0, Next::Wait),
            (10 * MB, 50 * MB, 10 * MB, look(2000)),
            (49 * MB, 50 * MB, 49 * MB, look(100)),
            (50 * MB, 50 * MB, 1, look(100)),
            (10 * MB, 50 * MB, 100, look(5000)),
        ] {
            assert_eq!(after_look(length, limit, grown, second), next, "{length} of {limit}, grown by {grown}");
        }
        assert_eq!(after_look(1, MB, 1, Duration::ZERO), look(5000));
    }

    #[test]
    fn the_first_look_comes_the_sooner_the_less_space_is_left() {
        assert_eq!(after_write(0, 50 * MB), Duration::from_millis(250));
        assert_eq!(after_write(0, MB), SHORTEST);
        assert_eq!(after_write(60 * MB, 50 * MB), SHORTEST);
        assert_eq!(after_write(0, 5000 * MB), FIRST);
    }
}
