//! Sizes, spans and times as people read them.

use jiff::{SignedDuration, Timestamp};

use super::Look;

/// `45s`, `3m20s`, `2h03m`, `4d05h`; less than a second is `0s`.
pub fn span(seconds: f64) -> String {
    // Saturates: a float that is not finite or negative becomes 0 or the largest number.
    let whole = seconds as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}s"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        (_, _, _) => format!("{days}d{hours:02}h"),
    }
}

/// `45ms`, `3.21s`, `12.3s`, and like [`span`] from a minute on: for what is measured.
pub fn exact_span(seconds: f64) -> String {
    match seconds.max(0.0) {
        short if short < 0.9995 => format!("{:.0}ms", short * 1000.0),
        short if short < 9.995 => format!("{short:.2}s"),
        long if long < 59.95 => format!("{long:.1}s"),
        longer => span(longer.round()),
    }
}

/// `512 B`, `4.1 kB`, `12 MB`, `1.5 GB`, in powers of ten.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `0.5%`, `12%`.
pub fn percent(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}%") } else { format!("{value:.0}%") }
}

/// The local time: with the date, unless it is today's.
pub fn time(at: Timestamp, look: &Look) -> String {
    let local = at.to_zoned_datetime(look.zone.clone());
    let today = look.now.to_zoned_datetime(look.zone.clone()).date();
    let form = if local.date() == today { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    local.strftime(form).to_string()
}

/// The local time and how long ago that was, or how long it will be.
pub fn time_and_distance(at: Timestamp, look: &Look) -> String {
    let distance = look.now.duration_since(at);
    let words = if distance >= SignedDuration::ZERO {
        format!("{} ago", span(distance.as_secs_f64()))
    } else {
        format!("in {}", span(-distance.as_secs_f64()))
    };
    format!("{} ({words})", time(at, look))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        for (seconds, expected) in [
            (0.4, "0s"),
            (59.9, "59s"),
            (60.0, "1m00s"),
            (200.0, "3m20s"),
            (7384.0, "2h03m"),
            (363_600.0, "4d05h"),
            (-3.0, "0s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn what_is_measured_is_told_as_exactly_as_is_of_use() {
        for (seconds, expected) in [
            (0.0, "0ms"),
            (0.0451, "45ms"),
            (0.9996, "1.00s"),
            (3.214, "3.21s"),
            (12.34, "12.3s"),
            (59.96, "1m00s"),
            (-0.5, "0ms"),
        ] {
            assert_eq!(exact_span(seconds), expected);
        }
    }

    #[test]
    fn sizes_and_shares_are_short() {
        for (bytes, expected) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4096, "4.1 kB"), (12_345_678, "12 MB"), (999_999, "1.0 MB")]
        {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(
            (percent(0.04), percent(0.5), percent(9.96), percent(153.2)),
            ("0.0%".to_owned(), "0.5%".to_owned(), "10%".to_owned(), "153%".to_owned())
        );
    }
}
