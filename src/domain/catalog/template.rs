//! Fills the placeholders of a type's template; text without a known placeholder stays as it is.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::fields::present;
use super::read_service::SERVICE_KEYS;
use super::report::{Report, did_you_mean, quoted};
use crate::domain::{Node, Problem, ServiceId, Value};

/// What placeholders stand for.
pub(super) struct Filler<'a> {
    /// The service's own object.
    pub own: &'a Node,
    /// The templates of its type, the strongest first.
    pub layers: &'a [&'a Node],
    /// `{id}`.
    pub id: &'a ServiceId,
    /// `{root}`.
    pub root: &'a str,
    /// `{python}`.
    pub python: &'a str,
    /// `{port}`.
    pub port: PortSlot,
    /// How many bytes placeholders may still become, because templates that fill templates can grow without bound.
    pub budget: Cell<usize>,
}

/// What becomes of `{port}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortSlot {
    /// It stays as it is: the port is not known yet.
    Later,
    /// It is filled, or empty.
    Known(Option<u16>),
}

/// How text of a template is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it is.
    Plain,
    /// `$NAME` in it will be expanded, so that a `$` in a path must be guarded.
    Expanded,
}

/// How deep templates may refer to keys that are templates themselves.
const DEEPEST: usize = 8;

/// The budget of one service: [`Filler::budget`].
pub(super) const BUDGET: usize = 1 << 20;

/// What each placeholder costs of the budget, whatever it becomes.
const LEAST_COST: usize = 64;

/// What a placeholder became.
enum Filling {
    Text(String),
    List(Vec<String>),
    Empty,
    Stays,
}

