//! How the commands that need no agent show their results.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Invocation;
use super::exit::{Exit, Unmet};
use super::render::{pad, paint, render_check};
use crate::domain::text::plain;
use crate::domain::{Problem, ServiceId, Severity};
use crate::wire;

/// Shows what a check has found: [`Exit::NotDone`] if there are errors.
pub fn check(problems: &[Problem], services: &[ServiceId], json: bool) -> Exit {
    let found = wire::Check::of(problems, services);
    let text = if json { to_json(&found) } else { render_check(&found) };
    let broken = problems.iter().any(|problem| problem.severity == Severity::Error);
    match show(&mut anstream::stdout(), &text) {
        Ok(()) if broken => Exit::NotDone,
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

/// Prints the completion script for `shell`.
pub fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Invocation::command(), "pilotlight", &mut script);
    match show(&mut anstream::stdout(), &String::from_utf8_lossy(&script)) {
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

/// Says on stderr why something can't be done, with advice, and gives `exit` back.
pub fn refuse(exit: Exit, error: &str, hint: Option<&str>) -> Exit {
    let unmet = Unmet::new(exit, error);
    match hint {
        Some(hint) => unmet.hint(hint),
        None => unmet,
    }
    .tell(&mut anstream::stderr())
}

/// Writes lines of logs as they were asked for: for people, byte for byte, or as JSON.
#[derive(Debug)]
pub struct LogPrinter {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Raw,
    Json,
    /// The services whose lines interleave, and the columns of the longest id; one alone goes without its name.
    Named(Vec<ServiceId>, usize),
}

impl LogPrinter {
    /// Lines of `services`, as bytes if `raw`, as JSON if `json`.
    pub fn new(services: &[ServiceId], raw: bool, json: bool) -> Self {
        let longest = services.iter().map(|id| id.as_str().len()).max().unwrap_or(0);
        let form = match (raw, json) {
            (true, _) => Form::Raw,
            (false, true) => Form::Json,
            (false, false) => Form::Named(services.to_vec(), longest),
        };
        Self { form }
    }

    /// Writes one line, which is given without its end. Colours are in it: give it [`anstream::stdout`], or strip them.
    ///
    /// # Errors
    /// If `out` takes no more.
    pub fn print(
        &self,
        out: &mut dyn Write,
        service: &ServiceId,
        at: Option<jiff::Timestamp>,
        line: &[u8],
    ) -> io::Result<()> {
        let text = String::from_utf8_lossy(line);
        match &self.form {
            Form::Raw => {
                out.write_all(line)?;
                out.write_all(b"\n")
            }
            Form::Json => {
                serde_json::to_writer(
                    &mut *out,
                    &wire::LogLine { service: service.to_string(), at, text: text.into() },
                )?;
                out.write_all(b"\n")
            }
            Form::Named(services, _) if services.len() == 1 => writeln!(out, "{}", plain(&text)),
            Form::Named(services, longest) => {
                let index = services.iter().position(|other| other == service).unwrap_or(0);
                let name = paint(NAME_COLOURS[index % NAME_COLOURS.len()], &pad(service.as_str(), *longest));
                writeln!(out, "{name} | {}", plain(&text))
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

/// Prints `text` on `out`. A reader that has seen enough ends everything, without a word.
pub(super) fn show(out: &mut dyn Write, text: &str) -> Result<(), Unmet> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Unmet { exit: Exit::Done, errors: Vec::new(), hint: None })
        }
        Err(error) => Err(Unmet::new(Exit::NotDone, format!("failed to print: {error}"))),
    }
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    // The wire's maps have text for keys, and nothing in them can fail to be written.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::id;

    fn printed(services: &[ServiceId], raw: bool, json: bool, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let printer = LogPrinter::new(services, raw, json);
        printer.print(&mut out, &services[0], None, line).unwrap();
        out
    }

    #[test]
    fn lines_of_several_services_carry_names_and_steer_no_terminal() {
        let line = b"\x1b[2Jhello\x07 \xff";
        let plain = |out: Vec<u8>| anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string();
        assert_eq!(plain(printed(&[id("db"), id("main-api")], false, false, line)), "db       | hello \u{fffd}\n");
        assert_eq!(printed(&[id("db")], false, false, line), "hello \u{fffd}\n".as_bytes());
    }

    #[test]
    fn raw_lines_are_byte_for_byte() {
        let line = b"\x1b[31mred\xff";
        assert_eq!(printed(&[id("db"), id("api")], true, false, line), b"\x1b[31mred\xff\n");
    }

    #[test]
    fn json_lines_have_every_field() {
        let out = printed(&[id("db")], false, true, b"a \"b\"");
        assert_eq!(out, b"{\"service\":\"db\",\"at\":null,\"text\":\"a \\\"b\\\"\"}\n");
    }

    #[test]
    fn every_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Invocation::command(), "pilotlight", &mut script);
            assert!(String::from_utf8(script).unwrap().contains("restart"), "{shell}");
        }
    }
}
