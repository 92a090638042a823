//! What the last start took: the chain that determined its end, and where the time of each service went.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::units::{exact_span, time_and_distance};
use super::{BOLD, DIM, Look, colour, pad, paint};
use crate::domain::Light;
use crate::domain::critical::Progress;
use crate::domain::text::{plain, plain_line};
use crate::wire::{Chain, Critical, Link, Spent, Started};

/// Spans below this (seconds) are of no interest as a part of a longer one.
const TRIFLE: f64 = 0.005;

/// The longest reason that is shown, in characters.
const MAX_REASON: usize = 200;

/// `graph --critical` for people; `named` if certain services were asked for.
pub fn render_critical(critical: &Critical, named: bool, look: &Look) -> String {
    let mut out = String::new();
    match critical.at {
        Some(at) => {
            let title = if named { names(&critical.chains) } else { "The last start".to_owned() };
            let took = exact_span(critical.took_seconds.unwrap_or_default());
            let took = if critical.over { format!("took {took}") } else { format!("has taken {took} so far") };
            let _ = writeln!(out, "{}", paint(BOLD, &format!("{title}, at {}, {took}.", time_and_distance(at, look))));
        }
        None => {
            let what = if named { "nothing of it" } else { "no service" };
            let _ = writeln!(out, "This agent has started {what} yet.");
        }
    }
    for chain in &critical.chains {
        out.push('\n');
        tree(chain, &critical.services, &mut out);
    }
    if !critical.services.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "What each needed by itself:"));
        let width = critical.services.iter().map(|one| plain(&one.id).width()).max().unwrap_or_default();
        for one in &critical.services {
            let took = format!("{:>7}", exact_span(one.took_seconds));
            let _ = writeln!(out, "  {took}  {}  {}", pad(&plain(&one.id), width), story(one));
        }
    }
    if !critical.not_started.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "Not started by this agent:"));
        let width = critical.not_started.iter().map(|one| plain(&one.id).width()).max().unwrap_or_default();
        for one in &critical.not_started {
            let reason = plain_line(&one.reason, MAX_REASON);
            let words = if one.adopted { format!("taken over as it ran; {reason}") } else { reason };
            let _ = writeln!(out, "  {}  {words}", pad(&plain(&one.id), width));
        }
    }
    out
}

/// "The start of api and web".
fn names(chains: &[Chain]) -> String {
    let ends = chains.iter().filter_map(|chain| chain.links.last());
    format!("The start of {}", ends.map(|link| plain(&link.id).into_owned()).collect::<Vec<_>>().join(" and "))
}

/// From the end down to where it began.
fn tree(chain: &Chain, services: &[Started], out: &mut String) {
    for (depth, link) in chain.links.iter().rev().enumerate() {
        let elbow = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        let times = format!("@{} +{}", exact_span(link.to_seconds), exact_span(link.took_seconds));
        let one = services.iter().find(|one| one.id == link.id);
        let details = one.map(|one| part(link, one)).unwrap_or_default();
        let _ = writeln!(out, "{elbow}{} {times}  {details}", paint(BOLD, &plain(&link.id)));
    }
}

/// What the part of a service in a chain consists of.
fn part(link: &Link, one: &Started) -> String {
    let mut words = Vec::new();
    if link.spent.waiting_seconds >= TRIFLE {
        let span = exact_span(link.spent.waiting_seconds);
        let blame = link.waited_for.as_ref().map(|id| format!(" for {}", plain(id)));
        words.push(format!("waited {span}{}", blame.unwrap_or_default()));
    }
    spent(&link.spent, one, &mut words);
    match &link.until {
        Some(until) => words.push(after(until, link.spent.itself_seconds, one)),
        None => words.push(outcome(one)),
    }
    words.retain(|word| !word.is_empty());
    paint(DIM, &words.join(", "))
}

/// How a service fared, from when it was asked to start.
fn story(one: &Started) -> String {
    let mut words = Vec::new();
    if one.spent.waiting_seconds >= TRIFLE {
        let last = one.waited_for.iter().max_by(|a, b| {
            let end = |wait: &crate::wire::WaitedFor| wait.until_seconds.unwrap_or(f64::INFINITY);
            end(a).total_cmp(&end(b))
        });
        let blame = last.map(|wait| format!(" for {} to be {}", plain(&wait.id), plain(&wait.condition)));
        words.push(format!("waited {}{}", exact_span(one.spent.waiting_seconds), blame.unwrap_or_default()));
    }
    spent(&one.spent, one, &mut words);
    words.push(outcome(one));
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

/// What came before the service itself.
fn spent(spent: &Spent, one: &Started, words: &mut Vec<String>) {
    if spent.in_vain_seconds >= TRIFLE {
        let span = exact_span(spent.in_vain_seconds);
        words.push(match one.tries {
            0 | 1 => format!("{span} until its port was free"),
            2 => format!("{span} for a try that failed"),
            tries => format!("{span} for {} tries that failed", tries - 1),
        });
    }
    if spent.before_start_seconds >= TRIFLE {
        words.push(format!("before start {}", exact_span(spent.before_start_seconds)));
    }
}

fn outcome(one: &Started) -> String {
    let reason = || plain_line(one.reason.as_deref().unwrap_or("unknown"), MAX_REASON);
    match one.state {
        Progress::Ready => after(&one.ready_when, one.spent.itself_seconds, one),
        Progress::Starting => paint(colour(Light::Yellow), &format!("still {}", starting(&reason()))),
        // Its reason says for whom.
        Progress::Waiting => paint(colour(Light::Yellow), &format!("still {}", reason())),
        Progress::NotReady => paint(colour(Light::Red), &format!("not ready: {}", reason())),
        Progress::Stopped => "stopped before it was ready".to_owned(),
    }
}

/// "starting: connection refused": most reasons of what starts begin so.
fn starting(reason: &str) -> String {
    if reason.starts_with("starting") { reason.to_owned() } else { format!("starting: {reason}") }
}

fn after(state: &str, seconds: f64, one: &Started) -> String {
    let state = plain(state);
    let not_ours = if one.begun { "" } else { " (not begun by the agent)" };
    match state.as_ref() {
        "started" => format!("started{not_ours}"),
        _ => format!("{state} after {}{not_ours}", exact_span(seconds)),
    }
}
