//! Logs of services that write faster than anybody could watch: nothing is lost, whatever becomes of the agent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::desk::Desk;

/// Lines that the service writes, each by a call of its own.
const LINES: u64 = 3_000_000;
/// Lines that are enough to be rotated many times.
const FEWER: u64 = LINES / 3;

/// A service that writes the numbers from 1 on, as fast as it can.
fn writer(count: u64, log: &Value) -> String {
    let command = ["stdbuf", "-oL", "seq", "1", &count.to_string()];
    json!({"type": "process", "one_shot": true, "command": command, "log": log}).to_string()
}

/// A desk whose state directory is at hand.
fn desk() -> Desk {
    let mut desk = Desk::new();
    desk.set("PILOTLIGHT_STATE_DIR", desk.path("state").display().to_string());
    desk
}

fn state(desk: &Desk, name: &str) -> PathBuf {
    desk.path("state").join("services/s").join(name)
}

/// The older files, the newest first.
fn pieces(desk: &Desk) -> Vec<PathBuf> {
    (1..).map(|number| state(desk, &format!("output.log.{number}"))).take_while(|path| path.exists()).collect()
}

/// Asserts that `lines` are the numbers from 1 to `count`, each once and in order.
fn assert_counts(lines: impl Iterator<Item = std::io::Result<String>>, count: u64, whence: &str) {
    let mut expected = 0;
    for line in lines {
        let line = line.expect("it can be read");
        expected += 1;
        assert!(line == expected.to_string(), "{whence}: line {expected} is {line:.80?}");
        if expected == count {
            return;
        }
    }
    panic!("{whence}: only {expected} of {count}");
}

/// Asserts that `logs` and the files by themselves hold all lines.
fn assert_all_kept(desk: &Desk, count: u64) {
    let mut logs =
        desk.command(&["logs", "s", "--raw", "-n", "1000000000"]).stdout(Stdio::piped()).spawn().expect("it runs");
    let read = BufReader::new(logs.stdout.take().expect("it is piped"));
    assert_counts(read.lines(), count, "logs");
    assert!(logs.wait().expect("it ends").success());
    let older = pieces(desk).into_iter().rev().flat_map(|path| fs::read(path).expect("it is ours"));
    let log = fs::read(state(desk, "output.log")).expect("it is ours");
    // Where the front can't be cut out, it is a hole.
    let bytes: Vec<u8> = older.chain(log.into_iter().skip_while(|byte| *byte == 0)).collect();
    assert_counts(bytes.lines(), count, "the files");
}

#[test]
fn every_line_of_a_service_at_full_speed_is_kept_and_followed_once() {
    let mut desk = desk();
    desk.save("services.d/s.json", &writer(LINES, &json!({"max_size": "1MB", "keep": 100})));
    desk.start_agent();
    let mut follower = desk
        .command(&["logs", "s", "-f", "--raw", "-n", "1000000000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let followed = BufReader::new(follower.stdout.take().expect("it is piped"));
    let following = std::thread::spawn(move || assert_counts(followed.lines(), LINES, "logs -f"));
    desk.ok(&["start", "s", "--no-wait"]);
    desk.until_service("s", "process", "completed");
    following.join().expect("the follower sees every line once");
    follower.kill().expect("it still follows");
    follower.wait().expect("it ends");
    desk.until("the last rotation is over", || {
        fs::metadata(state(&desk, "output.log")).is_ok_and(|log| log.len() <= 1_000_000)
    });
    assert!(pieces(&desk).len() >= 20, "{}", pieces(&desk).len());
    assert_all_kept(&desk, LINES);
}

#[test]
fn an_agent_that_is_killed_while_it_rotates_costs_no_line() {
    let mut desk = desk();
    desk.save("services.d/s.json", &writer(FEWER, &json!({"max_size": "128KiB", "keep": 200})));
    desk.start_agent();
    desk.ok(&["start", "s", "--no-wait"]);
    for round in 1..=4 {
        desk.until("it has rotated once more", || pieces(&desk).len() >= round);
        desk.kill_agent();
        desk.start_agent();
    }
    desk.until("it has written all", || {
        let end = fs::read(state(&desk, "output.log")).unwrap_or_default();
        end.ends_with(format!("\n{FEWER}\n").as_bytes()) && end.len() <= 128 * 1024
    });
    assert_all_kept(&desk, FEWER);
}

#[test]
fn a_line_of_a_hundred_megabytes_is_cut_for_people_and_whole_for_programs() {
    let mut desk = desk();
    let script = "head -c 100000000 /dev/zero; echo; printf '\\377\\033[2J\\000end\\n'";
    let service = json!({"type": "process", "one_shot": true, "command": ["sh", "-c", script], "log": {"keep": 9}});
    desk.save("services.d/s.json", &service.to_string());
    desk.start_agent();
    desk.ok(&["start", "s"]);
    desk.until("it is rotated", || pieces(&desk).len() == 2);
    let shown = desk.ok(&["logs", "s"]);
    assert!(shown.len() < 1_000_000 && shown.contains("(line cut)"), "{}", shown.len());
    assert!(shown.ends_with("\u{fffd}end\n"), "{:?}", shown.chars().rev().take(20).collect::<String>());
    let raw = desk.command(&["logs", "s", "--raw"]).output().expect("it runs").stdout;
    assert_eq!(raw.len(), 100_000_000 + 1 + 10);
    assert!(raw.ends_with(b"\n\xff\x1b[2J\0end\n"));
}

/// A file system of its own, that is soon full; `None` where none can be mounted.
struct Small(PathBuf);

impl Small {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).expect("the desk is ours");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: this test mounts a small file system, which is not allowed here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A lazy one, as the agent may still be about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_of_survived_and_made_up_for() {
    let mut desk = desk();
    let Some(small) = Small::mount(desk.path("state")) else { return };
    // It writes 400 kB, and more when it is told to; what it can't write it tries again.
    let script = "seq 1 70000; while [ ! -e more ]; do sleep 0.05; done; seq 70001 100000; sleep 1000";
    let service = json!({"type": "process", "command": ["sh", "-c", script], "log": {"max_size": "256KiB", "keep": 9}});
    desk.save("services.d/s.json", &service.to_string());
    desk.start_agent();
    let filler = small.0.join("filler");
    fs::write(&filler, vec![1; 500_000]).expect("there is space");
    desk.ok(&["start", "s"]);
    let trouble = |desk: &Desk| {
        let problems = desk.status()["problems"].clone();
        problems.as_array().is_some_and(|problems| problems.iter().any(|problem| problem["service"] == "s"))
    };
    desk.until("it is told of", || trouble(&desk));
    assert_eq!(desk.service("s")["process"], "running");
    assert_eq!(pieces(&desk).len(), 0, "nothing half done is left");
    assert!(!state(&desk, "output.log.new").exists());
    fs::remove_file(filler).expect("it is ours");
    desk.until("it is made up for", || !trouble(&desk) && !pieces(&desk).is_empty());
    fs::write(desk.project("more"), "").expect("the desk is ours");
    desk.until("it has written the rest", || desk.ok(&["logs", "s", "-n", "1"]) == "100000\n");
    desk.until("it is rotated again", || pieces(&desk).len() == 2);
    assert_all_kept(&desk, 100_000);
    let log = fs::read_to_string(small.0.join("agent.log")).unwrap_or_default();
    let told = |words: &str| log.matches(words).count();
    assert_eq!((told("the log of s can't be rotated"), told("the log of s is rotated again")), (1, 1), "{log}");
    // The service is stopped while its log is still there to be written to.
    desk.ok(&["shutdown"]);
    desk.wait_agent();
}
