//! `why --config`: every effective value of one service, where it comes from, and what is secret of it hidden.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::ServiceId;
use crate::domain::catalog::Explained;
use crate::domain::secrets::{MASK, Secrets};

/// Every effective value of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The service.
    pub id: String,
    /// By key: of a service, within one (`restart.delay`), `values.NAME` or `env.NAME`.
    pub config: IndexMap<String, ConfigValue>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigValue {
    /// What it comes to; null for nothing, and for a variable that is removed.
    pub value: Value,
    /// `file:line`, `type NAME`, `setting NAME`, `env_file FILE:LINE`, `agent environment` or `default`.
    pub origin: String,
}

impl Config {
    /// Shows `explained` of the service `id`, without what is secret by `secrets`.
    pub fn of(id: &ServiceId, explained: &Explained, secrets: &Secrets) -> Self {
        let config = explained.values.iter().map(|given| {
            let value = shown(&given.key, &given.value, &explained.secrets, secrets);
            (given.key.clone(), ConfigValue { value, origin: given.origin.clone() })
        });
        Self { id: id.to_string(), config: config.collect() }
    }
}

/// A value as it may be shown under `key`; `own` are names that are secret in this service.
fn shown(key: &str, value: &Value, own: &[String], secrets: &Secrets) -> Value {
    let Some(name) = key.strip_prefix("env.").or_else(|| key.strip_prefix("values.")) else {
        return harmless(value, own, secrets);
    };
    match value {
        Value::String(text) => json!(secrets.hide_value(name, text, own)),
        Value::Number(_) | Value::Bool(_) => {
            let text = value.to_string();
            let shown = secrets.hide_value(name, &text, own);
            if *shown == *text { value.clone() } else { json!(shown) }
        }
        Value::Array(_) | Value::Object(_) if secrets.is_secret_of(name, own) => json!(MASK),
        Value::Array(_) | Value::Object(_) => harmless(value, own, secrets),
        Value::Null => Value::Null,
    }
}

/// A value under a harmless name: what is known to be secret, or is it by its form, is hidden.
fn harmless(value: &Value, own: &[String], secrets: &Secrets) -> Value {
    match value {
        Value::String(text) => json!(secrets.hide(text)),
        Value::Array(items) => {
            let words = items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            match words {
                Some(words) => json!(secrets.hide_words(&words, own)),
                None => items.iter().map(|item| harmless(item, own, secrets)).collect(),
            }
        }
        Value::Object(parts) => {
            Value::Object(parts.iter().map(|(key, value)| (key.clone(), within(key, value, own, secrets))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The value of `key` within another.
fn within(key: &str, value: &Value, own: &[String], secrets: &Secrets) -> Value {
    match value {
        Value::String(text) => json!(secrets.hide_value(key, text, own)),
        Value::Number(_) if secrets.is_secret_of(key, own) => json!(MASK),
        Value::Array(_) | Value::Object(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {
            harmless(value, own, secrets)
        }
    }
}
