//! The probes against real sockets, programs and servers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::NetProbes;
use crate::domain::{Check, Event, Outcome, Probe, ProbeOrder, RunId, ServiceId, Spawn};
use crate::engine::ports::Probes;

/// Longer than anything here takes on the slowest machine.
const GENEROUS: Duration = Duration::from_secs(60);

struct Bench {
    probes: NetProbes,
    answers: UnboundedReceiver<Event>,
}

impl Bench {
    fn new() -> Self {
        let (inbox, answers) = unbounded_channel();
        Self { probes: NetProbes::new(inbox, Arc::new(|_, _| Err(std::io::ErrorKind::NotFound.into()))), answers }
    }

    fn order(&mut self, index: usize, check: Check, patience: Duration, spawn: Option<Spawn>) {
        let probe = Probe {
            check,
            interval: GENEROUS,
            timeout: patience,
            healthy_after: 1,
            unhealthy_after: 1,
            grace: Duration::ZERO,
        };
        self.probes.probe(ProbeOrder {
            id: ServiceId::new("api").unwrap(),
            run: RunId::new("r-1"),
            index,
            probe: Arc::new(probe),
            spawn: spawn.map(Arc::new),
        });
    }

    async fn answer(&mut self) -> (usize, Outcome) {
        match timeout(GENEROUS, self.answers.recv()).await.unwrap().unwrap() {
            Event::Probed { run, index, outcome } => {
                assert_eq!(run, RunId::new("r-1"));
                (index, outcome)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&mut self, check: Check) -> Outcome {
        self.ask_within(GENEROUS, check, None).await
    }

    async fn ask_within(&mut self, patience: Duration, check: Check, spawn: Option<Spawn>) -> Outcome {
        self.order(0, check, patience, spawn);
        self.answer().await.1
    }
}

fn http(url: String) -> Check {
    Check::Http { url, status: vec![(200, 299)], body: None }
}

fn shell(script: &str) -> Check {
    Check::Exec { argv: ["sh", "-c", script].map(String::from).to_vec() }
}

fn place(cwd: &Path, env: &[(&str, Option<&str>)]) -> Spawn {
    let own = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(String::from));
    let shared = BTreeMap::from([("SHARED".to_owned(), "weak".to_owned()), ("BOTH".to_owned(), "weak".to_owned())]);
    Spawn {
        argv: vec!["unused".to_owned()],
        cwd: cwd.to_owned(),
        env: env.iter().map(own).collect(),
        shared_env: Arc::new(shared),
    }
}

fn fail(text: &str) -> Outcome {
    Outcome::Fail(text.to_owned())
}

/// Reads a request to the end of its head.
fn request(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A server that gives `answers` to one connection after the other; joined, it gives what it was asked.
fn server(loopback: &str, answers: &'static [&'static [u8]]) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(loopback).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().unwrap();
            requests.push(request(&mut connection));
            connection.write_all(answer).unwrap();
        }
        requests
    });
    (port, serving)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_server_on_either_loopback_address_is_localhost() {
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let (port, serving) = server(loopback, &[OK]);
        let outcome = Bench::new().ask(http(format!("http://localhost:{port}/health?x=1"))).await;
        assert_eq!(outcome, Outcome::Pass, "{loopback}");
        let request = serving.join().unwrap().remove(0);
        assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nconnection: close\r\n"), "{request}");
    }
}

#[test]
fn a_proxy_in_the_environment_is_not_asked() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", nobody.local_addr().unwrap());
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "probe::tests::a_server_on_either_loopback_address_is_localhost"]);
    test.env("http_proxy", &proxy).env("HTTP_PROXY", &proxy).env("ALL_PROXY", &proxy).env_remove("no_proxy");
    let output = test.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    nobody.set_nonblocking(true).unwrap();
    assert!(nobody.accept().is_err());
}

#[tokio::test]
async fn failures_are_told_in_words() {
    let mut bench = Bench::new();
    let (port, serving) = server(
        "127.0.0.1:0",
        &[
            b"HTTP/1.1 503 Unavailable\r\ncontent-length: 19\r\n\r\nwarming up\x1b[5m\nmore",
            b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            b"",
            b"220 smtp ready\r\n",
        ],
    );
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(bench.ask(http(url.clone())).await, fail("answered 503 (warming up)"));
    for beginning in ["answered 200, then broke off: ", "", ""] {
        let Outcome::Fail(reason) = bench.ask(http(url.clone())).await else { panic!("passed") };
        assert!(reason.starts_with(beginning) && !reason.is_empty() && !reason.contains("http://"), "{reason}");
    }
    serving.join().unwrap();
    assert_eq!(bench.ask(http(url)).await, fail("connection refused"));
    assert_eq!(bench.ask(http(format!("http://localhost:{port}"))).await, fail("connection refused"));
    assert_eq!(bench.ask(http("http://nobody.invalid/".to_owned())).await, fail("host not found: nobody.invalid"));
    assert_eq!(bench.ask(http("gopher://x/".to_owned())).await, fail("http probes know no gopher URLs"));
}

