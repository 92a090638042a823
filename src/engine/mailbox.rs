//! Where one thread finds what others have left for it: one thing, into which they merge what they leave.
//!
//! It grows as far as that thing does, and no further: whoever fills it faster than it is emptied has to say what becomes
//! of the rest. Nobody who leaves something waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What has been left and not yet taken.
#[derive(Debug, Default)]
pub struct Mailbox<T> {
    left: Mutex<Option<T>>,
    filled: Condvar,
}

impl<T: Default> Mailbox<T> {
    /// Merges something into what has been left.
    pub fn leave(&self, merge: impl FnOnce(&mut T)) {
        merge(self.lock().get_or_insert_default());
        self.filled.notify_one();
    }

    /// Takes what has been left; waits for it, at most for `patience` if there is any. `None` if nothing came.
    pub fn take(&self, patience: Option<Duration>) -> Option<T> {
        let begun = Instant::now();
        let mut left = self.lock();
        loop {
            if let Some(taken) = left.take() {
                return Some(taken);
            }
            left = match patience.map(|patience| patience.saturating_sub(begun.elapsed())) {
                Some(Duration::ZERO) => return None,
                Some(rest) => self.filled.wait_timeout(left, rest).unwrap_or_else(PoisonError::into_inner).0,
                None => self.filled.wait(left).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        // What a merge that has panicked has left half done is worth no less than the rest.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_left_is_taken_once_and_as_one() {
        let mailbox = Mailbox::<BTreeSet<u32>>::default();
        assert_eq!(mailbox.take(Some(Duration::ZERO)), None);
        for number in [1, 2, 1] {
            mailbox.leave(|numbers| numbers.extend([number]));
        }
        assert_eq!(mailbox.take(None), Some(BTreeSet::from([1, 2])));
        assert_eq!(mailbox.take(Some(Duration::from_millis(1))), None);
    }

    #[test]
    fn who_waits_is_woken() {
        let mailbox = Arc::new(Mailbox::<u32>::default());
        let other = Arc::clone(&mailbox);
        let waiting = std::thread::spawn(move || other.take(None));
        mailbox.leave(|number| *number += 7);
        assert_eq!(waiting.join().unwrap(), Some(7));
    }
}
