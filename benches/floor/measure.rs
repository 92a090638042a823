//! What is measured, and the table that comes of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirEntry;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::agent::{Agent, place, service};
use crate::bare::{Bare, on_files};
use crate::reload::reload;
use crate::reports::Reports;
use crate::table::{heading, line, median, value};
use crate::{catalog, fleet, probes, status, writing};

/// How often each short thing is measured.
const ROUNDS: usize = 20;

/// How many services are many.
const MANY: usize = 200;

/// How many services an idle agent has, and for how long it is watched.
const IDLE: (usize, Duration) = (100, Duration::from_secs(30));

/// Measures everything that `is_asked` for by name, and prints one table.
pub fn measure(is_asked: impl Fn(&str) -> bool) {
    heading();
    if is_asked("few") {
        let bare = in_new_folder(bare_drop_ins_and_crashes);
        let agent = in_new_folder(drop_ins_and_crashes);
        line("drop-in to first instruction (median)", median(bare.0), median(agent.0), 3.0);
        line("crash to first instruction again (median)", median(bare.1), median(agent.1), 3.0);
    }
    if is_asked("many") {
        let bare = in_new_folder(bare_many);
        let agent = in_new_folder(many);
        line(&format!("{MANY} started, to the last one's"), bare.0, agent.0, 2.5);
        line(&format!("1 of {MANY} changed, to its first (median)"), median(bare.1), median(agent.1), 3.0);
    }
    if is_asked("fleet") {
        fleet::measure();
    }
    if is_asked("probes") {
        probes::measure();
    }
    if is_asked("writing") {
        writing::measure();
    }
    if is_asked("status") {
        status::measure();
    }
    if is_asked("catalog") {
        catalog::measure();
    }
    if is_asked("reload") {
        reloads();
    }
    if is_asked("idle") {
        in_new_folder(idle);
    }
}

/// Drop-ins that each start a program, then a crash of each.
fn drop_ins_and_crashes(folder: &Path) -> (Vec<Duration>, Vec<Duration>) {
    let reports = Reports::listen(folder);
    let agent = Agent::start(folder);
    let mut pids = Vec::new();
    let starts = (0..ROUNDS)
        .map(|round| {
            let name = format!("s{round}");
            let definition = service(&reports.program(&name), true, 0);
            let began = Instant::now();
            agent.drop_in(&name, &definition);
            let report = reports.of(&name);
            pids.push(report.pid);
            report.at - began
        })
        .collect();
    let crashes = (0..ROUNDS)
        .map(|round| {
            let began = Instant::now();
            kill_process(Pid::from_raw(pids[round]).unwrap(), Signal::KILL).unwrap();
            reports.of(&format!("s{round}")).at - began
        })
        .collect();
    (starts, crashes)
}

fn bare_drop_ins_and_crashes(folder: &Path) -> (Vec<Duration>, Vec<Duration>) {
    let reports = Reports::listen(folder);
    let programs: Vec<_> = (0..ROUNDS).map(|round| reports.program(&format!("s{round}"))).collect();
    let log = folder.join("log");
    std::fs::create_dir_all(folder.join("services.d")).unwrap();
    let (sender, started) = std::sync::mpsc::channel();
    let reactor = on_files(&folder.join("services.d"), ROUNDS, {
        let (programs, log) = (programs.clone(), log.clone());
        let mut bare = Some(Bare::default());
        move |index| {
            if let Some(spawner) = &mut bare {
                spawner.spawn(&programs[index], &log);
            }
            if index + 1 == ROUNDS {
                sender.send(bare.take()).unwrap();
            }
        }
    });
    let mut pids = Vec::new();
    let starts = (0..ROUNDS)
        .map(|round| {
            let name = format!("s{round}");
            let definition = service(&programs[round], true, 0);
            let began = Instant::now();
            place(folder, &name, &definition);
            let report = reports.of(&name);
            pids.push(report.pid);
            report.at - began
        })
        .collect();
    reactor.join().unwrap();
    let mut bare = started.recv().unwrap().unwrap();
    let crashes = (0..ROUNDS)
        .map(|round| {
            let began = Instant::now();
            kill_process(Pid::from_raw(pids[round]).unwrap(), Signal::KILL).unwrap();
            bare.replace(pids[round], &programs[round], &log);
            reports.of(&format!("s{round}")).at - began
        })
        .collect();
    (starts, crashes)
}

