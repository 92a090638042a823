//! Process trees.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::units::{percent, size, span};
use super::{BOLD, DIM, Look, fit, paint};
use crate::domain::text::plain;
use crate::wire::{Process, Ps};

/// `ps` for people: a tree per service; without one, in a word, if nothing else was asked for.
pub fn render_ps(ps: &Ps, look: &Look) -> String {
    let mut out = paint(DIM, &format!("{:>8} {:>6} {:>8} {:>7}  COMMAND", "PID", "CPU", "MEM", "AGE"));
    out.push('\n');
    let runs = ps.services.iter().any(|tree| !tree.processes.is_empty());
    for tree in ps.services.iter().filter(|tree| !runs || !tree.processes.is_empty()) {
        let _ = writeln!(out, "{}", paint(BOLD, &plain(&tree.id)));
        if tree.processes.is_empty() {
            let _ = writeln!(out, "{:>8}", "-");
        }
        let known: BTreeSet<u32> = tree.processes.iter().map(|process| process.pid).collect();
        let is_root = |process: &&Process| process.ppid.is_none_or(|ppid| !known.contains(&ppid));
        let mut seen = BTreeSet::new();
        for root in tree.processes.iter().filter(is_root) {
            branch(root, &tree.processes, "", "", look, &mut seen, &mut out);
        }
    }
    out
}

/// One process and its children; `lead` stands before its command, `below` before theirs.
fn branch(
    process: &Process,
    all: &[Process],
    lead: &str,
    below: &str,
    look: &Look,
    seen: &mut BTreeSet<u32>,
    out: &mut String,
) {
    if !seen.insert(process.pid) {
        return;
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let figures = format!(
        "{:>8} {:>6} {:>8} {:>7}  ",
        process.pid,
        or_dash(process.cpu_percent.map(percent)),
        or_dash(process.memory_bytes.map(size)),
        or_dash(process.age_seconds.map(span)),
    );
    let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(figures.len() + lead.chars().count()));
    let _ = writeln!(out, "{figures}{lead}{}", fit(&process.command, room.max(8)));
    let children: Vec<&Process> =
        all.iter().filter(|other| other.ppid == Some(process.pid) && other.pid != process.pid).collect();
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        let (elbow, line) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        branch(child, all, &format!("{below}{elbow}"), &format!("{below}{line}"), look, seen, out);
    }
}
