//! A private session bus for each test, in processes of their own.
//!
//! The libraries under test take the bus from the environment, which belongs to a whole process. So each test runs
//! itself again as a child whose environment names a bus that nobody else has; a bus is one more such child, so that it
//! can be killed like a real one.

use std::any::type_name_of_val;
use std::future::Future;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the children: what the child is there for.
const ROLE: &str = "PILOTLIGHT_TEST_ROLE";
/// What a bus says on its standard output once it listens.
const LISTENING: &str = "the bus listens";
/// No test takes longer, unless something hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a test has: a bus that has not been started yet, and a folder that goes with the test.
pub struct Desktop {
    /// The runtime directory of the test, and of the programs that it starts.
    pub folder: PathBuf,
    test: String,
}

impl Desktop {
    /// Starts a bus at the address that the environment names.
    pub fn start_bus(&self) -> Bus {
        Bus::start(&self.folder.join("bus"), &self.test)
    }
}

/// Runs `body` on a desktop of its own, in a process of its own. `body` must stand in the test function itself.
pub fn on_a_desktop<F: Future<Output = ()>>(body: impl FnOnce(Desktop) -> F) {
    // "desktop::menu::a_click_toggles::{{closure}}" is of the test "menu::a_click_toggles".
    let test = type_name_of_val(&body).trim_end_matches("::{{closure}}");
    let (_, test) = test.split_once("::").expect("the body is a closure of a test");
    match std::env::var(ROLE).as_deref() {
        Err(_) => supervise(test),
        Ok("bus") => serve_bus(),
        Ok(_) => {
            let folder = std::env::var_os("XDG_RUNTIME_DIR").expect("the supervisor sets it").into();
            let desktop = Desktop { folder, test: test.to_owned() };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let tasks = tokio::task::LocalSet::new();
            runtime.block_on(tasks.run_until(async {
                tokio::time::timeout(DEADLINE, body(desktop)).await.expect("the test comes to its end");
            }));
        }
    }
}

/// A running bus; killed when dropped.
pub struct Bus {
    address: String,
    process: Child,
}

impl Bus {
    fn start(socket: &Path, test: &str) -> Self {
        // What a bus that was killed has left.
        let _ = std::fs::remove_file(socket);
        let address = address(socket);
        let mut process =
            again(test, "bus").env("DBUS_SESSION_BUS_ADDRESS", &address).stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let listens = output.lines().map_while(Result::ok).any(|line| line.contains(LISTENING));
        assert!(listens, "the bus has ended before it listened");
        Self { address, process }
    }

    /// Its address, for `DBUS_SESSION_BUS_ADDRESS` of others.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection to it.
    pub async fn connect(&self) -> zbus::Connection {
        zbus::connection::Builder::address(self.address()).unwrap().build().await.unwrap()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `probe` gives something; asks again and again, because a bus tells of no reason to ask.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < DEADLINE / 3, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn supervise(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = again(test, "body")
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("DBUS_SESSION_BUS_ADDRESS", address(&folder.path().join("bus")))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{test} was not found: {text}");
}

fn serve_bus() {
    // Whoever started the bus holds the other end; when it has gone, so has the bus.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let address = std::env::var("DBUS_SESSION_BUS_ADDRESS").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut bus = busd::bus::Bus::for_address(Some(&address)).await.unwrap();
        println!("{LISTENING}");
        bus.run().await.unwrap();
    });
}

/// The same test in another role.
fn again(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ROLE, role).stdout(Stdio::piped());
    command
}

fn address(socket: &Path) -> String {
    format!("unix:path={}", socket.display())
}
