//! Reads how a service is kept: when it is started again, how it is stopped, what comes before, what is watched, limited,
//! told and kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use globset::GlobBuilder;

use super::fields::{self, Fields, text};
use super::report::{Report, did_you_mean, quoted};
use crate::domain::{
    Action, FilePattern, Limits, LogPolicy, Node, NotifyPolicy, Problem, RestartPolicy, RestartWhen, Signal, Step,
    StopPolicy, StopTree, Value,
};

/// How long a step before the start may take unless it says so.
const STEP_TIMEOUT: Duration = Duration::from_secs(600);

/// The shortest that a log can be kept, in bytes: rotation frees whole blocks of the file system.
const SHORTEST_LOG: u64 = 4 * 1024;

const POLICIES: [(&str, RestartWhen); 3] =
    [("always", RestartWhen::Always), ("on-failure", RestartWhen::OnFailure), ("never", RestartWhen::Never)];

/// The key `restart`: a policy word or an object.
pub(super) fn restart(fields: &mut Fields<'_>, one_shot: bool, report: &mut Report) -> RestartPolicy {
    let unsaid = if one_shot { RestartWhen::Never } else { RestartWhen::OnFailure };
    let default = RestartPolicy { when: unsaid, ..RestartPolicy::default() };
    let Some(node) = fields.take("restart") else { return default };
    if let Value::Text(_) = node.value {
        return RestartPolicy { when: fields::choice(node, "restart", &POLICIES, report).unwrap_or(unsaid), ..default };
    }
    let Some(mut fields) = Fields::object(node, "restart", report) else { return default };
    let policy = RestartPolicy {
        when: fields.choice("policy", &POLICIES, report).unwrap_or(unsaid),
        on_unhealthy: fields.flag("on_unhealthy", report).map_or(default.on_unhealthy, |(flag, _)| flag),
        success_exit_codes: success(&mut fields, report).unwrap_or(default.success_exit_codes),
        delay: fields.span("delay", report).unwrap_or(default.delay),
        max_delay: fields.span("max_delay", report).unwrap_or(default.max_delay),
        max_restarts: fields.count("max_restarts", 0..=1_000_000, report).unwrap_or(default.max_restarts),
        window: fields.span("window", report).unwrap_or(default.window),
        reset_after: fields.span("reset_after", report).unwrap_or(default.reset_after),
    };
    fields.finish(report);
    policy
}

fn success(fields: &mut Fields<'_>, report: &mut Report) -> Option<BTreeSet<i32>> {
    const KEY: &str = "success_exit_codes";
    let node = fields.take(KEY)?;
    let codes = fields::list(node, KEY, report);
    if codes.is_empty() && matches!(node.value, Value::List(_)) {
        let message = format!("{} holds no code, so that nothing would be a success", quoted(KEY));
        report.push(Problem::error(&node.place, message).hint("leave it out for [0]"));
        return None;
    }
    // What a process returns is one byte.
    let codes = codes.iter().filter_map(|code| fields::count(code, KEY, 0..=255, report));
    Some(codes.filter_map(|code| i32::try_from(code).ok()).collect())
}

/// The key `stop`.
pub(super) fn stop(fields: &mut Fields<'_>, report: &mut Report) -> StopPolicy {
    let default = StopPolicy::default();
    let Some(node) = fields.take("stop") else { return default };
    let Some(mut fields) = Fields::object(node, "stop", report) else { return default };
    let signal = fields.take("signal").and_then(|node| signal(node, report));
    let command = fields.take("command").and_then(|node| argv(node, "command", report));
    let timeout = fields.span("timeout", report);
    let tree = fields.choice("tree", &[("all", StopTree::All), ("group", StopTree::Group)], report);
    fields.finish(report);
    StopPolicy {
        signal: signal.unwrap_or(default.signal),
        command,
        timeout: timeout.unwrap_or(default.timeout),
        tree: tree.unwrap_or(default.tree),
    }
}

fn signal(node: &Node, report: &mut Report) -> Option<Signal> {
    let word = text(node, "signal", report)?;
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let signal = Signal::ALL.into_iter().find(|signal| signal.name() == name);
    if signal.is_none() {
        let names = Signal::ALL.map(Signal::name);
        let message =
            format!("\"signal\" must be a signal's name, such as {}, but is {}", names[..4].join(", "), quoted(word));
        let mut problem = Problem::error(&node.place, message);
        problem.hint = did_you_mean(name, names);
        report.push(problem);
    }
    signal
}

/// The key `before_start`: one argv, one object, or a list of these.
pub(super) fn before_start(fields: &mut Fields<'_>, report: &mut Report) -> Vec<Arc<Step>> {
    let Some(node) = fields.take("before_start") else { return Vec::new() };
    let steps = match &node.value {
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::List(_) | Value::Map(_))) => items,
        Value::List(items) if items.is_empty() => return Vec::new(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            std::slice::from_ref(node)
        }
    };
    steps.iter().filter_map(|step| step_of(step, report)).map(Arc::new).collect()
}

