//! Much of everything: nothing blocks, and nothing grows without bound. More by `PILOTLIGHT_LOAD` (how many services).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::desk::{Desk, pause};

/// How many services there are at once.
fn load() -> usize {
    std::env::var("PILOTLIGHT_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

/// How many times as long as usual the tests are to last.
fn longer() -> u64 {
    (load() as u64).div_ceil(150)
}

/// How long a question may take, whatever else is going on; generous, because the machine may have other things to do.
const PROMPTLY: Duration = Duration::from_secs(10);

/// So much more memory (KiB) is no growth: what an allocator keeps for later differs from time to time.
const SLACK: u64 = 3072;

/// A server that passes every probe, and notes when each came.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Instant>>>);

impl Server {
    fn start() -> (u16, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        // More than the usual number may knock at once.
        rustix::net::listen(&listener, 4096).expect("it listens already");
        let port = listener.local_addr().expect("it is bound").port();
        let server = Self::default();
        let arrivals = server.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                arrivals.0.lock().expect("nobody panics").push(Instant::now());
                // Who only connects asks nothing.
                if connection.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {
                    let _ =
                        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                }
            }
        });
        (port, server)
    }

    fn count(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }

    /// How many came in each tenth of a second since then.
    fn tenths(&self, since: Instant) -> Vec<usize> {
        let mut tenths = vec![0; (since.elapsed().as_millis() / 100 + 1) as usize];
        for arrival in self.0.lock().expect("nobody panics").iter().filter(|arrival| **arrival >= since) {
            tenths[((*arrival - since).as_millis() / 100) as usize] += 1;
        }
        tenths
    }
}

/// The memory of a process that is its own, in KiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the system tells it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("it is a number")
}

/// How many bytes a process has written so far.
fn written(pid: u32) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{pid}/io")).expect("it lives");
    let line = counts.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("the system tells it");
    line.parse().expect("it is a number")
}

fn counted(status: &Value, key: &str, value: &str) -> usize {
    status["services"].as_array().expect("there is a list").iter().filter(|service| service[key] == value).count()
}

/// The file that the agent keeps for itself under this name.
fn state_file(desk: &Desk, name: &str) -> PathBuf {
    let status = desk.status();
    Path::new(status["agent"]["state_dir"].as_str().expect("it is text")).join(name)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// The agent's control socket.
fn socket(desk: &Desk) -> PathBuf {
    let record = fs::read(state_file(desk, "agent.json")).expect("an agent runs");
    let record: Value = serde_json::from_slice(&record).expect("it is JSON");
    record["control"].as_str().expect("it is a path").into()
}

/// Connects to the agent; waits where it is just being overrun.
fn connect(socket: &Path) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match UnixStream::connect(socket) {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        pause();
    }
}

fn say(client: &mut UnixStream, text: &str) {
    client.write_all(text.as_bytes()).expect("the agent reads");
}

/// Asks for the status, and fails if that takes long.
#[track_caller]
fn status_promptly(desk: &Desk) -> (Value, Duration) {
    let begun = Instant::now();
    let status = desk.status();
    assert!(begun.elapsed() < PROMPTLY, "it took {:?} to be answered", begun.elapsed());
    (status, begun.elapsed())
}

fn end(mut child: Child) {
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}

#[test]
fn very_many_services_are_probed_in_turns_and_cost_no_more_from_round_to_round() {
    let mut desk = Desk::new();
    let (port, server) = Server::start();
    let service = |at: usize| {
        let probe = if at.is_multiple_of(2) {
            json!({"http": format!("http://127.0.0.1:{port}/"), "interval": "2s", "timeout": "30s"})
        } else {
            json!({"tcp": format!("127.0.0.1:{port}"), "interval": "2s", "timeout": "30s"})
        };
        json!({"id": format!("s{at}"), "type": "process", "command": ["sleep", "100000"], "auto_start": true, "health": probe})
    };
    let services: Vec<_> = (0..load()).map(service).collect();
    desk.save("services.json", &json!({"services": services}).to_string());
    let begun = Instant::now();
    desk.start_agent();
    desk.until("all are healthy", || counted(&desk.status(), "health", "healthy") == load());
    let until_healthy = begun.elapsed();
    let mut slowest = Duration::ZERO;
    // A machine that has no time for the agent sends its probes late, and so in heaps: one quiet time is proof.
    let mut tenths = Vec::new();
    desk.until("the probes are spread over their interval", || {
        let (since, before) = (Instant::now(), server.count());
        while since.elapsed() < Duration::from_secs(4) {
            std::thread::park_timeout(Duration::from_secs(1));
            slowest = slowest.max(status_promptly(&desk).1);
        }
        tenths = server.tenths(since);
        let most = tenths.iter().copied().max().unwrap_or_default();
        // In turns they would be a twentieth of all, at once nearly all.
        server.count() - before >= load() && most <= load() / 4
    });
    let mut memories = Vec::new();
    for _ in 0..3 {
        let before = server.count();
        memories.push(memory(desk.agent_pid()));
        desk.until("all have been asked again", || server.count() >= before + load());
    }
    memories.push(memory(desk.agent_pid()));
    assert!(memories[3] <= memories[0] + SLACK, "the agent grows: {memories:?} KiB");
    assert_eq!(counted(&status_promptly(&desk).0, "health", "healthy"), load());
    println!(
        "{} services: healthy after {until_healthy:?}; at most {} probes in 0.1 s (mean {}); slowest status {slowest:?}; \
         the agent's own memory {memories:?} KiB",
        load(),
        tenths.iter().max().expect("there are some"),
        tenths.iter().sum::<usize>() / tenths.len(),
    );
}