#[tokio::test]
async fn a_silent_server_fails_when_the_patience_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = http(format!("http://{}", listener.local_addr().unwrap()));
    let outcome = Bench::new().ask_within(Duration::from_millis(50), check, None).await;
    assert_eq!(outcome, fail("no answer within 50 ms"));
}

#[tokio::test]
async fn a_failure_that_comes_of_our_own_absence_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (awake, wakes) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        wakes.recv().unwrap();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            request(&mut connection);
            // Whoever has asked first has gone.
            let _ = connection.write_all(OK);
        }
    });
    let mut bench = Bench::new();
    let patience = Duration::from_millis(500);
    bench.order(0, http(url), patience, None);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // All that this program does happens on this thread.
    thread::sleep(patience + super::net::LATE + Duration::from_millis(100));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    awake.send(()).unwrap();
    assert_eq!(bench.answer().await, (0, Outcome::Pass));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (port, serving) =
        server("127.0.0.1:0", &[b"HTTP/1.1 301 Moved\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n"]);
    let outcome = Bench::new().ask(http(format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(outcome, fail("answered 301 (redirects to http://example.com/)"));
    assert_eq!(serving.join().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_without_end_is_read_no_further_than_its_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        for kind in ["text/html", "text/event-stream"] {
            let (mut connection, _) = listener.accept().unwrap();
            request(&mut connection);
            write!(connection, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n").unwrap();
            let mut written = 0;
            // A stream that has nothing to say passes as well; a page is written until nobody listens.
            while kind == "text/html" && connection.write_all(&[b'x'; 1024]).is_ok() {
                written += 1024;
                assert!(written < 100 << 20);
            }
            // Until the other side hangs up.
            let _ = connection.read(&mut [0]);
        }
    });
    let mut bench = Bench::new();
    assert_eq!(bench.ask(http(url.clone())).await, Outcome::Pass);
    assert_eq!(bench.ask(http(url)).await, Outcome::Pass);
    serving.join().unwrap();
}

#[tokio::test]
async fn no_connection_outlives_its_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().unwrap();
            request(&mut connection);
            // It offers to keep the connection, and waits for what the other side does.
            connection.write_all(OK).unwrap();
            assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
        }
    });
    let mut bench = Bench::new();
    assert_eq!(bench.ask(http(url.clone())).await, Outcome::Pass);
    assert_eq!(bench.ask(http(url)).await, Outcome::Pass);
    serving.join().unwrap();
}

#[tokio::test]
async fn a_probe_under_way_is_not_begun_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = http(format!("http://{}", listener.local_addr().unwrap()));
    let mut bench = Bench::new();
    bench.order(3, check.clone(), GENEROUS, None);
    bench.order(3, check.clone(), GENEROUS, None);
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().unwrap();
            request(&mut connection);
            connection.write_all(OK).unwrap();
        }
    });
    assert_eq!(bench.answer().await, (3, Outcome::Pass));
    assert!(bench.answers.try_recv().is_err());
    bench.order(3, check, GENEROUS, None);
    assert_eq!(bench.answer().await, (3, Outcome::Pass));
    serving.join().unwrap();
}

#[tokio::test]
async fn a_thousand_probes_take_turns() {
    const ALL: usize = 1000;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut bench = Bench::new();
    for index in 0..ALL {
        bench.order(index, http(format!("http://{address}")), GENEROUS, None);
    }
    let serving = thread::spawn(move || {
        let mut open = Vec::new();
        for accepted in 1..=ALL {
            open.push(listener.accept().unwrap().0);
            if open.len() == super::net::CONNECTIONS || accepted == ALL {
                // None has been answered, so none further can have come.
                listener.set_nonblocking(true).unwrap();
                assert!(listener.accept().is_err());
                listener.set_nonblocking(false).unwrap();
                for mut connection in open.drain(..) {
                    request(&mut connection);
                    connection.write_all(OK).unwrap();
                }
            }
        }
    });
    let mut answered = vec![false; ALL];
    for _ in 0..ALL {
        let (index, outcome) = bench.answer().await;
        assert_eq!(outcome, Outcome::Pass);
        assert!(!std::mem::replace(&mut answered[index], true));
    }
    serving.join().unwrap();
}

