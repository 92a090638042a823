//! Keeps the last good version of each source and each service, and knows how long to wait for the next.

use super::reading::Reading;
use super::resolve::Resolution;
use crate::domain::Moment;

/// The memory of what was good.
#[derive(Debug, Default)]
pub struct Ledger {}

/// What is in use after a reading or a deadline.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// The catalog and what is wrong.
    pub resolution: Resolution,
    /// Whether some source is at present not what is in use (broken, missing for a moment, never read), so that a
    /// service that is absent from the catalog may still be defined.
    pub unsettled: bool,
}

impl Ledger {
    /// Takes note of what is on disk now.
    pub fn take(&mut self, now: Moment, reading: Reading) {
        let _ = (now, reading);
    }

    /// When a source that is broken or missing has had its time; ask [`Self::settle`] again then.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// What is in use now.
    pub fn settle(&mut self, now: Moment) -> Settled {
        let _ = now;
        Settled::default()
    }
}
