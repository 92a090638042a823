//! The log probe: waits for a line of what a run writes. It reads only what is new since it last looked.
//!
//! Once the line has come it passes for as long as the run lives, and nothing is read any more. Where the log is, and
//! what becomes of it meanwhile, is the business of who opens it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use tokio::sync::OwnedMutexGuard;

use super::words;
use crate::domain::text;
use crate::domain::{Outcome, RunId, ServiceId};

/// Opens what a run writes, at its beginning.
pub type OpenOutput = Arc<dyn Fn(&ServiceId, &RunId) -> io::Result<Output> + Send + Sync>;

/// What a run writes, from a place on.
pub struct Output {
    /// Gives the lines that have been written since it was last asked; none if there are none. May block.
    pub lines: Box<dyn FnMut() -> io::Result<Vec<Vec<u8>>> + Send>,
    /// Whether that begins where the run began. Else some of it is kept no more.
    pub is_whole: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("is_whole", &self.is_whole).finish_non_exhaustive()
    }
}

/// How far a run's output has been read.
#[derive(Debug, Default)]
pub(super) struct Place {
    run: Option<RunId>,
    pattern: String,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// It has not been opened yet.
    #[default]
    Closed,
    Waiting(Regex, Output),
    /// The line has come.
    Passed,
}

/// Looks for a line of `run` that matches `pattern`. `place` is where the last look has ended.
pub(super) async fn probe(
    mut place: OwnedMutexGuard<Place>,
    open: OpenOutput,
    of: (ServiceId, RunId),
    pattern: String,
    patience: Duration,
) -> Outcome {
    let deadline = Instant::now() + patience;
    let looking = tokio::task::spawn_blocking(move || place.look(&open, &of.0, &of.1, &pattern, deadline));
    match tokio::time::timeout(patience, looking).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Fail(format!("the log can't be read: {error}")),
        Err(_elapsed) => Outcome::Fail(format!("the log could not be read within {}", words::span(patience))),
    }
}

impl Place {
    fn look(&mut self, open: &OpenOutput, id: &ServiceId, run: &RunId, pattern: &str, deadline: Instant) -> Outcome {
        if self.run.as_ref() != Some(run) || self.pattern != pattern {
            *self = Self { run: Some(run.clone()), pattern: pattern.to_owned(), state: State::Closed };
        }
        match self.is_passed(|| open(id, run), deadline) {
            Ok(true) => Outcome::Pass,
            Ok(false) => Outcome::Fail(format!("no line matching {} yet", text::plain_line(pattern, words::SHOWN))),
            Err(reason) => Outcome::Fail(reason),
        }
    }

    fn is_passed(&mut self, open: impl FnOnce() -> io::Result<Output>, deadline: Instant) -> Result<bool, String> {
        let unreadable = |error: io::Error| format!("the log can't be read: {}", words::io_error(&error));
        if matches!(self.state, State::Closed) {
            let regex = Regex::new(&self.pattern).map_err(|error| format!("not a regular expression: {error}"))?;
            self.state = State::Waiting(regex, open().map_err(unreadable)?);
        }
        let State::Waiting(regex, output) = &mut self.state else { return Ok(true) };
        loop {
            let lines = (output.lines)().map_err(unreadable)?;
            if lines.iter().any(|line| regex.is_match(line)) {
                break;
            }
            // Who has written so much that the beginning is kept no more has long been past it.
            if lines.is_empty() && !output.is_whole {
                break;
            }
            // A service that writes faster than it is read must not keep us here.
            if lines.is_empty() || Instant::now() >= deadline {
                return Ok(false);
            }
        }
        self.state = State::Passed;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Output that was written in these parts, and how often it was opened.
    fn written(parts: &[&[&str]], is_whole: bool) -> (OpenOutput, Arc<Mutex<u32>>) {
        let parts = parts.iter().map(|lines| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>());
        let parts = parts.collect::<Vec<_>>();
        let opened = Arc::new(Mutex::new(0));
        let count = Arc::clone(&opened);
        let open = move |_: &ServiceId, _: &RunId| {
            *count.lock().unwrap() += 1;
            let mut left = parts.clone().into_iter();
            Ok(Output { lines: Box::new(move || Ok(left.next().unwrap_or_default())), is_whole })
        };
        (Arc::new(open), opened)
    }

    fn look(place: &mut Place, open: &OpenOutput, run: &str, pattern: &str) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(60);
        place.look(open, &ServiceId::new("api").unwrap(), &RunId::new(run), pattern, deadline)
    }

    fn not_yet(pattern: &str) -> Outcome {
        Outcome::Fail(format!("no line matching {pattern} yet"))
    }

    #[test]
    fn it_passes_once_the_line_has_come_and_reads_no_more_then() {
        let (open, opened) = written(&[&["starting"], &[], &["ready on 80"]], true);
        let mut place = Place::default();
        assert_eq!(look(&mut place, &open, "r-1", "ready on \\d+$"), not_yet("ready on \\d+$"));
        assert_eq!(look(&mut place, &open, "r-1", "ready on \\d+$"), Outcome::Pass);
        assert!(matches!(place.state, State::Passed), "what is read no more is closed");
        assert_eq!(look(&mut place, &open, "r-1", "ready on \\d+$"), Outcome::Pass);
        assert_eq!(*opened.lock().unwrap(), 1);
    }

    #[test]
    fn another_run_or_another_pattern_begins_anew() {
        let (open, opened) = written(&[&["ready"]], true);
        let mut place = Place::default();
        assert_eq!(look(&mut place, &open, "r-1", "ready"), Outcome::Pass);
        assert_eq!(look(&mut place, &open, "r-2", "ready"), Outcome::Pass);
        assert_eq!(look(&mut place, &open, "r-2", "steady"), not_yet("steady"));
        assert_eq!(*opened.lock().unwrap(), 3);
    }

    #[test]
    fn what_is_kept_no_more_may_have_been_the_line() {
        let (open, _) = written(&[&["busy"]], false);
        assert_eq!(look(&mut Place::default(), &open, "r-1", "ready"), Outcome::Pass);
    }

    #[test]
    fn a_line_that_is_no_text_is_looked_at_as_well() {
        let (open, _) = written(&[&["\u{fffd}ready"]], true);
        assert_eq!(look(&mut Place::default(), &open, "r-1", "ready"), Outcome::Pass);
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_told_and_tried_again() {
        let open: OpenOutput = Arc::new(|_, _| Err(io::Error::from(io::ErrorKind::PermissionDenied)));
        let mut place = Place::default();
        let reason = Outcome::Fail("the log can't be read: permission denied".to_owned());
        assert_eq!(look(&mut place, &open, "r-1", "ready"), reason);
        let (open, _) = written(&[&["ready"]], true);
        assert_eq!(look(&mut place, &open, "r-1", "ready"), Outcome::Pass);
    }
}