#[tokio::test]
async fn a_program_answers_with_its_exit_code_and_last_line() {
    let mut bench = Bench::new();
    assert_eq!(bench.ask(shell("echo fine")).await, Outcome::Pass);
    let script = "echo first; echo no route to \x1b[31mdb >&2; echo; exit 3";
    assert_eq!(bench.ask(shell(script)).await, fail("exec probe exited with code 3: no route to db"));
    assert_eq!(bench.ask(shell("exit 1")).await, fail("exec probe exited with code 1"));
    assert_eq!(bench.ask(shell("kill -SEGV $$")).await, fail("exec probe killed by SIGSEGV"));
    let long = "i=0; while [ $i -lt 3000 ]; do echo line $i is in the way of the pipe; i=$((i+1)); done; exit 2";
    let outcome = bench.ask(shell(long)).await;
    assert_eq!(outcome, fail("exec probe exited with code 2: line 2999 is in the way of the pipe"));
}

#[tokio::test]
async fn a_program_runs_in_the_services_place_without_input() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().canonicalize().unwrap();
    let own = [("BOTH", Some("strong")), ("HOME", None), ("OWN", Some("1"))];
    let script = "echo $PWD $SHARED $BOTH $OWN ${HOME-none} $(cat | wc -c) ; exit 1";
    let outcome = Bench::new().ask_within(GENEROUS, shell(script), Some(place(&here, &own))).await;
    assert_eq!(outcome, fail(&format!("exec probe exited with code 1: {} weak strong 1 none 0", here.display())));
}

#[tokio::test]
async fn a_program_that_cannot_start_is_told() {
    let mut bench = Bench::new();
    let missing = Check::Exec { argv: vec!["no-such-program".to_owned()] };
    let reason = fail("exec probe could not be started: program not found: no-such-program");
    assert_eq!(bench.ask(missing).await, reason);
    let gone = place(Path::new("/no/such/place"), &[]);
    let reason = fail("exec probe could not be started: no such directory: /no/such/place");
    assert_eq!(bench.ask_within(GENEROUS, shell("true"), Some(gone)).await, reason);
    let reason = fail("exec probe could not be started: no program is named");
    assert_eq!(bench.ask(Check::Exec { argv: Vec::new() }).await, reason);
}

/// Makes a named pipe; read to its end, it tells that nobody holds it open any more.
fn fifo(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Whether `pid` runs; one that only waits to be collected does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(GENEROUS, wait).await.expect(what);
}

#[tokio::test]
async fn a_program_that_runs_too_long_is_killed_with_all_of_its_group() {
    let mut bench = Bench::new();
    let mut patience = Duration::from_millis(200);
    let (shell_pid, sleeper) = loop {
        let check = shell("sleep 1000 & echo $$ $!; sleep 1000");
        let Outcome::Fail(reason) = bench.ask_within(patience, check, None).await else { panic!("passed") };
        let rest = reason.strip_prefix("exec probe did not end within ").unwrap();
        match rest.split_once(": ").and_then(|(_, said)| said.split_once(' ')) {
            Some((shell, sleeper)) => break (shell.to_owned(), sleeper.to_owned()),
            // On a busy machine it may not even have come to speak.
            None => patience *= 2,
        }
    };
    eventually("the sleeper ends", || !runs(&sleeper)).await;
    eventually("the program is collected", || !Path::new(&format!("/proc/{shell_pid}")).exists()).await;
}

#[tokio::test]
async fn what_a_program_leaves_in_its_group_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(dir.path());
    let script = format!("exec 3>{}; sleep 1000 & exit 0", path.display());
    let reading = thread::spawn(move || fs::read(path).unwrap());
    assert_eq!(Bench::new().ask(shell(&script)).await, Outcome::Pass);
    assert!(reading.join().unwrap().is_empty());
}

#[tokio::test]
async fn a_program_inherits_no_file_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let held = dir.path().join("held-by-the-agent");
    let _open = fs::File::create(&held).unwrap();
    let script = "ls -l /proc/self/fd > listed; grep -c held-by-the-agent listed; exit 1";
    let outcome = Bench::new().ask_within(GENEROUS, shell(script), Some(place(dir.path(), &[]))).await;
    assert_eq!(outcome, fail("exec probe exited with code 1: 0"));
}
