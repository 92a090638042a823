//! The domain's clock reading. It never asks for the time: every fact comes with its moment.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a monotonic clock that goes on while the machine sleeps, where the system has one.
///
/// Its zero lies before every run that the agent can meet (the engine uses the machine's boot), so that the start of an
/// adopted run can be told as well. It is neither an `Instant` nor a `SystemTime`: a simulation makes them up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment that lies `since_zero` after the clock's zero.
    pub const fn at(since_zero: Duration) -> Self {
        Self(since_zero)
    }

    /// How long after the clock's zero this is.
    pub const fn since_zero(self) -> Duration {
        self.0
    }

    /// How much time has passed since `earlier`; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}
