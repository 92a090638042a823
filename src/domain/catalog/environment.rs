//! The environment that a service declares for itself, the stronger over the weaker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::exposed::{Exposed, variable_name};
use super::fields::{Fields, texts};
use super::merge::Whole;
use super::names::Names;
use super::read_service::Context;
use super::reading::EnvFile;
use super::report::{Report, quoted};
use crate::domain::{Node, Place, Value};

/// The contents of every `env_file`, by absolute path.
pub(super) type Files = BTreeMap<PathBuf, EnvFile>;

/// The variables of its own, each with what gives it; `None` removes one that would be inherited.
pub(super) type Variables<'a> = BTreeMap<String, (Option<String>, Source<'a>)>;

/// What gives a variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// What is written there.
    Place(&'a Place),
    /// The setting of this name.
    Setting(&'a str),
    /// This line of an `env_file`.
    File(&'a Path, u32),
    /// The service's port.
    Port,
    /// The service's base URL.
    Url,
}

/// Reads the service's own environment.
pub(super) fn read<'a>(
    (whole, exposed): (&'a Whole, &'a Exposed),
    (names, member): (&mut Names<'_>, usize),
    fields: &mut Fields<'a>,
    context: &Context<'a>,
    report: &mut Report,
) -> Variables<'a> {
    let mut variables = Variables::new();
    own_exports(exposed, names, member, &mut variables);
    written(&whole.type_env, "env", (names, member), &mut variables, report);
    for (path, place) in files_of(fields, context.root, report) {
        match context.env_files.get_key_value(&path) {
            Some((file, Ok(lines))) => {
                let given = |value: &String, line| (Some(value.clone()), Source::File(file, line));
                variables.extend(lines.iter().map(|(name, value, line)| (name.clone(), given(value, *line))));
            }
            Some((_, Err(error))) => report.error(place, format!("the env_file can't be read: {error}")),
            // Nobody has looked yet.
            None => {}
        }
    }
    for (index, setting) in exposed.settings.iter().enumerate() {
        if let Some((name, _)) = &setting.env_map
            && let Some(value) = names.setting(member, index)
        {
            variables.insert(name.to_string(), (Some(value.variable()), Source::Setting(&setting.key)));
        }
    }
    for key in ["env", "env_overrides"] {
        if let Some(node) = fields.take(key) {
            written(node, key, (names, member), &mut variables, report);
        }
    }
    variables
}

/// The files that `env_file` names, absolute, each with its place.
pub(super) fn files_of<'a>(fields: &mut Fields<'a>, root: &Path, report: &mut Report) -> Vec<(PathBuf, &'a Place)> {
    let Some(node) = fields.take("env_file") else { return Vec::new() };
    let paths = match &node.value {
        Value::List(_) => texts(node, "env_file", report),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            super::fields::text(node, "env_file", report).map(|path| (path, &node.place)).into_iter().collect()
        }
    };
    let named = paths.into_iter().filter(|(path, _)| !path.is_empty());
    named.map(|(path, place)| (root.join(path).components().collect(), place)).collect()
}

/// What the service gives to all services, it has itself, whoever else gives the same to the others.
fn own_exports<'a>(exposed: &'a Exposed, names: &mut Names<'_>, member: usize, variables: &mut Variables<'a>) {
    for (index, setting) in exposed.settings.iter().enumerate() {
        if let Some((name, _)) = &setting.env_export
            && let Some(value) = names.setting(member, index)
        {
            variables.insert(name.to_string(), (Some(value.variable()), Source::Setting(&setting.key)));
        }
    }
    if let Some(url) = names.url(member)
        && let Some((name, _)) = &exposed.base_url_env
    {
        variables.insert(name.to_string(), (Some(url), Source::Url));
    }
    if let Some(port) = names.port(member) {
        let own = exposed.port_env.iter().map(|(name, _)| name.to_string()).chain(["PORT".to_owned()]);
        variables.extend(own.map(|name| (name, (Some(port.to_string()), Source::Port))));
    }
}

/// Variables as they are written: text is expanded, `null` removes.
fn written<'a>(
    node: &'a Node,
    key: &str,
    (names, member): (&mut Names<'_>, usize),
    variables: &mut Variables<'a>,
    report: &mut Report,
) {
    if Fields::object(node, key, report).is_none() {
        return;
    }
    for entry in node.entries() {
        let name = &*entry.key;
        if let Err(wrong) = variable_name(name) {
            report.error(&entry.key_place, format!("the name of a variable {wrong}"));
            continue;
        }
        let place = &entry.node.place;
        let value = match &entry.node.value {
            Value::Null => None,
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Text(_) => {
                let Some(text) = super::fields::text(&entry.node, name, report) else { continue };
                let Some(text) = names.expand(member, text, (place, name), report) else { continue };
                Some(text)
            }
            Value::List(_) | Value::Map(_) => {
                let message = format!(
                    "{} must be text, a number, true, false or null, but is {}",
                    quoted(name),
                    entry.node.kind()
                );
                report.error(place, message);
                continue;
            }
        };
        variables.insert(name.to_owned(), (value, Source::Place(place)));
    }
}
