//! Watches the files of services: those that match patterns, in folders that come and go.
//!
//! A thread of its own walks the folders, because that may be slow; it exists once somebody's files are watched, and
//! sleeps until one of them changes. It reads no file and decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};

use crate::domain::{Event, FilePattern, ServiceId};
use crate::engine::Mailbox;
use crate::engine::ports::{Files, Inbox};

/// How many folders are watched at the most: the system's own limit is for everybody.
const MOST: usize = 8192;

/// How much earlier than it is the kernel may think it is when it notes a change.
const GRAIN: Duration = Duration::from_millis(10);

/// So long nothing is told between two bursts of changes.
const QUIET: Duration = Duration::from_secs(1);

/// So much time lies between two times that something is told: a service that writes to a watched file without end must
/// not fill the engine's inbox faster than that is emptied.
const PACE: Duration = Duration::from_millis(20);

/// So many files of one service are told of at a time: who restarts for one of them restarts for all.
const FILES: usize = 64;

/// So many changes are kept for a worker that is walking; of more it finds out by looking.
const CHANGES: usize = 8192;

/// Folders that no pattern means unless it names them: their files are made by tools, and many.
const MADE_BY_TOOLS: [&str; 2] = ["node_modules", "__pycache__"];

/// What marks a folder as a cache (<https://bford.info/cachedir/>), which Cargo's `target` is one of.
const CACHE: &str = "CACHEDIR.TAG";

/// Watches the files of all services.
pub struct FileWatch {
    inbox: Inbox,
    worker: Option<Arc<Mailbox<Post>>>,
}

/// What has come since the worker last looked.
#[derive(Default)]
struct Post {
    messages: VecDeque<Message>,
    /// More has changed than is kept.
    overflows: bool,
    /// Nobody gives orders any more.
    is_last: bool,
}

enum Message {
    /// Follow these of this service; the order was given then.
    Follow(ServiceId, Vec<FilePattern>, SystemTime),
    Told(notify::Result<notify::Event>),
}

impl Post {
    fn follow(&mut self, id: &ServiceId, patterns: &[FilePattern]) {
        // An order that has not been looked at yet is out of date.
        self.messages.retain(|message| !matches!(message, Message::Follow(earlier, ..) if earlier == id));
        self.messages.push_back(Message::Follow(id.clone(), patterns.to_vec(), SystemTime::now()));
    }

    fn told(&mut self, told: notify::Result<notify::Event>) {
        let repeats = match (self.messages.back(), &told) {
            (Some(Message::Told(Ok(last))), Ok(told)) => last == told,
            (Some(Message::Told(_) | Message::Follow(..)) | None, _) => false,
        };
        if self.messages.len() >= CHANGES {
            self.overflows = true;
        } else if !repeats {
            self.messages.push_back(Message::Told(told));
        }
    }
}

impl FileWatch {
    /// Watches nothing yet, and tells `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, worker: None }
    }

    fn start(&self) -> Option<Arc<Mailbox<Post>>> {
        let mailbox = Arc::<Mailbox<Post>>::default();
        let told = Arc::clone(&mailbox);
        let watcher = notify::recommended_watcher(move |event| told.leave(|post| post.told(event)));
        let (inbox, posted) = (self.inbox.clone(), Arc::clone(&mailbox));
        let started = watcher.map_err(|error| error.to_string()).and_then(|watcher| {
            let worker = Worker {
                inbox,
                watcher: Box::new(watcher),
                services: BTreeMap::new(),
                folders: BTreeSet::new(),
                quiet_since: SystemTime::now(),
                has_missed: false,
                warned: false,
                touched: BTreeMap::new(),
                last_told: None,
            };
            let thread = std::thread::Builder::new().name("files".to_owned());
            thread.spawn(move || worker.work(&posted)).map_err(|error| error.to_string())
        });
        match started {
            Ok(_) => Some(mailbox),
            Err(error) => {
                tracing::warn!("failed to watch the files of services, whose changes restart nothing: {error}");
                None
            }
        }
    }
}

