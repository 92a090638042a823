//! Notices that wait to be shown: few, and of each key only the latest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::Notice;

/// How many notices wait at the most; the oldest gives way.
const LONGEST: usize = 32;

/// The queue, shared by who fills and who empties it.
#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

/// A notice that waits.
pub struct Waiting {
    /// The notice.
    pub notice: Notice,
    /// Since when it has been news.
    pub since: Instant,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    closed: bool,
}

impl Queue {
    /// Adds `notice`, in place of one with the same key that waits already.
    pub fn push(&self, notice: Notice) {
        let mut inner = self.inner();
        inner.waiting.retain(|waiting| waiting.notice.key != notice.key);
        if inner.waiting.len() >= LONGEST {
            inner.waiting.pop_front();
        }
        inner.waiting.push_back(Waiting { notice, since: Instant::now() });
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Gives back what could not be shown, unless there is something newer with its key.
    pub fn put_back(&self, waiting: Waiting) {
        let mut inner = self.inner();
        let is_old_news = inner.waiting.iter().any(|newer| newer.notice.key == waiting.notice.key);
        if !is_old_news && inner.waiting.len() < LONGEST {
            inner.waiting.push_front(waiting);
        }
    }

    /// The notice that has waited longest; `None` once the queue is closed.
    pub async fn next(&self) -> Option<Waiting> {
        self.until(|inner| match inner.waiting.pop_front() {
            _ if inner.closed => Some(None),
            Some(waiting) => Some(Some(waiting)),
            None => None,
        })
        .await
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inner().waiting.is_empty()
    }

    /// Waits until something waits.
    pub async fn filled(&self) {
        self.until(|inner| (!inner.waiting.is_empty()).then_some(())).await;
    }

    /// Ends it: nothing that waits will be shown.
    pub fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_waiters();
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        self.until(|inner| inner.closed.then_some(())).await;
    }

    async fn until<T>(&self, mut probe: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Armed before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if let Some(found) = probe(&mut self.inner()) {
                return found;
            }
            changed.await;
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in it is ever half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{NoticeKey, ServiceId, Urgency};

    fn notice(service: &str, title: &str) -> Notice {
        let id = ServiceId::new(service).unwrap();
        Notice {
            key: NoticeKey::Service(id),
            urgency: Urgency::Low,
            title: title.to_owned(),
            body: String::new(),
            service: None,
        }
    }

    async fn drain(queue: &Queue) -> Vec<String> {
        let mut titles = Vec::new();
        while !queue.is_empty() {
            titles.push(queue.next().await.unwrap().notice.title);
        }
        titles
    }

    #[tokio::test]
    async fn the_latest_of_each_key_is_shown_once() {
        let queue = Queue::default();
        for (service, title) in [("a", "a fails"), ("b", "b fails"), ("a", "a is back")] {
            queue.push(notice(service, title));
        }
        assert_eq!(drain(&queue).await, ["b fails", "a is back"]);
    }

    #[tokio::test]
    async fn what_could_not_be_shown_comes_first_again_unless_it_is_old_news() {
        let queue = Queue::default();
        queue.push(notice("a", "a fails"));
        queue.push(notice("b", "b fails"));
        let first = queue.next().await.unwrap();
        queue.put_back(first);
        assert_eq!(queue.next().await.unwrap().notice.title, "a fails");
        let second = queue.next().await.unwrap();
        queue.push(notice("b", "b is back"));
        queue.put_back(second);
        assert_eq!(drain(&queue).await, ["b is back"]);
    }

    #[tokio::test]
    async fn a_thousand_notices_are_the_newest_few() {
        let queue = Queue::default();
        (0..1000).for_each(|n| queue.push(notice(&format!("s{n}"), &n.to_string())));
        let left = drain(&queue).await;
        assert_eq!((left.len(), left[0].as_str()), (LONGEST, "968"));
    }

    #[tokio::test]
    async fn a_closed_queue_gives_nothing_and_wakes_who_waits() {
        let queue = Queue::default();
        let (next, ()) = tokio::join!(queue.next(), async { queue.close() });
        assert!(next.is_none());
        queue.push(notice("a", "late"));
        assert!(queue.next().await.is_none());
        queue.closed().await;
    }
}