impl Filler<'_> {
    /// `template` with its placeholders filled; `None` if it is nothing but an empty one.
    pub fn fill(&self, template: &Node, reading: Reading, report: &mut Report) -> Option<Node> {
        self.fill_within(template, reading, 0, report)
    }

    fn fill_within(&self, template: &Node, reading: Reading, depth: usize, report: &mut Report) -> Option<Node> {
        let value = match &template.value {
            Value::Null | Value::Bool(_) | Value::Number(_) => template.value.clone(),
            Value::Text(text) => match only_placeholder(text) {
                // What is nothing but the name of a list is that list.
                Some(name) => match self.meaning(name, template, reading, depth, report) {
                    Filling::Text(text) => Value::Text(text.into()),
                    Filling::List(words) => Value::List(words.iter().map(|word| text_node(template, word)).collect()),
                    Filling::Empty => return None,
                    Filling::Stays => template.value.clone(),
                },
                None => Value::Text(self.line(text, template, reading, depth, report)?.into()),
            },
            Value::List(items) => {
                Value::List(items.iter().flat_map(|item| self.element(item, reading, depth, report)).collect())
            }
            Value::Map(entries) => Value::Map(
                entries
                    .iter()
                    .filter_map(|entry| {
                        let node = self.fill_within(&entry.node, reading, depth, report)?;
                        Some(crate::domain::Entry { node, ..entry.clone() })
                    })
                    .collect(),
            ),
        };
        Some(Node { place: template.place.clone(), value })
    }

    /// An element of a list: left out if a placeholder in it is empty, spliced if it stands for a list.
    fn element(&self, item: &Node, reading: Reading, depth: usize, report: &mut Report) -> Vec<Node> {
        match self.fill_within(item, reading, depth, report) {
            None => Vec::new(),
            Some(Node { value: Value::List(words), .. }) if matches!(item.value, Value::Text(_)) => words,
            Some(node) => vec![node],
        }
    }

    /// `text` with its placeholders filled; `None` if one of them is empty.
    fn line(&self, text: &str, at: &Node, reading: Reading, depth: usize, report: &mut Report) -> Option<String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, name, after)) = next_placeholder(rest) {
            filled.push_str(before);
            match self.meaning(name, at, reading, depth, report) {
                Filling::Text(text) => filled.push_str(&text),
                Filling::List(words) => filled.push_str(&words.join(" ")),
                Filling::Empty => return None,
                Filling::Stays => {
                    filled.push('{');
                    filled.push_str(name);
                    filled.push('}');
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        Some(filled)
    }

    fn meaning(&self, name: &str, at: &Node, reading: Reading, depth: usize, report: &mut Report) -> Filling {
        let filling = self.meaning_unbounded(name, at, reading, depth, report);
        let size = match &filling {
            Filling::Text(text) => text.len(),
            Filling::List(words) => words.iter().map(|word| word.len() + 1).sum(),
            Filling::Empty | Filling::Stays => 0,
        };
        match self.budget.get().checked_sub(size + LEAST_COST) {
            Some(left) => {
                self.budget.set(left);
                filling
            }
            None => {
                if self.budget.replace(0) > 0 {
                    report.error(&at.place, "what the placeholders of this type become is too large");
                }
                Filling::Empty
            }
        }
    }

    fn meaning_unbounded(&self, name: &str, at: &Node, reading: Reading, depth: usize, report: &mut Report) -> Filling {
        let guarded = |text: &str| match reading {
            Reading::Plain => Filling::Text(text.to_owned()),
            Reading::Expanded => Filling::Text(text.replace('$', "$$")),
        };
        match name {
            "id" => return guarded(self.id.as_str()),
            "root" => return guarded(self.root),
            "python" => return guarded(self.python),
            "port" => {
                return match self.port {
                    PortSlot::Later => Filling::Stays,
                    PortSlot::Known(Some(port)) => Filling::Text(port.to_string()),
                    PortSlot::Known(None) => Filling::Empty,
                };
            }
            _ => {}
        }
        if let Some(value) = present(self.own, name) {
            return plain(value);
        }
        let Some(value) = self.layers.iter().find_map(|layer| present(layer, name)) else {
            if name == "name" {
                return guarded(self.id.as_str());
            }
            if !SERVICE_KEYS.contains(&name) {
                let mut problem = Problem::warning(
                    &at.place,
                    format!("nothing gives the placeholder {}", quoted(&format!("{{{name}}}"))),
                );
                problem.hint = did_you_mean(name, SERVICE_KEYS.into_iter().chain(["id", "root", "python", "port"]));
                report.push(problem);
            }
            return Filling::Empty;
        };
        if depth == DEEPEST || std::ptr::eq(value, at) {
            return Filling::Empty;
        }
        // A template that mentions itself (`"command": ["{command}"]`) means the service's own key, which is absent.
        if placeholders(value).contains(name) {
            return Filling::Empty;
        }
        self.fill_within(value, reading, depth + 1, report).map_or(Filling::Empty, |value| plain(&value))
    }
}

/// The names of all placeholders in `node`.
pub(super) fn placeholders(node: &Node) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        match &node.value {
            Value::Text(text) => {
                let mut rest = &**text;
                while let Some((_, name, after)) = next_placeholder(rest) {
                    names.insert(name);
                    rest = after;
                }
            }
            Value::List(items) => open.extend(items),
            Value::Map(entries) => open.extend(entries.iter().map(|entry| &entry.node)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    names
}

/// The text before the first placeholder, its name, and the text after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('{')?;
        let inner = &text[open + 1..];
        let close = inner.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        if let Some(close) = close
            && inner[close..].starts_with('}')
            && is_name(&inner[..close])
        {
            return Some((&text[..open], &inner[..close], &inner[close + 1..]));
        }
        from = open + 1;
    }
}

/// The name of the placeholder that `text` is, if it is nothing else.
fn only_placeholder(text: &str) -> Option<&str> {
    next_placeholder(text).filter(|(before, _, after)| before.is_empty() && after.is_empty()).map(|(_, name, _)| name)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A value as it goes into a template; an object goes into none.
fn plain(value: &Node) -> Filling {
    match &value.value {
        Value::Text(text) | Value::Number(text) if text.is_empty() => Filling::Empty,
        Value::Text(text) | Value::Number(text) => Filling::Text(text.to_string()),
        Value::Bool(flag) => Filling::Text(flag.to_string()),
        Value::List(items) => {
            let words = items.iter().filter_map(|item| match &item.value {
                Value::Text(text) | Value::Number(text) => Some(text.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                // Reported where the list itself is read.
                Value::Null | Value::List(_) | Value::Map(_) => None,
            });
            Filling::List(words.collect())
        }
        Value::Null | Value::Map(_) => Filling::Empty,
    }
}

fn text_node(at: &Node, text: &str) -> Node {
    Node { place: at.place.clone(), value: Value::Text(text.into()) }
}
