//! Reads the fields of an object: each by its name and kind, every mistake reported at its place, and in the end the
//! names that nobody asked for. Knows nothing of what the fields mean.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::report::{MOST_HINTS, Report, did_you_mean, quoted};
use super::{durations, elsewhere, sizes};
use crate::domain::{Node, Place, Problem, Value};

/// An object that is being read. A field that is absent or `null` is `None`; so is one with a mistake, after a report.
pub(super) struct Fields<'a> {
    node: &'a Node,
    /// What was asked for so far; a list, because most objects are small and this one is filled for each of them.
    known: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// Begins to read `node`; anything but an object reads as empty.
    pub fn of(node: &'a Node) -> Self {
        Self { node, known: Vec::new() }
    }

    /// Begins to read `node`, which must be an object; `what` names it: `"restart"`.
    pub fn object(node: &'a Node, what: &str, report: &mut Report) -> Option<Self> {
        match node.value {
            Value::Map(_) => Some(Self::of(node)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                report.push(misshapen(what, "an object", node));
                None
            }
        }
    }

    /// The value of `key`.
    pub fn take(&mut self, key: &'a str) -> Option<&'a Node> {
        self.known.push(key);
        present(self.node, key)
    }

    /// Accepts these without looking at them.
    pub fn accept(&mut self, keys: impl IntoIterator<Item = &'a str>) {
        self.known.extend(keys);
    }

    /// Whether anybody asked for `key` so far.
    pub fn knows(&self, key: &str) -> bool {
        self.known.contains(&key)
    }

    /// Text.
    pub fn text(&mut self, key: &'a str, report: &mut Report) -> Option<(&'a str, &'a Place)> {
        let node = self.take(key)?;
        text(node, key, report).map(|text| (text, &node.place))
    }

    /// Text that is not empty.
    pub fn word(&mut self, key: &'a str, report: &mut Report) -> Option<(&'a str, &'a Place)> {
        self.text(key, report).filter(|(text, _)| !text.is_empty())
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &'a str, report: &mut Report) -> Option<(bool, &'a Place)> {
        let node = self.take(key)?;
        match node.value {
            Value::Bool(flag) => Some((flag, &node.place)),
            Value::Null | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                report.error(&node.place, wrong(key, "true or false", node));
                None
            }
        }
    }

    /// A whole number within `range`.
    pub fn count(&mut self, key: &'a str, range: RangeInclusive<u32>, report: &mut Report) -> Option<u32> {
        let node = self.take(key)?;
        count(node, key, range, report)
    }

    /// A span of time.
    pub fn span(&mut self, key: &'a str, report: &mut Report) -> Option<Duration> {
        let node = self.take(key)?;
        let span = match &node.value {
            Value::Text(text) => durations::from_text(text),
            Value::Number(number) => durations::from_seconds(number.parse().unwrap_or(f64::INFINITY)),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => durations::from_text(""),
        };
        span.map_err(|wrong| report.error(&node.place, format!("{} {wrong}", quoted(key)))).ok()
    }

    /// A span of time of at least `least`, which is not zero.
    pub fn span_from(&mut self, key: &'a str, least: Duration, report: &mut Report) -> Option<Duration> {
        let span = self.span(key, report)?;
        if span < least {
            let place = self.take(key).map_or(&self.node.place, |node| &node.place);
            let wrong = if span.is_zero() {
                "must be longer than zero".to_owned()
            } else {
                format!("must be at least {} ms", least.as_millis())
            };
            report.error(place, format!("{} {wrong}", quoted(key)));
            return None;
        }
        Some(span)
    }

    /// A number of bytes.
    pub fn size(&mut self, key: &'a str, report: &mut Report) -> Option<u64> {
        let node = self.take(key)?;
        let size = match &node.value {
            Value::Text(text) => sizes::from_text(text),
            Value::Number(number) => sizes::from_number(number),
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => sizes::from_text(""),
        };
        size.map_err(|wrong| report.error(&node.place, format!("{} {wrong}", quoted(key)))).ok()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'a str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        let node = self.take(key)?;
        choice(node, key, words, report)
    }

    /// A list of texts; empty if absent.
    pub fn texts(&mut self, key: &'a str, report: &mut Report) -> Vec<(&'a str, &'a Place)> {
        self.take(key).map(|node| texts(node, key, report)).unwrap_or_default()
    }

    /// The elements of a list; empty if absent.
    pub fn list(&mut self, key: &'a str, report: &mut Report) -> &'a [Node] {
        self.take(key).map(|node| list(node, key, report)).unwrap_or_default()
    }

    /// Says of each of these that it has no effect in this version, if it is there.
    pub fn unsupported(&mut self, keys: &[(&'a str, &'a str)], report: &mut Report) {
        for (key, shown) in keys {
            self.known.push(key);
            if let Some(entry) = self.node.entries().iter().find(|entry| &*entry.key == *key)
                && !matches!(entry.node.value, Value::Null)
            {
                unsupported(&entry.key_place, shown, report);
            }
        }
    }

    /// Notes every name that nobody asked for.
    pub fn finish(mut self, report: &mut Report) {
        self.known.sort_unstable();
        let unknown = self.node.entries().iter().filter(|entry| self.known.binary_search(&&*entry.key).is_err());
        for (count, entry) in unknown.enumerate() {
            let mut problem = Problem::note(&entry.key_place, format!("unknown key {}", quoted(&entry.key)));
            if count < MOST_HINTS {
                problem.hint = elsewhere::key(&entry.key, &self.known)
                    .or_else(|| did_you_mean(&entry.key, self.known.iter().copied()));
            }
            report.push(problem);
        }
    }
}

