//! Collects what is wrong while something is being read; judges nothing itself.

use std::fmt::Write as _;

use crate::domain::{Place, Problem, ServiceId};

/// The problems of one service, or of what belongs to none.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The service that all of it is about.
    service: Option<ServiceId>,
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

impl Report {
    /// About `service`.
    pub fn of(service: &ServiceId) -> Self {
        Self { service: Some(service.clone()), problems: Vec::new() }
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        self.problems.push(match &self.service {
            Some(service) => problem.of(service),
            None => problem,
        });
    }

    /// Adds an error.
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Problem::error(place, message));
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Problem::warning(place, message));
    }

    /// Adds a note.
    pub fn note(&mut self, place: &Place, message: impl Into<String>) {
        self.push(Problem::note(place, message));
    }
}

/// `text` in quotes, on one line, without control characters, and cut where it gets too long to read.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown = String::from("\"");
    for (count, c) in text.chars().enumerate() {
        if count == MOST {
            shown.push('…');
            break;
        }
        if c.is_control() {
            // Writing to a string can't fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('"');
    shown
}

/// How many unknown names of one kind get advice: who has more has not mistyped, and looking for neighbours takes time.
pub(super) const MOST_HINTS: usize = 50;

/// The one of `known` that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes this much, and the comparison's cost grows with the square of the length.
    if word.len() > 64 {
        return None;
    }
    let plain = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&plain, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 5 && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `did you mean "…"?`, if something is near.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|name| format!("did you mean {}?", quoted(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_cannot_break_a_line_or_fill_a_page() {
        assert_eq!(quoted("a\n\u{1b}[31m"), "\"a\\n\\u{1b}[31m\"");
        assert!(quoted(&"x".repeat(10_000)).chars().count() < 70);
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let known = ["auto_start", "args", "env", "depends_on"];
        assert_eq!(nearest("autostart", known), Some("auto_start"));
        assert_eq!(nearest("auto-start", known), Some("auto_start"));
        assert_eq!(nearest("depend_on", known), Some("depends_on"));
        assert_eq!(nearest("arg", known), Some("args"));
        assert_eq!(nearest("subdomain", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known), None);
    }
}
