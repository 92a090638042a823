//! The lines of a terminal that shows an agent at work: what becomes of a service, and of all together.

use super::problems::{in_sources, problem_lines};
use super::units::time;
use super::{BOLD, DIM, Look, colour, mark, pad, paint};
use crate::domain::text::plain_line;
use crate::domain::{HealthState, Light, ProcessState};
use crate::wire::Problem;

/// How a service is from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which service.
    pub id: &'a str,
    /// Whether it runs.
    pub process: ProcessState,
    /// Whether it works; `None` where nobody has asked.
    pub health: Option<HealthState>,
    /// Its light.
    pub light: Light,
    /// Why it is so.
    pub reason: &'a str,
}

/// The longest reason that is shown, in characters.
const MAX_REASON: usize = 300;

/// A line for a service, whose id gets `width` columns: `14:03:20 ▲ db        starting`.
pub fn render_change(change: &Change<'_>, width: usize, look: &Look) -> String {
    let id = pad(change.id, width);
    let words = paint(colour(change.light), &plain_line(&words(change), MAX_REASON));
    let mark = paint(colour(change.light), mark(change.light));
    format!("{} {mark} {} {words}\n", paint(DIM, &time(look.now, look)), paint(BOLD, &id))
}

/// A line for all together: `14:03:20 ● 4 of 4 healthy`.
pub fn render_light(light: Light, summary: &str, problems: &[Problem], look: &Look) -> String {
    let text = format!("{} {summary}{}", mark(light), in_sources(problems));
    format!("{} {}\n", paint(DIM, &time(look.now, look)), paint(colour(light).bold(), &text))
}

/// A line for changes that wait: `14:03:20 changes wait for …: added worker`.
pub fn render_waiting(text: &str, look: &Look) -> String {
    let text = plain_line(&format!("changes wait for `pilotlight reload`: {text}"), MAX_REASON);
    format!("{} {text}\n", paint(DIM, &time(look.now, look)))
}

/// A problem as `check` shows it.
pub fn render_problem(problem: &Problem) -> String {
    problem_lines(problem)
}

/// The word that says most, and why, unless the one says the other.
fn words(change: &Change<'_>) -> String {
    let word = match (change.process, change.health) {
        (ProcessState::Running, Some(health)) => health.as_str(),
        (process, Some(_) | None) => process.as_str(),
    };
    match change.process {
        // These reasons are whole sentences about the state.
        ProcessState::Waiting | ProcessState::Backoff => change.reason.to_owned(),
        // What the first probes run into is of no interest.
        ProcessState::Starting if change.reason.starts_with(word) => word.to_owned(),
        ProcessState::Stopped
        | ProcessState::Starting
        | ProcessState::Running
        | ProcessState::Stopping
        | ProcessState::Failed
        | ProcessState::Completed
        | ProcessState::Foreign => match change.reason.starts_with(word) {
            true => change.reason.to_owned(),
            false => format!("{word}: {}", change.reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_and_its_reason_are_told_without_saying_one_thing_twice() {
        use ProcessState::{Backoff, Completed, Failed, Running, Starting, Stopped, Waiting};
        let healthy = Some(HealthState::Healthy);
        let unhealthy = Some(HealthState::Unhealthy);
        for (process, health, reason, expected) in [
            (Starting, None, "starting: connection refused", "starting"),
            (Starting, None, "taken over, not probed yet", "starting: taken over, not probed yet"),
            (Waiting, None, "waits for db, which is starting", "waits for db, which is starting"),
            (Running, healthy, "healthy", "healthy"),
            (Running, unhealthy, "answered 503", "unhealthy: answered 503"),
            (Running, None, "no probe has answered", "running: no probe has answered"),
            (Backoff, None, "exited with code 3; restarts at once", "exited with code 3; restarts at once"),
            (Failed, None, "gave up after 5 restarts", "failed: gave up after 5 restarts"),
            (Stopped, None, "stopped by the user", "stopped by the user"),
            (Completed, None, "completed", "completed"),
        ] {
            let change = Change { id: "api", process, health, light: Light::Yellow, reason };
            assert_eq!(words(&change), expected);
        }
    }
}
