//! How much memory a run uses against its limit: when to measure, and when it was too much for too long.
//!
//! Without a limit nothing is measured, and nothing wakes.

use std::time::Duration;

use crate::domain::Moment;

/// The pause between two measurements.
pub const PACE: Duration = Duration::from_secs(5);

/// How many measurements in a row must be above the limit.
const TOO_OFTEN: u32 = 3;

/// What is measured of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    limit: Option<u64>,
    /// When it is measured; `None` while an answer is awaited, and without a limit.
    due: Option<Moment>,
    /// How many measurements in a row were above the limit.
    above: u32,
    /// The last measurement, in bytes.
    last: Option<u64>,
}

impl Meter {
    /// A meter of a run that begins at `now`, with its limit in bytes.
    pub fn new(limit: Option<u64>, now: Moment) -> Self {
        let mut meter = Self::default();
        meter.limit_to(limit, now);
        meter
    }

    /// Takes over another limit.
    pub fn limit_to(&mut self, limit: Option<u64>, now: Moment) {
        if limit != self.limit {
            // What was measured stays true.
            let last = limit.and(self.last);
            *self = Self { limit, due: limit.map(|_| now + PACE), last, ..Self::default() };
        }
    }

    /// When there is something to measure.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.due
    }

    /// Whether it is to be measured now; it is taken to be.
    pub fn take_due(&mut self, now: Moment) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
        }
        is_due
    }

    /// Takes a measurement in bytes; `None` if there was none to be had.
    pub fn answer(&mut self, now: Moment, memory: Option<u64>) {
        // An answer that was awaited when the limit changed is as good as any.
        let Some(limit) = self.limit else { return };
        self.due = Some(now + PACE);
        let Some(memory) = memory else { return };
        self.above = if memory > limit { self.above.saturating_add(1) } else { 0 };
        self.last = Some(memory);
    }

    /// What is wrong, if it was above its limit for too long: "uses 2.1 GB of memory, above its limit of 2 GB".
    pub fn trouble(&self) -> Option<String> {
        self.excess().filter(|_| self.above >= TOO_OFTEN)
    }

    /// The same as soon as the last measurement was above the limit.
    pub fn excess(&self) -> Option<String> {
        let (limit, last) = self.limit.zip(self.last).filter(|(limit, last)| last > limit)?;
        Some(format!("uses {} of memory, above its limit of {}", size(last), size(limit)))
    }
}

/// Bytes in the largest unit that they fill, with at most two digits behind the point.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    let Some((unit, scale)) = UNITS.into_iter().find(|(_, scale)| bytes >= *scale) else {
        return format!("{bytes} B");
    };
    let hundredths = u128::from(bytes) * 100 / u128::from(scale);
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match part {
        0 => format!("{whole} {unit}"),
        part if part % 10 == 0 => format!("{whole}.{} {unit}", part / 10),
        part => format!("{whole}.{part:02} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn measured(limit: u64, samples: &[Option<u64>]) -> Meter {
        let mut meter = Meter::new(Some(limit), at(0));
        let mut now = at(0);
        for sample in samples {
            now = now + PACE;
            assert!(meter.take_due(now));
            assert_eq!(meter.next_deadline(), None, "it is asked once");
            meter.answer(now, *sample);
        }
        meter
    }

    #[test]
    fn without_a_limit_nothing_is_measured() {
        let mut meter = Meter::new(None, at(0));
        assert_eq!(meter.next_deadline(), None);
        assert!(!meter.take_due(at(1000)));
        meter.answer(at(1000), Some(u64::MAX));
        assert_eq!((meter.next_deadline(), meter.trouble()), (None, None));
    }

    #[test]
    fn three_samples_in_a_row_above_the_limit_are_too_much() {
        let above = Some(2_150_000_000);
        assert_eq!(measured(2_000_000_000, &[above, above]).trouble(), None);
        assert_eq!(measured(2_000_000_000, &[above, above, Some(5), above]).trouble(), None);
        assert_eq!(measured(2_000_000_000, &[Some(2_000_000_000); 9]).trouble(), None, "the limit itself is allowed");
        let text = measured(2_000_000_000, &[above, None, above, above]).trouble();
        assert_eq!(text.as_deref(), Some("uses 2.15 GB of memory, above its limit of 2 GB"));
    }

    #[test]
    fn another_limit_is_measured_anew() {
        let mut meter = measured(1, &[Some(5); 3]);
        meter.limit_to(Some(1), at(20));
        assert!(meter.trouble().is_some());
        meter.limit_to(Some(2), at(20));
        assert_eq!((meter.trouble(), meter.next_deadline()), (None, Some(at(25))));
        meter.limit_to(None, at(21));
        assert_eq!(meter.next_deadline(), None);
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (1_500_000, "1.5 MB"),
            (1_050_000, "1.05 MB"),
            (2_147_483_648, "2.14 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
