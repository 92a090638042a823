//! Reads `health`: a path or URL, one probe, or a list of them.

use std::path::Path;
use std::time::Duration;

use super::argv::takes_script;
use super::environment::Variables;
use super::expand::{Failure, Meaning, Name, remark_on_braces};
use super::fields::{self, Fields, list, present, text};
use super::names::Names;
use super::report::{Report, quoted};
use crate::domain::{Check, Node, Place, Probe, Problem, Value};

/// What probes are built on.
pub(super) struct Ground<'n, 'a> {
    /// What names come to.
    pub names: &'n mut Names<'a>,
    /// The service among them.
    pub member: usize,
    /// The environment that it declares for itself, which counts first.
    pub env: &'n Variables<'n>,
    /// The base URL.
    pub url: Option<&'n str>,
    /// Where relative paths start.
    pub root: &'n Path,
}

/// How often is asked, and how much is believed.
struct Pace {
    interval: Duration,
    timeout: Duration,
    healthy_after: u32,
    unhealthy_after: u32,
    grace: Duration,
}

const PACE: Pace = Pace {
    interval: Duration::from_secs(2),
    timeout: Duration::from_secs(3),
    healthy_after: 1,
    unhealthy_after: 3,
    grace: Duration::from_secs(60),
};

/// The keys of a pace.
const PACE_KEYS: [&str; 5] = ["interval", "timeout", "healthy_after", "unhealthy_after", "grace"];

/// The keys that say what is asked.
const KINDS: [&str; 6] = ["http", "tcp", "unix", "exec", "log", "file"];

/// What to add to a probe that asks nothing.
const HOW_TO_ASK: &str = "add \"http\", \"tcp\", \"unix\", \"exec\", \"log\" or \"file\"";

/// The shortest interval and timeout: asking more often tells nothing more, and costs the machine a core.
const SHORTEST: Duration = Duration::from_millis(10);

/// How large a compiled expression may get, in bytes.
const PATTERN_SIZE: usize = 1 << 20;

/// The statuses that pass.
const STATUS: [(u16, u16); 1] = [(200, 299)];

