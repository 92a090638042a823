//! Runs actions: each apart from the agent as a service is, with the service's directory and environment, its output into
//! a log of its own that is bounded.
//!
//! An action is no run, and nothing of it is found by a later agent: when this one ends, what still runs is asked to end.
//! What an action leaves running when it ends itself is left alone. Each has a thread that waits for it and one that
//! copies what it says, which end with it.

#[cfg(unix)]
#[path = "action/unix.rs"]
mod system;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use self::system::{Begun, Reach, open_log};
use super::record::make_folder;
#[cfg(windows)]
use super::windows::action as system;
use crate::domain::text::last_line;
use crate::domain::{ActionOrder, Event, Exit, RunId, SpawnOrder};
use crate::engine::StateDir;
use crate::engine::ports::{Actions, Inbox};

/// So long a log may become before a new one is begun, in bytes; the one before is kept.
const LONGEST_LOG: u64 = 4_000_000;
/// How long what was said last may take to arrive after the end, in case that others hold the pipe open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So many bytes of the end are kept for the reason.
const TAIL: usize = 4096;
/// No more of the last line is told, in characters.
const LONGEST_LINE: usize = 200;

/// The port [`Actions`].
#[derive(Debug)]
pub struct OsActions {
    inbox: Inbox,
    dir: StateDir,
    running: Processes,
}

/// What the running actions are reached by.
type Processes = Arc<Mutex<HashMap<RunId, Reach>>>;

impl OsActions {
    /// Runs what is ordered, and tells of ends to `inbox`.
    pub fn new(inbox: Inbox, dir: StateDir) -> Self {
        Self { inbox, dir, running: Processes::default() }
    }
}

impl Actions for OsActions {
    fn run(&mut self, order: ActionOrder) {
        let (inbox, dir, running, run) =
            (self.inbox.clone(), self.dir.clone(), Arc::clone(&self.running), order.run.clone());
        let begun = thread::Builder::new().name("action".to_owned()).spawn(move || {
            let run = order.run.clone();
            let (exit, words) = match perform(order, &dir, &running) {
                Ok((exit, words)) => (Some(exit), words),
                Err(error) => (None, error),
            };
            // An engine that has ended has no use for it.
            let _ = inbox.send(Event::ActionEnded { run, exit, words });
        });
        if let Err(error) = begun {
            let words = format!("it can't be waited for: {error}");
            let _ = self.inbox.send(Event::ActionEnded { run, exit: None, words });
        }
    }
}

/// Asks what still runs to end, and does not wait for that.
impl Drop for OsActions {
    fn drop(&mut self) {
        held(&self.running).values().for_each(system::ask);
    }
}

/// Runs the action to its end: how it ended, and its last line; or why it could not be started.
fn perform(order: ActionOrder, dir: &StateDir, running: &Processes) -> Result<(Exit, String), String> {
    let ActionOrder { id, run, name, spawn } = order;
    let log = make_folder(dir, &id).and_then(|()| Log::begin(dir.action_log(&id, &name)));
    let mut log = log.map_err(|error| format!("its log can't be opened: {error}"))?;
    let (mut output, input) = io::pipe().map_err(|error| format!("it can't be listened to: {error}"))?;
    let order = SpawnOrder { id, run: run.clone(), spawn, port: None };
    let action = {
        // Whoever ends them all ends this one, too, or comes before it has begun.
        let mut running = held(running);
        let action = Begun::begin(&order, dir, input)?;
        running.insert(run.clone(), action.reach());
        action
    };
    let (sender, said) = channel();
    let copier = thread::Builder::new().name("action".to_owned()).spawn(move || {
        // Who waits for it may have lost patience.
        let _ = sender.send(log.copy(&mut output));
    });
    let exit = action.ended();
    // From here on what it was reached by may be another's.
    held(running).remove(&run);
    action.collect();
    let words = match copier {
        Ok(_) => match said.recv_timeout(LAST_WORDS) {
            Ok(tail) => last_line(&String::from_utf8_lossy(&tail), LONGEST_LINE),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => String::new(),
        },
        Err(error) => format!("what it said is lost: {error}"),
    };
    Ok((exit, words))
}

/// What one action says, in a file that begins anew when it has become too long.
struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Puts what is there aside, and begins an empty one.
    fn begin(path: PathBuf) -> io::Result<Self> {
        let file = fresh(&path)?;
        Ok(Self { path, file, length: 0 })
    }

    /// Copies all of `output`, and gives its end. A disk that is full costs the log, not the action.
    fn copy(&mut self, output: &mut impl Read) -> Vec<u8> {
        let mut tail = Vec::new();
        let mut block = vec![0; 64 * 1024];
        loop {
            let read = match output.read(&mut block) {
                Ok(0) => return tail,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return tail,
            };
            let more = &block[..read];
            if let Err(error) = self.add(more) {
                tracing::warn!("{} can't be written: {error}", self.path.display());
            }
            tail.extend_from_slice(more);
            tail.drain(..tail.len().saturating_sub(TAIL));
        }
    }

    fn add(&mut self, more: &[u8]) -> io::Result<()> {
        if self.length >= LONGEST_LOG {
            self.file = fresh(&self.path)?;
            self.length = 0;
        }
        self.length += more.len() as u64;
        self.file.write_all(more)
    }
}

