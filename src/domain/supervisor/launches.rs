//! Keeps, for each service, how its last start went: facts are noted as they come, nothing is judged.

use std::sync::Arc;

use super::phase::{Attempt, Phase};
use super::unit::Unit;
use crate::domain::{HealthState, Launch, Moment, ServiceId};

impl Unit {
    /// Notes what the planner has just found: that it is due to start, and what stands in its way. True if that is
    /// new.
    pub fn note_due(&mut self, now: Moment) -> bool {
        match &self.phase {
            Phase::Idle => {}
            Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Prepared(_)
            | Phase::Up(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => return false,
        }
        let is_begun = self.launch.as_ref().is_some_and(|launch| launch.free.is_some());
        if self.verdict.down {
            // The wish is gone before anything came of it.
            self.is_retried = false;
            return !is_begun && self.launch.take().is_some();
        }
        let is_new = self.launch.is_none() || (is_begun && !self.is_retried);
        if is_new {
            self.launch = Some(Arc::new(Launch::asked(now)));
        }
        let needs = &self.service.depends_on;
        let needed = |id: &ServiceId| needs.iter().find(|needed| needed.id == *id).map(|needed| needed.condition);
        let blockers = self.verdict.blocked_by.iter().map(|blocker| (blocker.id.clone(), needed(&blocker.id)));
        let waits = |launch: &Launch| launch.free.is_none() && (!launch.waits.is_empty() || blockers.len() > 0);
        match &mut self.launch {
            Some(launch) if waits(launch) => Arc::make_mut(launch).wait(now, blockers) || is_new,
            Some(_) | None => is_new,
        }
    }

    /// Notes that it is started: by `attempt`, or by being looked at.
    pub fn note_start(&mut self, now: Moment, attempt: Option<&Attempt>) {
        self.is_retried = false;
        let Some(launch) = self.launch.as_mut().filter(|launch| launch.ready.is_none()) else { return };
        match attempt {
            // Its steps were a part of the same try.
            Some(attempt) if attempt.done > 0 => {}
            // Whether its port has become free is looked at again and again.
            Some(attempt) if attempt.stranger.is_some() => Arc::make_mut(launch).tried = Some(now),
            Some(_) | None => Arc::make_mut(launch).tries(now),
        }
    }

    /// Notes how far the start has come by now.
    pub fn note_launch(&mut self, now: Moment) {
        let Some(launch) = self.launch.as_ref().filter(|launch| launch.ready.is_none()) else { return };
        // Nothing of what is idle can be read off its phase.
        let health = self.board().map(|board| board.state(now));
        let works = matches!(health, Some(HealthState::Healthy | HealthState::Degraded));
        let is_unhealthy = health == Some(HealthState::Unhealthy);
        let (lives, is_ready, has_stumbled) = match &self.phase {
            Phase::Up(life) => (!life.adopted, works && !self.service.one_shot, is_unhealthy),
            Phase::Rested | Phase::Completed => (false, true, false),
            Phase::Failed(_) | Phase::Backoff(_) => (false, false, true),
            Phase::Foreign(_) | Phase::Watching(..) => (false, works, is_unhealthy),
            Phase::Idle | Phase::Spawning(_) | Phase::Preparing(_) | Phase::Prepared(_) | Phase::Stopping(_) => {
                return;
            }
        };
        let mut noted = Launch::clone(launch);
        if lives {
            noted.spawned.get_or_insert(now);
        }
        if is_ready {
            noted.ready = Some(now);
        }
        if has_stumbled {
            noted.stumbled.get_or_insert(now);
        }
        if noted != **launch {
            self.launch = Some(Arc::new(noted));
        }
    }
}
