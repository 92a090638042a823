//! What is being written: the lines of several services as they come.
//!
//! Folders are watched, not files, so that a log may be emptied, replaced, deleted or not yet there. Where watching is
//! not possible, and only there, the files are looked at twice a second.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::read::{LogLine, Query, Reading};
use super::stamp::{self, Stamp};
use super::tail::{Tail, Written};
use crate::domain::ServiceId;
use crate::engine::{Mailbox, StateDir};

/// How long a line may lack its end before it is shown as it is.
const HALF_LINE: Duration = Duration::from_millis(300);
/// How often files are looked at that can't be watched.
const POLL: Duration = Duration::from_millis(500);

/// Gives the lines that services write from now on.
#[derive(Debug)]
pub struct Follower {
    dir: StateDir,
    query: Query,
    zone: TimeZone,
    tails: HashMap<ServiceId, Tail>,
    /// When the line was written that each service wrote last, if it was given: more of it may come.
    open: HashMap<ServiceId, Timestamp>,
    /// Services whose folder is not watched yet.
    unwatched: BTreeSet<ServiceId>,
    /// Services whose log may have grown.
    touched: BTreeSet<ServiceId>,
    watcher: Option<RecommendedWatcher>,
    /// Whether the folder of all services' folders is watched, so that one that appears is noticed.
    root_watched: bool,
    wakes: Arc<Mailbox<Wake>>,
}

/// Adds services to a [`Follower`] that waits in another thread, or ends it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    wakes: Arc<Mailbox<Wake>>,
    dir: StateDir,
}

/// So many paths are told apart; more are anywhere.
const PATHS: usize = 1024;

/// What has happened since a follower last looked: whoever follows slowly, because nobody reads what it gives, finds all
/// of it in one.
#[derive(Debug, Default)]
struct Wake {
    /// Something happened at these paths.
    touched: BTreeSet<PathBuf>,
    /// Something happened, wherever.
    anywhere: bool,
    added: Vec<(ServiceId, Tail)>,
    stopped: bool,
}

impl Wake {
    /// Something happened at these paths; none: anywhere.
    fn touch(&mut self, paths: Vec<PathBuf>) {
        self.anywhere |= paths.is_empty();
        self.touched.extend(paths);
        if self.touched.len() > PATHS {
            self.touched.clear();
            self.anywhere = true;
        }
    }
}

impl Remote {
    /// Follows this service too, from the end that its log has now.
    pub fn add(&self, service: ServiceId) {
        let tail = Tail::at_end(&self.dir, &service);
        self.wakes.leave(|wake| wake.added.push((service, tail)));
    }

    /// Lets [`Follower::next_lines`] return `None`, now and from then on.
    pub fn stop(&self) {
        self.wakes.leave(|wake| wake.stopped = true);
    }
}

impl Follower {
    /// Follows `services` from where `reading` ends; those that it has no log of, from the beginning.
    pub(super) fn begin(dir: &StateDir, services: &[ServiceId], query: &Query, reading: &Reading) -> io::Result<Self> {
        let wakes = Arc::<Mailbox<Wake>>::default();
        let mut follower = Self {
            dir: dir.clone(),
            query: query.clone(),
            zone: TimeZone::system(),
            tails: HashMap::new(),
            open: HashMap::new(),
            unwatched: services.iter().cloned().collect(),
            touched: services.iter().cloned().collect(),
            watcher: watcher(Arc::clone(&wakes)),
            root_watched: false,
            wakes,
        };
        let in_parts = query.in_parts;
        for (service, files, end) in reading.ends() {
            follower.tails.insert(service.clone(), Tail::of(dir, service, files.clone(), end, in_parts)?);
        }
        for service in services {
            let missing = || Tail::of_missing(dir, service, in_parts);
            follower.tails.entry(service.clone()).or_insert_with(missing);
        }
        follower.watch();
        Ok(follower)
    }

    /// The other end of it.
    pub fn remote(&self) -> Remote {
        Remote { wakes: Arc::clone(&self.wakes), dir: self.dir.clone() }
    }

    /// Waits for lines, and gives some of them, by time; `None` once it was stopped.
    ///
    /// # Errors
    /// When a log is there and can't be read. It can be called again.
    pub fn next_lines(&mut self) -> io::Result<Option<Vec<LogLine>>> {
        loop {
            let mut lines = Vec::new();
            for service in std::mem::take(&mut self.touched) {
                if self.collect(&service, &mut lines)? {
                    self.touched.insert(service);
                }
            }
            if !lines.is_empty() {
                lines.sort_by_key(|line: &LogLine| line.at);
                return Ok(Some(lines));
            }
            let wait = if self.touched.is_empty() { self.patience() } else { Some(Duration::ZERO) };
            if !self.wait(wait) {
                return Ok(None);
            }
        }
    }

