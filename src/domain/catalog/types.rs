//! Types: named templates that give defaults for the keys of a service, each resting on another if it names one.
//!
//! The built-in ones are data of the same form. What a template's placeholders become is `template`'s business.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use indexmap::IndexMap;

use super::fields::{Fields, duplicates, present, text};
use super::read_service::SERVICE_KEYS;
use super::report::{Report, did_you_mean, quoted};
use crate::domain::{Entry, Node, Place, Problem, Value};

/// Keys that only a type may have.
pub(super) const TYPE_KEYS: [&str; 4] = ["engine", "kind", "needs", "requires"];

/// How many types may rest on one another.
const DEEPEST: usize = 32;

/// All types that services may name.
pub(super) struct Types<'a> {
    by_name: HashMap<&'a str, &'a Entry>,
}

impl<'a> Types<'a> {
    /// The built-in types and those of the sources, the last of each name; one that is wrong is reported and left out.
    pub fn of(sources: impl IntoIterator<Item = &'a [Entry]>, report: &mut Report) -> Self {
        let mut own: IndexMap<&str, &Entry> = IndexMap::new();
        for entries in sources {
            let mut here = BTreeSet::new();
            for entry in entries.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
                // Within one source, a second one is a duplicate key and reported as such.
                if !here.insert(&*entry.key) || !sound(entry, report) {
                    continue;
                }
                if let Some(other) = own.insert(&entry.key, entry) {
                    let message = format!(
                        "the type {} is defined at {} as well; this one, the last, counts",
                        quoted(&entry.key),
                        other.key_place
                    );
                    report.note(&entry.key_place, message);
                }
            }
        }
        let mut types = Self { by_name: built_in().iter().map(|entry| (&*entry.key, entry)).collect() };
        types.by_name.extend(own.iter().map(|(name, entry)| (*name, *entry)));
        types.drop_groundless(&own, report);
        types
    }

    /// The templates that `name` stands for, the strongest first; empty if there is no such type.
    pub fn layers(&self, name: &str) -> Vec<&'a Node> {
        self.rests_on(name).into_iter().map(|entry| &entry.node).collect()
    }

    /// The types that `name` stands for, the strongest first; empty if there is no such type.
    pub fn rests_on(&self, name: &str) -> Vec<&'a Entry> {
        let mut layers = Vec::new();
        let mut next = self.by_name.get(name).copied();
        while let Some(entry) = next {
            layers.push(entry);
            next = base_of(entry).and_then(|base| self.by_name.get(base).copied());
        }
        layers
    }

    /// The name that `word` was probably meant to be.
    pub fn suggestion(&self, word: &str) -> Option<String> {
        let names: BTreeSet<_> = self.by_name.keys().copied().collect();
        did_you_mean(word, names)
    }

    /// Leaves out, with an error, every type that does not rest on ground; a built-in one of its name comes back.
    fn drop_groundless(&mut self, own: &IndexMap<&'a str, &'a Entry>, report: &mut Report) {
        let groundless: Vec<_> = own.values().filter_map(|entry| Some((*entry, self.want_of_ground(entry)?))).collect();
        for (entry, message) in groundless {
            let place = present(&entry.node, "type").map_or(&entry.key_place, |node| &node.place);
            report.error(place, message);
            match built_in().iter().find(|built_in| built_in.key == entry.key) {
                Some(built_in) => self.by_name.insert(&entry.key, built_in),
                None => self.by_name.remove(&*entry.key),
            };
        }
    }

    /// What is wrong with what `entry` rests on.
    fn want_of_ground(&self, entry: &Entry) -> Option<String> {
        let name = quoted(&entry.key);
        let mut base = base_of(entry)?;
        for _ in 0..DEEPEST {
            if base == &*entry.key {
                return Some(format!("the type {name} rests on itself"));
            }
            let Some(below) = self.by_name.get(base) else {
                return Some(format!("there is no type {} for {name} to rest on", quoted(base)));
            };
            base = base_of(below)?;
        }
        Some(format!("the type {name} rests on too many others, or on a circle of them"))
    }
}

fn base_of(entry: &Entry) -> Option<&str> {
    match present(&entry.node, "type").map(|node| &node.value) {
        Some(Value::Text(base)) => Some(base),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_)) | None => None,
    }
}

