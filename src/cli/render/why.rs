//! The explanation of one service, in sentences.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::units::time_and_distance;
use super::{BOLD, DIM, Look, colour, mark, paint};
use crate::domain::text::{plain, plain_line};
use crate::domain::{HealthState, ProcessState};
use crate::wire::{Blocker, Foreign, LastAction, Why};

/// `why` for people.
pub fn render_why(why: &Why, look: &Look) -> String {
    let mut out = String::new();
    let title = format!("{} {}", mark(why.light), plain(&why.id));
    let name = if why.name == why.id { String::new() } else { format!(" ({})", plain(&why.name)) };
    let (state, reason) = (state(why), plain(&why.reason));
    let reason = if reason == state { String::new() } else { format!(" - {reason}") };
    let _ = writeln!(out, "{}{name}: {state}{reason}", paint(colour(why.light).bold(), &title));
    let _ = writeln!(out, "It has been so since {}.", time_and_distance(why.since, look));
    let _ = writeln!(out, "\n{}", wanted(why));
    let _ = writeln!(out, "{}", process(why));
    if let Some(stranger) = why.foreign.as_ref().filter(|stranger| stranger.identity.is_some()) {
        let _ = writeln!(out, "{}", advice(&plain(&why.id), stranger));
    }
    if let Some(last) = &why.last_exit {
        let _ = writeln!(out, "Its last run ended at {}: {}.", time_and_distance(last.at, look), plain(&last.text));
    }
    if let Some(action) = &why.last_action {
        let _ = writeln!(out, "{}", last_action(action, look));
    }
    if let Some(cause) = &why.first_cause {
        let _ = writeln!(out, "What went wrong first: {}.", plain(cause).trim_end_matches('.'));
    }
    if let Some(next) = why.next_try {
        let _ = writeln!(out, "It is tried again at {}.", time_and_distance(next, look));
    }
    if !why.spared.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "It has left running, in sessions of their own:"));
        for left in &why.spared {
            let _ = writeln!(out, "  pid {}: {}", left.pid, plain_line(&left.command, 200));
        }
    }
    if !why.blocked_by.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "It waits for:"));
        blockers(&why.id, &why.blocked_by, 1, &mut BTreeSet::new(), &mut out);
    }
    changes(why, look, &mut out);
    if let Some(lines) = why.last_lines.as_deref().filter(|lines| !lines.is_empty()) {
        let _ = writeln!(out, "\n{}", paint(BOLD, "The last lines of its log:"));
        for line in lines {
            let _ = writeln!(out, "  {} {}", paint(DIM, "|"), plain_line(line, 500));
        }
    }
    out
}

/// The word that says most.
fn state(why: &Why) -> &'static str {
    match why.process {
        ProcessState::Running if why.health != HealthState::Unknown => why.health.as_str(),
        ProcessState::Stopped
        | ProcessState::Waiting
        | ProcessState::Starting
        | ProcessState::Running
        | ProcessState::Stopping
        | ProcessState::Backoff
        | ProcessState::Failed
        | ProcessState::Completed
        | ProcessState::Foreign => why.process.as_str(),
    }
}

fn wanted(why: &Why) -> String {
    match why.wanted_by.as_str() {
        _ if !why.wanted => "Nobody wants it to run.".to_owned(),
        "auto_start" => "It is wanted because its definition says auto_start.".to_owned(),
        "user" => "It is wanted because you switched it on.".to_owned(),
        by => match by.strip_prefix("dependency:") {
            Some(id) => format!("It is wanted because {} needs it.", plain(id)),
            None => format!("It is wanted by {}.", plain(by)),
        },
    }
}

fn process(why: &Why) -> String {
    let restarts = match why.restarts {
        0 => String::new(),
        1 => ", after 1 automatic restart".to_owned(),
        more => format!(", after {more} automatic restarts"),
    };
    match why.pid {
        Some(pid) => format!("It runs as pid {pid}{restarts}."),
        None => format!("Nothing of it runs{restarts}."),
    }
}

fn last_action(action: &LastAction, look: &Look) -> String {
    let (name, at) = (plain(&action.name), time_and_distance(action.at, look));
    match (action.state.as_str(), &action.error) {
        ("running", _) => format!("Its action {name} has been running since {at}."),
        (_, Some(error)) => format!("Its action {name} failed at {at}: {}.", plain(error).trim_end_matches('.')),
        (_, None) => format!("Its action {name} was done at {at}."),
    }
}

/// What can be done about the stranger on the port of `id`.
fn advice(id: &str, stranger: &Foreign) -> String {
    match &stranger.service {
        Some(service) => format!("`pilotlight stop {}` would free its port.", plain(service)),
        None => {
            format!("`pilotlight adopt {id}` takes that process as its run, `pilotlight stop {id} --foreign` ends it.")
        }
    }
}

/// The blockers of `id`, each with its own below it.
fn blockers<'a>(id: &str, all: &'a [Blocker], depth: usize, above: &mut BTreeSet<&'a str>, out: &mut String) {
    for blocker in all.iter().filter(|blocker| blocker.blocks == id) {
        let _ = writeln!(out, "{}{}: {}", "  ".repeat(depth), plain(&blocker.id), plain(&blocker.reason));
        if above.insert(&blocker.id) {
            blockers(&blocker.id, all, depth + 1, above, out);
        }
    }
}

fn changes(why: &Why, look: &Look, out: &mut String) {
    // What works needs no suspects.
    if why.health == HealthState::Healthy {
        return;
    }
    if let Some(checkout) = &why.checkout {
        let head = checkout.head.as_deref().map_or("no commit yet", |head| head.get(..12).unwrap_or(head));
        let branch = checkout.branch.as_deref().unwrap_or("no branch");
        let _ = writeln!(out, "\nChecked out in {}: {} ({})", plain(&checkout.folder), plain(branch), plain(head));
    }
    match why.changed.as_deref() {
        None => {}
        Some([]) => {
            let _ = writeln!(out, "\nNothing is known to have changed since it last became healthy.");
        }
        Some(changes) => {
            let _ = writeln!(out, "\n{}", paint(BOLD, "Since it last became healthy, this has changed:"));
            for change in changes {
                let _ = writeln!(out, "  {}  {}", time_and_distance(change.at, look), plain_line(&change.text, 500));
            }
        }
    }
}