    /// Adds what `service` has written; true if there is more.
    fn collect(&mut self, service: &ServiceId, lines: &mut Vec<LogLine>) -> io::Result<bool> {
        let Some(tail) = self.tails.get_mut(service) else { return Ok(false) };
        let mut written = Vec::new();
        let more = tail.catch_up(&mut written, HALF_LINE)?;
        let now = Timestamp::now();
        for Written { bytes, cut, ending, continues } in written {
            if continues && self.query.in_parts {
                // What the first part was worth.
                if let Some(at) = self.open.get(service).copied() {
                    lines.push(LogLine { service: service.clone(), at: Some(at), bytes, cut, ending });
                }
                continue;
            }
            self.open.remove(service);
            if !self.query.matches(&bytes) {
                continue;
            }
            let at = match stamp::stamp(&bytes) {
                Some(Stamp::Exact(time)) => time,
                Some(Stamp::Civil(civil)) => stamp::settle(civil, &self.zone, Some((now, now))).unwrap_or(now),
                None => now,
            };
            self.open.insert(service.clone(), at);
            lines.push(LogLine { service: service.clone(), at: Some(at), bytes, cut, ending });
        }
        Ok(more)
    }

    /// How long nothing needs to be looked at; `None`: until something happens.
    fn patience(&self) -> Option<Duration> {
        let now = Instant::now();
        let half = self.tails.values().filter_map(Tail::half_since).map(|since| since + HALF_LINE).min();
        let half = half.map(|due| due.saturating_duration_since(now));
        let poll = self.must_poll().then_some(POLL);
        half.into_iter().chain(poll).min()
    }

    /// Whether something is neither watched nor would its coming be noticed.
    fn must_poll(&self) -> bool {
        let unnoticed = |service| self.watcher.is_none() || !self.root_watched || self.dir.service(service).exists();
        self.unwatched.iter().any(unnoticed)
    }

    /// Waits until something may have changed; false once it was stopped.
    fn wait(&mut self, patience: Option<Duration>) -> bool {
        let Some(Wake { touched, anywhere, added, stopped }) = self.wakes.take(patience) else {
            self.touch_due();
            return true;
        };
        if stopped {
            // Now and from then on.
            self.wakes.leave(|wake| wake.stopped = true);
            return false;
        }
        for (service, tail) in added {
            self.add(service, tail);
        }
        self.touch(&touched, anywhere);
        true
    }

    /// After a time without news: half lines are due, and what can't be watched is looked at.
    fn touch_due(&mut self) {
        let half =
            self.tails.iter().filter(|(_, tail)| tail.half_since().is_some()).map(|(service, _)| service.clone());
        self.touched.extend(half);
        if self.must_poll() {
            let unwatched = self.unwatched.iter().cloned();
            self.touched.extend(unwatched);
            self.watch();
        }
    }

    fn touch(&mut self, paths: &BTreeSet<PathBuf>, anywhere: bool) {
        if anywhere {
            self.touched.extend(self.tails.keys().cloned());
        }
        let root = self.dir.services();
        for path in paths {
            // The folder of all services, a service's own folder, or its log.
            let parent = path.parent();
            let (folder, is_folder) = match parent {
                Some(parent) if parent == root => (path.as_path(), true),
                Some(parent) if path.file_name() == Some(OsStr::new("output.log")) => (parent, false),
                Some(_) | None => {
                    if *path == root {
                        // It came, or went with all that is in it.
                        self.root_watched = false;
                        self.unwatched.extend(self.tails.keys().cloned());
                    }
                    continue;
                }
            };
            let service = folder.file_name().and_then(OsStr::to_str).and_then(|id| ServiceId::new(id).ok());
            let Some(service) = service.filter(|service| self.tails.contains_key(service)) else { continue };
            if is_folder {
                self.unwatched.insert(service.clone());
            }
            self.touched.insert(service);
        }
        if !self.unwatched.is_empty() {
            self.watch();
        }
    }

    fn add(&mut self, service: ServiceId, tail: Tail) {
        self.tails.entry(service.clone()).or_insert(tail);
        self.unwatched.insert(service.clone());
        self.touched.insert(service);
        self.watch();
    }

    /// Watches what is not watched yet and can be. What is watched anew must be looked at: it may have changed before.
    fn watch(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        if !self.root_watched {
            self.root_watched = watcher.watch(&self.dir.services(), RecursiveMode::NonRecursive).is_ok();
        }
        for service in std::mem::take(&mut self.unwatched) {
            if watcher.watch(&self.dir.service(&service), RecursiveMode::NonRecursive).is_err() {
                self.unwatched.insert(service.clone());
            }
            self.touched.insert(service);
        }
    }
}

