//! Failures in words: fragments that fit behind "unhealthy: ".

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::domain::text;

/// The most characters that are shown of what a service or a library says.
pub(super) const SHOWN: usize = 160;

/// `span` as people write it: "250 ms", "3 s", "1.5 s".
pub(super) fn span(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        return format!("{} ms", span.as_millis());
    }
    let tenths = span.as_millis() / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

/// What an error of the system means for a probe.
pub(super) fn io_error(error: &io::Error) -> String {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
        NotFound, PermissionDenied, TimedOut, UnexpectedEof,
    };
    let words = match error.kind() {
        ConnectionRefused => "connection refused",
        ConnectionReset => "connection reset",
        ConnectionAborted => "connection aborted",
        HostUnreachable => "host unreachable",
        NetworkUnreachable | AddrNotAvailable => "network unreachable",
        NotFound => "no such file",
        PermissionDenied => "permission denied",
        TimedOut => "timed out",
        UnexpectedEof => "the connection was closed before the answer ended",
        // The kinds are open-ended; the rest speaks for itself.
        _ => return text::first_line(&error.to_string(), SHOWN),
    };
    words.to_owned()
}

/// The innermost cause of `error`, in words.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(error) = cause.downcast_ref::<io::Error>()
            && error.get_ref().is_none()
        {
            return io_error(error);
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return text::first_line(&cause.to_string(), SHOWN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (millis, words) in [
            (0, "0 ms"),
            (250, "250 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (1500, "1.5 s"),
            (1549, "1.5 s"),
            (90_000, "90 s"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn the_innermost_cause_speaks() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(innermost(&refused), "connection refused");
        let wrapped = io::Error::other(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(innermost(&wrapped), "connection reset");
        assert_eq!(innermost(&io::Error::other("bad\u{1b}[31m\nthing")), "bad");
    }
}
