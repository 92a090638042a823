//! The time that a line itself begins with, where it does so in a form that can be told without guessing.
//!
//! Known are RFC 3339 and its relatives (a space for the T, a comma before the fraction, slashes in the date, the zone
//! apart), alone, in brackets, behind a level, or as `time=`; seconds or milliseconds since 1970; and the same as the
//! value of a `time`, `ts` or `timestamp` in a line that is a JSON object. Times without a date are not.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use regex::{Captures, Regex};

use crate::domain::text;

/// Bytes of a line's beginning that are looked at.
const BEGINNING: usize = 512;

/// A time as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// A point in time.
    Exact(Timestamp),
    /// A reading of some clock; which zone it is in is not said.
    Civil(DateTime),
}

/// The time at the beginning of `line`.
pub(super) fn stamp(line: &[u8]) -> Option<Stamp> {
    let beginning = String::from_utf8_lossy(&line[..line.len().min(BEGINNING)]);
    let beginning = text::plain(&beginning);
    let beginning = beginning.trim_start();
    if beginning.starts_with('{') {
        let captures = JSON.captures(beginning)?;
        return match (captures.name("text"), captures.name("number")) {
            (Some(text), _) => DATE.captures(text.as_str()).and_then(|date| from_date(&date)),
            (None, Some(number)) => from_epoch(number.as_str()),
            (None, None) => None,
        };
    }
    if let Some(date) = DATE.captures(beginning) {
        return from_date(&date);
    }
    from_epoch(EPOCH.captures(beginning)?.get(1)?.as_str())
}

/// The point in time that `civil` means: in the zone `zone`, or in UTC if only that lies within `bracket` (give or take).
pub(super) fn settle(civil: DateTime, zone: &TimeZone, bracket: Option<(Timestamp, Timestamp)>) -> Option<Timestamp> {
    let local = zone.to_timestamp(civil).ok()?;
    let Some((from, to)) = bracket else { return Some(local) };
    // Less than any two zones differ by, and more than lines lie in a buffer.
    let slack = 600;
    let fits = |time: Timestamp| (from.as_second() - slack..=to.as_second() + slack).contains(&time.as_second());
    let utc = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(if !fits(local) && fits(utc) { utc } else { local })
}

fn pattern(pattern: &str) -> Regex {
    // The patterns are constants, and every one of them is compiled by a test.
    Regex::new(pattern).expect("a constant pattern")
}

static DATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?x)^
        (?: [\[(]? (?i: trace|debug|info|notice|warn|warning|error|critical|fatal|dbg|inf|wrn|err) [\])]? :? [\ \t]+ )?
        (?: (?:time|ts|timestamp|t) = "? )?
        [\[(]?
        ([0-9]{4}) [-/] ([0-9]{2}) [-/] ([0-9]{2}) [Tt\ _] ([0-9]{2}) : ([0-9]{2}) : ([0-9]{2})
        (?: [.,] ([0-9]{1,9}) )?
        (?: \ ? (?: (?<utc> [Zz]\b|UTC\b) | (?<sign>[+-]) (?<hours>[0-9]{2}) :? (?<minutes>[0-9]{2}) \b ) )?
        (?: [^0-9] | $ )"#,
    )
});

static EPOCH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\[(]?([0-9]{10}\.[0-9]{1,9}|[0-9]{13})(?:[\])\s]|$)"));

static JSON: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?x) "(?:time|ts|timestamp|@timestamp|asctime|datetime)" \s* : \s*
        (?: "(?<text>[^"]{19,40})" | (?<number>[0-9]{10}(?:\.[0-9]{1,9})?|[0-9]{13}) (?:\.[0-9]*)? \s* [,}] )"#,
    )
});

fn from_date(captures: &Captures<'_>) -> Option<Stamp> {
    let number = |group: usize| captures.get(group)?.as_str().parse::<i16>().ok();
    let small = |group: usize| number(group).and_then(|number| i8::try_from(number).ok());
    let nanos = captures.get(7).map_or(Some(0), |fraction| nanos(fraction.as_str()))?;
    let civil = DateTime::new(number(1)?, small(2)?, small(3)?, small(4)?, small(5)?, small(6)?, nanos).ok()?;
    if captures.name("utc").is_some() {
        return TimeZone::UTC.to_timestamp(civil).ok().map(Stamp::Exact);
    }
    let Some(sign) = captures.name("sign") else { return Some(Stamp::Civil(civil)) };
    let part = |name| captures.name(name)?.as_str().parse::<i32>().ok();
    let seconds = (part("hours")? * 60 + part("minutes")?) * 60;
    let offset = Offset::from_seconds(if sign.as_str() == "-" { -seconds } else { seconds }).ok()?;
    offset.to_timestamp(civil).ok().map(Stamp::Exact)
}

