//! A real agent without a tray, in a folder of its own, driven as a user drives it.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// More than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running agent; it and its services end when it is dropped.
pub struct Agent {
    folder: PathBuf,
    child: Child,
}

impl Agent {
    /// Starts an agent in `folder`, with the drop-ins that are there already, and waits until it answers.
    pub fn start(folder: &Path) -> Self {
        let agent = Self::begin(folder);
        agent.wait_until("the agent to answer", |_| true);
        agent
    }

    /// Starts an agent in `folder`, and does not wait for it.
    pub fn begin(folder: &Path) -> Self {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("runtime")).unwrap();
        std::fs::create_dir_all(folder.join("services.d")).unwrap();
        std::fs::create_dir_all(folder.join("staging")).unwrap();
        let main = folder.join("services.json");
        if !main.exists() {
            std::fs::write(main, "{}").unwrap();
        }
        let child = command(folder).args(["run", "--headless", "--quiet"]).stdout(Stdio::null()).spawn().unwrap();
        Self { folder: folder.to_owned(), child }
    }

    /// The agent's pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that it has used so far, all its threads together.
    pub fn processor_time(&self) -> Duration {
        processor_time(&format!("/proc/{}/stat", self.pid()))
    }

    /// The processor time of the thread in which everything happens that does not block.
    pub fn own_time(&self) -> Duration {
        let pid = self.pid();
        processor_time(&format!("/proc/{pid}/task/{pid}/stat"))
    }

    /// The socket of its control interface.
    pub fn socket(&self) -> PathBuf {
        let record = std::fs::read(self.folder.join("state/agent.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        record["control"].as_str().unwrap().into()
    }

    /// Writes the drop-in `name` elsewhere and moves it into place.
    pub fn drop_in(&self, name: &str, definition: &Value) {
        place(&self.folder, name, definition);
    }

    /// Runs a command of the command line.
    pub fn tell(&self, args: &[&str]) -> Output {
        let output = command(&self.folder).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The services of `status --json`.
    pub fn services(&self) -> Vec<Value> {
        let status: Value = serde_json::from_slice(&self.tell(&["status", "--json"]).stdout).unwrap();
        status["services"].as_array().unwrap().clone()
    }

    /// Waits until `status --json` gives services that `are_as_wanted`.
    pub fn wait_until(&self, what: &str, are_as_wanted: impl Fn(&[Value]) -> bool) {
        let began = Instant::now();
        loop {
            let output = command(&self.folder).args(["status", "--json"]).stderr(Stdio::null()).output().unwrap();
            let status = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
            if output.status.success() && status["services"].as_array().is_some_and(|services| are_as_wanted(services))
            {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "waited too long for {what}: {status:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Asked once, it stops its services in order; asked twice, it kills them.
        for _ in 0..2 {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let began = Instant::now();
            while began.elapsed() < DEADLINE / 2 {
                if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The definition of a service that runs `program`; `round` changes what is spawned and nothing else.
pub fn service(program: &[String; 3], auto_start: bool, round: usize) -> Value {
    json!({
        "type": "process",
        "command": program,
        "auto_start": auto_start,
        "env": {"ROUND": round.to_string()},
        "restart": {"policy": "always"}
    })
}

/// Writes the drop-in `name` of the agent in `folder` elsewhere and moves it into place.
pub fn place(folder: &Path, name: &str, definition: &Value) {
    let staged = folder.join("staging").join(name);
    std::fs::create_dir_all(folder.join("staging")).unwrap();
    std::fs::create_dir_all(folder.join("services.d")).unwrap();
    std::fs::write(&staged, definition.to_string()).unwrap();
    std::fs::rename(&staged, folder.join("services.d").join(format!("{name}.json"))).unwrap();
}

/// User and system time of a line of `/proc/PID/stat`, in hundredths of a second.
fn processor_time(stat: &str) -> Duration {
    let stat = std::fs::read_to_string(stat).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

fn command(folder: &Path) -> Command {
    let program = std::env::var_os("PILOTLIGHT_PROGRAM");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_pilotlight").into()));
    command
        .arg("--config")
        .arg(folder.join("services.json"))
        .arg("--state-dir")
        .arg(folder.join("state"))
        .env("XDG_RUNTIME_DIR", folder.join("runtime"))
        .env_remove("PILOTLIGHT_CONFIG")
        .env_remove("PILOTLIGHT_PROFILE")
        .env_remove("PILOTLIGHT_STATE_DIR")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null());
    command
}
