//! Quiet hours: whether it is quiet now, and until when.
//!
//! The domain has no calendar. The time of day is asked for when it is needed and at each boundary, so that summer time
//! and travel shift nothing for longer than until the next one. What is not told meanwhile is kept by the notices.

use std::time::Duration;

use crate::domain::{Moment, QuietHours};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Follows the quiet hours.
#[derive(Clone, Debug, Default)]
pub struct Quiet {
    hours: Option<QuietHours>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Without quiet hours it is never quiet.
    #[default]
    Off,
    /// The time of day must be asked for.
    Unknown,
    /// It has been.
    Asked,
    Known {
        is_quiet: bool,
        until: Moment,
    },
}

impl Quiet {
    /// Goes by `hours` from now on; true if the time of day has to be asked for, which is said once.
    pub fn follow(&mut self, now: Moment, hours: Option<QuietHours>) -> bool {
        if self.hours != hours {
            self.hours = hours;
            self.forget();
        }
        let asks = match self.state {
            State::Unknown => true,
            State::Known { until, .. } => until <= now,
            State::Off | State::Asked => false,
        };
        if asks {
            self.state = State::Asked;
        }
        asks
    }

    /// The clock is not what it was.
    pub fn forget(&mut self) {
        self.state = if self.hours.is_some() { State::Unknown } else { State::Off };
    }

    /// At `now` so much of the day has passed.
    pub fn tell(&mut self, now: Moment, since_midnight: Duration) {
        let Some(QuietHours { from, to }) = self.hours else { return };
        let [from, to] = [from, to].map(|minute| Duration::from_secs(u64::from(minute) * 60));
        let is_quiet = match from < to {
            true => (from..to).contains(&since_midnight),
            false => since_midnight >= from || since_midnight < to,
        };
        let next = if is_quiet { to } else { from };
        let left = if next > since_midnight { next - since_midnight } else { next + DAY - since_midnight };
        self.state = State::Known { is_quiet, until: now + left };
    }

    /// Whether it is quiet; `None` as long as the time of day is not known.
    pub fn is_quiet(&self) -> Option<bool> {
        match self.state {
            State::Off => Some(false),
            State::Unknown | State::Asked => None,
            State::Known { is_quiet, .. } => Some(is_quiet),
        }
    }

    /// The next boundary.
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            State::Known { until, .. } => Some(until),
            State::Off | State::Unknown | State::Asked => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    /// Whether it is quiet at this minute of the day, and for how many minutes more it stays so.
    fn at(from: u16, to: u16, minute: u64) -> (bool, u64) {
        let now = Moment::at(minutes(10_000));
        let mut quiet = Quiet::default();
        assert!(quiet.follow(now, Some(QuietHours { from, to })));
        assert_eq!((quiet.is_quiet(), quiet.next_deadline()), (None, None));
        quiet.tell(now, minutes(minute));
        let until = quiet.next_deadline().expect("the time is known");
        (quiet.is_quiet().expect("the time is known"), until.since(now).as_secs() / 60)
    }

    #[test]
    fn quiet_hours_hold_from_their_first_minute_to_their_last_also_over_midnight() {
        for (from, to, minute, expected) in [
            (1320, 480, 1319, (false, 1)),
            (1320, 480, 1320, (true, 600)),
            (1320, 480, 0, (true, 480)),
            (1320, 480, 479, (true, 1)),
            (1320, 480, 480, (false, 840)),
            (540, 600, 539, (false, 1)),
            (540, 600, 540, (true, 60)),
            (540, 600, 600, (false, 1380)),
            (0, 1, 0, (true, 1)),
        ] {
            assert_eq!(at(from, to, minute), expected, "{from}-{to} at {minute}");
        }
    }

    #[test]
    fn the_time_is_asked_for_once_at_each_boundary_and_whenever_the_clock_is_another() {
        let (start, hours) = (Moment::at(minutes(10_000)), Some(QuietHours { from: 60, to: 120 }));
        let mut quiet = Quiet::default();
        assert!(!quiet.follow(start, None));
        assert_eq!(quiet.is_quiet(), Some(false));
        assert!(quiet.follow(start, hours) && !quiet.follow(start, hours));
        quiet.tell(start, minutes(50));
        assert!(!quiet.follow(start + minutes(9), hours));
        assert!(quiet.follow(start + minutes(10), hours) && !quiet.follow(start + minutes(10), hours));
        quiet.tell(start + minutes(10), minutes(60));
        assert_eq!(quiet.is_quiet(), Some(true));
        quiet.forget();
        assert!(quiet.follow(start + minutes(11), hours));
        assert!(!quiet.follow(start + minutes(11), None));
        assert_eq!(quiet.is_quiet(), Some(false));
    }
}
