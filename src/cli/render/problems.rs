//! What is wrong with sources, as a compiler tells it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use super::{BOLD, DIM, paint};
use crate::domain::Severity;
use crate::domain::text::plain;
use crate::wire::{Check, Problem};

/// How many characters of a long line are shown around the mistake.
const WINDOW: usize = 96;

/// `check` for people: every problem with its place, its line and a hint, and a summary.
pub fn render_check(check: &Check) -> String {
    let mut out = String::new();
    for problem in &check.problems {
        out.push_str(&problem_lines(problem));
        out.push('\n');
    }
    let count = |severity| check.problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = count(Severity::Error);
    let mut parts =
        vec![of(errors, "error"), of(count(Severity::Warning), "warning"), of(count(Severity::Note), "note")];
    parts.retain(|part| !part.starts_with("0 "));
    let verdict = match parts.is_empty() {
        true => "no problems".to_owned(),
        false => parts.join(", "),
    };
    let style = if errors > 0 { style(Severity::Error) } else { AnsiColor::Green.on_default().bold() };
    let _ = writeln!(out, "{} in {}", paint(style, &verdict), of(check.services.len(), "service"));
    out
}

/// How many errors and warnings there are, to stand behind a summary: `, 1 error in the sources`.
pub fn in_sources(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => String::new(),
        (0, warnings) => format!(", {} on the sources", of(warnings, "warning")),
        (errors, _) => format!(", {} in the sources", of(errors, "error")),
    }
}

fn of(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// One problem: `error: services.json:3:9: …`, the offending line with a caret, the hint.
pub fn problem_lines(problem: &Problem) -> String {
    let mut out = String::new();
    let severity = paint(style(problem.severity), problem.severity.as_str());
    let place = match (&problem.file, problem.line, problem.column) {
        (Some(file), Some(line), Some(column)) => format!("{}:{line}:{column}: ", plain(file)),
        (Some(file), Some(line), None) => format!("{}:{line}: ", plain(file)),
        (Some(file), None, _) => format!("{}: ", plain(file)),
        (None, _, _) => String::new(),
    };
    let service = problem.service.as_ref().map(|id| format!(" (service {})", plain(id))).unwrap_or_default();
    let message = plain(&problem.message);
    let _ = writeln!(out, "{severity}: {}{message}{}", paint(BOLD, &place), paint(DIM, &service));
    if let (Some(excerpt), Some(line), Some(column)) = (&problem.excerpt, problem.line, problem.column) {
        let (shown, indent) = window(excerpt, column as usize);
        let number = line.to_string();
        let blank = " ".repeat(number.len());
        let caret = paint(style(problem.severity), "^");
        let _ = writeln!(out, "  {} {shown}", paint(DIM, &format!("{number} |")));
        let _ = writeln!(out, "  {} {}{caret}", paint(DIM, &format!("{blank} |")), " ".repeat(indent));
    }
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "  hint: {}", plain(hint));
    }
    out
}

/// The part of `line` around its character number `column` (from 1), and how many columns lie before that one.
fn window(line: &str, column: usize) -> (String, usize) {
    // Character by character, so that what is cleaned away does not move the caret off its place.
    let shown =
        |c: char| if c != '\t' && *plain(c.encode_utf8(&mut [0; 4])) == *c.encode_utf8(&mut [0; 4]) { c } else { ' ' };
    let target = column.saturating_sub(1);
    let length = line.chars().count();
    // Indentation that all of the window shares is of no interest.
    let lead = line.chars().take(target).take_while(|c| c.is_whitespace()).count();
    let start = lead.max(target.saturating_sub(WINDOW / 2)).min(target);
    let end = (start + WINDOW).min(length);
    let before = if start > lead { "…" } else { "" };
    let after = if end < length { "…" } else { "" };
    let text: String = line.chars().skip(start).take(end - start.min(end)).map(shown).collect();
    let columns = |c: char| c.width().unwrap_or(0);
    let indent: usize = text.chars().take(target - start).map(columns).sum();
    (format!("{before}{}{after}", text.trim_end()), indent + before.chars().count())
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => AnsiColor::Red.on_default().bold(),
        Severity::Warning => AnsiColor::Yellow.on_default().bold(),
        Severity::Note => AnsiColor::Cyan.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_caret(line: &str, column: usize) -> Option<char> {
        let (shown, indent) = window(line, column);
        shown.chars().nth(indent)
    }

    #[test]
    fn the_caret_stands_under_the_place_however_long_the_line_is() {
        let long: String = ('a'..='z').cycle().take(10_000).collect();
        for column in [1, 2, 50, 5000, 9_990, 10_000] {
            let expected = long.chars().nth(column - 1);
            assert_eq!(under_caret(&long, column), expected, "column {column}");
            assert!(window(&long, column).0.chars().count() <= WINDOW + 2);
        }
        assert_eq!(under_caret("    \t\"type\": 1", 6), Some('"'));
    }

    #[test]
    fn a_place_behind_the_line_or_in_an_empty_one_does_no_harm() {
        for (line, column) in [("", 1), ("", 9), ("abc", 4), ("abc", 4000), ("abc", 0), ("   ", 3)] {
            let (shown, _) = window(line, column);
            assert!(shown.chars().count() <= 4, "{shown:?}");
        }
    }

    #[test]
    fn control_sequences_of_the_line_are_not_shown_and_do_not_move_the_caret() {
        let (shown, indent) = window("a\u{1b}[31mb\u{7}c", 8);
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
        assert_eq!(shown.chars().nth(indent), Some(' '));
        assert_eq!(under_caret("x\u{202e}yz", 4), Some('z'));
        assert_eq!(window("x\u{2028}\u{9b}\u{200b}y", 5).0, "x   y");
    }
}
