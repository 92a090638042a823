//! What others may see of a service: its port, its base URL, its settings, and the variables that carry them.
//!
//! Here they are read as they stand; what they come to is found out by `names`.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::fields::{self, Fields, present, text};
use super::report::{Report, did_you_mean, quoted};
use crate::domain::{Node, Place, Problem, Value};

/// Text with its place.
pub(super) type Placed = (Arc<str>, Place);

/// The keys of a service that others depend on, as they stand.
#[derive(Debug, Default)]
pub(super) struct Exposed {
    /// The variable that gives and exports the own port.
    pub port_env: Option<Placed>,
    /// The variable that exports the base URL.
    pub base_url_env: Option<Placed>,
    /// The port if nothing else gives one.
    pub default_port: Option<u16>,
    /// The base URL, not yet expanded.
    pub base_url: Option<Placed>,
    /// Other ports.
    pub ports: Vec<ListedPort>,
    /// The settings.
    pub settings: Vec<Setting>,
    /// The values that are given to settings.
    pub values: IndexMap<Arc<str>, Node>,
}

/// An entry of `ports`.
#[derive(Debug)]
pub(super) struct ListedPort {
    /// What it is.
    pub name: Option<String>,
    /// The variable that gives and exports it.
    pub env: Option<Placed>,
    /// The port if the variable does not give one.
    pub default_port: Option<u16>,
}

/// An entry of `settings`.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its name.
    pub key: Arc<str>,
    /// Its value if none is given.
    pub default: Option<Node>,
    /// What goes between the elements of a list.
    pub separator: Arc<str>,
    /// The variable that carries it to all services.
    pub env_export: Option<Placed>,
    /// The variable that carries it to the service itself.
    pub env_map: Option<Placed>,
    /// The option that carries it at the end of argv.
    pub arg_map: Option<Placed>,
}

impl Exposed {
    /// Reads them from a service.
    pub fn read(fields: &mut Fields<'_>, report: &mut Report) -> Self {
        let settings: Vec<_> =
            fields.list("settings", report).iter().filter_map(|node| Setting::read(node, report)).collect();
        let values = read_values(fields, &settings, report);
        Self {
            port_env: variable(fields, "port_env", report),
            base_url_env: variable(fields, "base_url_env", report),
            default_port: fields.take("default_port").and_then(|node| fields::port(node, "default_port", report)),
            base_url: fields.word("base_url", report).map(|(text, place)| (text.into(), place.clone())),
            ports: fields.list("ports", report).iter().filter_map(|node| ListedPort::read(node, report)).collect(),
            settings,
            values,
        }
    }

    /// Whether others see the same, wherever it is written.
    pub fn is(&self, other: &Self) -> bool {
        let Self { port_env, base_url_env, default_port, base_url, ports, settings, values } = self;
        is_text(port_env, &other.port_env)
            && is_text(base_url_env, &other.base_url_env)
            && *default_port == other.default_port
            && is_text(base_url, &other.base_url)
            && is_all(ports, &other.ports, ListedPort::is)
            && is_all(settings, &other.settings, Setting::is)
            && values.len() == other.values.len()
            && values
                .iter()
                .zip(&other.values)
                .all(|((key, value), (its, other))| key == its && is_value_of(value, other))
    }

    /// What is given to the setting `key`, unless that is nothing.
    pub fn given(&self, key: &str) -> Option<&Node> {
        self.values.get(key)
    }

    /// The setting `key`.
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| &*setting.key == key)
    }
}

impl ListedPort {
    fn is(&self, other: &Self) -> bool {
        let Self { name, env, default_port } = self;
        *name == other.name && is_text(env, &other.env) && *default_port == other.default_port
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        if let Value::Number(_) = node.value {
            let port = fields::port(node, "ports", report)?;
            return Some(Self { name: None, env: None, default_port: Some(port) });
        }
        // Real files hold more in it (how to scan, how to connect): accepted as it is.
        let mut fields = Fields::object(node, "an element of ports", report)?;
        Some(Self {
            name: fields.word("name", report).map(|(name, _)| name.to_owned()),
            env: variable(&mut fields, "env", report),
            default_port: fields.take("default_port").and_then(|node| fields::port(node, "default_port", report)),
        })
    }
}

