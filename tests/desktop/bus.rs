//! A private session bus for each test, in processes of their own.
//!
//! The libraries under test take the bus from the environment, which belongs to a whole process. So each test runs
//! itself again as a child whose environment names a bus that nobody else has; a bus is one more such child, so that it
//! can be killed like a real one.

use std::any::type_name_of_val;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use zbus::MessageStream;
use zbus::fdo::RequestNameFlags;

use super::host::GTK;

/// Set in the children: what the child is there for.
const ROLE: &str = "PILOTLIGHT_TEST_ROLE";
/// If set, buses are those of `dbus-daemon` instead of the one in Rust that needs no installation.
const BUS_DAEMON: &str = "PILOTLIGHT_TEST_DBUS_DAEMON";
/// What a bus says on its standard output once it listens.
const LISTENING: &str = "the bus listens";
/// What a desktop offers, and a bare bus does not.
const DESKTOP_SERVICES: [&str; 2] = ["org.kde.StatusNotifierWatcher", "org.freedesktop.Notifications"];
/// No test takes longer, unless something hangs: generous, because nothing depends on it.
pub const DEADLINE: Duration = Duration::from_secs(180);

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
            tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(|| Log).init();
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
        // GTK asks more of a bus than the one in Rust can do.
        if GTK || std::env::var_os(BUS_DAEMON).is_some() {
            return Self::start_daemon(address);
        }
        let mut process =
            again(test, "bus").env("DBUS_SESSION_BUS_ADDRESS", &address).stdin(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let listens = output.lines().map_while(Result::ok).any(|line| line.contains(LISTENING));
        assert!(listens, "the bus has ended before it listened");
        Self { address, process }
    }

    /// The reference implementation, without any service to activate.
    fn start_daemon(address: String) -> Self {
        let socket = PathBuf::from(address.trim_start_matches("unix:path="));
        let settings = socket.with_extension("conf");
        let text = format!(
            r#"<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>
               <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#
        );
        std::fs::write(&settings, text).unwrap();
        let config = format!("--config-file={}", settings.display());
        let mut daemon = Command::new("dbus-daemon");
        daemon.args([&config, "--nofork", "--print-address=1"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = daemon.spawn().expect("dbus-daemon is installed");
        let mut output = BufReader::new(process.stdout.take().unwrap());
        assert_ne!(output.read_line(&mut String::new()).unwrap(), 0, "dbus-daemon has ended before it listened");
        Self { address, process }
    }

    /// Its address, for `DBUS_SESSION_BUS_ADDRESS` of others.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets the bus hang, connected to all as it is, or go on.
    pub fn hang(&self, hangs: bool) {
        let signal = if hangs { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(status.expect("there is a program `kill`").success());
    }

    /// A connection to it, whose calls fail where nobody answers.
    pub async fn connect(&self) -> zbus::Connection {
        let builder = zbus::connection::Builder::address(self.address()).unwrap();
        builder.method_timeout(DEADLINE / 3).build().await.unwrap()
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

/// How often what the program has said, as warning or for information, contains `text`.
pub fn said(text: &str) -> usize {
    String::from_utf8_lossy(&SAID.lock().unwrap()).lines().filter(|line| line.contains(text)).count()
}

static SAID: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Notes what is said, and passes it on to whoever reads why a test failed.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        SAID.lock().unwrap().extend_from_slice(bytes);
        std::io::stderr().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn supervise(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut body = again(test, "body");
    #[cfg(feature = "gtk-tray")]
    let display = super::display::Display::start();
    #[cfg(feature = "gtk-tray")]
    body.env("DISPLAY", &display.name);
    let output = body
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut bus = busd::bus::Bus::for_address(Some(&address)).await.unwrap();
        tokio::try_join!(async { bus.run().await.map_err(|error| error.to_string()) }, answer_for_the_absent(&address))
            .unwrap();
    });
}

/// Refuses calls to the desktop's services while these are absent, as a bus does; busd 0.6 leaves such calls without
/// an answer. The names are given up to whoever asks for them.
async fn answer_for_the_absent(address: &str) -> Result<(), String> {
    let nobody = zbus::connection::Builder::address(address).unwrap().build().await.unwrap();
    let mut calls = MessageStream::from(&nobody);
    for name in DESKTOP_SERVICES {
        nobody.request_name_with_flags(name, RequestNameFlags::AllowReplacement.into()).await.unwrap();
    }
    println!("{LISTENING}");
    while let Some(Ok(message)) = calls.next().await {
        if message.message_type() == zbus::message::Type::MethodCall {
            let error = "org.freedesktop.DBus.Error.ServiceUnknown";
            nobody.reply_error(&message.header(), error, &"there is no such service").await.unwrap();
        }
    }
    Err("the bus has lost a client".to_owned())
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
