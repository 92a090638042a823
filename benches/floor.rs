//! How far the agent is from the bare system: each number is measured beside its floor, in one run.
//!
//! `cargo bench` prints a table; `cargo bench -- idle` only what is named (of few, many, fleet, probes, writing, status,
//! catalog, reload and idle). `PILOTLIGHT_PROGRAM` names another build to be measured. The floor does by hand, in this process, the least that the same outcome takes:
//! inotify and a spawn, a wait and a spawn, a loop of spawns. Both sides start the same program, which reports its
//! first instruction through a named pipe. Times include that report and the files' renames on both sides.
#![allow(clippy::unwrap_used)]

#[cfg(target_os = "linux")]
#[path = "floor/agent.rs"]
mod agent;
#[cfg(target_os = "linux")]
#[path = "floor/bare.rs"]
mod bare;
#[cfg(target_os = "linux")]
#[path = "floor/catalog.rs"]
mod catalog;
#[cfg(target_os = "linux")]
#[path = "floor/fleet.rs"]
mod fleet;
#[cfg(target_os = "linux")]
#[path = "floor/measure.rs"]
mod measure;
#[cfg(target_os = "linux")]
#[path = "floor/probes.rs"]
mod probes;
#[cfg(target_os = "linux")]
#[path = "floor/reload.rs"]
mod reload;
#[cfg(target_os = "linux")]
#[path = "floor/reports.rs"]
mod reports;
#[cfg(target_os = "linux")]
#[path = "floor/status.rs"]
mod status;
#[cfg(target_os = "linux")]
#[path = "floor/table.rs"]
mod table;
#[cfg(target_os = "linux")]
#[path = "floor/writing.rs"]
mod writing;

fn main() {
    // `cargo test --all-targets` runs benches, too; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        if writing::is_writer() {
            return writing::write();
        }
        let asked: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
        measure::measure(|name| asked.is_empty() || asked.iter().any(|word| word == name));
    }
    #[cfg(not(target_os = "linux"))]
    println!("skipped: the floor is measured with inotify and /proc, which only Linux has");
}
