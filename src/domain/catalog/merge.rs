//! Puts a service's own object and the templates of its type together: one object, as if all had been written there.
//!
//! The environment of the type stays apart, because an `env_file` comes between it and the service's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::fields::present;
use super::read_service::SERVICE_KEYS;
use super::report::Report;
use super::template::{Filler, Reading, placeholders};
use crate::domain::{Entry, Node, Place, Value};

/// A service with the defaults of its type.
pub(super) struct Whole {
    /// All keys but `env` of the type.
    pub node: Node,
    /// The variables that the type gives.
    pub type_env: Node,
    /// How the command came about.
    pub command: CommandOrigin,
    /// What the type can't do without, unless the service brings its own command: keys, or `port`.
    pub needs: Vec<(Arc<str>, Place)>,
    /// What the type says of its nature: the text of `kind`.
    pub kind: Option<Arc<str>>,
    /// Whether the type leaves the service to another engine.
    pub engine: bool,
    /// Keys that placeholders of the type ask for.
    pub asked: BTreeSet<String>,
}

/// Whose command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandOrigin {
    /// The service's, or nobody's.
    Own,
    /// The type's.
    Type {
        /// Whether the service's `args` have their place in it.
        takes_args: bool,
    },
}

/// Keys with the same meaning: who writes one does not want the other from a type.
const SAME: [(&str, &str); 2] = [("directory", "cwd"), ("group", "category")];

/// The keys of `health` that say what is asked, not how often.
const CHECK_KEYS: [&str; 9] = ["http", "tcp", "exec", "log", "file", "unix", "status", "body", "max_age"];

/// A merge patch (RFC 7396) that keeps the origin of every value.
pub(super) fn patched(target: &Node, patch: &Node) -> Node {
    let Value::Map(changes) = &patch.value else { return patch.clone() };
    let mut entries: IndexMap<Arc<str>, Entry> = IndexMap::new();
    for entry in target.entries() {
        entries.entry(entry.key.clone()).or_insert_with(|| entry.clone());
    }
    for change in changes {
        if matches!(change.node.value, Value::Null) {
            entries.shift_remove(&change.key);
            continue;
        }
        let former = entries.get(&change.key);
        let nothing = Node { place: change.node.place.clone(), value: Value::Null };
        let node = patched(former.map_or(&nothing, |former| &former.node), &change.node);
        match entries.get_mut(&change.key) {
            Some(former) => former.node = node,
            None => {
                entries.insert(change.key.clone(), Entry { node, ..change.clone() });
            }
        }
    }
    // What is patched is where it was; what is new is where the patch is.
    let place = if target.entries().is_empty() { &patch.place } else { &target.place };
    Node { place: place.clone(), value: Value::Map(entries.into_values().collect()) }
}

/// Puts `filler.own` and `filler.layers` together.
pub(super) fn whole(filler: &Filler<'_>, report: &mut Report) -> Whole {
    let own = filler.own;
    let mut merging = Merging { filler, entries: IndexMap::new(), type_env: IndexMap::new(), asked: BTreeSet::new() };
    for entry in own.entries().iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        merging.entries.entry(entry.key.clone()).or_insert_with(|| entry.clone());
    }
    let command = merging.command(report);
    let mut check_named = names_check(own);
    for layer in filler.layers {
        for entry in layer.entries().iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
            merging.take(entry, check_named, report);
        }
        check_named |= names_check(layer);
    }
    let first = |key: &str| filler.layers.iter().find_map(|layer| present(layer, key));
    let own_command = command == CommandOrigin::Own && present(own, "command").is_some();
    let needs = match first("needs").map(|needs| &needs.value) {
        Some(Value::List(needs)) if !own_command => needs.iter().filter_map(word).collect(),
        Some(_) | None => Vec::new(),
    };
    let map = |entries: IndexMap<Arc<str>, Entry>| Node {
        place: own.place.clone(),
        value: Value::Map(entries.into_values().collect()),
    };
    Whole {
        node: map(merging.entries),
        type_env: map(merging.type_env),
        command,
        needs,
        kind: first("kind").and_then(word).map(|(kind, _)| kind),
        engine: first("engine").is_some(),
        asked: merging.asked,
    }
}

struct Merging<'a, 'f> {
    filler: &'f Filler<'a>,
    entries: IndexMap<Arc<str>, Entry>,
    type_env: IndexMap<Arc<str>, Entry>,
    asked: BTreeSet<String>,
}

impl Merging<'_, '_> {
    /// Takes the type's command, unless the service has one of its own that the type's does not build on.
    fn command(&mut self, report: &mut Report) -> CommandOrigin {
        let commands = |layer: &&Node| layer.entries().iter().find(|entry| &*entry.key == "command").cloned();
        let Some(template) = self.filler.layers.iter().find_map(commands) else { return CommandOrigin::Own };
        let asked = placeholders(&template.node);
        self.asked.extend(asked.iter().map(|name| (*name).to_owned()));
        if present(self.filler.own, "command").is_some() && !asked.contains("command") {
            return CommandOrigin::Own;
        }
        let takes_args = asked.contains("args");
        // Without the program its arguments would be taken for one.
        let has_program = !asked.contains("command") || present(self.filler.own, "command").is_some();
        if has_program
            && let Some(node) = self.filler.fill(&template.node, Reading::Plain, report)
            && !matches!(&node.value, Value::List(words) if words.is_empty())
        {
            self.entries.insert(template.key.clone(), Entry { node, ..template.clone() });
        }
        CommandOrigin::Type { takes_args }
    }

