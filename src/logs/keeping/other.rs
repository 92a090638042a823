//! Elsewhere a log is rotated when a run begins, as a whole.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::domain::{Event, LogPolicy, ServiceId};
use crate::engine::StateDir;
use crate::engine::ports::Inbox;
use crate::logs::index::LogIndex;
use crate::logs::whole::rotate_whole;

/// Keeps logs within their bounds, as far as that can be done.
#[derive(Debug)]
pub(in crate::logs) struct Keeping {
    dir: StateDir,
    inbox: Inbox,
    index: Rc<RefCell<LogIndex>>,
    policies: BTreeMap<ServiceId, LogPolicy>,
    troubled: BTreeSet<ServiceId>,
}

impl Keeping {
    /// Tells of trouble to `inbox`.
    pub fn start(dir: StateDir, inbox: Inbox, index: Rc<RefCell<LogIndex>>) -> Self {
        Self { dir, inbox, index, policies: BTreeMap::new(), troubled: BTreeSet::new() }
    }

    /// A run is about to begin, and nothing of the last one lives.
    pub fn prepare(&mut self, id: &ServiceId) {
        let Some(policy) = self.policies.get(id) else { return };
        self.index.borrow_mut().mark_written(id);
        let trouble = match rotate_whole(&self.dir, id, *policy) {
            Ok(()) => self.troubled.remove(id).then_some(None),
            Err(error) => {
                let trouble = format!("the log of {id} can't be rotated, trying again: {error}");
                self.troubled.insert(id.clone()).then_some(Some(trouble))
            }
        };
        if let Some(trouble) = trouble {
            trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
            // An engine that has ended has no use for it.
            let _ = self.inbox.send(Event::LogTroubled { id: id.clone(), trouble });
        }
    }

    /// The log of `id` is there now.
    #[allow(clippy::unused_self, reason = "as on Linux")]
    pub fn begun(&mut self, _id: &ServiceId) {}

    /// These are kept from now on.
    pub fn keep(&mut self, policies: &BTreeMap<ServiceId, LogPolicy>) {
        self.policies.clone_from(policies);
        self.troubled.retain(|id| policies.contains_key(id));
    }
}