/// What a setting may hold.
#[rustfmt::skip]
pub(super) const SETTING_KEYS: [&str; 20] = [
    "key", "default", "separator", "env_export", "env_map", "arg_map",
    // For those who edit it.
    "type", "label", "description", "section", "options", "placeholder", "min", "max", "step", "required", "secret",
    "advanced", "cors_origin_export", "help",
];

impl Setting {
    fn is(&self, other: &Self) -> bool {
        let Self { key, default, separator, env_export, env_map, arg_map } = self;
        let is_default = match (default, &other.default) {
            (Some(default), Some(other)) => is_value_of(default, other),
            (default, other) => default.is_none() && other.is_none(),
        };
        *key == other.key
            && is_default
            && *separator == other.separator
            && is_text(env_export, &other.env_export)
            && is_text(env_map, &other.env_map)
            && is_text(arg_map, &other.arg_map)
    }

    fn read(node: &Node, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::object(node, "an element of settings", report)?;
        let Some((key, _)) = fields.word("key", report) else {
            if present(node, "key").is_none_or(|key| matches!(&key.value, Value::Text(key) if key.is_empty())) {
                report.error(&node.place, "this setting has no \"key\"");
            }
            return None;
        };
        let setting = Self {
            key: key.into(),
            default: fields.take("default").filter(|node| is_value(node, "default", report)).cloned(),
            separator: fields.text("separator", report).map_or(",", |(separator, _)| separator).into(),
            env_export: variable(&mut fields, "env_export", report),
            env_map: variable(&mut fields, "env_map", report),
            arg_map: fields.word("arg_map", report).map(|(option, place)| (option.into(), place.clone())),
        };
        fields.accept(SETTING_KEYS);
        fields.finish(report);
        Some(setting)
    }
}

fn is_text(text: &Option<Placed>, other: &Option<Placed>) -> bool {
    text.as_ref().map(|(text, _)| text) == other.as_ref().map(|(text, _)| text)
}

fn is_all<T>(all: &[T], others: &[T], is: impl Fn(&T, &T) -> bool) -> bool {
    all.len() == others.len() && all.iter().zip(others).all(|(one, other)| is(one, other))
}

/// Whether two values are written alike; an object is none.
fn is_value_of(node: &Node, other: &Node) -> bool {
    match (&node.value, &other.value) {
        (Value::Bool(flag), Value::Bool(other)) => flag == other,
        (Value::Number(text), Value::Number(other)) | (Value::Text(text), Value::Text(other)) => text == other,
        (Value::List(items), Value::List(others)) => is_all(items, others, is_value_of),
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_), _) => false,
    }
}

/// A value of a setting on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// Yes or no.
    Flag(bool),
    /// Everything else; never empty.
    Text(String),
}

impl SettingValue {
    /// `node` as a value: numbers without a needless decimal point, lists joined; `None` if it is empty.
    ///
    /// `text_of` is what each text goes through; its `None` makes the whole empty.
    pub fn of(node: &Node, separator: &str, text_of: &mut dyn FnMut(&str) -> Option<String>) -> Option<Self> {
        let text = match &node.value {
            Value::Bool(flag) => return Some(Self::Flag(*flag)),
            Value::Number(number) => plain_number(number),
            Value::Text(text) => text_of(text)?,
            Value::List(items) => {
                let mut words = Vec::with_capacity(items.len());
                for item in items {
                    match Self::of_element(item, text_of)? {
                        word if word.is_empty() => {}
                        word => words.push(word),
                    }
                }
                words.join(separator)
            }
            Value::Null | Value::Map(_) => return None,
        };
        (!text.is_empty()).then_some(Self::Text(text))
    }

