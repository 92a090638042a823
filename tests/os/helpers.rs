//! Programs that the tests need, played by the test program itself: an agent that can be killed, a parent that
//! collects orphans, a listener.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotlight::domain::{ProcessId, RunId, ServiceId, Spawn, SpawnOrder, StopTree};
use pilotlight::engine::ports::Processes;
use pilotlight::engine::{Clock, StateDir};
use pilotlight::process::OsProcesses;

use crate::conformance::{Listener, Stranger, World, spawned};
use crate::world::{DEADLINE, Folder, RealWorld, unique};

/// Where a helper finds its folder.
const FOLDER: &str = "PILOTLIGHT_TEST_FOLDER";
/// What a helper starts when it is a parent.
const THEN: &str = "PILOTLIGHT_TEST_THEN";

/// An agent in a process of its own, which takes orders by files.
pub struct Agent {
    child: Child,
    folder: Rc<Folder>,
}

/// An order for an [`Agent`].
pub struct Order {
    pub id: ServiceId,
    pub run: RunId,
    pub cwd: PathBuf,
    script: String,
}

impl Agent {
    /// Starts a service, and waits until it lives.
    pub fn spawn(&mut self, order: &Order) {
        fs::create_dir_all(&order.cwd).unwrap();
        let text = format!("{}\n{}\n{}\n{}", order.id, order.run, order.cwd.display(), order.script);
        let file = self.folder.path().join("orders");
        fs::create_dir_all(&file).unwrap();
        fs::write(file.join("new"), text).unwrap();
        fs::rename(file.join("new"), file.join("order")).unwrap();
        wait_for(&file.join("done"));
        fs::remove_file(file.join("done")).unwrap();
    }

    /// Kills the agent itself, and waits until it is gone; its parent, if it has a helper for that, lives on.
    pub fn kill(mut self) {
        let agent = fs::read_to_string(self.folder.path().join("agent")).unwrap();
        let pid = rustix::process::Pid::from_raw(agent.parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        if self.child.id().to_string() == agent {
            self.child.wait().unwrap();
        } else {
            wait_for(&self.folder.path().join("collected"));
        }
    }
}

/// An agent whose process is made by `wrapper` (a command that the agent's command line is put behind).
pub fn agent_through(folder: &Rc<Folder>, wrapper: &[&str], environment: &[(&str, &str)]) -> Agent {
    let mut argv: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
    argv.extend(helper("helpers::be_an_agent"));
    start(folder, &argv, environment)
}

/// An agent whose orphans fall to a parent of its own that collects them: strangers to this test program.
pub fn agent_with_a_parent(folder: &Rc<Folder>) -> Agent {
    start(folder, &helper("helpers::be_a_parent"), &[(THEN, "helpers::be_an_agent")])
}

pub fn order(folder: &Folder, script: &str) -> Order {
    let name = format!("h{}", unique());
    Order {
        id: ServiceId::new(&name).unwrap(),
        run: RunId::new(&format!("r-{name}")),
        cwd: folder.work(&format!("r-{name}")),
        script: script.to_owned(),
    }
}

/// Starts a service in `world` that listens.
pub fn listener(world: &mut RealWorld) -> Listener {
    listener_through(world, "exec \"$@\"")
}

/// The same, by a shell script that goes on to the command in its arguments.
pub fn listener_through(world: &mut RealWorld, script: &str) -> Listener {
    let mut argv = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    argv.extend(helper("helpers::listen_on_a_port"));
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut order = world.order_of(&argv);
    let spawn = Arc::make_mut(&mut order.spawn);
    spawn.env.insert(FOLDER.to_owned(), Some(spawn.cwd.display().to_string()));
    world.spawn(order.clone());
    let pid = spawned(world, &order.run);
    let port = world.wait_for_file(&order.run, "port").parse().unwrap();
    Listener { order, pid, port }
}

/// A stranger on a port, and those around it.
pub struct Desk {
    pub listener: Stranger,
    /// Its parent, a shell.
    pub parent: u32,
    /// Another child of that shell, in the same session and group.
    pub mate: u32,
    /// A child of the listener.
    pub child: u32,
    /// Where all of them are at home.
    pub folder: PathBuf,
}

/// Starts a stranger from a shell in a session of its own: not by any agent.
pub fn stranger(world: &mut RealWorld) -> Desk {
    stranger_with(world, &[])
}

/// The same, with these variables.
pub fn stranger_with(world: &mut RealWorld, environment: &[(&str, &str)]) -> Desk {
    let folder = world.folder().work(&format!("stranger-{}", unique()));
    fs::create_dir_all(&folder).unwrap();
    let script = r#"sleep 1000 & echo $! > mate; sh -c 'sleep 1000 & echo $! > child; exec "$@"' sh "$@" & echo $! > listener; wait"#;
    let mut argv = ["setsid", "sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    argv.extend(helper("helpers::listen_on_a_port"));
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env(FOLDER, &folder).envs(environment.iter().copied()).current_dir(&folder);
    let parent = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap().id();
    let port = folder.join("port");
    // The shells tell of them in an order of their own.
    let told = ["listener", "mate", "child"].map(|file| folder.join(file));
    let is_told = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'));
    world.wait_until("the stranger listens", || port.exists() && told.iter().all(is_told));
    let number = |file: &str| fs::read_to_string(folder.join(file)).unwrap().trim().parse::<u32>().unwrap();
    let pid = number("listener");
    let process = ProcessId { pid, start: start_time(pid) };
    let listener = Stranger { process, port: fs::read_to_string(port).unwrap().parse().unwrap() };
    Desk { listener, parent, mate: number("mate"), child: number("child"), folder: folder.canonicalize().unwrap() }
}

/// When a process began, in clock ticks after boot.
pub fn start_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// The command line by which this program becomes a helper.
fn helper(name: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().display().to_string();
    [&program, name, "--exact", "--ignored", "--nocapture"].map(str::to_owned).to_vec()
}

fn start(folder: &Rc<Folder>, argv: &[String], environment: &[(&str, &str)]) -> Agent {
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]).env(FOLDER, folder.path()).envs(environment.iter().copied());
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    wait_for(&folder.path().join("agent"));
    Agent { child, folder: Rc::clone(folder) }
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + DEADLINE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes `text` to `file` of the helper's folder so that whoever sees the file sees all of it.
fn say(folder: &Path, file: &str, text: &str) {
    let temporary = folder.join(format!("{file}.new"));
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, folder.join(file)).unwrap();
}

