//! A user's desk: an empty home, a project folder, and the program as it was built. Everything on it ends with it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a condition may take to come about before the test gives up; generous, because nothing depends on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_pilotlight");

/// A user's desk.
pub struct Desk {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
    agent: Option<Child>,
}

impl Desk {
    /// An empty home with an empty project.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pl").tempdir().expect("a temporary folder can be made");
        let desk = Self { folder, variables: BTreeMap::new(), agent: None };
        for part in ["home", "run", "project", "bin"] {
            fs::create_dir(desk.path(part)).expect("the desk is ours");
        }
        fs::set_permissions(desk.path("run"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("the desk is ours");
        desk
    }

    /// A path on the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the project.
    pub fn project(&self, name: &str) -> PathBuf {
        self.path("project").join(name)
    }

    /// Sets a variable for everything that is started from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), value.into());
    }

    /// Writes a file of the project by a temporary file and a rename, as editors do.
    pub fn save(&self, name: &str, text: &str) {
        let path = self.project(name);
        fs::create_dir_all(path.parent().expect("it lies in the project")).expect("the desk is ours");
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, text).expect("the desk is ours");
        fs::rename(&temporary, &path).expect("the desk is ours");
    }

    /// Writes a file of the project in place.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.project(name);
        fs::create_dir_all(path.parent().expect("it lies in the project")).expect("the desk is ours");
        fs::write(path, text).expect("the desk is ours");
    }

    /// Removes a file of the project.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.project(name)).expect("it is there");
    }

    /// Puts a script first on the PATH.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the desk is ours");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("the desk is ours");
    }

    /// A command of the program in the project, with nothing of the tester's own environment but the PATH.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        let path = std::env::var("PATH").expect("there is a PATH");
        command
            .args(arguments)
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program can be run")
    }

    /// Runs a command that must succeed, and gives what it printed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert!(
            output.status.success(),
            "{arguments:?} ended with {}: {out}{err}\n{}",
            output.status,
            self.agent_log()
        );
        out
    }

    /// Runs a command that must end with `code`, and gives what it complained of.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        err
    }

    /// The JSON that a command prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(arguments);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?} printed no JSON ({error}): {text}"))
    }

    /// Starts the agent without a tray, and waits until it answers.
    #[track_caller]
    pub fn start_agent(&mut self) {
        self.start_agent_with(&["run", "--headless"]);
    }

    /// Starts the agent with these arguments, and waits until it answers.
    #[track_caller]
    pub fn start_agent_with(&mut self, arguments: &[&str]) {
        self.begin_agent(arguments);
        self.until("the agent answers", || self.run(&["status"]).status.success());
    }

    /// Starts the agent without a tray by another program, which is to become it: `wrapper` and then the agent's
    /// command line; waits until it answers.
    #[track_caller]
    pub fn start_agent_within(&mut self, wrapper: &[&str]) {
        let agent = self.command(&["run", "--headless"]);
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(PROGRAM).args(agent.get_args()).env_clear();
        command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.path("project")).stdin(Stdio::null());
        self.begin(command);
        self.until("the agent answers", || self.run(&["status"]).status.success());
    }

    /// Starts the agent with these arguments, whatever becomes of it.
    pub fn begin_agent(&mut self, arguments: &[&str]) {
        self.begin(self.command(arguments));
    }

    fn begin(&mut self, mut command: Command) {
        assert!(self.agent.is_none(), "an agent runs already");
        let log = fs::File::options().create(true).append(true).open(self.path("agent.out")).expect("the desk is ours");
        command.stdout(log.try_clone().expect("a file can be cloned")).stderr(log).process_group(0);
        self.agent = Some(command.spawn().expect("the program can be run"));
    }

    /// Whether the agent answers; `None` if it has ended, for which it is no longer the desk's agent.
    pub fn try_agent(&mut self) -> Option<bool> {
        if self.agent.as_mut()?.try_wait().expect("it is our child").is_some() {
            self.agent = None;
            return None;
        }
        Some(self.run(&["status"]).status.success())
    }

    /// Starts the agent without a tray on this terminal, and waits until it answers.
    #[track_caller]
    pub fn start_agent_on(&mut self, terminal: fs::File) {
        assert!(self.agent.is_none(), "an agent runs already");
        let mut command = self.command(&["run", "--headless"]);
        let log = fs::File::create(self.path("agent.out")).expect("the desk is ours");
        command.stdin(terminal.try_clone().expect("a file can be cloned")).stdout(terminal).stderr(log);
        command.process_group(0);
        self.agent = Some(command.spawn().expect("the program can be run"));
        self.until("the agent answers", || self.run(&["status"]).status.success());
    }

    /// The agent's pid.
    pub fn agent_pid(&self) -> u32 {
        self.agent.as_ref().expect("an agent runs").id()
    }

    /// Sends the agent a signal, by the name that `kill` knows.
    pub fn signal_agent(&self, signal: &str) {
        signal_process(self.agent_pid(), signal);
    }

    /// Waits for the agent's end, and gives its exit code.
    #[track_caller]
    pub fn wait_agent(&mut self) -> Option<i32> {
        let mut agent = self.agent.take().expect("an agent runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = agent.try_wait().expect("it is our child") {
                return status.code();
            }
            if Instant::now() > deadline {
                self.agent = Some(agent);
                panic!("the agent does not end\n{}", self.agent_log());
            }
            pause();
        }
    }

    /// Kills the agent without a word.
    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().expect("an agent runs");
        agent.kill().expect("it is our child");
        agent.wait().expect("it is our child");
    }

    /// What the agent has printed.
    pub fn agent_log(&self) -> String {
        fs::read_to_string(self.path("agent.out")).unwrap_or_default()
    }

    /// The whole status.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.json(&["status", "--json"])
    }

    /// One service's status.
    #[track_caller]
    pub fn service(&self, id: &str) -> Value {
        let status = self.status();
        let services = status["services"].as_array().expect("there is a list");
        services.iter().find(|service| service["id"] == id).cloned().unwrap_or(Value::Null)
    }

    /// A service's main process.
    #[track_caller]
    pub fn pid(&self, id: &str) -> Option<u32> {
        self.service(id)["pid"].as_u64().map(|pid| u32::try_from(pid).expect("a pid"))
    }

    /// All services' main processes.
    #[track_caller]
    pub fn pids(&self) -> BTreeMap<String, u64> {
        let status = self.status();
        let services = status["services"].as_array().expect("there is a list");
        let pid = |service: &Value| Some((service["id"].as_str()?.to_owned(), service["pid"].as_u64()?));
        services.iter().filter_map(pid).collect()
    }

    /// Waits until the light is `light`.
    #[track_caller]
    pub fn until_light(&self, light: &str) {
        self.until(&format!("the light is {light}"), || self.status()["light"] == light);
    }

    /// Waits until a service's `key` is `value`.
    #[track_caller]
    pub fn until_service(&self, id: &str, key: &str, value: &str) {
        self.until(&format!("{key} of {id} is {value}"), || self.service(id)[key] == value);
    }

    /// Waits until `condition` holds.
    #[track_caller]
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if Instant::now() > deadline {
                let (status, err) = texts(&self.run(&["status"]));
                panic!("it never came about that {what}\n{status}{err}\nthe agent printed:\n{}", self.agent_log());
            }
            pause();
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // Whatever else has happened, nothing of the desk outlives it: the agent kills what is left of its trees.
            signal_process(agent.id(), "TERM");
            signal_process(agent.id(), "TERM");
            let deadline = Instant::now() + Duration::from_secs(20);
            while matches!(agent.try_wait(), Ok(None)) && Instant::now() < deadline {
                pause();
            }
            let _ = agent.kill();
            let _ = agent.wait();
        }
        end_leftovers(self.folder.path());
    }
}

/// Kills every process whose environment says that it belongs to the desk in `folder`.
fn end_leftovers(folder: &Path) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    let mark = folder.to_string_lossy().into_owned();
    for process in processes.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        let is_ours = environment.split(|byte| *byte == 0).any(|variable| {
            let variable = String::from_utf8_lossy(variable);
            variable.starts_with("PILOTLIGHT_STATE_DIR=") && variable.contains(&mark)
        });
        if is_ours {
            signal_process(pid, "KILL");
        }
    }
}

/// Sends a signal to one process, by the name that `kill` knows.
pub fn signal_process(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    status.expect("there is a program `kill`");
}

/// Whether a process lives (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

/// The pause between two looks at a condition.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(20));
}

/// A TCP port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    listener.local_addr().expect("it is bound").port()
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}