/// Says that `shown` has no effect in this version.
pub(super) fn unsupported(place: &Place, shown: &str, report: &mut Report) {
    report.note(place, format!("{} is not supported by this version and has no effect", quoted(shown)));
}

/// The value of `key`, unless it is absent or `null`.
pub(super) fn present<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    node.get(key).filter(|value| !matches!(value.value, Value::Null))
}

/// `node` as text.
pub(super) fn text<'a>(node: &'a Node, what: &str, report: &mut Report) -> Option<&'a str> {
    match &node.value {
        // No argument, variable or path of a process can hold it.
        Value::Text(text) if text.contains('\0') => {
            report.error(&node.place, format!("{} holds a NUL character", shown(what)));
            None
        }
        Value::Text(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            report.error(&node.place, wrong(what, "text", node));
            None
        }
    }
}

/// `node` as a list.
pub(super) fn list<'a>(node: &'a Node, what: &str, report: &mut Report) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            report.push(misshapen(what, "a list", node));
            &[]
        }
    }
}

/// `node` as a list of texts.
pub(super) fn texts<'a>(node: &'a Node, what: &str, report: &mut Report) -> Vec<(&'a str, &'a Place)> {
    let element = format!("{ELEMENT}{what}");
    list(node, what, report)
        .iter()
        .filter_map(|item| text(item, &element, report).map(|text| (text, &item.place)))
        .collect()
}

/// `node` as program and arguments, of which the program is not empty: a list of texts, or the program alone.
pub(super) fn argv<'a>(node: &'a Node, what: &str, report: &mut Report) -> Option<Vec<(&'a str, &'a Place)>> {
    let words = match &node.value {
        Value::Text(text) if text.contains(char::is_whitespace) => {
            let message = format!("{} must be a list of texts: program and arguments", quoted(what));
            let problem = Problem::error(&node.place, message);
            report.push(problem.hint("for a line of shell write [\"sh\", \"-c\", \"…\"]"));
            return None;
        }
        Value::Text(_) => vec![(text(node, what, report)?, &node.place)],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => texts(node, what, report),
    };
    if words.first().is_none_or(|(program, _)| program.is_empty()) {
        // What is no text has been told.
        if matches!(&node.value, Value::List(items) if items.len() == words.len()) || !words.is_empty() {
            report.error(&node.place, format!("{} names no program", quoted(what)));
        }
        return None;
    }
    Some(words)
}

/// `node` as a whole number within `range`.
pub(super) fn count(node: &Node, what: &str, range: RangeInclusive<u32>, report: &mut Report) -> Option<u32> {
    let count = match &node.value {
        Value::Number(number) => whole(number),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            report.error(&node.place, wrong(what, "a number", node));
            return None;
        }
    };
    match count.and_then(|count| u32::try_from(count).ok()).filter(|count| range.contains(count)) {
        Some(count) => Some(count),
        None => {
            let (least, most) = range.into_inner();
            report.error(&node.place, format!("{} must be a whole number from {least} to {most}", quoted(what)));
            None
        }
    }
}

/// `node` as a port.
pub(super) fn port(node: &Node, what: &str, report: &mut Report) -> Option<u16> {
    // The range makes the conversion certain.
    count(node, what, 1..=u32::from(u16::MAX), report).and_then(|port| u16::try_from(port).ok())
}

/// `node` as one of a few words.
pub(super) fn choice<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], report: &mut Report) -> Option<T> {
    let word = text(node, what, report)?;
    if let Some((_, choice)) = words.iter().find(|(name, _)| *name == word) {
        return Some(*choice);
    }
    let all: Vec<_> = words.iter().map(|(name, _)| quoted(name)).collect();
    let mut problem = Problem::error(
        &node.place,
        format!("{} must be one of {}, but is {}", quoted(what), all.join(", "), quoted(word)),
    );
    let known = || words.iter().map(|(name, _)| *name);
    problem.hint = elsewhere::choice(word, known()).or_else(|| did_you_mean(word, known()));
    report.push(problem);
    None
}

/// Reports every key that stands twice in an object, anywhere in `node`.
pub(super) fn duplicates(node: &Node, report: &mut Report) {
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Map(entries) => {
                let mut seen = std::collections::HashMap::new();
                for entry in entries {
                    if let Some(first) = seen.insert(&*entry.key, &entry.key_place) {
                        let problem = Problem::error(&entry.key_place, format!("duplicate key {}", quoted(&entry.key)));
                        report.push(problem.hint(format!("it stands at line {} already", first.line)));
                        seen.insert(&*entry.key, first);
                    }
                    open.push(&entry.node);
                }
            }
            Value::List(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}

/// A number of JSON's grammar as a whole number, `8000.0` included.
pub(super) fn whole(number: &str) -> Option<u64> {
    // Below 2^53 each whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.parse().ok().or_else(|| {
        let float: f64 = number.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and within the range")]
        ((0.0..EXACT).contains(&float) && float.fract() == 0.0).then_some(float as u64)
    })
}

/// What the name of something begins with that has no name of its own.
const ELEMENT: &str = "an element of ";

/// A name as it stands in a message.
fn shown(what: &str) -> String {
    match what.strip_prefix(ELEMENT) {
        Some(list) => format!("{ELEMENT}{}", quoted(list)),
        None => quoted(what),
    }
}

/// The error that `node` is not `right`, with the right form where another tool's is known.
fn misshapen(what: &str, right: &str, node: &Node) -> Problem {
    let mut problem = Problem::error(&node.place, wrong(what, right, node));
    problem.hint = elsewhere::form(what, node).map(str::to_owned);
    problem
}

fn wrong(what: &str, right: &str, node: &Node) -> String {
    format!("{} must be {right}, but is {}", shown(what), node.kind())
}