#[test]
#[ignore = "is an agent for other tests"]
fn be_an_agent() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (inbox, mut facts) = tokio::sync::mpsc::unbounded_channel();
        let clock = Clock::start(Duration::from_secs(1_000_000));
        let mut processes = OsProcesses::new(inbox, StateDir::new(folder.join("state")), clock).unwrap();
        say(&folder, "agent", &std::process::id().to_string());
        let order = folder.join("orders/order");
        // Its folder is taken away when the test is over.
        while folder.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let Ok(text) = fs::read_to_string(&order) else { continue };
            fs::remove_file(&order).unwrap();
            let [id, run, cwd, script] = text.splitn(4, '\n').collect::<Vec<_>>().try_into().unwrap();
            processes.spawn(SpawnOrder {
                id: ServiceId::new(id).unwrap(),
                run: RunId::new(run),
                spawn: Arc::new(Spawn {
                    argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
                    cwd: cwd.into(),
                    env: Default::default(),
                    shared_env: Arc::default(),
                }),
                port: None,
            });
            facts.recv().await.unwrap();
            say(&folder, "orders/done", "");
        }
    });
}

#[test]
#[ignore = "is a parent for other tests"]
#[allow(clippy::zombie_processes, reason = "it waits for whatever child there is")]
fn be_a_parent() {
    let (Some(folder), Ok(then)) = (std::env::var_os(FOLDER).map(PathBuf::from), std::env::var(THEN)) else { return };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let argv = helper(&then);
    let child = Command::new(&argv[0]).args(&argv[1..]).stdout(Stdio::null()).spawn().unwrap();
    while let Ok(Some((pid, _))) = rustix::process::wait(rustix::process::WaitOptions::empty()) {
        if pid.as_raw_pid() as u32 == child.id() {
            say(&folder, "collected", "");
        }
    }
}

#[test]
#[ignore = "is an agent below one of its own services for other tests"]
fn be_an_agent_below_its_service() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (inbox, mut facts) = tokio::sync::mpsc::unbounded_channel();
        let clock = Clock::start(Duration::from_secs(1_000_000));
        let mut processes = OsProcesses::new(inbox, StateDir::new(folder.join("state")), clock).unwrap();
        let runs = processes.find_runs().unwrap();
        for run in &runs {
            processes.ask(&run.run, pilotlight::domain::Signal::Kill, StopTree::All);
            processes.kill(&run.run, StopTree::All);
        }
        say(&folder, "told", &format!("{} {:?}", runs.len(), facts.recv().await.unwrap()));
    });
}

/// The command line of an agent that finds itself below the service that runs it.
pub fn agent_below_its_service() -> String {
    helper("helpers::be_an_agent_below_its_service").join(" ")
}

/// The variable by which a helper finds `folder`.
pub fn variable(folder: &Folder) -> (String, Option<String>) {
    (FOLDER.to_owned(), Some(folder.path().display().to_string()))
}

#[test]
#[ignore = "is a listener for other tests"]
fn listen_on_a_port() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    say(&folder, "port", &listener.local_addr().unwrap().port().to_string());
    // Nobody connects; this waits to be killed.
    let _ = listener.accept();
}
