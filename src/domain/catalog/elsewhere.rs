//! What other tools call what is meant here, for hints: who comes from compose files, units or process lists writes their
//! words first. Knows words only; what a key means is read elsewhere.

use super::report::quoted;
use crate::domain::{Node, Value};

/// Keys: another tool's, ours, and what more there is to say. Ours tells where it holds: in objects that may have it.
const KEYS: &[(&str, &str, &str)] = &[
    ("cmd", "command", ""),
    ("exec", "command", ""),
    ("execstart", "command", ""),
    ("entrypoint", "command", ""),
    ("run", "command", ""),
    ("script", "command", ""),
    ("start", "command", ""),
    ("environment", "env", ": {\"NAME\": \"value\"}"),
    ("vars", "env", ": {\"NAME\": \"value\"}"),
    ("dotenv", "env_file", ""),
    ("environmentfile", "env_file", ""),
    ("dir", "directory", ""),
    ("workdir", "directory", ""),
    ("work_dir", "directory", ""),
    ("working_dir", "directory", ""),
    ("working_directory", "directory", ""),
    ("workingdirectory", "directory", ""),
    ("port", "default_port", ""),
    ("port", "tcp", ""),
    ("url", "base_url", ""),
    ("after", "depends_on", ""),
    ("depends", "depends_on", ""),
    ("wants", "depends_on", ""),
    ("execstartpre", "before_start", ""),
    ("pre_start", "before_start", ""),
    ("healthcheck", "health", ", for example {\"exec\": [\"program\", \"argument\"]}"),
    ("liveness_probe", "health", ""),
    ("readiness_probe", "health", ""),
    ("mem_limit", "limits", ": {\"memory\": \"512MB\"}"),
    ("restart_policy", "restart", ""),
    ("max_restarts", "restart", ": {\"max_restarts\": 5}"),
    ("stop_signal", "stop", ": {\"signal\": \"INT\"}"),
    ("stop_grace_period", "stop", ": {\"timeout\": \"10s\"}"),
    ("shutdown", "stop", ""),
    ("profiles", "auto_start", ": false, and `start ID` when it is wanted"),
    // A dependency.
    ("service", "id", ""),
    // A probe.
    ("test", "exec", ": [\"program\", \"argument\"], without \"CMD\""),
    ("command", "exec", ""),
    ("path", "http", ""),
    ("url", "http", ""),
    ("http_get", "http", ""),
    ("retries", "unhealthy_after", ""),
    ("failure_threshold", "unhealthy_after", ""),
    ("success_threshold", "healthy_after", ""),
    ("start_period", "grace", ""),
    ("initial_delay", "grace", ""),
    ("initial_delay_seconds", "grace", ""),
    ("period_seconds", "interval", ""),
    ("timeout_seconds", "timeout", ""),
    // A policy of restarts.
    ("condition", "policy", ""),
    ("max_attempts", "max_restarts", ""),
    ("backoff_seconds", "delay", ""),
];

/// Words for a choice: another tool's and ours.
const CHOICES: &[(&str, &str)] = &[
    ("unless-stopped", "always"),
    ("no", "never"),
    ("service_started", "started"),
    ("service_healthy", "healthy"),
    ("service_completed_successfully", "completed"),
    ("process_started", "started"),
    ("process_healthy", "healthy"),
    ("process_completed", "completed"),
    ("process_completed_successfully", "completed"),
];

/// What the key `word` of another tool is called in an object that may have the keys `known`.
pub(super) fn key(word: &str, known: &[&str]) -> Option<String> {
    let plain = word.to_lowercase().replace('-', "_");
    let (_, ours, more) = KEYS.iter().find(|(theirs, ours, _)| *theirs == plain && known.contains(ours))?;
    Some(format!("here that is {}{more}", quoted(ours)))
}

/// What the choice `word` of another tool is called if it is to be one of `words`.
pub(super) fn choice<'a>(word: &str, mut words: impl Iterator<Item = &'a str>) -> Option<String> {
    let (_, ours) = CHOICES.iter().find(|(theirs, _)| *theirs == word)?;
    words.any(|word| word == *ours).then(|| format!("here that is {}", quoted(ours)))
}

/// How what is named `what` is written, if `node` has a form that it has elsewhere.
pub(super) fn form(what: &str, node: &Node) -> Option<&'static str> {
    match (what, &node.value) {
        ("env" | "env_overrides", Value::List(_)) => Some("write {\"NAME\": \"value\"}"),
        ("depends_on", Value::Map(_)) => Some("write a list: [\"a\", {\"id\": \"b\", \"condition\": \"completed\"}]"),
        ("an element of ports", Value::Text(_) | Value::Number(_)) => {
            Some("its own port is \"default_port\"; further ones are written {\"name\": \"…\", \"default_port\": 8000}")
        }
        ("service", Value::Text(_)) => Some(
            "write {\"command\": [\"program\", \"argument\"]}, or {\"command\": \"…\", \"shell\": true} for a line of shell",
        ),
        (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_tool_is_known_where_ours_may_stand() {
        assert_eq!(key("port", &["env", "default_port"]).unwrap(), "here that is \"default_port\"");
        assert_eq!(key("port", &["http", "tcp"]).unwrap(), "here that is \"tcp\"");
        assert_eq!(key("WorkingDirectory", &["directory"]).unwrap(), "here that is \"directory\"");
        assert_eq!(key("stop-signal", &["stop"]).unwrap(), "here that is \"stop\": {\"signal\": \"INT\"}");
        assert_eq!(key("test", &["command"]), None);
        assert_eq!(choice("no", ["always", "never"].into_iter()).unwrap(), "here that is \"never\"");
        assert_eq!(choice("no", ["yes"].into_iter()), None);
    }

    #[test]
    fn no_word_is_ours_where_it_stands_as_another_tools() {
        for (theirs, ours, _) in KEYS {
            assert_ne!(theirs, ours);
            let service = super::super::read_service::SERVICE_KEYS;
            assert!(!(service.contains(theirs) && service.contains(ours)), "{theirs} is a key of a service");
        }
    }
}
