//! Names of services and of their runs.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest service id, in bytes.
pub const MAX_SERVICE_ID: usize = 64;

/// The id of a service: `[A-Za-z0-9_][A-Za-z0-9._-]*`, at most [`MAX_SERVICE_ID`] bytes; cheap to clone.
///
/// The pattern makes it safe as a file name, an HTTP path segment and a word of a command line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(Arc<str>);

impl ServiceId {
    /// Takes `text` as an id, or says what is wrong with it, as a fragment that fits behind "the id … ".
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let mut chars = text.chars();
        match chars.next() {
            None => return Err("is empty"),
            Some(first) if !(first.is_ascii_alphanumeric() || first == '_') => {
                return Err("must begin with a letter, a digit or an underscore");
            }
            Some(_) => {}
        }
        if !chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return Err("may hold only letters, digits, dots, underscores and hyphens");
        }
        if text.len() > MAX_SERVICE_ID {
            return Err("is longer than 64 characters");
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ServiceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The id of one run: unique over all agents of this state directory; cheap to clone.
///
/// Every fact about a process carries it, so that late facts of an earlier run can be told and dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// The run called `text`, as read from a record or made by [`RunIds`].
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the process of this run is for. The id itself tells, because a process carries it in its environment: so
    /// a later agent knows, too.
    pub fn part(&self) -> Part {
        match self.0.rsplit_once('.').map(|(_, part)| part) {
            Some(STEP) => Part::Step,
            Some(STOP_COMMAND) => Part::StopCommand,
            Some(_) | None => Part::Main,
        }
    }

    /// The id of the run of a step, for which this was made.
    pub fn of_step(&self) -> Self {
        Self::new(&format!("{}.{STEP}", self.0))
    }

    /// The id of the run of a stop command, for which this was made.
    pub fn of_stop_command(&self) -> Self {
        Self::new(&format!("{}.{STOP_COMMAND}", self.0))
    }

    /// Whether it is no run of a service, but an action beside one.
    pub fn is_action(&self) -> bool {
        self.0.starts_with(ACTION)
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To be the service.
    Main,
    /// To come before its start.
    Step,
    /// To ask it to end.
    StopCommand,
}

/// How the id of a step's run ends.
const STEP: &str = "before";
/// How the id of a stop command's run ends.
const STOP_COMMAND: &str = "stop";
/// What the ids of actions begin with.
const ACTION: &str = "action-";

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes run ids: a prefix that no other agent has (the engine's business) and a count.
#[derive(Clone, Debug)]
pub struct RunIds {
    prefix: String,
    next: u64,
}

impl RunIds {
    /// Ids that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), next: 1 }
    }

    /// The next id.
    pub fn fresh(&mut self) -> RunId {
        let run = RunId::new(&format!("{}-{}", self.prefix, self.next));
        self.next += 1;
        run
    }

    /// The next id, for an action.
    pub fn fresh_action(&mut self) -> RunId {
        RunId::new(&format!("{ACTION}{}", self.fresh()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_safe_file_name() {
        for good in ["a", "main-api", "_platform", "a.b_c-d", "0", &"x".repeat(64)] {
            assert!(ServiceId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "ä", "a\0", "a\n", &"x".repeat(65)] {
            assert!(ServiceId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn run_ids_never_repeat() {
        let mut ids = RunIds::new("x");
        assert_ne!(ids.fresh(), ids.fresh());
        assert!(ids.fresh_action().is_action() && !ids.fresh().is_action());
    }

    #[test]
    fn a_run_id_tells_what_the_run_is_for() {
        let run = RunIds::new("x.stop").fresh();
        assert_eq!(run.part(), Part::Main);
        assert_eq!(run.of_step().part(), Part::Step);
        assert_eq!(run.of_stop_command().part(), Part::StopCommand);
        assert_eq!(RunId::new("stop").part(), Part::Main);
    }
}
