//! What would happen if other sources were taken into use.

use std::sync::Arc;

use super::catalog::Reading;
use super::id::ServiceId;
use super::problem::Problem;

/// What would happen, service by service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Every service that is or would be defined, in the order of the sources; what is removed comes last.
    pub services: Vec<Planned>,
    /// What would be wrong with the sources.
    pub problems: Arc<[Problem]>,
    /// Whether headings or the agent's settings would differ.
    pub frame: bool,
}

/// What would happen to one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Which.
    pub id: ServiceId,
    /// What.
    pub does: Does,
    /// The fields of its definition that differ; those that decide what is spawned come first.
    pub fields: Vec<String>,
    /// The same in words: "restarts: env.URL".
    pub text: String,
}

/// What a change does to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Does {
    /// Its run, or what had become of it, makes way for a new one.
    Restart,
    /// It is stopped, if it runs, and is there no more.
    Remove,
    /// It is new, or begins to run with a new agent.
    Add,
    /// It takes effect without a new run, or waits for the next start; or the service starts or is stopped, because
    /// who wants it or what it needs has changed.
    Live,
    /// Nothing.
    None,
}

impl Does {
    /// All of them, the gravest first.
    pub const ALL: [Self; 5] = [Self::Restart, Self::Remove, Self::Add, Self::Live, Self::None];

    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Remove => "remove",
            Self::Add => "add",
            Self::Live => "live",
            Self::None => "none",
        }
    }
}

/// What all sources would say, for a forecast. Two are the same only if they are one.
#[derive(Clone, Debug)]
pub struct Proposal(pub Arc<Reading>);

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Proposal {}