    fn of_element(node: &Node, text_of: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
        match &node.value {
            Value::Bool(flag) => Some(Self::Flag(*flag).variable()),
            Value::Number(number) => Some(plain_number(number)),
            Value::Text(text) => text_of(text),
            Value::Null | Value::List(_) | Value::Map(_) => Some(String::new()),
        }
    }

    /// A port.
    pub fn of_port(port: u16) -> Self {
        Self::Text(port.to_string())
    }

    /// The port that it is; an error at `place` of `what` if it is none.
    pub fn as_port(&self, place: &Place, what: &str, report: &mut Report) -> Option<Self> {
        let port = match self {
            Self::Text(text) => text.parse().ok().filter(|port: &u16| *port != 0),
            Self::Flag(_) => None,
        };
        if port.is_none() {
            report.error(place, format!("{what} must be a port from 1 to 65535"));
        }
        port.map(Self::of_port)
    }

    /// As the value of a variable.
    pub fn variable(&self) -> String {
        match self {
            Self::Flag(flag) => if *flag { "1" } else { "0" }.to_owned(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A number without a decimal point if it needs none: settings files hold `2.0` and mean 2.
fn plain_number(number: &str) -> String {
    if let Some(whole) = fields::whole(number) {
        return whole.to_string();
    }
    match number.strip_prefix('-').and_then(fields::whole) {
        Some(0) => "0".to_owned(),
        Some(whole) => format!("-{whole}"),
        None => number.to_owned(),
    }
}

fn read_values(fields: &mut Fields<'_>, settings: &[Setting], report: &mut Report) -> IndexMap<Arc<str>, Node> {
    let mut values = IndexMap::new();
    let Some(node) = fields.take("values") else { return values };
    if Fields::object(node, "values", report).is_none() {
        return values;
    }
    let known: BTreeSet<&str> = settings.iter().map(|setting| &*setting.key).chain(["port", "base_url"]).collect();
    for entry in node.entries().iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        if !known.contains(&*entry.key) {
            let mut problem = Problem::note(&entry.key_place, format!("there is no setting {}", quoted(&entry.key)));
            problem.hint = did_you_mean(&entry.key, known.iter().copied());
            report.push(problem);
        } else if is_value(&entry.node, &entry.key, report) {
            values.entry(entry.key.clone()).or_insert_with(|| entry.node.clone());
        }
    }
    values
}

fn is_value(node: &Node, what: &str, report: &mut Report) -> bool {
    let found = report.problems.len();
    match &node.value {
        Value::Text(_) => {
            text(node, what, report);
        }
        Value::List(items) => {
            for item in items {
                match item.value {
                    Value::Text(_) => {
                        text(item, what, report);
                    }
                    Value::Bool(_) | Value::Number(_) => {}
                    Value::Null | Value::List(_) | Value::Map(_) => report.error(
                        &item.place,
                        format!(
                            "an element of {} must be text, a number, true or false, but is {}",
                            quoted(what),
                            item.kind()
                        ),
                    ),
                }
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::Null => {}
        Value::Map(_) => report.error(
            &node.place,
            format!("{} must be text, a number, true, false or a list, but is an object", quoted(what)),
        ),
    }
    report.problems.len() == found
}

/// The name of a variable.
fn variable<'a>(fields: &mut Fields<'a>, key: &'a str, report: &mut Report) -> Option<Placed> {
    let (name, place) = fields.word(key, report)?;
    if let Err(wrong) = variable_name(name) {
        report.error(place, format!("{} {wrong}", quoted(key)));
        return None;
    }
    Some((name.into(), place.clone()))
}

/// Whether `name` can be the name of a variable, or why not, as a fragment that fits behind what it stands in.
pub(super) fn variable_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("must not be an empty name")
    } else if name.contains('=') {
        Err("must not hold an equals sign")
    } else if name.contains('\0') {
        Err("holds a NUL character")
    } else {
        Ok(())
    }
}
