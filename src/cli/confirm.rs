//! The yes that some wishes need: given with the command, or on the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use super::exit::{Exit, Unmet};
use super::offline::show;

/// Goes on only with a yes to `question`: `yes` is the one that was given with the command, else a person is asked on
/// the terminal, by `err`.
///
/// # Errors
/// If the answer is anything else, or there is nobody who could be asked.
pub(super) fn confirm(question: &str, yes: bool, err: &mut dyn Write) -> Result<(), Unmet> {
    let stdin = io::stdin();
    if yes {
        return Ok(());
    }
    if !stdin.is_terminal() {
        return Err(Unmet::new(Exit::NotDone, "this needs a yes, and there is no terminal to ask on").hint("add --yes"));
    }
    ask(question, &mut stdin.lock(), err)
}

fn ask(question: &str, answers: &mut dyn BufRead, err: &mut dyn Write) -> Result<(), Unmet> {
    show(err, &format!("{question} [y/N] "))?;
    let mut answer = String::new();
    let read = answers.read_line(&mut answer);
    read.map_err(|error| Unmet::new(Exit::NotDone, format!("failed to read the answer: {error}")))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Unmet::new(Exit::NotDone, "nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_yes_is_one() {
        for (answer, is_yes) in [
            ("y\n", true),
            ("Yes\n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yy\n", false),
            ("no y\n", false),
        ] {
            let mut shown = Vec::new();
            assert_eq!(ask("Really?", &mut answer.as_bytes(), &mut shown).is_ok(), is_yes, "{answer:?}");
            assert_eq!(shown, b"Really? [y/N] ");
        }
    }
}
