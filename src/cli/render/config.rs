//! The values of one service, each with where it comes from, as a table.

use std::fmt::Write;

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{BOLD, DIM, Look, fit, pad, paint};
use crate::domain::text::plain;
use crate::wire::Config;

/// The widest that values make their column.
const MOST_VALUE: usize = 48;

/// The least that is left of a value where the terminal is narrow.
const LEAST_VALUE: usize = 12;

/// What comes from there is what everything else on this machine has as well.
const INHERITED: &str = "agent environment";

/// `why --config` for people: without what nobody has said and what is merely inherited.
pub fn render_config(config: &Config, look: &Look) -> String {
    let mut inherited = 0;
    let mut rows = Vec::new();
    for (key, given) in &config.config {
        let is_nothing = match &given.value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(_) => config.config.keys().any(|other| is_part(other, key)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        if key.starts_with("env.") && given.origin == INHERITED {
            inherited += 1;
        } else if !is_nothing || key.starts_with("env.") {
            rows.push([plain(key).into_owned(), text(&given.value), plain(&given.origin).into_owned()]);
        }
    }
    let widest = |column: usize| rows.iter().map(|row: &[String; 3]| row[column].width()).max().unwrap_or(0);
    let (keys, origins) = (widest(0), widest(2));
    let room = look.width.map(|width| width.saturating_sub(keys + origins + 4).max(LEAST_VALUE));
    let values = widest(1).min(room.unwrap_or(MOST_VALUE));
    let mut out = String::new();
    let _ = writeln!(out, "{}", paint(BOLD, &plain(&config.id)));
    for [key, value, origin] in &rows {
        let value = match room {
            Some(_) => fit(value, values),
            None => value.clone(),
        };
        let _ = writeln!(out, "{}  {}  {}", pad(key, keys), pad(&value, values), paint(DIM, origin));
    }
    if inherited > 0 {
        let variables = if inherited == 1 { "variable" } else { "variables" };
        let line = format!("and {inherited} {variables} of the agent's environment, which --json shows");
        let _ = writeln!(out, "{}", paint(DIM, &line));
    }
    out
}

/// Whether `key` is a part of the object under `whole`.
fn is_part(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'))
}

/// A value on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "(removed)".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => plain(text).replace(['\n', '\t'], " "),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            plain(&value.to_string()).into_owned()
        }
    }
}