/// `None` if the system gives no watcher.
fn watcher(wakes: Arc<Mailbox<Wake>>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        let paths = match event {
            Ok(event) if event.need_rescan() => Vec::new(),
            // Files being opened and read are no news, least of all by ourselves.
            Ok(event) => match event.kind {
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Any
                | EventKind::Create(_)
                | EventKind::Modify(_)
                | EventKind::Remove(_)
                | EventKind::Other => event.paths,
                EventKind::Access(_) => return,
            },
            Err(_) => Vec::new(),
        };
        wakes.leave(|wake| wake.touch(paths));
    };
    notify::recommended_watcher(handler).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;
    use crate::logs::follow;

    struct Bench {
        dir: tempfile::TempDir,
        state: StateDir,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { state: StateDir::new(dir.path().join("state")), dir }
        }

        fn write(&self, service: &str, content: &str) {
            fs::create_dir_all(self.state.service(&id(service))).unwrap();
            let log = self.state.log(&id(service));
            let mut log = OpenOptions::new().append(true).create(true).open(log).unwrap();
            log.write_all(content.as_bytes()).unwrap();
        }

        fn follow(&self, services: &[&str]) -> (Vec<String>, Following) {
            let services: Vec<ServiceId> = services.iter().map(|service| id(service)).collect();
            let (reading, mut follower) = follow(&self.state, &services, &Query::default()).unwrap();
            let read = reading.map(|line| shown(&line.unwrap())).collect();
            let remote = follower.remote();
            let (sender, lines) = channel();
            let thread = thread::spawn(move || {
                while let Some(lines) = follower.next_lines().unwrap() {
                    lines.iter().for_each(|line| sender.send(shown(line)).unwrap());
                }
            });
            (read, Following { lines, remote, thread })
        }
    }

    struct Following {
        lines: Receiver<String>,
        remote: Remote,
        thread: thread::JoinHandle<()>,
    }

    impl Following {
        fn next(&self) -> String {
            self.lines.recv_timeout(Duration::from_secs(60)).unwrap()
        }

        /// Ends it; what it has given beside what was asked for.
        fn stop(self) -> Vec<String> {
            self.remote.stop();
            self.thread.join().unwrap();
            self.lines.into_iter().collect()
        }
    }

    fn id(text: &str) -> ServiceId {
        ServiceId::new(text).unwrap()
    }

    fn shown(line: &LogLine) -> String {
        format!("{} {}", line.service, line.text())
    }

    #[test]
    fn reading_and_following_give_every_line_once() {
        let bench = Bench::new();
        bench.write("api", "one\ntwo\nthr");
        let (read, following) = bench.follow(&["api"]);
        assert_eq!(read, ["api one", "api two"]);
        bench.write("api", "ee\n");
        assert_eq!(following.next(), "api three");
        bench.write("api", "four\nno end");
        assert_eq!([following.next(), following.next()], ["api four", "api no end"]);
        assert!(following.stop().is_empty());
    }

    #[test]
    fn logs_that_come_go_and_come_back_are_followed() {
        let bench = Bench::new();
        let (_, following) = bench.follow(&["api", "db"]);
        // Neither the state directory nor any folder is there yet.
        bench.write("db", "one\n");
        assert_eq!(following.next(), "db one");
        bench.write("api", "two\n");
        assert_eq!(following.next(), "api two");
        fs::rename(bench.state.services(), bench.dir.path().join("moved away")).unwrap();
        bench.write("api", "three\n");
        assert_eq!(following.next(), "api three");
        fs::write(bench.state.log(&id("api")), "x\n").unwrap();
        assert_eq!(following.next(), "api x");
        assert!(following.stop().is_empty());
    }

    #[test]
    fn a_service_can_be_added_while_following() {
        let bench = Bench::new();
        bench.write("api", "");
        bench.write("db", "old\n");
        let (_, following) = bench.follow(&["api"]);
        following.remote.add(id("db"));
        following.remote.add(id("cache"));
        bench.write("api", "after\n");
        assert_eq!(following.next(), "api after");
        bench.write("db", "new\n");
        assert_eq!(following.next(), "db new");
        bench.write("cache", "first\n");
        assert_eq!(following.next(), "cache first");
        assert!(following.stop().is_empty());
    }

    #[test]
    fn what_waits_for_a_follower_that_is_not_asked_is_bounded() {
        let mut wake = Wake::default();
        (0..PATHS).for_each(|at| wake.touch(vec![format!("/{}", at % 10).into()]));
        assert_eq!((wake.touched.len(), wake.anywhere), (10, false));
        (0..10 * PATHS).for_each(|at| wake.touch(vec![format!("/{at}").into()]));
        assert!(wake.touched.len() <= PATHS && wake.anywhere);
    }

    #[test]
    fn reading_is_no_news_and_other_files_touch_nothing() {
        let bench = Bench::new();
        bench.write("api", "one\n");
        let (_, mut follower) = follow(&bench.state, &[id("api")], &Query::default()).unwrap();
        follower.touched.clear();
        assert_eq!(follower.patience(), None);
        fs::read(bench.state.log(&id("api"))).unwrap();
        fs::write(bench.state.pid(&id("api")), "7").unwrap();
        let Some(wake) = follower.wakes.take(Some(Duration::from_secs(60))) else { panic!("no news") };
        assert_eq!(wake.touched, BTreeSet::from([bench.state.pid(&id("api"))]));
        follower.touch(&wake.touched, wake.anywhere);
        assert!(follower.touched.is_empty() && follower.unwatched.is_empty());
    }
}
