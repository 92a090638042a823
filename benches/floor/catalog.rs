//! A change of one source where many services are defined and few run, from the file to the new run.
//!
//! The many lie in files of their own, or all in one: the difference is what it takes to look at their files.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::agent::{Agent, place, service};
use crate::measure::{in_new_folder, is_healthy};
use crate::reports::Reports;
use crate::table::{line, median};

/// How many run, each from a file of its own.
const RUNNING: usize = 10;

/// How many are defined: the few are the floor.
const DEFINED: [usize; 2] = [100, 10_000];

/// How often one is changed, after as many times that are not measured.
const ROUNDS: usize = 20;

/// Where the definitions lie of those that do not run.
#[derive(Clone, Copy)]
enum Layout {
    Files,
    OneFile,
}

/// Measures a change among many beside one among few.
pub fn measure() {
    for (layout, words) in [(Layout::Files, "in files of their own"), (Layout::OneFile, "in one file")] {
        let [few, many] = DEFINED.map(|count| in_new_folder(|folder| median(changes(folder, layout, count))));
        line(&format!("1 of {} changed, {words}; {}", DEFINED[1], DEFINED[0]), few, many, 2.0);
    }
}

fn changes(folder: &Path, layout: Layout, count: usize) -> Vec<Duration> {
    let reports = Reports::listen(folder);
    let idle = (RUNNING..count).map(|index| (format!("s{index}"), json!({"command": ["sleep", "1"]})));
    match layout {
        Layout::Files => idle.for_each(|(name, definition)| place(folder, &name, &definition)),
        Layout::OneFile => {
            let services: Map<String, Value> = idle.collect();
            std::fs::write(folder.join("services.json"), json!({"services": services}).to_string()).unwrap();
        }
    }
    let running: Vec<_> = (0..RUNNING).map(|index| format!("s{index}")).collect();
    for name in &running {
        place(folder, name, &service(&reports.program(name), true, 0));
    }
    let agent = Agent::start(folder);
    agent.wait_until("those to run that are to", |services| {
        services.len() == count && services.iter().filter(|service| is_healthy(service)).count() == RUNNING
    });
    reports.any(RUNNING);
    let changes = (1..=2 * ROUNDS).map(|round| {
        let name = &running[round % RUNNING];
        let began = Instant::now();
        agent.drop_in(name, &service(&reports.program(name), true, round));
        reports.of(name).at - began
    });
    let mut times: Vec<_> = changes.collect();
    times.split_off(ROUNDS)
}
