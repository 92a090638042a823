//! The real world: children of this test, in a folder of their own, all gone when the test is over, however it ends.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotlight::domain::{Event, FoundRun, RunId, RunIds, ServiceId, Signal, Spawn, SpawnOrder, StopTree, TakeOrder};
use pilotlight::engine::ports::Processes;
use pilotlight::engine::{Clock, StateDir};
use pilotlight::process::OsProcesses;
use rustix::process::{Pid, kill_process};
use tokio::sync::mpsc;

use crate::conformance::{Listener, Script, Stranger, World};
use crate::helpers;

/// After so long a condition will not come true.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Starts a process that moves to a session of its own, and goes on once it has.
const APART: &str = "mkfifo apart; setsid sh -c 'echo > apart; exec sleep 1000' & read x < apart;";

/// Processes of this machine, and the folder they live in.
pub struct RealWorld {
    processes: Option<OsProcesses>,
    facts: mpsc::UnboundedReceiver<Event>,
    local: tokio::task::LocalSet,
    runtime: tokio::runtime::Runtime,
    strangers: Vec<TcpListener>,
    ids: RunIds,
    folder: Rc<Folder>,
}

/// A folder for one test. When it goes, all processes that are in it are killed.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Rc<Self> {
        Rc::new(Self(tempfile::Builder::new().prefix("pilotlight-os-").tempdir().unwrap()))
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub fn state(&self) -> StateDir {
        StateDir::new(self.path().join("state"))
    }

    /// Where the processes of a run are at home.
    pub fn work(&self, run: &str) -> PathBuf {
        self.path().join("work").join(run)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path = self.path();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = processes_in(&path);
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            for pid in left {
                let _ = kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The living processes whose working directory is `path` or below.
pub fn processes_in(path: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_in = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(path));
    pids.filter(is_in).filter(|pid| *pid != std::process::id() as i32).collect()
}

impl RealWorld {
    pub fn new() -> Self {
        Self::in_folder(Folder::new())
    }

    /// An agent in `folder`, which an earlier one may have used.
    pub fn in_folder(folder: Rc<Folder>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let (inbox, facts) = mpsc::unbounded_channel();
        let state = folder.state();
        let clock = Clock::start(Duration::from_secs(1_000_000));
        let processes = local.block_on(&runtime, async { OsProcesses::new(inbox, state, clock).unwrap() });
        let prefix = format!("t{}", unique());
        Self {
            processes: Some(processes),
            facts,
            local,
            runtime,
            strangers: Vec::new(),
            ids: RunIds::new(&prefix),
            folder,
        }
    }

    pub fn folder(&self) -> Rc<Folder> {
        Rc::clone(&self.folder)
    }

    /// The agent dies, its processes live.
    pub fn die(self) -> Rc<Folder> {
        self.folder()
    }

    pub fn find_runs(&mut self) -> Vec<FoundRun> {
        self.within(|processes| processes.find_runs().unwrap())
    }

    /// An order for what `script` says in the shell; it finds the pipe `go` in its directory.
    pub fn order_of(&mut self, argv: &[&str]) -> SpawnOrder {
        let run = self.ids.fresh();
        let cwd = self.folder.work(run.as_str());
        fs::create_dir_all(&cwd).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            cwd.join("go"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        SpawnOrder {
            id: ServiceId::new(&format!("s-{run}")).unwrap(),
            run,
            spawn: Arc::new(Spawn {
                argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
                cwd,
                env: [("PATH".to_owned(), Some("/usr/local/bin:/usr/bin:/bin".to_owned()))].into(),
                shared_env: Arc::default(),
            }),
            port: None,
        }
    }

    /// Starts a shell script.
    pub fn start(&mut self, script: &str) -> SpawnOrder {
        let order = self.order_of(&["sh", "-c", script]);
        self.spawn(order.clone());
        order
    }

    /// Waits until `condition` holds, while the agent goes on.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < deadline, "never came true: {what}");
            self.local.block_on(&self.runtime, async { tokio::time::sleep(Duration::from_millis(2)).await });
        }
    }

    /// Waits until the script of `run` has made `file`.
    pub fn wait_for_file(&mut self, run: &RunId, file: &str) -> String {
        let path = self.folder.work(run.as_str()).join(file);
        self.wait_until(&format!("{} exists", path.display()), || path.exists());
        fs::read_to_string(path).unwrap()
    }

    fn within<T>(&mut self, act: impl FnOnce(&mut OsProcesses) -> T) -> T {
        let processes = self.processes.as_mut().unwrap();
        self.local.block_on(&self.runtime, async { act(processes) })
    }
}