#[test]
fn a_crash_loop_is_paced_costs_nothing_more_with_time_and_is_told_from_its_beginning() {
    let mut desk = Desk::new();
    // It fails for a reason first, and for what that has left behind from then on.
    let command = "if mkdir once 2>/dev/null; then echo 'no database'; exit 7; fi; echo 'a line of noise'; exit 1";
    let looping = json!({
        "type": "process", "command": ["sh", "-c", command], "auto_start": true,
        "restart": {"policy": "always", "max_restarts": 0, "delay": "50ms", "max_delay": "50ms"},
    });
    desk.save("services.d/looping.json", &looping.to_string());
    let mut failing = looping;
    failing["command"][2] = json!(command.replace("once", "at-first"));
    failing["restart"]["max_restarts"] = json!(4);
    desk.save("services.d/failing.json", &failing.to_string());
    let begun = Instant::now();
    desk.start_agent();
    desk.until_service("failing", "process", "failed");
    assert_eq!(desk.service("failing")["restarts"], 4);
    let restarts = || desk.service("looping")["restarts"].as_u64().expect("a number");
    desk.until("it has crashed a few times", || restarts() >= 20);
    let (memory_before, journal) = (memory(desk.agent_pid()), length(&state_file(&desk, "events.jsonl")));
    let before = restarts();
    desk.until("it has crashed many times", || restarts() >= before + 60);
    let (after, elapsed) = (restarts(), begun.elapsed());
    let most = elapsed.as_millis() / 50 + 2;
    assert!(u128::from(after) <= most, "{after} restarts in {elapsed:?}");
    let (memory_after, journal_after) = (memory(desk.agent_pid()), length(&state_file(&desk, "events.jsonl")));
    assert!(memory_after <= memory_before + SLACK, "the agent grew from {memory_before} to {memory_after} KiB");
    let line = (journal_after - journal) / (after - before);
    assert!(line < 4096, "each crash adds {line} bytes to what happened");
    for id in ["looping", "failing"] {
        // While it runs, nothing is wrong with it.
        desk.until("it is told what came first", || {
            desk.json(&["why", id, "--json"])["first_cause"] == "exited with code 7"
        });
    }
    assert_eq!(desk.service("failing")["restarts"], 4, "it stays given up");
}

#[test]
fn a_follower_of_a_log_that_is_not_read_keeps_nothing_of_it() {
    let mut desk = Desk::new();
    let talking = json!({
        "type": "process", "command": ["yes", "a line of a service that talks without end"],
        "log": {"max_size": "20MB", "keep": 1},
    });
    desk.save("services.d/talking.json", &talking.to_string());
    desk.start_agent();
    let mut printing = desk.command(&["logs", "talking", "--follow"]);
    let printing = printing.stdout(Stdio::piped()).spawn().expect("the program can be run");
    desk.ok(&["start", "talking"]);
    let talking = desk.pid("talking").expect("it runs");
    let more_is_said = |bytes: u64| {
        let before = written(talking);
        desk.until("more has been said", || written(talking) >= before + bytes);
    };
    more_is_said(200_000_000);
    let (agent, printer) = (memory(desk.agent_pid()), memory(printing.id()));
    let begun = Instant::now();
    let bytes = 600_000_000 * longer();
    more_is_said(bytes);
    status_promptly(&desk);
    let (agent_after, printer_after) = (memory(desk.agent_pid()), memory(printing.id()));
    println!(
        "{bytes} bytes of log in {:?}: the agent had {agent} and then {agent_after} KiB, who follows and is not read \
         {printer} and then {printer_after} KiB",
        begun.elapsed()
    );
    desk.ok(&["stop", "talking"]);
    end(printing);
    assert!(agent_after <= agent + SLACK, "the agent grew from {agent} to {agent_after} KiB");
    assert!(printer_after <= printer + SLACK, "who follows a log grew from {printer} to {printer_after} KiB");
}

