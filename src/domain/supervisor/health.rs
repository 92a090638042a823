//! From single probe outcomes to a service's health: thresholds in both directions, grace in time, and the pace.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Check, HealthState, Moment, Outcome, Probe};

/// The pace while a service starts or fails, unless its own is faster.
const DENSE: Duration = Duration::from_millis(250);

/// All probes of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    lanes: Vec<Lane>,
    /// The number of the first lane: probes that replace others get numbers of their own, so that an answer which was
    /// still awaited from one of the others counts for none.
    base: usize,
    /// When the run began.
    started: Moment,
    /// Failures before this moment do not count, as long as the run has not been healthy.
    grace_until: Moment,
    /// Since when all probes have been passing.
    healthy_since: Option<Moment>,
    /// The longest that they had been before, in this run.
    healthy_before: Duration,
    /// Whether the run has ever been healthy, or its grace is over.
    settled: bool,
    /// What is shown until the probes have been judged.
    initial: HealthState,
    /// Moves the steady pace of this service against that of others, so that probes don't come in one burst.
    phase: u64,
}

/// One probe of one run.
#[derive(Clone, Debug, PartialEq)]
struct Lane {
    probe: Arc<Probe>,
    /// When it is due; `None` while an answer is awaited, and once it is done.
    due: Option<Moment>,
    passes: u32,
    failures: u32,
    /// Whether a failure that is awaited counts for nothing: it may be ours, because nobody was there to wait.
    is_void: bool,
    verdict: Option<Outcome>,
    /// Whether the steady pace has begun.
    steady: bool,
}

impl Board {
    /// A board for a run that began at `started`; the probes are due at once. `initial` is what is known before.
    pub fn new(probes: &[Arc<Probe>], started: Moment, now: Moment, initial: HealthState, phase: u64) -> Self {
        let grace = longest_grace(probes);
        let lanes = probes.iter().map(|probe| Lane::new(probe, now)).collect::<Vec<_>>();
        let healthy_since = lanes.is_empty().then_some(now);
        let settled = lanes.is_empty();
        Self {
            lanes,
            base: 0,
            started,
            grace_until: started + grace,
            healthy_since,
            healthy_before: Duration::ZERO,
            settled,
            initial,
            phase,
        }
    }

    /// Takes over other probes for the same run; what is unchanged keeps its verdict.
    pub fn replace(&mut self, probes: &[Arc<Probe>], now: Moment) {
        let mut old = std::mem::take(&mut self.lanes);
        self.base += old.len();
        self.lanes = probes
            .iter()
            .map(|probe| match old.iter().position(|lane| lane.probe == *probe) {
                // An answer that is awaited comes under the old number: it is asked anew.
                Some(at) => {
                    let mut lane = old.swap_remove(at);
                    lane.due = (!lane.is_done()).then_some(now);
                    lane.is_void = false;
                    lane
                }
                None => Lane::new(probe, now),
            })
            .collect();
        self.grace_until = self.started + longest_grace(probes);
        self.note_healthy(now);
    }

    /// Gives every budget anew: after a sleep nothing that was late counts.
    pub fn forgive(&mut self, now: Moment) {
        if !self.settled {
            let grace = self.grace_until.since(self.started);
            self.started = now;
            self.grace_until = now + grace;
        }
        for lane in &mut self.lanes {
            lane.failures = 0;
            lane.is_void = lane.due.is_none() && !lane.is_done();
            lane.due = lane.due.map(|_| now);
        }
    }

