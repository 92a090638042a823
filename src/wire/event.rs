//! `events`: one line of what happened.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::timestamp;
use crate::domain::Occurrence;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The catalog's generation then.
    pub generation: u64,
    /// One word: `generation`, `starting`, `healthy`, `exited` …
    pub kind: String,
    /// The service that it is about.
    pub service: Option<String>,
    /// The run that it is about.
    pub run: Option<String>,
    /// A sentence.
    pub text: String,
}

impl Event {
    /// The wire's form of `occurrence`, which happened at `at`.
    pub fn of(occurrence: &Occurrence, at: SystemTime) -> Self {
        Self {
            at: timestamp(at),
            generation: occurrence.generation,
            kind: occurrence.kind.to_owned(),
            service: occurrence.service.as_ref().map(ToString::to_string),
            run: occurrence.run.as_ref().map(ToString::to_string),
            text: occurrence.text.clone(),
        }
    }
}
