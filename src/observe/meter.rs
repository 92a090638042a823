//! The port [`Meters`]: how much memory runs use, measured when it is ordered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sample::{Observer, Root, Usage};
use crate::domain::{Event, MeasureOrder};
use crate::engine::ports::{Inbox, Meters};

/// Measures the trees of runs. Made and used within a tokio runtime, and idle without a timer or a thread.
///
/// Whatever is ordered in the same moment is measured by one look at all processes.
#[derive(Clone, Debug)]
pub struct TreeMeters {
    inbox: Inbox,
    ordered: Arc<Mutex<Vec<MeasureOrder>>>,
}

impl TreeMeters {
    /// Meters that answer into `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, ordered: Arc::default() }
    }

    fn ordered(&self) -> MutexGuard<'_, Vec<MeasureOrder>> {
        // Nothing can panic between two changes of the list, so a poisoned one is whole.
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn measure_all(self) {
        let orders = std::mem::take(&mut *self.ordered());
        let roots = orders.iter().map(root).collect::<Vec<_>>();
        let looked = tokio::task::spawn_blocking(move || Observer::default().sample(&roots)).await;
        let trees = match looked {
            Ok(Ok(trees)) => trees,
            Ok(Err(error)) => {
                tracing::warn!("memory can't be measured: {error}");
                Default::default()
            }
            // The runtime is being taken down.
            Err(_) => return,
        };
        for order in orders {
            let tree = trees.get(&order.id).filter(|tree| !tree.is_empty());
            let memory = tree.map(|tree| Usage::of(tree).memory_bytes);
            // Without an engine nobody wants to know.
            let _ = self.inbox.send(Event::Measured { run: order.run, memory });
        }
    }
}

impl Meters for TreeMeters {
    fn measure(&mut self, order: MeasureOrder) {
        let mut ordered = self.ordered();
        ordered.push(order);
        if ordered.len() == 1 {
            drop(ordered);
            tokio::spawn(self.clone().measure_all());
        }
    }
}

fn root(order: &MeasureOrder) -> Root {
    Root { id: order.id.clone(), pid: Some(order.pid), run: order.run.clone() }
}
