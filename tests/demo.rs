//! `pilotlight demo-service`, as processes of its own over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process};
use serde_json::Value;

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running stand-in, killed when dropped.
struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        Self::of(&mut program(args))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Starts one on a free port, and waits until it listens there.
    fn serving(args: &[&str]) -> (Self, u16) {
        let demo = Self::start(&[&["--port", "0"], args].concat());
        let line = demo.line_with("listening on http://127.0.0.1:");
        let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap();
        (demo, port)
    }

    fn line_with(&self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no line with {text:?}: {error}"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that is not our child, killed when dropped.
struct Orphan(Pid);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotlight"));
    command.arg("demo-service").args(args).env_remove("PORT").env_remove("DEMO_NEEDS").env_remove("PILOTLIGHT_SERVICE");
    command
}

fn tell(port: u16, rest: &[&str]) -> Output {
    program(&[&["tell", &port.to_string()], rest].concat()).output().unwrap()
}

fn ask(port: u16, request: &str) -> (u16, String) {
    request_to(&format!("127.0.0.1:{port}"), request, "")
}

fn request_to(address: &str, request: &str, header: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\n{header}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn health(port: u16) -> (u16, Value) {
    let (status, body) = ask(port, "GET /health");
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn health_says_what_it_was_told_to_say_until_it_recovers() {
    let (_demo, port) = Demo::serving(&["--name", "main-api"]);
    let (status, body) = health(port);
    assert_eq!((status, &body["status"], &body["service"]), (200, &"healthy".into(), &"main-api".into()));

    assert!(tell(port, &["fail", "--reason", "disk full & more"]).status.success());
    let (status, body) = health(port);
    assert_eq!((status, &body["status"], &body["error"]), (503, &"unhealthy".into(), &"disk full & more".into()));

    assert!(tell(port, &["degrade"]).status.success());
    let (status, body) = health(port);
    assert_eq!((status, &body["status"], &body["error"]), (200, &"degraded".into(), &"told to degrade".into()));

    assert!(tell(port, &["recover"]).status.success());
    assert_eq!(health(port).1["status"], "healthy");
}

#[test]
fn a_hanging_service_answers_nothing_until_it_recovers() {
    let (_demo, port) = Demo::serving(&[]);
    assert!(tell(port, &["hang"]).status.success());
    let waiting = std::thread::spawn(move || health(port));
    // The rest of it still answers, and so has had the chance to answer the first as well.
    assert_eq!(ask(port, "GET /dev/info").0, 200);
    assert!(!waiting.is_finished());
    assert!(tell(port, &["recover"]).status.success());
    assert_eq!(waiting.join().unwrap().1["status"], "healthy");
}

#[test]
fn a_slow_service_answers_late_and_says_so() {
    let (demo, port) = Demo::serving(&[]);
    assert!(tell(port, &["slow", "--ms", "30"]).status.success());
    assert_eq!(health(port).0, 200);
    let line = demo.line_with("GET /health 200");
    let ms: u32 = line.trim_end().trim_end_matches(" ms").rsplit(' ').next().unwrap().parse().unwrap();
    assert!(ms >= 30, "{line}");
}

#[test]
fn a_crash_answers_and_then_exits_with_its_code() {
    let (mut demo, port) = Demo::serving(&[]);
    let output = tell(port, &["crash", "--code", "7"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(demo.end().code(), Some(7));
    let output = tell(port, &["recover"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nobody listens there"));
}

#[test]
fn asked_to_end_it_ends_with_success_even_while_a_request_hangs() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut demo, port) = Demo::serving(&[]);
        assert!(tell(port, &["hang"]).status.success());
        let mut hanging = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(hanging, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        demo.signal(signal);
        demo.line_with("stopping: got SIG");
        assert_eq!(demo.end().code(), Some(0));
    }
}

#[test]
fn told_to_ignore_it_outlives_sigterm_but_not_sigint() {
    let (mut demo, port) = Demo::serving(&["--ignore-term"]);
    demo.signal(Signal::TERM);
    demo.line_with("ignoring SIGTERM");
    assert_eq!(health(port).0, 200);
    demo.signal(Signal::INT);
    assert_eq!(demo.end().code(), Some(0));
}

#[test]
fn it_listens_on_both_loopback_addresses() {
    let (demo, port) = Demo::serving(&[]);
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    demo.line_with("listening on http://[::1]:");
    assert_eq!(request_to(&format!("[::1]:{port}"), "GET /health", "").0, 200);
}

#[test]
fn what_it_needs_and_cannot_reach_makes_it_degraded() {
    let (mut database, database_port) = Demo::serving(&["--kind", "database"]);
    let need = format!("db=http://127.0.0.1:{database_port}/health,tcp://127.0.0.1:{database_port}");
    let (_api, port) = Demo::serving(&["--needs", &need]);
    let (_, body) = health(port);
    assert_eq!((&body["status"], &body["db"]), (&"healthy".into(), &"connected".into()));
    assert_eq!(body[format!("127.0.0.1:{database_port}")], "connected");

    assert!(tell(database_port, &["fail"]).status.success());
    let (status, body) = health(port);
    assert_eq!((status, &body["status"], &body["error"]), (200, &"degraded".into(), &"db: answers 503".into()));

    database.signal(Signal::KILL);
    database.end();
    let (status, body) = health(port);
    assert_eq!((status, &body["status"]), (200, &"degraded".into()));
    assert!(body["error"].as_str().unwrap().starts_with("db: "), "{body}");
    assert!(body[format!("127.0.0.1:{database_port}")].as_str().unwrap().starts_with("error: "), "{body}");
}

#[test]
fn it_describes_itself_in_both_forms_of_the_map() {
    let args = ["--name", "a<b", "--provides", "users,assets", "--needs", "db=http://127.0.0.1:1"];
    let (_demo, port) = Demo::serving(&args);
    let json = |path: &str, port| -> Value {
        let (status, body) = ask(port, &format!("GET {path}"));
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&body).unwrap()
    };
    let info = json("/dev/info", port);
    assert_eq!(info["provides"], serde_json::json!(["users", "assets"]));
    assert_eq!(info["dependencies"], serde_json::json!(["db"]));
    assert_eq!(info["port"], port);
    let map = json("/dev/architecture/map", port);
    assert_eq!(map["services"].as_array().unwrap().len(), 2);
    assert_eq!(map["capabilities"][0]["permission"], "users:read");

    let (_other, other) = Demo::serving(&["--map", "maps", "--provides", "users"]);
    let map = json("/dev/architecture/map", other);
    assert!(map["services"]["users_service"].is_object());
    assert_eq!(map["capabilities"], serde_json::json!(["users"]));
    // Every route that the map names is served.
    for route in map["routes"].as_array().unwrap() {
        if route["methods"][0] == "GET" {
            assert_eq!(ask(other, &format!("GET {}", route["path"].as_str().unwrap())).0, 200, "{route}");
        }
    }
    assert!(ask(port, "GET /").1.contains("a&lt;b"));
    assert_eq!(ask(port, "GET /elsewhere").0, 404);
}

#[test]
fn pages_of_other_sites_cannot_press_its_buttons() {
    let (_demo, port) = Demo::serving(&[]);
    let address = format!("127.0.0.1:{port}");
    let post = |header: &str| request_to(&address, "POST /demo/fail", &format!("Content-Length: 0\r\n{header}")).0;
    assert_eq!(post("Origin: https://example.org\r\n"), 403);
    assert_eq!(health(port).0, 200);
    assert_eq!(ask(port, "GET /demo/fail").0, 405);
    assert_eq!(post(&format!("Origin: http://{address}\r\nAccept: text/html\r\n")), 303);
    assert_eq!(health(port).0, 503);
}

#[test]
fn a_job_runs_through_its_steps_and_ends_with_its_code() {
    let job = |args: &[&str]| program(&[&["--kind", "job", "--step-time", "1ms"], args].concat()).output().unwrap();
    let output = job(&["--job-steps", "2"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("step 1 of 2") && text.contains("step 2 of 2"), "{text}");
    for line in text.lines() {
        let time = line.split(' ').next().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
    }
    assert_eq!(job(&["--exit-code", "9"]).status.code(), Some(9));
    let output = job(&["--needs", "db=tcp://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("db is not there"));
}

#[test]
fn a_worker_beats_without_a_port_and_ignores_the_variable() {
    let mut demo = Demo::of(program(&["--kind", "worker", "--heartbeat", "1ms"]).env("PORT", "1"));
    demo.line_with("waiting for work, 2 jobs");
    demo.signal(Signal::TERM);
    assert_eq!(demo.end().code(), Some(0));
}

#[test]
fn it_crashes_on_time_with_its_code() {
    let mut demo = Demo::start(&["--port", "0", "--crash-after", "1ms", "--exit-code", "3"]);
    assert_eq!(demo.end().code(), Some(3));
}

#[test]
fn a_taken_port_is_said_and_costs_the_start() {
    let (_demo, port) = Demo::serving(&[]);
    let output = program(&["--port", &port.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains(&format!("port {port} is taken")));
}

#[test]
fn nonsense_is_a_usage_error() {
    for args in [&["--kind", "teapot"][..], &["--kind", "web"], &["--port", "70000"], &["tell", "1", "dance"]] {
        assert_eq!(program(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
    assert_eq!(program(&["--help"]).output().unwrap().status.code(), Some(0));
}

/// The session that a process is in; 0 if its leader lives outside our pid namespace, as in some containers, which
/// `getsid` of rustix takes for impossible.
fn session(pid: Pid) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn its_child_outlives_it_in_its_group_or_in_a_session_of_its_own() {
    for place in ["group", "session"] {
        let mut demo = Demo::start(&["--kind", "worker", &format!("--spawn-child={place}"), "--name", "parent"]);
        // The child's first line comes by the same pipe, once it is where it belongs.
        let line = demo.line_with("parent-child starting, pid ");
        let pid = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        let child = Orphan(Pid::from_raw(pid).unwrap());
        let own = getpgid(Some(Pid::from_child(&demo.child))).unwrap();
        assert_eq!(getpgid(Some(child.0)).unwrap() == own, place == "group");
        assert_eq!(session(child.0) == child.0.as_raw_pid(), place == "session");
        demo.signal(Signal::TERM);
        assert_eq!(demo.end().code(), Some(0));
        assert!(test_kill_process(child.0).is_ok());
    }
}
