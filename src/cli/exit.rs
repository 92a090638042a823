//! Exit statuses, and what is said on the way out.

use std::io::Write;
use std::process::ExitCode;

use crate::domain::text::plain_line;

/// What the program tells its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It did not come about; the reason is on stderr.
    NotDone,
    /// The arguments make no sense.
    Usage,
    /// No agent is running.
    NoAgent,
    /// There is no such service.
    NoSuchService,
}

impl Exit {
    /// The number of this status.
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotDone => 1,
            Self::Usage => 2,
            Self::NoAgent => 3,
            Self::NoSuchService => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why something did not come about, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unmet {
    /// What the program tells its caller.
    pub exit: Exit,
    /// Lowercase sentences, one a line.
    pub errors: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Unmet {
    /// One error.
    pub fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self { exit, errors: vec![error.into()], hint: None }
    }

    /// The same, with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on `err`.
    pub fn tell(&self, err: &mut dyn Write) -> Exit {
        let style = anstyle::AnsiColor::Red.on_default().bold();
        for error in &self.errors {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(err, "{style}error:{style:#} {}", plain_line(error, 2000));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "hint: {}", plain_line(hint, 2000));
        }
        self.exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_what_scripts_rely_on() {
        let all = [Exit::Done, Exit::NotDone, Exit::Usage, Exit::NoAgent, Exit::NoSuchService];
        assert_eq!(all.map(Exit::status), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn errors_and_hints_are_lines_that_steer_no_terminal() {
        let mut err = Vec::new();
        let unmet = Unmet::new(Exit::NotDone, "broken\u{1b}[2J\nin two").hint("mend it");
        assert_eq!(unmet.tell(&mut err), Exit::NotDone);
        let text = anstream::adapter::strip_str(&String::from_utf8(err).unwrap()).to_string();
        assert_eq!(text, "error: broken in two\nhint: mend it\n");
    }
}
