//! The planner's answer for one service: whether it should run, and what stands in its way.

use crate::domain::{Blocker, WantedBy};

/// What the planner found for one service. Never stored beyond the next planning, so that it can't go stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who wants it.
    pub wanted_by: WantedBy,
    /// Whether nothing of it may run now: not wanted, removed, disabled, held by a dependency, or due for a new run.
    pub down: bool,
    /// Whether a dependency that is meant to be down keeps it down.
    pub held: bool,
    /// What keeps it from starting.
    pub blocked_by: Vec<Blocker>,
    /// Whether all that leads to what the user has stopped.
    pub by_user: bool,
}

impl Verdict {
    /// Whether it should run.
    pub fn is_wanted(&self) -> bool {
        self.wanted_by != WantedBy::None
    }
}

impl Default for Verdict {
    fn default() -> Self {
        Self { wanted_by: WantedBy::None, down: true, held: false, blocked_by: Vec::new(), by_user: false }
    }
}
