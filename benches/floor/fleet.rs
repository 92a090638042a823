//! Many services at once: an agent and all of them from cold, and the end of all of them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::agent::{Agent, place, service};
use crate::bare::Bare;
use crate::measure::{in_new_folder, is_healthy};
use crate::reports::Reports;
use crate::table::{line, median};

/// How many are started from cold.
const FLEETS: [usize; 2] = [200, 1000];

/// How many are stopped.
const STOPPED: usize = 200;

/// How often they are started and stopped.
const ROUNDS: usize = 5;

/// Measures starts and stops of many, each several times and by turns with the floor.
pub fn measure() {
    for count in FLEETS {
        let (bare, agent) = by_turns(|folder| bare_cold(folder, count), |folder| cold(folder, count));
        line(&format!("an agent and {count} from cold, to the last one's"), bare, agent, 2.5);
    }
    let (bare, agent) = by_turns(bare_stop, stop);
    line(&format!("{STOPPED} stopped, until all are gone"), bare, agent, 3.0);
}

fn by_turns(bare: impl Fn(&Path) -> Duration, agent: impl Fn(&Path) -> Duration) -> (Duration, Duration) {
    let (bare, agent) = (0..ROUNDS).map(|_| (in_new_folder(&bare), in_new_folder(&agent))).unzip();
    (median(bare), median(agent))
}

/// From the spawn of an agent that nothing is known of to the first instruction of the last service.
fn cold(folder: &Path, count: usize) -> Duration {
    let reports = Reports::listen(folder);
    define(folder, &reports, count, true);
    let began = Instant::now();
    let _agent = Agent::begin(folder);
    last(&reports, count) - began
}

fn bare_cold(folder: &Path, count: usize) -> Duration {
    let reports = Reports::listen(folder);
    let mut bare = Bare::default();
    let began = Instant::now();
    spawn(&mut bare, folder, &reports, count);
    last(&reports, count) - began
}

/// From the command that stops all to its answer, which comes when nothing of them is left.
fn stop(folder: &Path) -> Duration {
    let reports = Reports::listen(folder);
    define(folder, &reports, STOPPED, true);
    let agent = Agent::start(folder);
    agent.wait_until("all to run", |services| services.len() == STOPPED && services.iter().all(is_healthy));
    let began = Instant::now();
    agent.tell(&["stop", "--all"]);
    let took = began.elapsed();
    assert!(agent.services().iter().all(|service| service["pid"].is_null()), "all are gone");
    took
}

fn bare_stop(folder: &Path) -> Duration {
    let reports = Reports::listen(folder);
    let mut bare = Bare::default();
    spawn(&mut bare, folder, &reports, STOPPED);
    last(&reports, STOPPED);
    let began = Instant::now();
    bare.stop();
    began.elapsed()
}

fn define(folder: &Path, reports: &Reports, count: usize, auto_start: bool) {
    for index in 0..count {
        let name = format!("s{index}");
        place(folder, &name, &service(&reports.program(&name), auto_start, 0));
    }
}

fn spawn(bare: &mut Bare, folder: &Path, reports: &Reports, count: usize) {
    for index in 0..count {
        bare.spawn(&reports.program(&format!("s{index}")), &folder.join(format!("log{index}")));
    }
}

fn last(reports: &Reports, count: usize) -> Instant {
    reports.any(count).iter().map(|report| report.at).max().unwrap()
}