/// The probes of a service: what `health` says, else its `health_endpoint`, else tcp on its own port.
pub(super) fn read(whole: &Node, port: Option<u16>, ground: &mut Ground<'_, '_>, report: &mut Report) -> Vec<Probe> {
    let default = default_check(whole, port, ground, report);
    let Some(health) = present(whole, "health") else {
        return default.map(|check| PACE.with(check)).into_iter().collect();
    };
    match &health.value {
        Value::List(items) => items.iter().filter_map(|item| probe(item, None, ground, report)).collect(),
        Value::Map(_) if default.is_none() && says_only_how_often(health) => {
            let message = "\"health\" says how often to ask, but there is nothing to ask: running is healthy";
            report.push(Problem::note(&health.place, message).hint(HOW_TO_ASK));
            // A mistake in the pace is one all the same.
            let mut fields = Fields::of(health);
            Pace::read(&mut fields, report);
            fields.finish(report);
            Vec::new()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => {
            probe(health, default, ground, report).into_iter().collect()
        }
    }
}

/// What is asked if `health` does not say.
fn default_check(whole: &Node, port: Option<u16>, ground: &Ground<'_, '_>, report: &mut Report) -> Option<Check> {
    let tcp = port.map(|port| Check::Tcp { host: "localhost".to_owned(), port });
    let Some(node) = present(whole, "health_endpoint") else { return tcp };
    let path = text(node, "health_endpoint", report)?;
    match on_base(ground.url, path) {
        Some(url) => Some(http(url)),
        // A type gives a path to everyone; only who wrote one of his own misses something.
        None if node.place.line == 0 => tcp,
        None => {
            let problem = Problem::warning(&node.place, "there is no base URL for \"health_endpoint\"");
            report.push(problem.hint("give \"default_port\" or \"base_url\""));
            tcp
        }
    }
}

/// An absolute URL, or a path on the base URL.
pub(super) fn on_base(base: Option<&str>, path: &str) -> Option<String> {
    if is_http(path) {
        return Some(path.to_owned());
    }
    let base = base?.trim_end_matches('/');
    Some(format!("{base}/{}", path.trim_start_matches('/')))
}

fn probe(node: &Node, default: Option<Check>, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<Probe> {
    if let Value::Text(_) = node.value {
        return http_url(node, "health", ground, report).map(|url| PACE.with(http(url)));
    }
    if !matches!(node.value, Value::Map(_)) {
        report.push(
            Problem::error(
                &node.place,
                format!("\"health\" must be a path, a URL, a probe or a list of them, but is {}", node.kind()),
            )
            .hint("for example \"/health\" or {\"tcp\": 5432}"),
        );
        return None;
    }
    let mut fields = Fields::of(node);
    let pace = Pace::read(&mut fields, report);
    let kinds = KINDS.map(|kind| (kind, fields.take(kind)));
    let mut kinds = kinds.into_iter().filter_map(|(kind, value)| value.map(|value| (kind, value)));
    let kind = kinds.next();
    if let Some((second, value)) = kinds.next() {
        let first = kind.map_or("", |(first, _)| first);
        let message = format!("a probe asks one thing, but this one has {} and {}", quoted(first), quoted(second));
        report.push(Problem::error(&value.place, message).hint("write a list of probes"));
        return None;
    }
    let check = match kind {
        None => default.or_else(|| {
            let message = "this probe does not say what it asks";
            report.push(Problem::error(&node.place, message).hint(HOW_TO_ASK));
            None
        }),
        Some(("http", value)) => http_check(value, &mut fields, ground, report),
        Some(("tcp", value)) => tcp(value, ground, report),
        Some(("unix", value)) => unix(value, ground, report),
        Some(("exec", value)) => exec(value, ground, report),
        Some(("log", value)) => log(value, report),
        Some((_, value)) => file(value, &mut fields, ground, report),
    };
    fields.finish(report);
    check.map(|check| pace.with(check))
}

/// Whether `health` has keys of a pace, and none that says what is asked.
fn says_only_how_often(health: &Node) -> bool {
    PACE_KEYS.iter().any(|key| present(health, key).is_some())
        && KINDS.iter().all(|kind| present(health, kind).is_none())
}

impl Pace {
    fn read(fields: &mut Fields<'_>, report: &mut Report) -> Self {
        let [interval, timeout, healthy_after, unhealthy_after, grace] = PACE_KEYS;
        Self {
            interval: fields.span_from(interval, SHORTEST, report).unwrap_or(PACE.interval),
            timeout: fields.span_from(timeout, SHORTEST, report).unwrap_or(PACE.timeout),
            healthy_after: fields.count(healthy_after, 1..=1000, report).unwrap_or(PACE.healthy_after),
            unhealthy_after: fields.count(unhealthy_after, 1..=1000, report).unwrap_or(PACE.unhealthy_after),
            grace: fields.span(grace, report).unwrap_or(PACE.grace),
        }
    }

    fn with(&self, check: Check) -> Probe {
        Probe {
            check,
            interval: self.interval,
            timeout: self.timeout,
            healthy_after: self.healthy_after,
            unhealthy_after: self.unhealthy_after,
            grace: self.grace,
        }
    }
}

fn http(url: String) -> Check {
    Check::Http { url, status: STATUS.to_vec(), body: None }
}

fn http_check<'b>(
    value: &Node,
    fields: &mut Fields<'b>,
    ground: &mut Ground<'_, '_>,
    report: &mut Report,
) -> Option<Check> {
    let url = http_url(value, "http", ground, report);
    let status = fields.take("status").map(|node| statuses(node, report));
    let body = fields.text("body", report);
    let body = match body {
        Some((text, place)) => Some(ground.expand(text, (place, "body"), report)?),
        None => None,
    };
    Some(Check::Http { url: url?, status: status.unwrap_or(STATUS.to_vec()), body })
}

fn http_url(node: &Node, what: &str, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<String> {
    let written = text(node, what, report)?;
    let expanded = ground.expand(written, (&node.place, what), report)?;
    let problem = if !is_http(&expanded) && !expanded.starts_with('/') {
        Problem::error(&node.place, format!("{} must be a path or a URL, but is {}", quoted(what), quoted(written)))
            .hint("a path begins with \"/\", a URL with \"http://\"")
    } else if let Some(url) = on_base(ground.url, &expanded) {
        return Some(url);
    } else {
        Problem::error(&node.place, format!("there is no base URL for the path {}", quoted(written)))
            .hint("give \"default_port\" or \"base_url\", or write a whole URL")
    };
    report.push(problem);
    None
}

fn is_http(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Statuses: a number, a range as text, or a list of both.
fn statuses(node: &Node, report: &mut Report) -> Vec<(u16, u16)> {
    let items = match &node.value {
        Value::List(_) => list(node, "status", report),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => std::slice::from_ref(node),
    };
    let ranges: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let range = match &item.value {
                Value::Number(text) => {
                    fields::whole(text).and_then(|code| u16::try_from(code).ok()).map(|code| (code, code))
                }
                Value::Text(text) => {
                    let (from, to) = text.split_once('-').unwrap_or((text, text));
                    from.trim().parse().ok().zip(to.trim().parse().ok())
                }
                Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
            };
            let range = range.filter(|(from, to)| from <= to && (100..=599).contains(from) && *to <= 599);
            if range.is_none() {
                let problem = Problem::error(&item.place, "\"status\" must hold numbers or ranges from 100 to 599");
                report.push(problem.hint("for example [200, \"300-399\"]"));
            }
            range
        })
        .collect();
    if items.is_empty() {
        report.error(&node.place, "\"status\" holds nothing that could pass");
    }
    ranges
}

fn tcp(node: &Node, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<Check> {
    if let Value::Number(_) = node.value {
        let port = fields::port(node, "tcp", report)?;
        return Some(Check::Tcp { host: "localhost".to_owned(), port });
    }
    let written = text(node, "tcp", report)?;
    let expanded = ground.expand(written, (&node.place, "tcp"), report)?;
    let (host, port) = expanded.rsplit_once(':').unwrap_or(("localhost", &expanded));
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse().ok().filter(|port| *port != 0 && !host.is_empty()) {
        Some(port) => Some(Check::Tcp { host: host.to_owned(), port }),
        None => {
            let message = format!("\"tcp\" must be a port or \"host:port\", but is {}", quoted(written));
            report.error(&node.place, message);
            None
        }
    }
}

fn unix(node: &Node, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<Check> {
    let written = text(node, "unix", report)?;
    let expanded = ground.expand(written, (&node.place, "unix"), report)?;
    if expanded.is_empty() {
        report.error(&node.place, "\"unix\" must be the path of a socket");
        return None;
    }
    Some(Check::Unix { path: ground.root.join(expanded) })
}

fn exec(node: &Node, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<Check> {
    let words = fields::argv(node, "exec", report)?;
    let mut argv = Vec::with_capacity(words.len());
    for ((word, place), role) in words.iter().zip(roles(&words)) {
        argv.push(ground.expand_argument(word, role, place, report)?);
    }
    if argv.first().is_none_or(String::is_empty) {
        report.error(&node.place, "\"exec\" names no program");
        return None;
    }
    Some(Check::Exec { argv })
}

fn log(node: &Node, report: &mut Report) -> Option<Check> {
    // Not expanded: `$` is the end of a line here.
    let pattern = text(node, "log", report)?;
    if pattern.is_empty() {
        report.error(&node.place, "\"log\" must be a regular expression");
        return None;
    }
    match regex::RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build() {
        Ok(_) => Some(Check::Log { pattern: pattern.to_owned() }),
        Err(error) => {
            let error = error.to_string();
            // Its last line says what is wrong; those before draw it.
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            report.error(&node.place, format!("\"log\" is no regular expression: {reason}"));
            None
        }
    }
}

fn file<'b>(node: &Node, fields: &mut Fields<'b>, ground: &mut Ground<'_, '_>, report: &mut Report) -> Option<Check> {
    let max_age = fields.span_from("max_age", Duration::from_millis(1), report);
    let written = text(node, "file", report)?;
    let expanded = ground.expand(written, (&node.place, "file"), report)?;
    if expanded.is_empty() {
        report.error(&node.place, "\"file\" must be the path of a file");
        return None;
    }
    Some(Check::File { path: ground.root.join(expanded), max_age })
}

impl Ground<'_, '_> {
    /// `text` with its names expanded. One that is not known stays as it is, after a warning: a probe that can't pass is
    /// better than none.
    fn expand(&mut self, text: &str, (place, what): (&Place, &str), report: &mut Report) -> Option<String> {
        remark_on_braces(text, true, place, report);
        let (expanded, unknown) = self.question(text, false);
        for name in unknown {
            let message = format!("nothing is known by the name {}, which stays as it is", quoted(&name));
            report.push(Problem::warning(place, message));
        }
        or_told(expanded, (place, what), report)
    }

    /// The same for a program or argument. What the agent does not know may be known to the program.
    fn expand_argument(&mut self, word: &str, role: Role, place: &Place, report: &mut Report) -> Option<String> {
        let (expanded, unknown) = self.question(word, role == Role::Shell);
        for name in unknown.into_iter().filter(|_| role == Role::Word) {
            let message = format!("nothing is known by the name {}, which stays as it is", quoted(&name));
            report.push(Problem::note(place, message));
        }
        or_told(expanded, (place, "exec"), report)
    }

    /// `text` expanded, and the names in it that nothing is known by. A shell, which has the service's environment, is
    /// left those of its own that are known as something else here, and what it may fall back on.
    fn question(&mut self, text: &str, is_shell: bool) -> (Result<String, Failure>, Vec<String>) {
        let env = self.env;
        let mut unknown = Vec::new();
        let expanded = self.names.expand_question(self.member, text, |asked, known| {
            let (name, is_optional) = match asked {
                Name::Variable(name) => (name, false),
                Name::Optional(name) => (name, true),
                Name::Port => return known.into(),
            };
            let own = env.get(name).and_then(|(value, _)| value.as_ref());
            match (own, known) {
                (Some(own), known) if is_shell && known.as_ref() != Some(own) => Meaning::Itself,
                (Some(own), _) => Meaning::Is(own.clone()),
                (None, Some(known)) => Meaning::Is(known),
                (None, None) if is_optional && !is_shell => Meaning::Unknown,
                (None, None) => {
                    unknown.push(name.to_owned());
                    Meaning::Itself
                }
            }
        });
        (expanded, unknown)
    }
}

/// What an argument is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nothing in particular.
    Word,
    /// A script, which has names of its own.
    Script,
    /// A script of a shell, which knows the variables of the service.
    Shell,
}

/// What each of `words` is to the program that they make up.
fn roles<'w>(words: &'w [(&'w str, &Place)]) -> impl Iterator<Item = Role> + 'w {
    let is_shell = |word: &str| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "zsh" | "ksh"));
    (0..words.len()).map(move |at| match at.checked_sub(1).map(|before| words[before].0) {
        Some(option) if takes_script(option) => {
            if words[..at].iter().any(|(word, _)| is_shell(word)) {
                Role::Shell
            } else {
                Role::Script
            }
        }
        Some(_) | None => Role::Word,
    })
}

fn or_told(expanded: Result<String, Failure>, (place, what): (&Place, &str), report: &mut Report) -> Option<String> {
    let problem = match expanded {
        Ok(expanded) => return Some(expanded),
        Err(Failure::NoPort) => {
            Problem::error(place, "there is no port for {port}").hint("give \"default_port\", or write the port itself")
        }
        Err(Failure::TooLong) => Problem::error(place, format!("{} would get too long", quoted(what))),
        // What is unknown stays.
        Err(Failure::Told | Failure::Unknown(_)) => return None,
    };
    report.push(problem);
    None
}
