//! `why --config`: every effective value of one service, where it comes from, and what is secret of it hidden.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::ServiceId;
use crate::domain::catalog::Explained;
use crate::domain::secrets::{mask_urls, masked, masked_words};

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
    /// Shows `explained` of the service `id`.
    pub fn of(id: &ServiceId, explained: &Explained) -> Self {
        let secrets = &explained.secrets;
        let config = explained.values.iter().map(|given| {
            let value = shown(&given.key, &given.value, secrets);
            (given.key.clone(), ConfigValue { value, origin: given.origin.clone() })
        });
        Self { id: id.to_string(), config: config.collect() }
    }
}

/// A value as it may be shown under `key`.
fn shown(key: &str, value: &Value, secrets: &[String]) -> Value {
    let Some(name) = key.strip_prefix("env.").or_else(|| key.strip_prefix("values.")) else {
        return harmless(value, secrets);
    };
    match value {
        Value::String(text) => json!(masked(name, text, secrets)),
        Value::Number(_) | Value::Bool(_) => {
            let text = value.to_string();
            let shown = masked(name, &text, secrets);
            if *shown == *text { value.clone() } else { json!(shown) }
        }
        Value::Null | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

/// A value under a harmless name: only what stands in URLs and behind options is hidden.
fn harmless(value: &Value, secrets: &[String]) -> Value {
    match value {
        Value::String(text) => json!(mask_urls(text)),
        Value::Array(items) => {
            let words = items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
            match words {
                Some(words) => json!(masked_words(&words, secrets)),
                None => items.iter().map(|item| harmless(item, secrets)).collect(),
            }
        }
        Value::Object(parts) => {
            Value::Object(parts.iter().map(|(key, value)| (key.clone(), harmless(value, secrets))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
