//! `plan`: what would happen if other sources were taken into use.

use serde::{Deserialize, Serialize};

use super::{Problem, word};
use crate::domain::{Does, Forecast};

/// The question: what if these files were dropped in?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Absolute paths; without any, the sources as they are on disk are meant.
    #[serde(default)]
    pub files: Vec<String>,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every service that is or would be defined, in the order of the sources; what is removed comes last.
    pub services: Vec<Planned>,
    /// Whether headings or the agent's settings would differ.
    pub frame: bool,
    /// What would be wrong with the sources, worst first.
    pub problems: Vec<Problem>,
}

/// What would happen to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its id.
    pub id: String,
    /// In a word.
    #[serde(with = "word")]
    pub does: Does,
    /// The fields of its definition that differ; those that decide what is spawned come first.
    pub fields: Vec<String>,
    /// In a sentence.
    pub text: String,
}

impl Plan {
    /// The wire's form of `forecast`.
    pub fn of(forecast: &Forecast) -> Self {
        let planned = |planned: &crate::domain::Planned| Planned {
            id: planned.id.to_string(),
            does: planned.does,
            fields: planned.fields.clone(),
            text: planned.text.clone(),
        };
        Self {
            services: forecast.services.iter().map(planned).collect(),
            frame: forecast.frame,
            problems: forecast.problems.iter().map(Problem::of).collect(),
        }
    }
}
