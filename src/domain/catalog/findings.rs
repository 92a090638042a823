//! Puts all problems in the form in which they are shown: the worst first, each with its line, none twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::reading::{Content, SourceFile};
use crate::domain::problem::NEIGHBOURS;
use crate::domain::secrets::masked_line;
use crate::domain::{Place, Problem, Severity};

/// How many problems are shown: nobody reads more, and a file of several megabytes may hold a million.
const MOST: usize = 1000;

/// So many above that are shown all the same: what has been arranged before may get a few more, and is cut once only.
const SLACK: usize = 100;

/// A longer line is not shown: it is not one that somebody wrote.
const LONGEST_LINE: usize = 300;

/// Sorts `problems` by severity and place, and adds the lines that they are about.
pub(super) fn arranged(mut problems: Vec<Problem>, files: &[Arc<SourceFile>]) -> Vec<Problem> {
    if problems.is_empty() {
        return problems;
    }
    let named: HashSet<Arc<str>> =
        problems.iter().filter_map(|problem| problem.place.as_ref()).map(|place| Arc::clone(&place.file)).collect();
    let files_of_problems = files.iter().enumerate().filter(|(_, file)| named.contains(&file.name));
    let order: HashMap<&str, usize> = files_of_problems.map(|(at, file)| (&*file.name, at)).collect();
    problems.sort_by_cached_key(|problem| {
        let place = problem.place.as_ref();
        let file = place.map(|place| order.get(&*place.file).copied().unwrap_or(usize::MAX));
        // What lies in no file concerns all of them. Files of which nothing is in use have no place among the others.
        (problem.severity, file, place.map(|place| (Arc::clone(&place.file), place.line, place.column)))
    });
    problems.dedup();
    if problems.len() > MOST + SLACK {
        let more = problems.len() - MOST;
        let place = problems.get(MOST).and_then(|problem| problem.place.clone());
        problems.truncate(MOST);
        problems.push(Problem {
            severity: Severity::Note,
            place,
            service: None,
            message: format!("and {more} more problems"),
            hint: None,
            excerpt: None,
            for_want_of_a_source: false,
        });
    }
    let mut texts = Texts { files, order: &order, lines: HashMap::new() };
    for problem in &mut problems {
        if problem.excerpt.is_none()
            && let Some(place) = &problem.place
        {
            problem.excerpt = texts.line(place);
        }
    }
    problems
}

struct Texts<'a> {
    files: &'a [Arc<SourceFile>],
    order: &'a HashMap<&'a str, usize>,
    lines: HashMap<usize, Vec<&'a str>>,
}

impl<'a> Texts<'a> {
    fn line(&mut self, place: &Place) -> Option<String> {
        let at = *self.order.get(&*place.file)?;
        let lines = self.lines.entry(at).or_insert_with(|| lines_of(&self.files[at]));
        let at = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let line = lines.get(at).filter(|line| line.len() <= LONGEST_LINE)?;
        let around = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let before = around(&lines[at.saturating_sub(NEIGHBOURS)..at]);
        let after = around(&lines[at + 1..lines.len().min(at + 1 + NEIGHBOURS)]);
        let text = format!("{before}{line}\n{after}");
        Some(masked_line(&text, before.len()..before.len() + line.len()).into_owned())
    }
}

fn lines_of(file: &SourceFile) -> Vec<&str> {
    let text: &Arc<str> = match &file.content {
        Content::Parsed(_, text) => text,
        Content::Empty | Content::Broken(_) | Content::Refused(_) => return Vec::new(),
    };
    text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect()
}
