//! `logs`: from the files, so that no agent is needed.

use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, ZonedDateTime};
use regex::Regex;

use super::args::Logs;
use super::exit::{Exit, Unmet};
use super::render::{pad, paint};
use crate::domain::ServiceId;
use crate::domain::text::shown_json;
use crate::engine::StateDir;
use crate::logs::{Ending, LogLine, Query, follow, parse_since, read};
use crate::wire;

/// Shows what services have written. `defined` are those of the configuration, in its order; a service that has only
/// left its log behind is known as well.
pub fn logs(args: &Logs, dir: &StateDir, defined: &[ServiceId]) -> Exit {
    // Bytes go out as they are, and everything else without colours unless on a terminal.
    let mut out: Box<dyn Write> =
        if args.raw { Box::new(io::stdout().lock()) } else { Box::new(anstream::stdout().lock()) };
    match print_all(args, dir, defined, &mut BufWriter::new(&mut out)) {
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

/// How many lines of each log are shown when nothing narrows them.
const LINES: usize = 100;

fn print_all(args: &Logs, dir: &StateDir, defined: &[ServiceId], out: &mut dyn Write) -> Result<(), Unmet> {
    let services = chosen(args, dir, defined)?;
    let query = query(args)?;
    let form = match (args.raw, args.output.json) {
        (true, _) => LogForm::Raw,
        (false, true) => LogForm::Json,
        (false, false) if services.len() == 1 => LogForm::Text,
        (false, false) => LogForm::Named,
    };
    let printer = LogPrinter::new(&services, form);
    if !args.follow {
        let reading = read(dir, &services, &query).map_err(unreadable)?;
        for line in reading {
            printer.print(out, &line.map_err(unreadable)?).map_err(unprintable)?;
        }
        return out.flush().map_err(unprintable);
    }
    let (reading, mut follower) = follow(dir, &services, &query).map_err(unreadable)?;
    for line in reading {
        printer.print(out, &line.map_err(unreadable)?).map_err(unprintable)?;
    }
    out.flush().map_err(unprintable)?;
    while let Some(lines) = follower.next_lines().map_err(unreadable)? {
        for line in &lines {
            printer.print(out, line).map_err(unprintable)?;
        }
        out.flush().map_err(unprintable)?;
    }
    Ok(())
}

/// How a line of a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// The line alone, harmless to show.
    Text,
    /// Behind the name of its service.
    Named,
    /// Byte for byte.
    Raw,
    /// As a JSON object.
    Json,
}

/// Writes lines of logs.
#[derive(Clone, Debug)]
pub struct LogPrinter {
    services: Vec<ServiceId>,
    longest: usize,
    form: LogForm,
}

impl LogPrinter {
    /// Lines of `services`, and of those that are [expected](Self::expect) later.
    pub fn new(services: &[ServiceId], form: LogForm) -> Self {
        let longest = services.iter().map(|id| id.as_str().len()).max().unwrap_or(0);
        Self { services: services.to_vec(), longest, form }
    }

    /// Makes room for lines of `service` too.
    pub fn expect(&mut self, service: &ServiceId) {
        if !self.services.contains(service) {
            self.longest = self.longest.max(service.as_str().len());
            self.services.push(service.clone());
        }
    }

    /// Writes one line. [`LogForm::Named`] has colours: give it [`anstream::stdout`], or strip them.
    ///
    /// # Errors
    /// If `out` takes no more.
    pub fn print(&self, out: &mut dyn Write, line: &LogLine) -> io::Result<()> {
        match self.form {
            LogForm::Raw => {
                out.write_all(&line.bytes)?;
                match line.ending {
                    Ending::LineFeed => out.write_all(b"\n"),
                    // Of one service exactly what it wrote; of several, each begins where a line begins.
                    Ending::Missing if self.services.len() > 1 => out.write_all(b"\n"),
                    Ending::Missing | Ending::Continued => Ok(()),
                }
            }
            LogForm::Json => {
                let line = wire::LogLine { service: line.service.to_string(), at: line.at, text: line.text() };
                writeln!(out, "{}", shown_json(&serde_json::to_string(&line)?))
            }
            LogForm::Text => writeln!(out, "{}", line.text()),
            LogForm::Named => {
                let index = self.services.iter().position(|other| *other == line.service).unwrap_or(0);
                let colour = NAME_COLOURS[index % NAME_COLOURS.len()];
                writeln!(out, "{} | {}", paint(colour, &pad(line.service.as_str(), self.longest)), line.text())
            }
        }
    }
}

/// Green, yellow and red say how a service is: names keep to the others.
const NAME_COLOURS: [Style; 4] = [
    AnsiColor::Cyan.on_default(),
    AnsiColor::Magenta.on_default(),
    AnsiColor::Blue.on_default(),
    AnsiColor::BrightCyan.on_default(),
];

/// The time that is typed behind `--since`.
pub(super) fn point_in_time(text: &str) -> Result<Timestamp, Unmet> {
    parse_since(text, &ZonedDateTime::now()).map_err(|error| Unmet::new(Exit::Usage, error))
}

fn query(args: &Logs) -> Result<Query, Unmet> {
    let since = args.since.as_deref().map(point_in_time).transpose()?;
    let grep = args.grep.as_deref().map(Regex::new).transpose();
    let grep = grep.map_err(|error| Unmet::new(Exit::Usage, format!("--grep: {error}")))?;
    let narrowed = since.is_some() || grep.is_some();
    let last = args.lines.or(if narrowed { None } else { Some(LINES) });
    Ok(Query { last, since, grep, in_parts: args.raw })
}

/// The services that were asked for; without any, all that are defined or have left a log.
fn chosen(args: &Logs, dir: &StateDir, defined: &[ServiceId]) -> Result<Vec<ServiceId>, Unmet> {
    let mut known = defined.to_vec();
    let mut left: Vec<ServiceId> = left_behind(dir).into_iter().filter(|id| !known.contains(id)).collect();
    left.sort();
    known.append(&mut left);
    if args.ids.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<ServiceId> = Vec::new();
    for asked in &args.ids {
        let Some(id) = known.iter().find(|id| id.as_str() == asked) else {
            let unmet = Unmet::new(Exit::NoSuchService, format!("there is no service {asked:?}"));
            return Err(match similar(asked, &known) {
                Some(id) => unmet.hint(format!("did you mean {id}?")),
                None => unmet,
            });
        };
        if !chosen.contains(id) {
            chosen.push(id.clone());
        }
    }
    Ok(chosen)
}

/// The services that have a log.
fn left_behind(dir: &StateDir) -> Vec<ServiceId> {
    // Without the folder nothing has run yet.
    let Ok(entries) = std::fs::read_dir(dir.services()) else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| ServiceId::new(entry.file_name().to_str()?).ok());
    ids.filter(|id| dir.log(id).exists()).collect()
}