    /// Takes a key of the type, where nothing stronger has it.
    fn take(&mut self, entry: &Entry, check_named: bool, report: &mut Report) {
        let key = &*entry.key;
        if matches!(key, "command" | "type" | "id") || !SERVICE_KEYS.contains(&key) {
            return;
        }
        self.asked.extend(placeholders(&entry.node).into_iter().map(str::to_owned));
        let same = SAME.iter().find_map(|(a, b)| if *a == key { Some(*b) } else { (*b == key).then_some(*a) });
        if same.is_some_and(|same| self.entries.contains_key(same)) || (key == "health_endpoint" && check_named) {
            return;
        }
        let known = self.entries.get(key).map(|known| &known.node.value);
        if key != "env" && known.is_some_and(|known| !matches!(known, Value::Map(_)) && key != "health") {
            return;
        }
        let expanded = matches!(key, "env" | "env_overrides" | "values" | "base_url" | "health");
        let reading = if expanded { Reading::Expanded } else { Reading::Plain };
        let Some(filled) = self.filler.fill(&entry.node, reading, report) else { return };
        match key {
            "env" => {
                for variable in filled.entries() {
                    self.type_env.entry(variable.key.clone()).or_insert_with(|| variable.clone());
                }
            }
            "health" => self.health(Entry { node: filled, ..entry.clone() }, check_named),
            _ => self.defaults(Entry { node: filled, ..entry.clone() }),
        }
    }

    /// Takes what a key lacks: all of it, or single entries of an object.
    fn defaults(&mut self, entry: Entry) {
        let Some(known) = self.entries.get_mut(&entry.key) else {
            self.entries.insert(entry.key.clone(), entry);
            return;
        };
        if let (Value::Map(known), Value::Map(more)) = (&mut known.node.value, entry.node.value) {
            for more in more {
                match known.iter_mut().find(|entry| entry.key == more.key) {
                    Some(known) if matches!(known.node.value, Value::Null) => *known = more,
                    Some(_) => {}
                    None => known.push(more),
                }
            }
        }
    }

    /// The pace of a type's probe holds for the service's own as well; what is asked comes from one of them only.
    fn health(&mut self, mut entry: Entry, check_named: bool) {
        if check_named {
            let Value::Map(inner) = &mut entry.node.value else { return };
            inner.retain(|inner| !CHECK_KEYS.contains(&&*inner.key));
        }
        if let Some(known) = self.entries.get_mut("health")
            && matches!(known.node.value, Value::Text(_))
        {
            let http = Entry { key: "http".into(), ..known.clone() };
            known.node = Node { place: known.node.place.clone(), value: Value::Map(vec![http]) };
        }
        self.defaults(entry);
    }
}

/// Whether `node` says what its probe asks.
fn names_check(node: &Node) -> bool {
    present(node, "health_endpoint").is_some()
        || present(node, "health").is_some_and(|health| match &health.value {
            Value::Map(_) => CHECK_KEYS.iter().any(|key| present(health, key).is_some()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => true,
        })
}

fn word(node: &Node) -> Option<(Arc<str>, Place)> {
    match &node.value {
        Value::Text(text) => Some((text.clone(), node.place.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    fn node(json: &Json, place: &Place) -> Node {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => Value::Number(number.to_string().into()),
            Json::String(text) => Value::Text(text.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(|item| node(item, place)).collect()),
            Json::Object(entries) => {
                let entry = |(key, value): (&String, &Json)| Entry {
                    key: key.as_str().into(),
                    key_place: place.clone(),
                    node: node(value, place),
                };
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        Node { place: place.clone(), value }
    }

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0..9u8).prop_map(Json::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                proptest::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_does_what_the_standard_says_and_every_value_keeps_its_origin(target in json(), patch in json()) {
            let (old, new) = (Place::whole(&"old".into()), Place::whole(&"new".into()));
            let patched = patched(&node(&target, &old), &node(&patch, &new));
            let mut expected = target;
            json_patch::merge(&mut expected, &patch);
            prop_assert_eq!(&patched, &node(&expected, &old));
            let mut open = vec![(&patched, Some(&patch))];
            while let Some((at, patch)) = open.pop() {
                if let (Value::Bool(_) | Value::Number(_) | Value::List(_), Some(_)) = (&at.value, patch) {
                    prop_assert_eq!(&at.place, &new);
                }
                let inner = |entry: &Entry| patch.and_then(|patch| patch.get(&*entry.key));
                for entry in at.entries() {
                    match inner(entry) {
                        Some(patch) => open.push((&entry.node, Some(patch))),
                        None => prop_assert_eq!(&entry.node.place, &old),
                    }
                }
            }
        }
    }
}
