//! Whether and when a service that ended is started again: the restart policy as a small pure function.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::{Exit, Moment, RestartPolicy, RestartWhen};

/// The delay that doubling begins with, after the first restart.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// What is remembered of a service's automatic restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When the restarts of the current window were.
    recent: VecDeque<Moment>,
    /// How many restarts there were since the last good run.
    step: u32,
}

/// How a run ended, as far as the policy is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The process ended.
    Exit(Exit),
    /// It did not work, and was ended for that.
    Trouble,
    /// There was no process, and trying again may help.
    NoStart,
    /// There was no process, and trying again is of no use.
    LastingNoStart,
}

/// What comes after an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start again then.
    RestartAt(Moment),
    /// Success, and no restart is due: it rests.
    Rest,
    /// Failure, and no restart is due.
    Fail,
    /// Failure after the policy's number of restarts.
    GiveUp(u32),
}

impl History {
    /// Forgets everything: the user or a new definition starts the service.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back the restarts of the window: whoever counts them was away. The delay goes on growing.
    pub fn forgive(&mut self) {
        self.recent.clear();
    }

    /// Decides what comes after an end at `now`, and remembers a restart. `healthy_for` is the longest that the run has
    /// been healthy.
    pub fn after(&mut self, policy: &RestartPolicy, now: Moment, end: &End, healthy_for: Duration) -> Next {
        let success = matches!(end, End::Exit(exit) if policy.is_success(exit));
        let restarts = match policy.when {
            RestartWhen::Always => true,
            RestartWhen::OnFailure => !success,
            RestartWhen::Never => false,
        };
        if !restarts || *end == End::LastingNoStart {
            return if success { Next::Rest } else { Next::Fail };
        }
        if healthy_for >= policy.reset_after {
            self.step = 0;
        }
        while self.recent.front().is_some_and(|restart| now.since(*restart) > policy.window) {
            self.recent.pop_front();
        }
        if policy.max_restarts > 0 && self.recent.len() as u64 >= u64::from(policy.max_restarts) {
            return Next::GiveUp(policy.max_restarts);
        }
        let doubled = match self.step {
            0 => Duration::ZERO,
            step => FIRST_DELAY.saturating_mul(1 << (step - 1).min(16)),
        };
        let at = now + doubled.min(policy.max_delay).max(policy.delay);
        self.step = self.step.saturating_add(1);
        if policy.max_restarts > 0 {
            self.recent.push_back(at);
        }
        Next::RestartAt(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: End = End::Exit(Exit::Code(1));

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn delays(policy: &RestartPolicy, ends: u32, healthy_for: Duration) -> Vec<Option<u64>> {
        let mut history = History::default();
        let mut now = at(100);
        (0..ends)
            .map(|_| match history.after(policy, now, &CRASH, healthy_for) {
                Next::RestartAt(next) => {
                    let delay = next.since(now).as_secs();
                    now = next;
                    Some(delay)
                }
                Next::Rest | Next::Fail | Next::GiveUp(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_first_restart_comes_at_once_then_the_delay_doubles_until_it_gives_up() {
        let delays = delays(&RestartPolicy::default(), 6, Duration::ZERO);
        assert_eq!(delays, [Some(0), Some(1), Some(2), Some(4), Some(8), None]);
    }

    #[test]
    fn a_healthy_life_clears_the_delay_but_not_the_window() {
        let delays = delays(&RestartPolicy::default(), 6, Duration::from_secs(10));
        assert_eq!(delays, [Some(0), Some(0), Some(0), Some(0), Some(0), None]);
    }

    #[test]
    fn zero_restarts_means_without_end_and_the_delay_stays_below_its_maximum() {
        let policy = RestartPolicy { max_restarts: 0, ..RestartPolicy::default() };
        let delays = delays(&policy, 100, Duration::ZERO);
        assert_eq!(delays.last(), Some(&Some(60)));
    }

    #[test]
    fn restarts_older_than_the_window_do_not_count() {
        let mut history = History::default();
        let policy = RestartPolicy { max_restarts: 1, ..RestartPolicy::default() };
        assert_eq!(history.after(&policy, at(0), &CRASH, Duration::ZERO), Next::RestartAt(at(0)));
        assert_eq!(history.after(&policy, at(10), &CRASH, Duration::ZERO), Next::GiveUp(1));
        assert!(matches!(history.after(&policy, at(601), &CRASH, Duration::ZERO), Next::RestartAt(_)));
    }

    #[test]
    fn the_policy_decides_after_which_ends_it_restarts() {
        let success = End::Exit(Exit::Code(0));
        let killed = End::Exit(Exit::Signal(9));
        let unknown = End::Exit(Exit::Unknown);
        for (when, end, restarts) in [
            (RestartWhen::Always, &success, true),
            (RestartWhen::Always, &killed, true),
            (RestartWhen::Always, &End::LastingNoStart, false),
            (RestartWhen::OnFailure, &success, false),
            (RestartWhen::OnFailure, &killed, true),
            (RestartWhen::OnFailure, &unknown, true),
            (RestartWhen::OnFailure, &End::NoStart, true),
            (RestartWhen::OnFailure, &End::LastingNoStart, false),
            (RestartWhen::Never, &success, false),
            (RestartWhen::Always, &End::Trouble, true),
            (RestartWhen::OnFailure, &End::Trouble, true),
            (RestartWhen::Never, &End::Trouble, false),
            (RestartWhen::Never, &killed, false),
        ] {
            let policy = RestartPolicy { when, ..RestartPolicy::default() };
            let next = History::default().after(&policy, at(5), end, Duration::ZERO);
            assert_eq!(matches!(next, Next::RestartAt(_)), restarts, "{when:?} {end:?}");
            assert_eq!(next == Next::Rest, !restarts && *end == success, "{when:?} {end:?}");
        }
    }
}
