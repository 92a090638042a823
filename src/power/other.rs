//! Where nothing tells of sleep: budgets run on.

use crate::engine::ports::Inbox;

/// Tells nothing.
pub fn tell_resumes(_inbox: Inbox) {}