impl Drop for RealWorld {
    fn drop(&mut self) {
        let processes = self.processes.take();
        self.local.block_on(&self.runtime, async { drop(processes) });
    }
}

impl World for RealWorld {
    fn order(&mut self, script: Script) -> SpawnOrder {
        let sh = |text: String| vec!["sh".to_owned(), "-c".to_owned(), text];
        let argv = match script {
            Script::Waits(code) => sh(format!(": > begun; read x < go; exit {code}")),
            Script::EndsAtOnce(code) => sh(format!("exit {code}")),
            Script::Deaf => sh("trap '' TERM; : > begun; read x < go; exit 0".to_owned()),
            Script::Leaves(code) => sh(format!("sleep 1000 & : > begun; read x < go; exit {code}")),
            Script::LeavesDeaf(code) => sh(format!("trap '' TERM; sleep 1000 & : > begun; read x < go; exit {code}")),
            Script::MovesApart(code) => sh(format!("{APART} : > begun; read x < go; exit {code}")),
            Script::LeavesDeafAndApart(code) => {
                sh(format!("{APART} trap '' TERM; sleep 1000 & : > begun; read x < go; exit {code}"))
            }
            Script::NoProgram => vec!["no-such-program".to_owned()],
            Script::NoDirectory => vec!["true".to_owned()],
            Script::NotExecutable => vec!["./plain".to_owned()],
        };
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let mut order = self.order_of(&argv);
        fs::write(order.spawn.cwd.join("plain"), "").unwrap();
        fs::set_permissions(order.spawn.cwd.join("plain"), fs::Permissions::from_mode(0o644)).unwrap();
        if script == Script::NoDirectory {
            let spawn = Arc::make_mut(&mut order.spawn);
            spawn.cwd = spawn.cwd.join("no-such-directory");
        }
        order
    }

    fn spawn(&mut self, order: SpawnOrder) {
        self.within(|processes| processes.spawn(order));
    }

    fn ask(&mut self, run: &RunId, signal: Signal) {
        self.within(|processes| processes.ask(run, signal, StopTree::All));
    }

    fn ask_group(&mut self, run: &RunId, signal: Signal) {
        self.within(|processes| processes.ask(run, signal, StopTree::Group));
    }

    fn kill(&mut self, run: &RunId) {
        self.within(|processes| processes.kill(run, StopTree::All));
    }

    fn kill_group(&mut self, run: &RunId) {
        self.within(|processes| processes.kill(run, StopTree::Group));
    }

    fn wait_until_begun(&mut self, run: &RunId) {
        self.wait_for_file(run, "begun");
        // What was started before has become its program by now, or soon will have.
        let work = self.folder.work(run.as_str());
        self.wait_until("every fork has become a program", || {
            processes_in(&work).iter().filter(|pid| is_shell(**pid)).count() <= 1
        });
    }

    fn let_go(&mut self, run: &RunId) {
        let go = self.folder.work(run.as_str()).join("go");
        // Opening for writing without waiting fails as long as nobody reads.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let open = || fs::OpenOptions::new().write(true).custom_flags(flags).open(&go).ok();
        let mut pipe = None;
        self.wait_until("somebody waits to be let go", || {
            pipe = open();
            pipe.is_some()
        });
        pipe.unwrap().write_all(b"\n").unwrap();
    }

    fn next(&mut self) -> Event {
        let next = async { tokio::time::timeout(DEADLINE, self.facts.recv()).await };
        self.local.block_on(&self.runtime, next).expect("no fact came").unwrap()
    }

    fn living(&mut self, run: &RunId) -> usize {
        processes_in(&self.folder.work(run.as_str())).len()
    }

    fn taken_port(&mut self) -> u16 {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = stranger.local_addr().unwrap().port();
        self.strangers.push(stranger);
        port
    }

    fn begin_stranger(&mut self) -> Stranger {
        helpers::stranger(self).listener
    }

    fn take(&mut self, order: TakeOrder) {
        self.within(|processes| processes.take(order));
    }

    fn begin_listener(&mut self) -> Listener {
        helpers::listener(self)
    }

    fn next_agent(&mut self) -> Vec<FoundRun> {
        let processes = self.processes.take();
        self.local.block_on(&self.runtime, async { drop(processes) });
        let strangers = std::mem::take(&mut self.strangers);
        *self = Self::in_folder(self.folder());
        self.strangers = strangers;
        self.find_runs()
    }
}

fn is_shell(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "sh")
}

/// A number that no other call in this program gave, and hardly another program.
pub fn unique() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    u128::from(std::process::id()) * 1_000_000 + u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}