fn similar<'a>(asked: &str, known: &'a [ServiceId]) -> Option<&'a ServiceId> {
    let likeness = |id: &ServiceId| strsim::jaro_winkler(asked, id.as_str());
    let near = known.iter().map(|id| (likeness(id), id)).filter(|(likeness, _)| *likeness > 0.8);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, id)| id)
}

fn unreadable(error: io::Error) -> Unmet {
    Unmet::new(Exit::NotDone, format!("failed to read a log: {error}"))
}

fn unprintable(error: io::Error) -> Unmet {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // A reader that has seen enough ends everything, without a word.
        return Unmet { exit: Exit::Done, errors: Vec::new(), hint: None };
    }
    Unmet::new(Exit::NotDone, format!("failed to print: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Output;
    use crate::domain::sample::id;

    /// A state directory in which `db` and `main-api` have written two lines each, and `old` has left one.
    fn state() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        for (name, text) in [
            ("db", "2026-01-09T10:00:00Z ready\n2026-01-09T10:00:02Z query\n"),
            ("main-api", "2026-01-09T10:00:01Z \u{1b}[31mup\u{1b}[0m\n2026-01-09T10:00:03Z \u{1b}[2Jerror\u{7}\n"),
            ("old", "2026-01-08T10:00:00Z gone\n"),
        ] {
            std::fs::create_dir_all(dir.service(&id(name))).unwrap();
            std::fs::write(dir.log(&id(name)), text).unwrap();
        }
        (folder, dir)
    }

    fn printed(args: &Logs) -> Result<String, Unmet> {
        let (_folder, dir) = state();
        let mut out = Vec::new();
        print_all(args, &dir, &[id("main-api"), id("db"), id("silent")], &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn of(ids: &[&str]) -> Logs {
        Logs { ids: ids.iter().map(ToString::to_string).collect(), ..Logs::default() }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn lines_of_several_services_interleave_with_their_names() {
        let all = plain(&printed(&of(&["db", "main-api"])).unwrap());
        assert_eq!(
            all,
            "db       | 2026-01-09T10:00:00Z ready\nmain-api | 2026-01-09T10:00:01Z up\n\
             db       | 2026-01-09T10:00:02Z query\nmain-api | 2026-01-09T10:00:03Z error\n"
        );
    }

    #[test]
    fn one_service_goes_without_its_name_and_steers_no_terminal() {
        let one = printed(&of(&["main-api", "main-api"])).unwrap();
        assert_eq!(one, "2026-01-09T10:00:01Z up\n2026-01-09T10:00:03Z error\n");
    }

    #[test]
    fn without_ids_everyone_is_shown_who_is_defined_or_has_left_a_log() {
        let all = plain(&printed(&of(&[])).unwrap());
        assert_eq!(all.lines().count(), 5);
        assert!(all.contains("old      | 2026-01-08T10:00:00Z gone"));
        assert_eq!(printed(&of(&["silent"])).unwrap(), "");
    }

    #[test]
    fn raw_is_byte_for_byte_and_json_has_every_field() {
        let raw = Logs { raw: true, lines: Some(1), ..of(&["main-api"]) };
        assert_eq!(printed(&raw).unwrap(), "2026-01-09T10:00:03Z \u{1b}[2Jerror\u{7}\n");
        let json = Logs { output: Output { json: true }, lines: Some(1), ..of(&["db"]) };
        let line: serde_json::Value = serde_json::from_str(&printed(&json).unwrap()).unwrap();
        let expected = serde_json::json!(
            {"service": "db", "at": "2026-01-09T10:00:02Z", "text": "2026-01-09T10:00:02Z query"}
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn lines_can_be_narrowed() {
        let grep = Logs { grep: Some("r.or".to_owned()), ..of(&[]) };
        assert_eq!(plain(&printed(&grep).unwrap()), "main-api | 2026-01-09T10:00:03Z error\n");
        let since = Logs { since: Some("2026-01-09T10:00:02Z".to_owned()), ..of(&[]) };
        assert_eq!(printed(&since).unwrap().lines().count(), 2);
    }

    #[test]
    fn mistakes_have_their_exit_statuses() {
        let unknown = printed(&of(&["main-apj"])).unwrap_err();
        assert_eq!((unknown.exit, unknown.hint.as_deref()), (Exit::NoSuchService, Some("did you mean main-api?")));
        let grep = Logs { grep: Some("(".to_owned()), ..Logs::default() };
        assert_eq!(printed(&grep).unwrap_err().exit, Exit::Usage);
        let since = Logs { since: Some("once".to_owned()), ..Logs::default() };
        assert_eq!(printed(&since).unwrap_err().exit, Exit::Usage);
    }
}
