//! The set of watched folders, kept equal to what is followed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{ErrorKind, RecursiveMode, Watcher};
use tokio::task::AbortHandle;

use super::interest::{Interest, interests};
use super::platform::{self, Identity};
use super::poll::Polled;
use super::touches::Touches;
use crate::domain::Event;
use crate::engine::ports::{Followed, Inbox, Watches};

/// How often a folder is looked at that can't be watched.
const POLL: Duration = Duration::from_secs(2);

/// How often following is tried again when folders change at the same time.
const ROUNDS: usize = 5;

/// Watches the folders of sources, and tells when it is time to read again.
pub struct FolderWatch {
    base: PathBuf,
    watcher: Option<Box<dyn Watcher + Send>>,
    watched: BTreeMap<PathBuf, Identity>,
    unwatchable: HashSet<PathBuf>,
    touches: Arc<Touches>,
    polled: Arc<Polled>,
    tasks: [AbortHandle; 2],
}

impl FolderWatch {
    /// A watch that follows nothing yet, and tells `inbox`. To be called within a tokio runtime.
    ///
    /// Files are called by their names relative to `base`. Where the system offers no watching at all (its limits are
    /// reached), every folder is looked at every two seconds, and the log says so.
    pub fn start(base: &Path, inbox: Inbox) -> Self {
        let touches = Arc::new(Touches::default());
        let handler = Arc::clone(&touches);
        let watcher = notify::recommended_watcher(move |told| handler.take_in(told));
        let watcher = watcher.map(|watcher| Box::new(watcher) as Box<dyn Watcher + Send>).inspect_err(|error| {
            tracing::warn!("failed to watch files, so they are looked at every {} s: {error}", POLL.as_secs());
        });
        Self::with(base, inbox, touches, watcher.ok(), POLL)
    }

    /// The same with another watcher, and another pace where it fails.
    pub(super) fn with(
        base: &Path,
        inbox: Inbox,
        touches: Arc<Touches>,
        watcher: Option<Box<dyn Watcher + Send>>,
        period: Duration,
    ) -> Self {
        let polled = Arc::new(Polled::default());
        let telling = tokio::spawn(tell(Arc::clone(&touches), inbox)).abort_handle();
        let looking = tokio::spawn(Arc::clone(&polled).look(period, Arc::clone(&touches))).abort_handle();
        Self {
            base: base.to_owned(),
            watcher,
            watched: BTreeMap::new(),
            unwatchable: HashSet::new(),
            touches,
            polled,
            tasks: [telling, looking],
        }
    }

    /// Makes the set of watched folders equal to `wanted`; gives those that must be looked at instead, or as well.
    fn watch(&mut self, wanted: &BTreeMap<PathBuf, Interest>) -> BTreeMap<PathBuf, Interest> {
        let lost = self.touches.take_lost();
        let stale: Vec<_> = self
            .watched
            .iter()
            .filter(|(folder, known)| {
                !wanted.contains_key(*folder) || lost.contains(*folder) || identity(folder).as_ref() != Some(*known)
            })
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in stale {
            self.watched.remove(&folder);
            if let Some(watcher) = &mut self.watcher {
                // Of a folder that is gone the watcher may know already.
                let _ = watcher.unwatch(&folder);
            }
        }
        let mut looked_at = BTreeMap::new();
        for (folder, interest) in wanted {
            let watched = self.watched.contains_key(folder) || self.begin(folder);
            if !watched || platform::is_remote(folder) {
                looked_at.insert(folder.clone(), interest.clone());
            }
        }
        looked_at
    }

    fn begin(&mut self, folder: &Path) -> bool {
        let Some(known) = identity(folder) else { return false };
        let Some(watcher) = &mut self.watcher else {
            self.unwatchable.insert(folder.to_owned());
            return false;
        };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.unwatchable.remove(folder);
                self.watched.insert(folder.to_owned(), known);
                true
            }
            Err(error) => {
                let gone = matches!(error.kind, ErrorKind::PathNotFound);
                if !gone && self.unwatchable.insert(folder.to_owned()) {
                    let advice = match error.kind {
                        ErrorKind::MaxFilesWatch => " (raise fs.inotify.max_user_watches)",
                        ErrorKind::Generic(_)
                        | ErrorKind::Io(_)
                        | ErrorKind::PathNotFound
                        | ErrorKind::WatchNotFound
                        | ErrorKind::InvalidConfig(_) => "",
                    };
                    let (folder, seconds) = (folder.display(), POLL.as_secs());
                    tracing::warn!("failed to watch {folder}, so it is looked at every {seconds} s: {error}{advice}");
                }
                false
            }
        }
    }
}

impl Watches for FolderWatch {
    fn follow(&mut self, followed: &Followed) {
        let mut wanted = interests(followed, &self.base);
        for _ in 0..ROUNDS {
            // First what matters, then the watching: no event of a new folder is taken for one that does not matter.
            self.touches.expect(wanted.clone());
            let looked_at = self.watch(&wanted);
            self.polled.set(looked_at);
            // Where a way led elsewhere meanwhile, nobody was watching yet.
            let now = interests(followed, &self.base);
            let is_watched = |folder: &PathBuf| {
                self.unwatchable.contains(folder) || self.watched.get(folder).copied() == identity(folder)
            };
            if now == wanted && now.keys().all(is_watched) {
                return;
            }
            wanted = now;
        }
        self.touches.say("folders change faster than they can be followed".to_owned());
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn tell(touches: Arc<Touches>, inbox: Inbox) {
    loop {
        let cause = touches.next().await;
        if inbox.send(Event::SourcesTouched { cause }).is_err() {
            return;
        }
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    fs::symlink_metadata(folder).ok().map(|metadata| platform::identity(&metadata))
}
