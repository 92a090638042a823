//! For folders that can't be watched, or that others change from afar: looking at them again and again.
//!
//! It costs nothing while there is no such folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::interest::Interest;
use super::platform::{self, Identity};
use super::touches::Touches;

/// The folders that are looked at, with what was seen last.
#[derive(Debug, Default)]
pub struct Polled {
    folders: Mutex<BTreeMap<PathBuf, (Interest, Sight)>>,
    filled: Notify,
}

/// What can be seen of a folder without reading its files.
type Sight = BTreeMap<OsString, Stamp>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    size: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
    target: Option<PathBuf>,
}

impl Polled {
    /// From now on these are looked at, and nothing else. What they look like now is what they are compared with.
    pub fn set(&self, folders: BTreeMap<PathBuf, Interest>) {
        let seen = folders.into_iter().map(|(folder, interest)| {
            let sight = sight(&folder, &interest);
            (folder, (interest, sight))
        });
        let mut folders = self.lock();
        *folders = seen.collect();
        if !folders.is_empty() {
            self.filled.notify_one();
        }
    }

    /// Looks every `period`, for ever, and tells `touches` what has changed.
    pub async fn look(self: Arc<Self>, period: Duration, touches: Arc<Touches>) {
        loop {
            if self.lock().is_empty() {
                self.filled.notified().await;
                continue;
            }
            tokio::time::sleep(period).await;
            let (polled, touches) = (Arc::clone(&self), Arc::clone(&touches));
            // Remote folders can be slow. A look that has panicked is made up for by the next.
            let _ = tokio::task::spawn_blocking(move || polled.compare(&touches)).await;
        }
    }

    fn compare(&self, touches: &Touches) {
        let folders = self.lock().clone();
        for (folder, (interest, before)) in folders {
            let now = sight(&folder, &interest);
            if now == before {
                continue;
            }
            let names = before.keys().chain(now.keys()).filter(|name| before.get(*name) != now.get(*name));
            names.filter_map(|name| interest.label(&folder, name)).for_each(|label| touches.changed(label));
            if let Some((expected, seen)) = self.lock().get_mut(&folder)
                && *expected == interest
            {
                *seen = now;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (Interest, Sight)>> {
        // Every change is a single replacement: a panic leaves none half done.
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sight(folder: &Path, interest: &Interest) -> Sight {
    let mut names: Vec<OsString> = interest.names.keys().cloned().collect();
    if interest.is_open() {
        // A folder that can't be listed shows nothing; that it can be again is a change.
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.extend(entries.filter(|name| interest.label(folder, name).is_some()));
    }
    let stamps = names.into_iter().filter_map(|name| {
        let path = folder.join(&name);
        let metadata = fs::symlink_metadata(&path).ok()?;
        // A folder's own times change with everything in it, which matters only where it is watched itself.
        let folder = metadata.is_dir();
        let stamp = Stamp {
            identity: platform::identity(&metadata),
            size: if folder { 0 } else { metadata.len() },
            modified: metadata.modified().ok().filter(|_| !folder),
            changed: if folder { (0, 0) } else { platform::changed_at(&metadata) },
            target: fs::read_link(&path).ok(),
        };
        Some((name, stamp))
    });
    stamps.collect()
}