#[test]
fn followers_of_events_that_never_read_hold_up_nobody_and_cost_nothing_more_with_time() {
    let mut desk = Desk::new();
    let crashing = json!({
        "type": "process", "command": ["false"], "auto_start": true,
        "restart": {"policy": "always", "max_restarts": 0, "delay": "1ms", "max_delay": "1ms"},
    });
    for at in 0..4 {
        // A long name makes long lines.
        desk.save(&format!("services.d/crashing-{at}-{}.json", "x".repeat(50)), &crashing.to_string());
    }
    desk.start_agent();
    let socket = socket(&desk);
    // None of these is read from; the last ones do not even finish their question.
    let mut deaf: Vec<_> = (0..20)
        .map(|_| {
            let mut client = connect(&socket);
            say(&mut client, "GET /v1/events?follow=true HTTP/1.1\r\nhost: pilotlight\r\n\r\n");
            client
        })
        .collect();
    deaf.extend((0..5).map(|_| {
        let mut client = connect(&socket);
        say(&mut client, "GET /v1/status HTTP/1.1\r\nhost:");
        client
    }));
    let journal = state_file(&desk, "events.jsonl");
    let more_happens = |bytes: u64| {
        let before = length(&journal);
        // A journal that is full begins anew.
        desk.until("more has happened", || {
            let now = length(&journal);
            now >= before + bytes || now < before
        });
    };
    // By then whatever lies between the agent and its clients is full.
    more_happens(250_000);
    let before = memory(desk.agent_pid());
    let begun = Instant::now();
    for _ in 0..longer() * longer() {
        more_happens(200_000);
    }
    status_promptly(&desk);
    let after = memory(desk.agent_pid());
    let journals = length(&journal) + length(&journal.with_extension("jsonl.1"));
    println!("{journals} bytes of events after {:?}: the agent had {before} and then {after} KiB", begun.elapsed());
    assert!(after <= before + SLACK, "the agent grew from {before} to {after} KiB");
    assert!(journals < 9 << 20, "what happened takes {journals} bytes");
    desk.ok(&["stop", "--all"]);
    drop(deaf);
}

#[test]
fn clients_that_say_more_than_they_ask_dawdle_or_come_in_thousands_lock_nobody_out() {
    let mut desk = Desk::new();
    desk.save("services.d/one.json", r#"{"type": "process", "command": ["sleep", "100000"], "auto_start": true}"#);
    desk.start_agent();
    desk.until_light("green");
    let socket = socket(&desk);
    // Nothing happens any more that followers would be told of. They ask, say more, have their answer, and go.
    for _ in 0..2 {
        let clients: Vec<_> = (0..128)
            .map(|_| {
                let mut client = connect(&socket);
                say(&mut client, "GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\nand more");
                let mut head = [0; 12];
                client.read_exact(&mut head).expect("it is answered");
                assert_eq!(&head, b"HTTP/1.1 200");
                client
            })
            .collect();
        drop(clients);
        desk.ok(&["status"]);
    }
    // As long as all places are taken by those who listen, others are told so; after that they are served.
    let listening: Vec<_> = (0..128)
        .map(|_| {
            let mut client = connect(&socket);
            say(&mut client, "GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n");
            client.read_exact(&mut [0; 12]).expect("it is answered");
            client
        })
        .collect();
    let refusal = desk.fails(1, &["status"]);
    assert!(refusal.contains("the agent has too many clients"), "{refusal}");
    drop(listening);
    desk.ok(&["status"]);
    // More than there is room for, of whom each says a byte now and then.
    let mut dawdling: Vec<_> = (0..200).map(|_| connect(&socket)).collect();
    let question = b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n";
    for byte in &question[..10] {
        for client in &mut dawdling {
            // It may have had to go.
            let _ = client.write_all(&[*byte]);
        }
        status_promptly(&desk);
    }
    drop(dawdling);
    let before = memory(desk.agent_pid());
    let count = if load() > 150 { 20_000 } else { 1500 };
    let begun = Instant::now();
    for at in 0..count {
        let mut client = connect(&socket);
        // Some hang up without a word, some in the middle, some with an answer that is not read.
        match at % 4 {
            0 => {}
            1 => say(&mut client, "GET /v1/st"),
            2 => say(&mut client, "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"),
            _ => {
                say(&mut client, "GET /v1/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                let mut answer = String::new();
                client.read_to_string(&mut answer).expect("it is answered");
                assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
            }
        }
    }
    let took = begun.elapsed();
    status_promptly(&desk);
    let after = memory(desk.agent_pid());
    println!("{count} connections in {took:?}: the agent had {before} and then {after} KiB");
    assert!(after <= before + SLACK, "the agent grew from {before} to {after} KiB");
    assert_eq!(desk.status()["light"], "green");
}