/// Many started at once, then one of them changed at a time.
fn many(folder: &Path) -> (Duration, Vec<Duration>) {
    let reports = Reports::listen(folder);
    for index in 0..MANY {
        let name = format!("s{index}");
        place(folder, &name, &service(&reports.program(&name), false, 0));
    }
    let agent = Agent::start(folder);
    agent.wait_until("all definitions to be in use", |services| services.len() == MANY);
    let began = Instant::now();
    agent.tell(&["start", "--all", "--no-wait"]);
    let started = reports.any(MANY).iter().map(|report| report.at).max().unwrap() - began;
    agent.wait_until("all services to run", |services| services.iter().all(is_healthy));
    let before = agent.services();
    let changes = (1..=ROUNDS)
        .map(|round| {
            let name = format!("s{round}");
            let definition = service(&reports.program(&name), false, round);
            let began = Instant::now();
            agent.drop_in(&name, &definition);
            reports.of(&name).at - began
        })
        .collect();
    agent.wait_until("all services to run again", |services| services.iter().all(is_healthy));
    let restarted = before.iter().zip(agent.services()).filter(|(before, after)| before["pid"] != after["pid"]).count();
    assert_eq!(restarted, ROUNDS, "only what was changed may have another pid");
    (started, changes)
}

fn bare_many(folder: &Path) -> (Duration, Vec<Duration>) {
    let reports = Reports::listen(folder);
    let programs: Vec<_> = (0..MANY).map(|index| reports.program(&format!("s{index}"))).collect();
    let mut bare = Bare::default();
    let began = Instant::now();
    for (index, program) in programs.iter().enumerate() {
        bare.spawn(program, &folder.join(format!("log{index}")));
    }
    let all = reports.any(MANY);
    let started = all.iter().map(|report| report.at).max().unwrap() - began;
    let pid_of = |name: &str| all.iter().find(|report| report.name == name).unwrap().pid;
    let pids: Vec<_> = (0..=ROUNDS).map(|index| pid_of(&format!("s{index}"))).collect();
    std::fs::create_dir_all(folder.join("services.d")).unwrap();
    let reactor = on_files(&folder.join("services.d"), ROUNDS, {
        let (folder, programs) = (folder.to_owned(), programs.clone());
        move |index| {
            let index = index + 1;
            kill_process(Pid::from_raw(pids[index]).unwrap(), Signal::TERM).unwrap();
            bare.replace(pids[index], &programs[index], &folder.join(format!("log{index}")));
        }
    });
    let changes = (1..=ROUNDS)
        .map(|round| {
            let name = format!("s{round}");
            let definition = service(&programs[round], false, round);
            let began = Instant::now();
            place(folder, &name, &definition);
            reports.of(&name).at - began
        })
        .collect();
    reactor.join().unwrap();
    (started, changes)
}

/// What a change costs the domain, beside the number of services that it does not concern.
fn reloads() {
    let least = median(reload(100));
    for count in [200, 1000, 10_000] {
        line(&format!("1 of {count} changed, the domain; 100 are bare"), least, median(reload(count)), 2.0);
    }
}

/// What an agent costs while nothing happens.
fn idle(folder: &Path) {
    let (count, span) = IDLE;
    let reports = Reports::listen(folder);
    for index in 0..count {
        let name = format!("s{index}");
        place(folder, &name, &service(&reports.program(&name), true, 0));
    }
    let agent = Agent::start(folder);
    reports.any(count);
    agent.wait_until("all services to run", |services| services.len() == count && services.iter().all(is_healthy));
    // What the last start set going (resets of delays, threads that linger) has ended by then.
    std::thread::sleep(Duration::from_secs(15));
    let before = switches(agent.pid());
    std::thread::sleep(span);
    let woken = wake_ups(&before, &switches(agent.pid()));
    let memory = proportional_kib(agent.pid());
    value(&format!("wake-ups in {} s idle, {count} services", span.as_secs()), &woken.to_string(), "0");
    let mib = f64::from(memory) / 1024.0;
    value(&format!("proportional memory, {count} services"), &format!("{mib:.1} MiB"), "6 MiB");
}

/// Whether a service of `status` runs and works.
pub fn is_healthy(service: &Value) -> bool {
    service["health"] == "healthy"
}

/// How often each thread of `pid` has given up or lost the processor so far.
fn switches(pid: u32) -> BTreeMap<OsString, u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap);
    let of_thread = |thread: DirEntry| {
        // A thread may end between the listing and the reading.
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let count = |key| number(&status, key);
        Some((thread.file_name(), count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:")))
    };
    threads.filter_map(of_thread).collect()
}

/// How often threads ran between two countings: each time is one wake-up, and each thread's end another.
fn wake_ups(before: &BTreeMap<OsString, u64>, after: &BTreeMap<OsString, u64>) -> u64 {
    let ended = before.keys().filter(|thread| !after.contains_key(*thread)).count() as u64;
    let run = after.iter().map(|(thread, count)| count - before.get(thread).unwrap_or(&0));
    ended + run.sum::<u64>()
}

/// The memory of `pid` in KiB, with what is shared divided among those who share it.
fn proportional_kib(pid: u32) -> u32 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    u32::try_from(number(&rollup, "Pss:")).unwrap()
}

fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Measures in a folder that goes with it.
pub fn in_new_folder<T>(measure: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    measure(folder.path())
}