impl Files for FileWatch {
    fn watch(&mut self, id: &ServiceId, patterns: &[FilePattern]) {
        if self.worker.is_none() && !patterns.is_empty() {
            self.worker = self.start();
        }
        if let Some(worker) = &self.worker {
            worker.leave(|post| post.follow(id, patterns));
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        if let Some(worker) = &self.worker {
            worker.leave(|post| post.is_last = true);
        }
    }
}

/// What is watched for one service.
struct Watched {
    matches: GlobSet,
    places: Vec<PathBuf>,
    /// Names of folders that a pattern spells out.
    named: BTreeSet<String>,
    /// The folders that are meant, as of the last walk.
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn of(patterns: &[FilePattern]) -> Result<Self, globset::Error> {
        let mut matches = GlobSetBuilder::new();
        let (mut places, mut named) = (Vec::new(), BTreeSet::new());
        for FilePattern { place, glob } in patterns {
            matches.add(GlobBuilder::new(glob).literal_separator(true).build()?);
            places.push(place.clone());
            named.extend(glob.split('/').map(str::to_owned));
        }
        Ok(Self { matches: matches.build()?, places, named, folders: BTreeSet::new() })
    }

    /// Whether a change of the file at `path` counts.
    fn means(&self, path: &Path) -> bool {
        path.parent().is_some_and(|folder| self.folders.contains(folder)) && self.matches.is_match(path)
    }

    fn enters(&self, folder: &Path) -> bool {
        let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
        self.named.contains(name)
            || !(name.starts_with('.') || MADE_BY_TOOLS.contains(&name) || folder.join(CACHE).exists())
    }
}

struct Worker {
    inbox: Inbox,
    watcher: Box<dyn Watcher + Send>,
    services: BTreeMap<ServiceId, Watched>,
    folders: BTreeSet<PathBuf>,
    /// When the quiet began that came before what is told now.
    quiet_since: SystemTime,
    /// Something may have changed that nobody has told.
    has_missed: bool,
    warned: bool,
    /// What is to be told when it is time for it.
    touched: BTreeMap<ServiceId, Vec<String>>,
    last_told: Option<Instant>,
}

impl Worker {
    fn work(mut self, mailbox: &Mailbox<Post>) {
        loop {
            let (waiting, since) = (Instant::now(), SystemTime::now());
            let patience = (!self.touched.is_empty()).then(|| self.until_told());
            if let Some(Post { messages, overflows, is_last }) = mailbox.take(patience) {
                if waiting.elapsed() >= QUIET {
                    self.quiet_since = since;
                }
                let mut is_stale = overflows;
                self.has_missed |= overflows;
                // Whatever has come meanwhile is one walk.
                for message in messages {
                    is_stale |= self.take(message);
                }
                if is_stale {
                    self.walk(None);
                }
                if std::mem::take(&mut self.has_missed) {
                    self.note_missed();
                }
                if is_last || self.inbox.is_closed() {
                    return;
                }
            }
            if self.until_told().is_zero() {
                self.tell();
            }
        }
    }

    /// How long it is until something may be told again.
    fn until_told(&self) -> Duration {
        self.last_told.map_or(Duration::ZERO, |last| PACE.saturating_sub(last.elapsed()))
    }

    fn tell(&mut self) {
        if !self.touched.is_empty() {
            self.last_told = Some(Instant::now());
        }
        for (id, files) in std::mem::take(&mut self.touched) {
            for file in files {
                // Without an engine nobody wants to know.
                let _ = self.inbox.send(Event::FilesTouched { id: id.clone(), file });
            }
        }
    }

