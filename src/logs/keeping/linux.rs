//! On Linux logs are rotated whenever they are too long.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::domain::{LogPolicy, ServiceId};
use crate::engine::StateDir;
use crate::engine::ports::Inbox;
use crate::logs::index::LogIndex;
use crate::logs::keeper::{Keeper, Order};

/// Keeps logs within their bounds, in a task of its own.
#[derive(Debug)]
pub(in crate::logs) struct Keeping {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Must be made within a tokio `LocalSet` (or local runtime) with time and I/O.
    pub fn start(dir: StateDir, inbox: Inbox, index: Rc<RefCell<LogIndex>>) -> Self {
        // Without a bound; its task never waits for anything but orders, time and growth, so they are taken as they come.
        let (orders, given) = mpsc::unbounded_channel();
        let task = tokio::task::spawn_local(Keeper::new(dir, inbox, index).keep(given));
        Self { orders, task }
    }

    /// A run is about to begin, and nothing of the last one lives.
    #[allow(clippy::unused_self, reason = "as elsewhere")]
    pub fn prepare(&mut self, _id: &ServiceId) {}

    /// The log of `id` is there now.
    pub fn begun(&mut self, id: &ServiceId) {
        self.order(Order::Begun(id.clone()));
    }

    /// These are kept from now on.
    pub fn keep(&mut self, policies: &BTreeMap<ServiceId, LogPolicy>) {
        self.order(Order::Keep(policies.clone()));
    }

    /// The task lives as long as this does.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}