/// Seconds, with or without a fraction, or 13 digits of milliseconds; between 2001 and 2286 by their length.
fn from_epoch(text: &str) -> Option<Stamp> {
    let time = match text.split_once('.') {
        Some((seconds, fraction)) => Timestamp::new(seconds.parse().ok()?, nanos(fraction)?),
        None if text.len() == 13 => Timestamp::from_millisecond(text.parse().ok()?),
        None => Timestamp::from_second(text.parse().ok()?),
    };
    time.ok().filter(|time| time.as_second() >= 1_000_000_000).map(Stamp::Exact)
}

/// Nanoseconds of a fraction's digits, of which there are at most nine.
fn nanos(digits: &str) -> Option<i32> {
    format!("{digits:0<9}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Option<Stamp> {
        Some(Stamp::Exact(text.parse().unwrap()))
    }

    fn civil(text: &str) -> Option<Stamp> {
        Some(Stamp::Civil(text.parse().unwrap()))
    }

    #[test]
    fn times_at_the_beginning_are_read() {
        for (line, expected) in [
            ("2026-01-02T03:04:05Z GET /", exact("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.123456+02:00 x", exact("2026-01-02T01:04:05.123456Z")),
            ("2026-01-02T03:04:05-0130", exact("2026-01-02T04:34:05Z")),
            ("[2026-01-02 03:04:05 +0000] [7] [INFO] Starting gunicorn", exact("2026-01-02T03:04:05Z")),
            ("2026-01-02 03:04:05.500 UTC [77] LOG:  ready", exact("2026-01-02T03:04:05.5Z")),
            ("2026-01-02 03:04:05,123 INFO app: started", civil("2026-01-02T03:04:05.123")),
            ("INFO 2026-01-02 03:04:05,123 started", civil("2026-01-02T03:04:05.123")),
            ("[warning] 2026-01-02 03:04:05 x", civil("2026-01-02T03:04:05")),
            ("2026/01/02 03:04:05 listening", civil("2026-01-02T03:04:05")),
            ("time=\"2026-01-02T03:04:05Z\" level=info", exact("2026-01-02T03:04:05Z")),
            ("ts=2026-01-02T03:04:05.1Z caller=x", exact("2026-01-02T03:04:05.1Z")),
            (
                "\u{1b}[2m2026-01-02T03:04:05.000001Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m x",
                exact("2026-01-02T03:04:05.000001Z"),
            ),
            (r#"{"level":30,"time":1767322245123,"pid":7,"msg":"x"}"#, exact("2026-01-02T02:50:45.123Z")),
            (r#"{"level":"info","ts":1767322245.25,"msg":"x"}"#, exact("2026-01-02T02:50:45.25Z")),
            (r#"{"timestamp": "2026-01-02T03:04:05Z", "x": 1}"#, exact("2026-01-02T03:04:05Z")),
            (r#"{"msg":"x","@timestamp":"2026-01-02T03:04:05.000+01:00"}"#, exact("2026-01-02T02:04:05Z")),
            (r#"{"asctime":"2026-01-02 03:04:05,7"}"#, civil("2026-01-02T03:04:05.7")),
            ("1767322245.250000 [0] \"GET\"", exact("2026-01-02T02:50:45.25Z")),
            ("1767322245123 started", exact("2026-01-02T02:50:45.123Z")),
        ] {
            assert_eq!(stamp(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_a_time_is_none() {
        for line in [
            "",
            "INFO:     127.0.0.1:5000 - \"GET / HTTP/1.1\" 200 OK",
            "from 2026-01-02 03:04:05 on",
            "2026-13-02 03:04:05 x",
            "2026-01-02 25:04:05 x",
            "2026-01-02",
            "03:04:05 x",
            "1767322245 rows",
            "12345678901234 x",
            "0000000001.5 x",
            r#"{"msg":"the \"time\""}"#,
            r#"{"time":"soon"}"#,
            r#"{"time":12}"#,
            "\u{0}\u{1}\u{ff}",
        ] {
            assert_eq!(stamp(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_clock_reading_is_local_unless_only_utc_fits() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let civil: DateTime = "2026-01-02T12:00:00".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(settle(civil, &zone, None), Some(at("2026-01-02T10:00:00Z")));
        let local = Some((at("2026-01-02T10:00:01Z"), at("2026-01-02T10:00:03Z")));
        assert_eq!(settle(civil, &zone, local), Some(at("2026-01-02T10:00:00Z")));
        let utc = Some((at("2026-01-02T12:00:01Z"), at("2026-01-02T12:00:03Z")));
        assert_eq!(settle(civil, &zone, utc), Some(at("2026-01-02T12:00:00Z")));
        let neither = Some((at("2026-02-02T12:00:01Z"), at("2026-02-02T12:00:03Z")));
        assert_eq!(settle(civil, &zone, neither), Some(at("2026-01-02T10:00:00Z")));
    }
}