    /// Takes a message; true if other folders may have to be watched now.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Follow(id, patterns, _) if patterns.is_empty() => self.services.remove(&id).is_some(),
            Message::Follow(id, patterns, since) => match Watched::of(&patterns) {
                Ok(watched) => {
                    self.services.insert(id.clone(), watched);
                    self.walk(Some((&id, since - GRAIN)));
                    false
                }
                Err(error) => {
                    tracing::warn!(service = %id, "failed to watch its files: {error}");
                    false
                }
            },
            Message::Told(Ok(event)) => self.told(&event),
            Message::Told(Err(error)) => {
                tracing::warn!("failed to watch some files of services: {error}");
                self.has_missed = true;
                true
            }
        }
    }

    fn told(&mut self, event: &notify::Event) -> bool {
        self.has_missed |= event.need_rescan();
        let (is_content, is_shape) = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => (true, false),
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => (false, false),
            EventKind::Modify(ModifyKind::Data(_)) => (true, false),
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(_) => (true, true),
            EventKind::Any | EventKind::Other => (false, true),
        };
        if matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))) {
            event.paths.iter().for_each(|path| self.forget(path));
        }
        if is_content {
            event.paths.iter().for_each(|path| self.touch(path));
        }
        // A new file needs no new watch; whatever else has come or gone may.
        let is_folder = |path: &PathBuf| !path.is_file();
        is_shape && (event.paths.is_empty() || event.paths.iter().any(is_folder))
    }

    fn touch(&mut self, path: &Path) {
        let concerned = self.services.iter().filter(|(_, watched)| watched.means(path)).map(|(id, _)| id);
        concerned.for_each(|id| note(&mut self.touched, id, path));
    }

    /// Watches the folders that matter now, and tells of the files in those that are new. Of the `first` time for a
    /// service it tells only what has changed since it was ordered: the rest is what the service has started with.
    fn walk(&mut self, first: Option<(&ServiceId, SystemTime)>) {
        // What comes to be in a folder after it was listed and before it was watched is told by nobody.
        while self.watch_more(first) {}
    }

    /// One walk; true if more is watched than before.
    fn watch_more(&mut self, first: Option<(&ServiceId, SystemTime)>) -> bool {
        let (mut wanted, mut new) = (BTreeSet::new(), Vec::new());
        for (id, watched) in &mut self.services {
            let mut folders = BTreeSet::new();
            watched.places.iter().for_each(|place| descend(place, watched, &mut folders));
            wanted.extend(folders.iter().cloned());
            new.extend(folders.difference(&watched.folders).map(|folder| (id.clone(), folder.clone())));
            watched.folders = folders;
        }
        if wanted.len() > MOST && !std::mem::replace(&mut self.warned, true) {
            tracing::warn!("the patterns of `watch` mean {} folders, of which {MOST} are watched", wanted.len());
        }
        let wanted: BTreeSet<PathBuf> = wanted.into_iter().take(MOST).collect();
        for folder in self.folders.difference(&wanted) {
            // Of a folder that is gone the watcher may know already.
            let _ = self.watcher.unwatch(folder);
        }
        self.folders.retain(|folder| wanted.contains(folder));
        let before = self.folders.len();
        for folder in wanted {
            if self.folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => {
                    if !std::mem::replace(&mut self.warned, true) {
                        let folder = folder.display();
                        tracing::warn!("failed to watch {folder}, where changes restart nothing: {error}");
                    }
                }
            }
        }
        for (id, folder) in new {
            let since = first.filter(|(first, _)| **first == id).map(|(_, since)| since);
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let changed = || fs::metadata(&path).and_then(|file| file.modified());
                let is_new = since.is_none_or(|since| changed().is_ok_and(|changed| changed >= since));
                if self.services.get(&id).is_some_and(|watched| watched.means(&path)) && is_new {
                    note(&mut self.touched, &id, &path);
                }
            }
        }
        self.folders.len() > before
    }

    /// Notes all files that have changed since it was quiet: more came at once than the system keeps in mind. What was
    /// removed meanwhile, or moved in with an older time, is not noticed.
    fn note_missed(&mut self) {
        let since = self.quiet_since - GRAIN;
        for (id, watched) in &self.services {
            let entries = watched.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
            for path in entries.map(|entry| entry.path()).filter(|path| watched.means(path)) {
                let changed = fs::metadata(&path).and_then(|file| file.modified());
                if changed.is_ok_and(|changed| changed >= since) {
                    note(&mut self.touched, id, &path);
                }
            }
        }
    }

    /// A folder is gone, or another under the same name.
    fn forget(&mut self, folder: &Path) {
        if self.folders.contains(folder) {
            self.folders.retain(|known| !known.starts_with(folder));
            for watched in self.services.values_mut() {
                watched.folders.retain(|known| !known.starts_with(folder));
            }
        }
    }
}