fn step_of(node: &Node, report: &mut Report) -> Option<Step> {
    let Value::Map(_) = node.value else {
        return Some(Step { argv: argv(node, "before_start", report)?, timeout: STEP_TIMEOUT });
    };
    let mut fields = Fields::of(node);
    let command = fields.take("command");
    let timeout = fields.span_from("timeout", Duration::from_millis(1), report);
    fields.finish(report);
    let Some(command) = command else {
        report.error(&node.place, "this step of \"before_start\" has no \"command\"");
        return None;
    };
    Some(Step { argv: argv(command, "command", report)?, timeout: timeout.unwrap_or(STEP_TIMEOUT) })
}

/// The key `watch`: globs.
pub(super) fn watch(fields: &mut Fields<'_>, root: &Path, report: &mut Report) -> Vec<FilePattern> {
    let mut patterns = Vec::new();
    for (glob, place) in fields.texts("watch", report) {
        let glob = glob.strip_prefix("./").unwrap_or(glob);
        if glob.is_empty() {
            report.error(place, "a pattern of \"watch\" is empty");
            continue;
        }
        match GlobBuilder::new(glob).literal_separator(true).build() {
            Ok(_) => patterns.push(below(root, glob)),
            Err(error) => report.error(place, format!("this is no pattern of files: {}", error.kind())),
        }
    }
    patterns
}

/// The pattern `glob`, which starts at `root` unless it is absolute.
fn below(root: &Path, glob: &str) -> FilePattern {
    let plain = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
    let place: PathBuf = glob.split('/').take_while(plain).collect::<Vec<_>>().join("/").into();
    if Path::new(glob).is_absolute() {
        return FilePattern { place: Path::new("/").join(place), glob: glob.to_owned() };
    }
    let place = root.join(place).components().collect();
    // What the root is called is no pattern.
    let root = globset::escape(&root.to_string_lossy());
    FilePattern { place, glob: format!("{}/{glob}", root.trim_end_matches('/')) }
}

/// The key `limits`.
pub(super) fn limits(fields: &mut Fields<'_>, report: &mut Report) -> Limits {
    let Some(node) = fields.take("limits") else { return Limits::default() };
    let Some(mut fields) = Fields::object(node, "limits", report) else { return Limits::default() };
    let memory = fields.size("memory", report);
    if memory == Some(0) {
        let place = fields.take("memory").map_or(&node.place, |node| &node.place);
        report.error(place, "\"memory\" must be more than nothing");
    }
    fields.finish(report);
    Limits { memory }
}

/// The key `actions`.
pub(super) fn actions(fields: &mut Fields<'_>, report: &mut Report) -> Vec<Arc<Action>> {
    let mut actions: Vec<Arc<Action>> = Vec::new();
    for node in fields.list("actions", report) {
        let Some(mut fields) = Fields::object(node, "actions", report) else { continue };
        let name = fields.word("name", report);
        let command = fields.take("command");
        let confirm = fields.flag("confirm", report).is_some_and(|(flag, _)| flag);
        fields.finish(report);
        let (Some((name, place)), Some(command)) = (name, command) else {
            report.push(
                Problem::error(&node.place, "an action needs \"name\" and \"command\"")
                    .hint("for example {\"name\": \"Migrate\", \"command\": [\"alembic\", \"upgrade\", \"head\"]}"),
            );
            continue;
        };
        if actions.iter().any(|action| action.name == name) {
            report.error(place, format!("another action is called {} as well", quoted(name)));
        } else if let Some(argv) = argv(command, "command", report) {
            actions.push(Arc::new(Action { name: name.to_owned(), argv, confirm }));
        }
    }
    actions
}

/// The key `notify`.
pub(super) fn notify(fields: &mut Fields<'_>, report: &mut Report) -> NotifyPolicy {
    let default = NotifyPolicy::default();
    let Some(node) = fields.take("notify") else { return default };
    let Some(mut fields) = Fields::object(node, "notify", report) else { return default };
    let enabled = fields.flag("enabled", report).map_or(default.enabled, |(flag, _)| flag);
    let after = fields.span("after", report).unwrap_or(default.after);
    fields.finish(report);
    NotifyPolicy { enabled, after }
}

/// The key `log`.
pub(super) fn log(fields: &mut Fields<'_>, report: &mut Report) -> LogPolicy {
    let default = LogPolicy::default();
    let Some(node) = fields.take("log") else { return default };
    let Some(mut fields) = Fields::object(node, "log", report) else { return default };
    let max_size = fields.size("max_size", report);
    let place = fields.take("max_size").map_or(&node.place, |node| &node.place);
    match max_size {
        Some(0) => report.error(place, "\"max_size\" must be more than nothing"),
        Some(1..SHORTEST_LOG) => {
            report.note(place, format!("no log is kept shorter than {SHORTEST_LOG} bytes, and that is taken instead"));
        }
        Some(SHORTEST_LOG..) | None => {}
    }
    let keep = fields.count("keep", 0..=1000, report);
    fields.finish(report);
    LogPolicy {
        max_size: max_size.map_or(default.max_size, |size| size.max(SHORTEST_LOG)),
        keep: keep.unwrap_or(default.keep),
    }
}

fn argv(node: &Node, what: &str, report: &mut Report) -> Option<Vec<String>> {
    let words = fields::argv(node, what, report)?;
    Some(words.into_iter().map(|(word, _)| word.to_owned()).collect())
}
