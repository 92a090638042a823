//! `logs`: one line that a service has written.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// The service that wrote it.
    pub service: String,
    /// When, as far as it is known.
    pub at: Option<Timestamp>,
    /// The line, without its end.
    pub text: String,
}
