//! How `check`, `schema` and `completions` show what needs no agent, and how refusals are told.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::args::Typed;
use super::exit::{Exit, Unmet};
use super::render::render_check;
use crate::domain::catalog::SCHEMA;
use crate::domain::text::{plain_line, shown_json};
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

/// The variable that a shell sets, to its own name, when it asks the program what may be typed next.
pub const COMPLETION_VARIABLE: &str = "PILOTLIGHT_COMPLETE";

/// Everything that can be typed, for whoever completes it.
pub fn command() -> clap::Command {
    Typed::command()
}

/// Prints the completion script for `shell`: it asks the program itself, which knows the services.
pub fn completions(shell: Shell) -> Exit {
    match show(&mut anstream::stdout(), &script(shell)) {
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

/// Prints the JSON Schema of a source.
pub fn schema() -> Exit {
    match show(&mut anstream::stdout(), SCHEMA) {
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    if let Some(completer) = shells.completer(&shell.to_string()) {
        // A buffer in memory takes everything.
        let _ =
            completer.write_registration(COMPLETION_VARIABLE, "pilotlight", "pilotlight", "pilotlight", &mut script);
    }
    String::from_utf8_lossy(&script).into_owned()
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

/// Says on stderr what else there is to know.
pub fn remark(text: &str) {
    // Nobody is left to be told when stderr is gone.
    let _ = writeln!(anstream::stderr(), "note: {}", plain_line(text, 2000));
}

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

/// `value` as JSON that steers no terminal.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> String {
    // The wire's maps have text for keys, and nothing in them can fail to be written.
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    shown_json(&json).into_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = script(shell);
            assert!(script.contains(COMPLETION_VARIABLE) && script.contains("pilotlight"), "{shell}");
        }
    }
}
