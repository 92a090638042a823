//! How a service came up: what happened when, from the wish to the first moment at which it did its work.
//!
//! One is kept for each service, of its last start; what it says of many services together is worked out in
//! [`critical`](super::critical).

use super::id::ServiceId;
use super::moment::Moment;
use super::service::Condition;

/// The last start of one service. It goes on over failed tries, and is closed once the service was ready: what an
/// automatic restart takes later is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// When it was due to start, were it not for what it needs.
    pub asked: Moment,
    /// What stood in its way since, in the order in which that was found.
    pub waits: Vec<Wait>,
    /// When nothing stood in its way any more, and its start was ordered.
    pub free: Option<Moment>,
    /// How often it was tried.
    pub tries: u32,
    /// When the last of these began: its first step before the start, or its process.
    pub tried: Option<Moment>,
    /// When the process of this try lived; `None` also for what the agent did not begin: a stranger on the port, or
    /// what it only watches.
    pub spawned: Option<Moment>,
    /// When it was healthy or degraded for the first time, or had run to its end with success.
    pub ready: Option<Moment>,
    /// When it went wrong for the first time: a try failed, its grace ended, or its port was taken.
    pub stumbled: Option<Moment>,
}

/// Something that stood in the way of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which service; the waiting one itself if it was something of its own.
    pub id: ServiceId,
    /// What it had to be, if it is a dependency; else it was in the way by what it held.
    pub condition: Option<Condition>,
    /// Until when; `None` while it is in the way.
    pub until: Option<Moment>,
}

impl Launch {
    /// One that is asked for now.
    pub fn asked(now: Moment) -> Self {
        Self {
            asked: now,
            waits: Vec::new(),
            free: None,
            tries: 0,
            tried: None,
            spawned: None,
            ready: None,
            stumbled: None,
        }
    }

    /// Takes `blockers` as what stands in the way now; true if that is new.
    pub fn wait(
        &mut self,
        now: Moment,
        blockers: impl Iterator<Item = (ServiceId, Option<Condition>)> + Clone,
    ) -> bool {
        let mut changed = false;
        for wait in &mut self.waits {
            let stands = blockers.clone().any(|(id, condition)| id == wait.id && condition == wait.condition);
            let until = if stands { None } else { wait.until.or(Some(now)) };
            changed |= wait.until != until;
            wait.until = until;
        }
        for (id, condition) in blockers {
            if !self.waits.iter().any(|wait| wait.id == id && wait.condition == condition) {
                self.waits.push(Wait { id, condition, until: None });
                changed = true;
            }
        }
        changed
    }

    /// A try begins.
    pub fn tries(&mut self, now: Moment) {
        self.free.get_or_insert(now);
        self.tries += 1;
        self.tried = Some(now);
        self.spawned = None;
    }

    /// The dependency that held it up longest: the last to be there, or the first of those that are not.
    pub fn last_wait(&self) -> Option<&Wait> {
        let needed = || self.waits.iter().filter(|wait| wait.condition.is_some());
        needed().find(|wait| wait.until.is_none()).or_else(|| needed().max_by_key(|wait| wait.until))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::at(Duration::from_secs(seconds))
    }

    fn needs(id: &str) -> (ServiceId, Option<Condition>) {
        (ServiceId::new(id).unwrap(), Some(Condition::Healthy))
    }

    #[test]
    fn a_wait_ends_when_what_is_in_the_way_goes_and_begins_anew_when_it_returns() {
        let mut launch = Launch::asked(at(0));
        assert!(launch.wait(at(0), [needs("db"), needs("cache")].into_iter()));
        assert!(!launch.wait(at(1), [needs("db"), needs("cache")].into_iter()));
        assert!(launch.wait(at(2), [needs("db")].into_iter()));
        let untils: Vec<_> = launch.waits.iter().map(|wait| wait.until).collect();
        assert_eq!(untils, [None, Some(at(2))]);
        assert_eq!(launch.last_wait().unwrap().id.as_str(), "db");
        assert!(launch.wait(at(3), [needs("db"), needs("cache")].into_iter()));
        assert!(launch.wait(at(4), [needs("cache")].into_iter()));
        assert_eq!(launch.last_wait().unwrap().id.as_str(), "cache");
        assert!(launch.wait(at(5), [].into_iter()));
        assert_eq!(launch.last_wait().map(|wait| (wait.id.as_str(), wait.until)), Some(("cache", Some(at(5)))));
    }

    #[test]
    fn what_is_no_dependency_is_none_that_a_chain_goes_through() {
        let mut launch = Launch::asked(at(0));
        launch.wait(at(0), [(ServiceId::new("old").unwrap(), None)].into_iter());
        assert_eq!((launch.last_wait(), launch.waits.len()), (None, 1));
    }
}