/// Whether a type of a source can be used; its values are judged with the services that use it.
fn sound(entry: &Entry, report: &mut Report) -> bool {
    let Some(mut fields) = Fields::object(&entry.node, &format!("types.{}", entry.key), report) else { return false };
    duplicates(&entry.node, report);
    fields.accept(SERVICE_KEYS.into_iter().chain(TYPE_KEYS).filter(|key| *key != "id"));
    let base = fields.take("type").is_none_or(|base| text(base, "type", report).is_some());
    if let Some(kind) = fields.take("kind") {
        report.push(
            Problem::error(&kind.place, "\"kind\" is for built-in types").hint("name \"external\" as its \"type\""),
        );
        return false;
    }
    let needs = fields.take("needs").map(|needs| super::fields::texts(needs, "needs", report));
    for (need, place) in needs.into_iter().flatten() {
        if !SERVICE_KEYS.contains(&need) && need != "port" {
            report.note(place, format!("{} is no key that this program knows", quoted(need)));
        }
    }
    if let Some(engine) = fields.take("engine") {
        Fields::object(engine, "engine", report);
    }
    // A key of its own is good for a placeholder.
    fields.accept(super::template::placeholders(&entry.node));
    fields.finish(report);
    base
}

/// The types that every catalog has, by name.
pub(super) fn built_in() -> &'static [Entry] {
    static TYPES: OnceLock<Node> = OnceLock::new();
    TYPES
        .get_or_init(|| {
            // The text is part of the program, and a test reads it.
            let parsed = serde_json::from_str(include_str!("types.json")).unwrap_or(serde_json::Value::Null);
            let all = Place::whole(&"built-in types".into());
            let mut types = node_of(&parsed, &all);
            if let Value::Map(entries) = &mut types.value {
                // Each type is the place of what stands in it.
                for entry in entries {
                    let place = Place::whole(&format!("type {}", entry.key).into());
                    entry.node = node_of(parsed.get(&*entry.key).unwrap_or(&serde_json::Value::Null), &place);
                }
            }
            types
        })
        .entries()
}

fn node_of(json: &serde_json::Value, place: &Place) -> Node {
    use serde_json::Value as Json;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => Value::Number(number.to_string().into()),
        Json::String(text) => Value::Text(text.as_str().into()),
        Json::Array(items) => Value::List(items.iter().map(|item| node_of(item, place)).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| Entry {
                    key: key.as_str().into(),
                    key_place: place.clone(),
                    node: node_of(value, place),
                })
                .collect(),
        ),
    };
    Node { place: place.clone(), value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types_of(json: &str) -> (Vec<Entry>, Vec<String>) {
        let place = Place::whole(&"t.json".into());
        let node = node_of(&serde_json::from_str(json).unwrap(), &place);
        let mut report = Report::default();
        let _ = Types::of([node.entries()], &mut report);
        (node.entries().to_vec(), report.problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn every_built_in_type_rests_on_ground_and_has_no_unknown_key() {
        let types = Types::of([], &mut Report::default());
        assert!(built_in().len() > 15);
        for entry in built_in() {
            assert_eq!(types.want_of_ground(entry), None, "{}", entry.key);
            assert!(!types.layers(&entry.key).is_empty());
            for inner in entry.node.entries() {
                let key = &*inner.key;
                assert!(SERVICE_KEYS.contains(&key) || TYPE_KEYS.contains(&key), "{}: {key}", entry.key);
            }
        }
    }

    #[test]
    fn a_type_may_rest_on_another_but_not_on_itself_or_on_nothing() {
        let (_, problems) =
            types_of(r#"{"fast": {"type": "node"}, "faster": {"type": "fast"}, "node": {"type": "npm2"}}"#);
        let lost = |name| format!("there is no type \"npm2\" for {name:?} to rest on");
        assert_eq!(problems, ["fast", "faster", "node"].map(lost));
        let (_, problems) = types_of(r#"{"a": {"type": "b"}, "b": {"type": "a"}}"#);
        assert_eq!(problems.len(), 2, "{problems:?}");
        let (_, problems) = types_of(r#"{"node": {"type": "node"}}"#);
        assert_eq!(problems, ["the type \"node\" rests on itself"]);
    }

    #[test]
    fn a_key_of_its_own_is_fine_in_a_type_that_has_a_placeholder_for_it() {
        let (_, problems) = types_of(r#"{"x": {"command": ["x", "{depth}"], "depth": 3, "dept": 4}}"#);
        assert_eq!(problems, ["unknown key \"dept\""]);
    }
}
