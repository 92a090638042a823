//! A value of a source that remembers where it stood: what is left of JSON once a file has been parsed.
//!
//! Because every node carries its own place, merging two trees merges their origins as well.

use std::sync::Arc;

use super::problem::Place;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// The value.
    pub value: Value,
}

/// The six kinds of JSON value.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`: as good as absent, and a deletion in a merge patch.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as written, in JSON's grammar.
    Number(Arc<str>),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// An object, in the order of the file; a key that stands twice is here twice.
    Map(Vec<Entry>),
}

/// A key of an object, and what stands behind it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key begins.
    pub key_place: Place,
    /// What it holds.
    pub node: Node,
}

impl Node {
    /// The first value of `key`, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| &*entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of an object; empty for everything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// What the value is, in words that fit behind "is": "a number", "an object".
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }
}

/// Equal in meaning: places, the order of keys and the spelling of numbers do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => a == b || a.parse::<f64>().ok() == b.parse::<f64>().ok(),
            (Value::Text(a), Value::Text(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|entry| other.get(&entry.key) == Some(&entry.node))
            }
            (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_), _) => {
                false
            }
        }
    }
}