/// Notes that the file at `path` of `id` is to be told of.
fn note(touched: &mut BTreeMap<ServiceId, Vec<String>>, id: &ServiceId, path: &Path) {
    let file = path.to_string_lossy();
    let files = touched.entry(id.clone()).or_default();
    if files.len() < FILES && !files.iter().any(|noted| *noted == file) {
        files.push(file.into_owned());
    }
}

/// Adds what must be watched for the files below `place`: all folders, or where it is missing the one in which it, or the
/// way to it, would appear; for a file its folder.
fn descend(place: &Path, watched: &Watched, wanted: &mut BTreeSet<PathBuf>) {
    let Some(there) = place.ancestors().find(|folder| folder.is_dir()) else { return };
    if there != place {
        wanted.insert(there.to_owned());
        return;
    }
    let mut open = vec![place.to_owned()];
    while let Some(folder) = open.pop() {
        if wanted.len() > MOST {
            return;
        }
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        // Links are not followed: they may lead in circles.
        let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(folders.map(|entry| entry.path()).filter(|folder| watched.enters(folder)));
        wanted.insert(folder);
    }
}

#[cfg(test)]
mod tests {
    use notify::event::DataChange;
    use tokio::sync::mpsc;

    use super::*;

    fn change(path: &str) -> notify::Result<notify::Event> {
        Ok(notify::Event::new(EventKind::Modify(ModifyKind::Data(DataChange::Any))).add_path(path.into()))
    }

    #[test]
    fn what_waits_for_a_worker_that_walks_is_bounded_and_orders_are_never_lost() {
        let mut post = Post::default();
        let (web, db) = (ServiceId::new("web").unwrap(), ServiceId::new("db").unwrap());
        post.follow(&web, &[]);
        (0..1000).for_each(|_| post.told(change("/same")));
        assert_eq!(post.messages.len(), 2);
        (0..3 * CHANGES).for_each(|at| post.told(change(&format!("/{at}"))));
        assert!(post.messages.len() <= CHANGES && post.overflows);
        for _ in 0..1000 {
            post.follow(&web, &[]);
            post.follow(&db, &[]);
        }
        assert!(post.messages.len() <= CHANGES + 2);
        let ordered = post.messages.iter().filter(|message| matches!(message, Message::Follow(..))).count();
        assert_eq!(ordered, 2);
    }

    #[test]
    fn a_file_that_is_written_without_end_is_told_of_at_a_pace_and_to_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, mut facts) = mpsc::unbounded_channel();
        let mut files = FileWatch::new(inbox);
        let web = ServiceId::new("web").unwrap();
        let pattern = FilePattern { place: folder.path().to_owned(), glob: format!("{}/*", folder.path().display()) };
        files.watch(&web, &[pattern]);
        let begun = Instant::now();
        // An engine that is busy all the time: nobody takes anything.
        while begun.elapsed() < Duration::from_millis(300) {
            fs::write(folder.path().join("a"), "x").unwrap();
            fs::write(folder.path().join("b"), "x").unwrap();
        }
        let mut told = Vec::new();
        fs::write(folder.path().join("last"), "x").unwrap();
        while !told.iter().any(|file: &String| file.ends_with("/last")) {
            let Some(Event::FilesTouched { file, .. }) = facts.blocking_recv() else { panic!("it ends") };
            told.push(file);
        }
        let most = 3 * (begun.elapsed().as_millis() / PACE.as_millis() + 2);
        assert!(told.len() as u128 <= most && told.len() > 2, "{} in {:?}", told.len(), begun.elapsed());
    }
}