/// An empty file at `path`; what was there is beside it with `.1` at the end.
fn fresh(path: &Path) -> io::Result<File> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    match fs::rename(path, aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    open_log(path)
}

fn held(running: &Processes) -> MutexGuard<'_, HashMap<RunId, Reach>> {
    // Nothing in it is ever half changed.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{Pid, Signal};
    use tokio::sync::mpsc;

    use super::*;
    use crate::domain::{ServiceId, Spawn};

    /// Actions in a folder of their own, and what is told of them.
    struct World {
        actions: OsActions,
        facts: mpsc::UnboundedReceiver<Event>,
        folder: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (inbox, facts) = mpsc::unbounded_channel();
            let dir = StateDir::new(folder.path().join("state"));
            Self { actions: OsActions::new(inbox, dir), facts, folder }
        }

        fn run(&mut self, argv: &[&str]) {
            let spawn = Spawn {
                argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
                cwd: self.folder.path().to_owned(),
                env: [("GREETING".to_owned(), Some("hello".to_owned()))].into(),
                shared_env: Arc::default(),
            };
            let (id, run) = (ServiceId::new("web").unwrap(), RunId::new("action-r-1"));
            self.actions.run(ActionOrder { id, run, name: "seed".to_owned(), spawn: Arc::new(spawn) });
        }

        fn ended(&mut self) -> (Option<Exit>, String) {
            match self.facts.blocking_recv() {
                Some(Event::ActionEnded { exit, words, .. }) => (exit, words),
                other => panic!("{other:?}"),
            }
        }

        fn log(&self) -> String {
            let path = self.actions.dir.action_log(&ServiceId::new("web").unwrap(), "seed");
            fs::read_to_string(path).unwrap()
        }
    }

    #[test]
    fn an_action_has_the_services_place_its_environment_and_the_marker() {
        let mut world = World::new();
        world.run(&["sh", "-c", "pwd; echo $GREETING $PILOTLIGHT_SERVICE $PILOTLIGHT_RUN; echo oops >&2"]);
        assert_eq!(world.ended(), (Some(Exit::Code(0)), "oops".to_owned()));
        let folder = world.folder.path().canonicalize().unwrap();
        assert_eq!(world.log(), format!("{}\nhello web action-r-1\noops\n", folder.display()));
    }

    #[test]
    fn how_an_action_fails_is_told_with_its_last_line() {
        let mut world = World::new();
        world.run(&["sh", "-c", "echo first; echo no such table; exit 3"]);
        assert_eq!(world.ended(), (Some(Exit::Code(3)), "no such table".to_owned()));
        world.run(&["sh", "-c", "kill -9 $$"]);
        assert_eq!(world.ended(), (Some(Exit::Signal(9)), String::new()));
        world.run(&["no-such-program"]);
        let (exit, words) = world.ended();
        assert!(exit.is_none() && words.starts_with("program not found: no-such-program"), "{words}");
    }

    #[test]
    fn what_an_action_leaves_running_keeps_nobody_waiting() {
        let mut world = World::new();
        world.run(&["sh", "-c", "sleep 1000 & echo $! > left; echo done"]);
        assert_eq!(world.ended().0, Some(Exit::Code(0)));
        let left = fs::read_to_string(world.folder.path().join("left")).unwrap();
        let left = Pid::from_raw(left.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(left, Signal::KILL).unwrap();
    }

    #[test]
    fn when_the_agent_ends_its_actions_are_asked_to_end() {
        let mut world = World::new();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            world.folder.path().join("begun"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        world.run(&["sh", "-c", "trap 'exit 7' TERM; echo > begun; while :; do sleep 0.05; done"]);
        fs::read(world.folder.path().join("begun")).unwrap();
        let (inbox, _facts) = mpsc::unbounded_channel();
        let ending = std::mem::replace(&mut world.actions, OsActions::new(inbox, StateDir::new("/none")));
        drop(ending);
        assert_eq!(world.ended().0, Some(Exit::Code(7)));
    }

    #[test]
    fn a_log_stays_within_its_bounds_and_keeps_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("action-x.log");
        let mut log = Log::begin(path.clone()).unwrap();
        let mut said = vec![b'x'; 11_000_000];
        said.extend_from_slice(b"\nthe end\n");
        let tail = log.copy(&mut said.as_slice());
        assert!(tail.len() <= TAIL && tail.ends_with(b"the end\n"));
        assert!(fs::read(&path).unwrap().ends_with(b"the end\n"));
        let all: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(all < 2 * LONGEST_LOG + 200_000, "{all}");
    }
}
