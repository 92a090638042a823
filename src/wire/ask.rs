//! What is asked of the agent, and how it answers when a wish has come about or not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::domain;

/// Start, stop or restart; exactly one of `ids`, `all` and `group` says what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// These services.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Every enabled one.
    #[serde(default)]
    pub all: bool,
    /// Those under this heading: its key or its name.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether to answer only when it has come about.
    #[serde(default = "yes")]
    pub wait: bool,
    /// How long to wait at most, in seconds; null: as long as the services themselves may take.
    #[serde(default)]
    pub timeout: Option<f64>,
}

/// Enable, disable or reset: the wish alone, without waiting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// These services.
    pub ids: Vec<String>,
}

/// Run an action of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunAction {
    /// The service.
    pub id: String,
    /// The action's name.
    pub name: String,
}

/// Adopt or stop the stranger on a service's port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrangerWish {
    /// The service.
    pub id: String,
    /// `foreign.identity` of the process that the user was shown: no other one is touched.
    pub stranger: String,
    /// Whether to answer only when the service is healthy with it; stopping always waits until the stranger is gone.
    #[serde(default = "yes")]
    pub wait: bool,
    /// How long to wait for the service at most, in seconds; null: as long as it may take.
    #[serde(default)]
    pub timeout: Option<f64>,
}

/// Wait until services are as one wants them, without wishing anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// These services.
    pub ids: Vec<String>,
    /// What for.
    #[serde(rename = "for", default)]
    pub goal: Goal,
    /// How long at most, in seconds, also for what is not wanted; null: as long as the services themselves may take, and
    /// not for what is not wanted.
    #[serde(default)]
    pub timeout: Option<f64>,
}

/// End the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownWish {
    /// Whether the services go on for the next agent.
    #[serde(default)]
    pub keep_services: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Healthy, degraded, or completed.
    #[default]
    Healthy,
    /// A process runs, or ran to its end.
    Running,
    /// Nothing of it runs.
    Stopped,
    /// It ran to the end with success.
    Completed,
}

/// A wish was taken; if waiting was asked for, it has come about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// What was waited for; empty without waiting.
    pub services: Vec<Reached>,
    /// What else the wish brought about, and reservations about what was reached: a sentence each.
    pub remarks: Vec<String>,
}

/// One service that was waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub id: String,
    /// What for.
    pub goal: Goal,
    /// Whether it came about.
    pub reached: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// The sources have been read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The generation in use.
    pub generation: u64,
    /// What is wrong with the sources.
    pub problems: Vec<Problem>,
    /// What else there is to say, a sentence each.
    pub remarks: Vec<String>,
}

/// Something was refused or did not come about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What was waited for, if it was; with who did not get there and why.
    pub services: Option<Vec<Reached>>,
    /// What else the wish brought about, a sentence each.
    pub remarks: Vec<String>,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request can't be understood.
    BadRequest,
    /// There is no such path.
    NoSuchPath,
    /// The path does not take this method.
    NoSuchMethod,
    /// There is no such service.
    NoSuchService,
    /// There is no such group.
    NoSuchGroup,
    /// It can't be done.
    Refused,
    /// It was waited for and did not come about.
    NotReached,
    /// Something else failed.
    Internal,
}

impl Failure {
    /// A failure of `kind` with nothing but its words.
    pub fn new(kind: FailureKind, error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: None, kind, services: None, remarks: Vec::new() }
    }

    /// The same, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Goal> for domain::Goal {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Healthy => Self::Healthy,
            Goal::Running => Self::Running,
            Goal::Stopped => Self::Stopped,
            Goal::Completed => Self::Completed,
        }
    }
}

impl From<domain::Goal> for Goal {
    fn from(goal: domain::Goal) -> Self {
        match goal {
            domain::Goal::Healthy => Self::Healthy,
            domain::Goal::Running => Self::Running,
            domain::Goal::Stopped => Self::Stopped,
            domain::Goal::Completed => Self::Completed,
        }
    }
}

/// Seconds of a request as a span; an error says what is wrong with them. More than a span holds is as long as it holds.
pub(crate) fn span(seconds: Option<f64>) -> Result<Option<Duration>, String> {
    match seconds {
        None => Ok(None),
        Some(seconds) if seconds >= 0.0 => Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))),
        Some(seconds) => Err(format!("timeout must be a number of seconds from 0, not {seconds}")),
    }
}

fn yes() -> bool {
    true
}