    /// The probes that are due; they are taken to be asked now.
    pub fn take_due(&mut self, now: Moment) -> Vec<(usize, Arc<Probe>)> {
        let mut due = Vec::new();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.due.is_some_and(|at| at <= now) {
                lane.due = None;
                due.push((self.base + index, Arc::clone(&lane.probe)));
            }
        }
        due
    }

    /// Takes an answer; true if it may have changed the health.
    pub fn answer(&mut self, now: Moment, index: usize, outcome: Outcome) -> bool {
        let Some(index) = index.checked_sub(self.base) else { return false };
        let before = self.state(now);
        let in_grace = !self.settled && now < self.grace_until;
        let is_one_of_many = self.lanes.len() > 1;
        let awaits = |lane: &&mut Lane| lane.due.is_none() && !lane.is_done();
        let Some(lane) = self.lanes.get_mut(index).filter(awaits) else { return false };
        if std::mem::take(&mut lane.is_void) && matches!(outcome, Outcome::Fail(_)) {
            lane.due = Some(now);
            return false;
        }
        let verdict_before = lane.verdict.clone();
        let outcome = if is_one_of_many { lane.signed(outcome) } else { outcome };
        lane.count(outcome, in_grace);
        let failing = lane.failures > 0;
        let starting = !self.settled;
        self.note_healthy(now);
        let phase = self.phase;
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.schedule(now, (starting && !self.settled) || failing, phase);
        }
        before != self.state(now) || self.lanes.get(index).is_some_and(|lane| lane.verdict != verdict_before)
    }

    /// When there is something to do: a probe is due, or the grace ends.
    pub fn next_deadline(&self) -> Option<Moment> {
        let grace = (!self.settled).then_some(self.grace_until);
        self.lanes.iter().filter_map(|lane| lane.due).chain(grace).min()
    }

    /// Ends the grace if its time has come; true if that was now.
    pub fn end_grace(&mut self, now: Moment) -> bool {
        let ends = !self.settled && now >= self.grace_until;
        self.settled |= ends;
        ends
    }

    /// Whether the run is past its start: it was healthy once, or its grace has ended.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The health at `now`.
    pub fn state(&self, now: Moment) -> HealthState {
        let failed = self.lanes.iter().any(|lane| matches!(lane.verdict, Some(Outcome::Fail(_))));
        if failed && (self.settled || now >= self.grace_until) {
            return HealthState::Unhealthy;
        }
        if self.healthy_since.is_some() {
            let degraded = self.lanes.iter().any(|lane| matches!(lane.verdict, Some(Outcome::Degraded(_))));
            return if degraded { HealthState::Degraded } else { HealthState::Healthy };
        }
        self.initial
    }

    /// The longest that all probes have been passing.
    pub fn healthy_for(&self, now: Moment) -> Duration {
        let present = self.healthy_since.map_or(Duration::ZERO, |since| now.since(since));
        present.max(self.healthy_before)
    }

    /// What the worst probe said last, if it was not a plain pass.
    pub fn complaint(&self) -> Option<&str> {
        let said = |fail: bool| {
            self.lanes.iter().find_map(move |lane| match &lane.verdict {
                Some(Outcome::Fail(text)) if fail => Some(text.as_str()),
                Some(Outcome::Degraded(text)) if !fail => Some(text.as_str()),
                Some(Outcome::Fail(_) | Outcome::Degraded(_) | Outcome::Pass) | None => None,
            })
        };
        said(true).or_else(|| said(false))
    }

    fn note_healthy(&mut self, now: Moment) {
        let healthy = self.lanes.iter().all(Lane::is_healthy);
        match (healthy, self.healthy_since) {
            (true, None) => self.healthy_since = Some(now),
            (false, Some(since)) => {
                self.healthy_before = self.healthy_before.max(now.since(since));
                self.healthy_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
        self.settled |= healthy;
    }
}

fn longest_grace(probes: &[Arc<Probe>]) -> Duration {
    probes.iter().map(|probe| probe.grace).max().unwrap_or_default()
}

impl Lane {
    fn new(probe: &Arc<Probe>, now: Moment) -> Self {
        Self {
            probe: Arc::clone(probe),
            due: Some(now),
            passes: 0,
            failures: 0,
            is_void: false,
            verdict: None,
            steady: false,
        }
    }

    /// Whether it counts for readiness only, and has passed: then it is asked no more in this run.
    fn is_done(&self) -> bool {
        matches!(self.probe.check, Check::Log { .. }) && self.is_healthy()
    }

    /// Healthy until enough failures say otherwise.
    fn is_healthy(&self) -> bool {
        matches!(self.verdict, Some(Outcome::Pass | Outcome::Degraded(_)))
    }

    /// The outcome with what was asked, where that does not say so itself.
    fn signed(&self, outcome: Outcome) -> Outcome {
        let asked = match &self.probe.check {
            Check::Http { url, .. } => url.clone(),
            Check::Tcp { host, port } => format!("{host}:{port}"),
            Check::Unix { path } => path.display().to_string(),
            Check::Exec { .. } | Check::Log { .. } | Check::File { .. } => return outcome,
        };
        match outcome {
            Outcome::Pass => Outcome::Pass,
            Outcome::Degraded(text) => Outcome::Degraded(format!("{asked}: {text}")),
            Outcome::Fail(text) => Outcome::Fail(format!("{asked}: {text}")),
        }
    }

    fn count(&mut self, outcome: Outcome, in_grace: bool) {
        match outcome {
            Outcome::Pass | Outcome::Degraded(_) => {
                self.failures = 0;
                self.passes = self.passes.saturating_add(1);
                let is_once = matches!(self.probe.check, Check::Log { .. });
                if self.passes >= self.probe.healthy_after || is_once || self.is_healthy() {
                    self.verdict = Some(outcome);
                }
            }
            Outcome::Fail(_) => {
                self.passes = 0;
                self.failures = self.failures.saturating_add(1);
                // Within the grace the text is kept for who asks why it takes so long.
                if self.failures >= self.probe.unhealthy_after || (in_grace && !self.is_healthy()) {
                    self.verdict = Some(outcome);
                }
            }
        }
    }

    fn schedule(&mut self, now: Moment, dense: bool, phase: u64) {
        if self.is_done() {
            return;
        }
        let interval = self.probe.interval;
        let dense = dense || self.passes < self.probe.healthy_after;
        let pause = if dense {
            self.steady = false;
            interval.min(DENSE)
        } else if self.steady {
            interval
        } else {
            // The first steady pause is between half and all of the interval.
            self.steady = true;
            interval.mul_f64(0.5 + (phase % 512) as f64 / 1024.0)
        };
        self.due = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Check;

    fn probe() -> Probe {
        Probe {
            check: Check::Tcp { host: "localhost".to_owned(), port: 1 },
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            healthy_after: 1,
            unhealthy_after: 3,
            grace: Duration::from_secs(60),
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(millis))
    }

    fn fail() -> Outcome {
        Outcome::Fail("refused".to_owned())
    }

    /// A board with one probe, and the pace that it asks for after each of `outcomes`.
    fn play(probe: Probe, outcomes: &[Outcome]) -> (Board, Vec<Duration>, Moment) {
        let mut board = Board::new(&[Arc::new(probe)], at(0), at(0), HealthState::Starting, 0);
        let mut now = at(0);
        let mut pauses = Vec::new();
        for outcome in outcomes {
            assert_eq!(board.take_due(now).len(), 1);
            board.answer(now, 0, outcome.clone());
            let due = board.lanes[0].due.expect("an answered probe is due again");
            pauses.push(due.since(now));
            now = due;
        }
        (board, pauses, now)
    }

    #[test]
    fn failures_within_the_grace_do_not_count_and_the_pace_is_dense() {
        let (board, pauses, now) = play(probe(), &[fail(), fail(), fail(), fail()]);
        assert_eq!(board.state(now), HealthState::Starting);
        assert_eq!(board.complaint(), Some("refused"));
        assert!(pauses.iter().all(|pause| *pause == DENSE));
    }

    #[test]
    fn what_never_passed_is_unhealthy_when_its_grace_ends() {
        let (mut board, _, _) = play(probe(), &[fail()]);
        assert_eq!(board.next_deadline(), Some(at(250)));
        assert!(!board.end_grace(at(59_999)));
        assert!(board.end_grace(at(60_000)));
        assert_eq!(board.state(at(60_000)), HealthState::Unhealthy);
    }

    #[test]
    fn after_the_first_pass_it_takes_a_row_of_failures_to_be_unhealthy() {
        let (board, _, now) = play(probe(), &[fail(), Outcome::Pass, fail(), fail()]);
        assert_eq!(board.state(now), HealthState::Healthy);
        let (board, _, now) = play(probe(), &[Outcome::Pass, fail(), fail(), fail()]);
        assert_eq!(board.state(now), HealthState::Unhealthy);
        let (board, _, now) = play(probe(), &[Outcome::Pass, fail(), fail(), Outcome::Pass, fail(), fail()]);
        assert_eq!(board.state(now), HealthState::Healthy);
    }

    #[test]
    fn it_takes_a_row_of_passes_to_be_healthy_again() {
        let careful = Probe { healthy_after: 2, unhealthy_after: 1, ..probe() };
        let (board, _, now) = play(careful.clone(), &[Outcome::Pass]);
        assert_eq!(board.state(now), HealthState::Starting);
        let (board, _, now) = play(careful.clone(), &[Outcome::Pass, Outcome::Pass]);
        assert_eq!(board.state(now), HealthState::Healthy);
        let (board, _, now) = play(careful, &[Outcome::Pass, Outcome::Pass, fail(), Outcome::Pass]);
        assert_eq!(board.state(now), HealthState::Unhealthy);
    }

    #[test]
    fn the_pace_is_steady_when_healthy_and_dense_from_the_first_failure_on() {
        let (_, pauses, _) = play(probe(), &[Outcome::Pass, Outcome::Pass, fail(), Outcome::Pass, Outcome::Pass]);
        let second = Duration::from_secs(1);
        assert_eq!(pauses, [second, second * 2, DENSE, second, second * 2]);
    }

    #[test]
    fn a_faster_pace_of_its_own_is_kept_when_dense() {
        let fast = Probe { interval: Duration::from_millis(100), ..probe() };
        let (_, pauses, _) = play(fast, &[fail()]);
        assert_eq!(pauses, [Duration::from_millis(100)]);
    }

    #[test]
    fn a_line_that_has_come_once_is_never_asked_for_again() {
        let log = Probe { check: Check::Log { pattern: "ready".to_owned() }, healthy_after: 9, ..probe() };
        let mut board = Board::new(&[Arc::new(log.clone())], at(0), at(0), HealthState::Starting, 0);
        assert_eq!(board.take_due(at(0)).len(), 1);
        board.answer(at(1), 0, fail());
        assert_eq!((board.state(at(1)), board.next_deadline()), (HealthState::Starting, Some(at(251))));
        assert_eq!(board.take_due(at(251)).len(), 1);
        board.answer(at(252), 0, Outcome::Pass);
        assert_eq!((board.state(at(252)), board.next_deadline()), (HealthState::Healthy, None));
        assert!(!board.answer(at(253), 0, fail()), "nothing was asked");
        board.forgive(at(254));
        board.replace(&[Arc::new(log), Arc::new(probe())], at(255));
        assert_eq!(board.take_due(at(255)).into_iter().map(|(index, _)| index).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_degraded_service_is_not_unhealthy_and_says_why() {
        let (board, _, now) = play(probe(), &[Outcome::Degraded("no database".to_owned())]);
        assert_eq!(board.state(now), HealthState::Degraded);
        assert_eq!(board.complaint(), Some("no database"));
    }

    #[test]
    fn of_several_probes_the_one_that_complains_is_named() {
        let http = Check::Http { url: "http://localhost/up".to_owned(), status: Vec::new(), body: None };
        let log = Check::Log { pattern: "ready".to_owned() };
        let probes = [probe(), Probe { check: http, ..probe() }, Probe { check: log, ..probe() }].map(Arc::new);
        let complaint_of = |index| {
            let mut board = Board::new(&probes, at(0), at(0), HealthState::Starting, 0);
            board.take_due(at(0));
            board.answer(at(1), index, fail());
            board.complaint().map(str::to_owned)
        };
        assert_eq!(complaint_of(0).as_deref(), Some("localhost:1: refused"));
        assert_eq!(complaint_of(1).as_deref(), Some("http://localhost/up: refused"));
        assert_eq!(complaint_of(2).as_deref(), Some("refused"), "a probe of the output says itself what it misses");
    }

    #[test]
    fn without_probes_running_is_healthy() {
        let board = Board::new(&[], at(0), at(5), HealthState::Starting, 0);
        assert_eq!(board.state(at(5)), HealthState::Healthy);
        assert_eq!(board.next_deadline(), None);
        assert!(board.is_settled());
    }

    #[test]
    fn an_answer_to_a_replaced_probe_counts_for_nothing() {
        let mut board = Board::new(&[Arc::new(probe())], at(0), at(0), HealthState::Starting, 0);
        assert_eq!(board.take_due(at(0))[0].0, 0);
        let other = Probe { timeout: Duration::from_secs(9), ..probe() };
        board.replace(&[Arc::new(other)], at(1));
        assert_eq!(board.take_due(at(1))[0].0, 1);
        board.answer(at(2), 0, Outcome::Pass);
        assert_eq!(board.state(at(2)), HealthState::Starting);
        board.answer(at(3), 1, Outcome::Pass);
        assert_eq!(board.state(at(3)), HealthState::Healthy);
    }

    #[test]
    fn a_sleep_gives_all_budgets_anew() {
        let (mut board, _, now) = play(probe(), &[Outcome::Pass, fail(), fail()]);
        board.forgive(now);
        assert_eq!(board.take_due(now).len(), 1);
        board.answer(now, 0, fail());
        assert_eq!(board.state(now), HealthState::Healthy);
    }
}
