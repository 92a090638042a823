//! What the stand-in writes: one line at a time, with the time in front, to stdout.

use std::fmt::Display;
use std::io::Write;

/// Writes one line.
pub fn say(text: impl Display) {
    let line = format!("{:.3} {text}\n", jiff::Timestamp::now());
    // A service whose output nobody takes any more has nowhere to say so, and goes on.
    let _ = std::io::stdout().write_all(line.as_bytes());
}
