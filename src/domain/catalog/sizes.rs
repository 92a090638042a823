//! Reads numbers of bytes: `"50MB"` (10^6), `"64KiB"` (2^10), or a number.

use super::fields;

/// The largest size that is believed, in bytes: 2^50.
const LARGEST: u64 = 1 << 50;

/// Takes `text` as a size with its unit, or says what is wrong, as a fragment that fits behind the value's name.
pub(super) fn from_text(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "must be a size such as \"50MB\" or \"64KiB\", or a number of bytes";
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).ok_or(FORM)?;
    let (number, unit) = text.split_at(unit);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(FORM),
    };
    let number = number.trim_end();
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        return Err(FORM);
    }
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).filter(|bytes| *bytes <= LARGEST).ok_or(TOO_LARGE);
    }
    #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
    from_float(number.parse::<f64>().map_err(|_| FORM)? * scale as f64)
}

/// Takes a number of JSON's grammar as a number of bytes.
pub(super) fn from_number(number: &str) -> Result<u64, &'static str> {
    match fields::whole(number) {
        Some(bytes) if bytes <= LARGEST => Ok(bytes),
        Some(_) => Err(TOO_LARGE),
        None => from_float(number.parse().unwrap_or(f64::INFINITY)),
    }
}

const TOO_LARGE: &str = "is larger than 2^50 bytes";

fn from_float(bytes: f64) -> Result<u64, &'static str> {
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let largest = LARGEST as f64;
    if bytes < 0.0 {
        return Err("must not be negative");
    }
    if bytes.is_nan() || bytes > largest {
        return Err(TOO_LARGE);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
    Ok(bytes.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, bytes) in [
            ("50MB", 50_000_000),
            ("64KiB", 65_536),
            ("2GB", 2_000_000_000),
            ("1.5 kb", 1_500),
            (" 1 GiB ", 1 << 30),
            ("0B", 0),
        ] {
            assert_eq!(from_text(text), Ok(bytes), "{text}");
        }
        assert_eq!(from_number("4096"), Ok(4096));
        assert_eq!(from_number("1e3"), Ok(1000));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "2", "MB", "5 M", "-1MB", "1e400B", "nanB", "99999999TB", "1MB2", "٣MB"] {
            assert!(from_text(text).is_err(), "{text}");
        }
        for number in ["-1", "1e300", "9007199254740993000"] {
            assert!(from_number(number).is_err(), "{number}");
        }
    }
}
