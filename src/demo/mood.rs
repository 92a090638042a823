//! How the stand-in behaves at present. Only a value.

use std::time::Duration;

/// How it behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mood {
    /// What `/health` says.
    pub health: Health,
    /// How much later each answer comes.
    pub delay: Duration,
}

/// What `/health` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// 200, unless something that it needs is not there.
    #[default]
    Well,
    /// 200 with the status "degraded", for this reason.
    Degraded(String),
    /// 503, for this reason.
    Failing(String),
    /// Nothing.
    Hanging,
}
