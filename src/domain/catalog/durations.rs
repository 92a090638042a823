//! Reads spans of time: `"1500ms"`, `"2s"`, `"5m"`, or a number of seconds.

use std::time::Duration;

/// The longest span that is believed: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Takes `text` as a span with its unit, or says what is wrong, as a fragment that fits behind the value's name.
pub(super) fn from_text(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "must be a span of time such as \"1500ms\", \"2s\" or \"5m\", or a number of seconds";
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(FORM)?;
    let (number, unit) = text.split_at(unit);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(FORM),
    };
    let number = number.trim_end();
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        return Err(FORM);
    }
    from_seconds(number.parse::<f64>().map_err(|_| FORM)? * scale)
}

/// Takes a number of seconds as a span.
pub(super) fn from_seconds(seconds: f64) -> Result<Duration, &'static str> {
    if seconds < 0.0 {
        return Err("must not be negative");
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if span <= LONGEST => Ok(span),
        Ok(_) | Err(_) => Err("is longer than a year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, millis) in [
            ("1500ms", 1500),
            ("2s", 2000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0s", 0),
            ("1.5s", 1500),
            (" 2 s ", 2000),
        ] {
            assert_eq!(from_text(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "2", "s", "2 weeks", "-1s", "1e400s", "nans", "infs", "9999999d", "1s2", "٣s", "2S"] {
            assert!(from_text(text).is_err(), "{text}");
        }
        assert!(from_seconds(-0.5).is_err());
        assert!(from_seconds(f64::NAN).is_err());
        assert!(from_seconds(1e300).is_err());
    }
}
