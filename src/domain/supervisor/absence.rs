//! Times in which nothing could be decided: the machine slept, or the agent itself was stopped or starved.
//!
//! What ran out meanwhile ran out for the agent's own fault, so whoever is waited for has all of its time anew, and what
//! is on disk is read again before anything counts as gone. What services did meanwhile is told as ever.

use std::time::Duration;

use super::Supervisor;
use super::phase::Phase;
use super::start::FRESH;
use super::stop::KILL_RETRY;
use super::unit::Unit;
use crate::domain::Moment;

/// Who comes so much later than it was due could not come.
const LATE: Duration = Duration::from_secs(2);

/// When the agent was last at work.
#[derive(Clone, Debug, Default)]
pub struct Attendance {
    last: Moment,
    /// When it last came back.
    back: Option<Moment>,
}

impl Supervisor {
    /// Takes note that it is `now`; if something was due long ago, the agent was away.
    pub(super) fn attend(&mut self, now: Moment) {
        let last = std::mem::replace(&mut self.attendance.last, now);
        // Looking for what is due costs something, and can wait until it may matter.
        if now.since(last) <= LATE {
            return;
        }
        let missed = self.next_deadline().map(|due| now.since(due.max(last))).filter(|late| *late > LATE);
        if let Some(late) = missed {
            let text =
                format!("nothing could be done for {} s: the agent was stopped, or the machine slept", late.as_secs());
            self.resume(now, &text);
        }
    }

    /// Gives every budget anew after an absence, of which `cause` tells.
    pub(super) fn resume(&mut self, now: Moment, cause: &str) {
        for (id, unit) in &mut self.fleet.units {
            unit.forgive(now);
            self.agenda.note(id, &unit.phase);
        }
        self.unplanned.add_all();
        self.strays.forgive(now);
        self.ledger.forgive(now);
        self.touched.wait_anew(now);
        self.notices.forgive(now);
        self.notices.forget_time();
        // A sleep may be noticed by what was missed, and be told of a moment later.
        let is_new = self.attendance.back.replace(now).is_none_or(|back| now.since(back) > LATE);
        if is_new {
            self.record("resumed", cause.to_owned());
            if self.closing.is_none() {
                self.read_sources(cause.to_owned());
            }
        }
    }
}

impl Unit {
    /// Gives all that is waited for its whole time again, and the restarts of the window back.
    fn forgive(&mut self, now: Moment) {
        if let Some((_, board)) = self.phase.board_mut() {
            board.forgive(now);
        }
        self.history.forgive();
        let patience = self.service.stop.timeout;
        match &mut self.phase {
            Phase::Preparing(preparing) => {
                preparing.deadline = now + preparing.attempt.step().map_or(patience, |step| step.timeout);
            }
            Phase::Stopping(ending) => ending.deadline = now + if ending.killed { KILL_RETRY } else { patience },
            Phase::Up(life) => life.fresh_until = life.fresh_until.map(|_| now + FRESH),
            // These wait for a moment, not for anybody.
            Phase::Backoff(_)
            | Phase::Foreign(_)
            | Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Spawning(_)
            | Phase::Prepared(_)
            | Phase::Watching(..) => {}
        }
    }
}
