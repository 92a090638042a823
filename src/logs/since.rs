//! The time that a user means by `--since`.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp, ZonedDateTime};

/// The point in time that `text` means at `now`: a span before it (`90`, `10m`, `1h30m`, `2 days`), a point in time
/// with its zone (RFC 3339), or a local date, time of today, or both.
///
/// # Errors
/// A fragment that names `text` and the forms that are understood.
pub fn parse_since(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    let text = text.trim();
    let unclear = || format!("not a time: {text:?} (like 10m, 2026-01-02T03:04:05Z, \"2026-01-02 03:04\" or 03:04)");
    let earlier = |span: Span| now.checked_sub(span).map(|then| then.timestamp());
    let local = |civil: DateTime| civil.to_zoned_datetime(now.time_zone().clone()).map(|then| then.timestamp());
    let found = if let Ok(seconds) = text.parse::<u32>() {
        earlier(Span::new().seconds(i64::from(seconds)))
    } else if let Ok(time) = text.parse::<Timestamp>() {
        Ok(time)
    } else if let Ok(civil) = text.parse::<DateTime>() {
        local(civil)
    } else if let Ok(date) = text.parse::<Date>() {
        local(date.to_datetime(Time::midnight()))
    } else if let Ok(time) = text.parse::<Time>() {
        local(now.date().to_datetime(time))
    } else if let Ok(span) = text.parse::<Span>() {
        earlier(span.abs())
    } else {
        return Err(unclear());
    };
    found.map_err(|_out_of_range| unclear())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_points_in_time_are_understood() {
        let now: ZonedDateTime = "2026-03-10T12:00:00+02:00[+02:00]".parse().unwrap();
        for (text, expected) in [
            ("10m", "2026-03-10T09:50:00Z"),
            ("90", "2026-03-10T09:58:30Z"),
            ("1h30m", "2026-03-10T08:30:00Z"),
            ("1500ms", "2026-03-10T09:59:58.5Z"),
            ("2 days", "2026-03-08T10:00:00Z"),
            ("2d ago", "2026-03-08T10:00:00Z"),
            (" 2026-01-02T03:04:05Z ", "2026-01-02T03:04:05Z"),
            ("2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05Z"),
            ("2026-01-02 03:04:05", "2026-01-02T01:04:05Z"),
            ("2026-01-02 03:04", "2026-01-02T01:04:00Z"),
            ("2026-01-02", "2026-01-01T22:00:00Z"),
            ("03:04", "2026-03-10T01:04:00Z"),
        ] {
            assert_eq!(parse_since(text, &now), Ok(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_named() {
        let now: ZonedDateTime = "2026-03-10T12:00:00+02:00[+02:00]".parse().unwrap();
        for text in ["", "soon", "10x", "-", "99999999 years"] {
            assert!(parse_since(text, &now).unwrap_err().starts_with(&format!("not a time: {text:?}")), "{text}");
        }
    }
}
