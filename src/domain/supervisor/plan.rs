//! What should happen next: from wishes, definitions and phases alone, anew after each fact. Pure.
//!
//! Who may not run is stopped before anything is started, dependents before what they need; what may run is started as
//! soon as what it needs is there, so that waves run in parallel. Each answer carries its reasons.
//!
//! It is asked of some of the units, or of all: of none without all others that have a say in it, so that the answer is the
//! same either way.

use super::fleet::{Fleet, Scope, is_counted};
use super::phase::Phase;
use super::unit::Unit;
use super::verdict::Verdict;
use crate::domain::{Blocker, Condition, Dependency, HealthState, Intent, Kind, Moment, ServiceId, WantedBy};

/// What the planner looks at.
#[derive(Debug)]
pub struct Question<'a> {
    /// All units.
    pub fleet: &'a Fleet,
    /// Those that it is about.
    pub scope: &'a Scope,
    /// What the user has said.
    pub intent: &'a Intent,
    /// Services of which a stray run or a stranger still ends, and what is to be said of that.
    pub straying: &'a [(ServiceId, &'static str)],
    /// Those of them that are worth waiting for.
    pub ending: &'a [ServiceId],
    /// Whether everything is to end.
    pub closing: bool,
    /// Now.
    pub now: Moment,
}

/// What to do next, by the units' indices.
#[derive(Debug, Default)]
pub struct Plan {
    /// The answer for each unit of the scope, in its order.
    pub verdicts: Vec<Verdict>,
    /// Units to stop now.
    pub stop: Vec<usize>,
    /// Units whose next try is due and can't be made: they go on waiting, without a time.
    pub wait: Vec<usize>,
    /// Units to start now, in the order of their dependencies.
    pub start: Vec<usize>,
}

impl Question<'_> {
    /// Answers it.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan { verdicts: vec![Verdict::default(); self.scope.len()], ..Plan::default() };
        self.want(&mut plan.verdicts);
        let renewed = self.judge(&mut plan.verdicts);
        self.block(&mut plan.verdicts, &renewed);
        self.choose_stops(&mut plan);
        self.choose_starts(&mut plan);
        plan
    }

    /// Who is wanted by whom: first what is pinned, then down along the dependencies.
    fn want(&self, verdicts: &mut [Verdict]) {
        for (at, verdict) in verdicts.iter_mut().enumerate() {
            if let Some(by) = self.pinned(self.unit(at)) {
                verdict.wanted_by = by;
            }
        }
        for at in (0..self.scope.len()).rev() {
            let unit = self.unit(at);
            if !verdicts[at].is_wanted()
                && let Some(by) = self.lingering(unit)
            {
                verdicts[at].wanted_by = by;
            }
            if !verdicts[at].is_wanted() {
                continue;
            }
            for (dependency, target) in self.needs(at) {
                let Some(target) = target.filter(|target| !verdicts[*target].is_wanted()) else { continue };
                if self.may_be_wanted(self.unit(target)) && !self.is_off(&dependency.id) {
                    verdicts[target].wanted_by = WantedBy::Dependency(unit.service.id.clone());
                }
            }
        }
    }

    fn pinned(&self, unit: &Unit) -> Option<WantedBy> {
        let id = &unit.service.id;
        if !self.may_be_wanted(unit) || self.is_off(id) {
            return None;
        }
        if self.intent.get(id) == Some(&true) {
            return Some(WantedBy::User);
        }
        if unit.service.auto_start || matches!(unit.service.kind, Kind::External) {
            return Some(WantedBy::AutoStart);
        }
        None
    }

    /// Who has brought it along; it stays up until it is stopped.
    fn lingering(&self, unit: &Unit) -> Option<WantedBy> {
        let may_stay = self.may_be_wanted(unit) && !self.is_off(&unit.service.id);
        unit.brought_by.clone().filter(|_| may_stay).map(WantedBy::Dependency)
    }

    fn may_be_wanted(&self, unit: &Unit) -> bool {
        is_counted(unit) && unit.service.enabled && !unit.removed
    }

    fn is_off(&self, id: &ServiceId) -> bool {
        self.intent.get(id) == Some(&false)
    }

    /// Who may not run now. Tells which units are about to get a new run.
    fn judge(&self, verdicts: &mut [Verdict]) -> Vec<bool> {
        let mut renewed = vec![false; verdicts.len()];
        for at in 0..self.scope.len() {
            let unit = self.unit(at);
            let held = self.needs(at).any(|(dependency, target)| {
                // What has run to its end has done its part.
                let done = dependency.condition == Condition::Completed && unit.is_live();
                !done && target.is_none_or(|target| self.is_kept_down(target, verdicts))
            });
            let with = |target: Option<usize>| target.is_some_and(|target| renewed[target]);
            let renew = unit.is_live()
                && (unit.again
                    || unit.is_stale()
                    || self.needs(at).any(|(dependency, target)| dependency.restart && with(target)));
            renewed[at] = renew;
            let verdict = &mut verdicts[at];
            verdict.held = held;
            verdict.down = self.closing || !verdict.is_wanted() || held || renew;
        }
        renewed
    }

    /// Whether the service is meant to be down, so that what needs it can't be up.
    fn is_kept_down(&self, at: usize, verdicts: &[Verdict]) -> bool {
        let unit = self.unit(at);
        match unit.service.kind {
            Kind::Process(_) | Kind::External => {
                unit.removed || !unit.service.enabled || self.is_off(&unit.service.id) || verdicts[at].held
            }
            Kind::Detached | Kind::Settings => false,
        }
    }

    /// What stands in the way of each.
    fn block(&self, verdicts: &mut [Verdict], renewed: &[bool]) {
        let ending = self.ports_of_the_ending();
        for at in 0..self.scope.len() {
            let unit = self.unit(at);
            let mut blocked_by = Vec::new();
            let mut by_user = true;
            for (dependency, target) in self.needs(at) {
                let obstacle = match target {
                    None => Some("is not defined".to_owned()),
                    Some(target) => {
                        let needed = self.unit(target);
                        self.obstacle(needed, &verdicts[target], renewed[target], dependency.condition)
                    }
                };
                if let Some(reason) = obstacle {
                    let waits = target.is_some_and(|target| verdicts[target].by_user);
                    by_user &= self.is_off(&dependency.id) || waits;
                    blocked_by.push(Blocker { id: dependency.id.clone(), reason });
                }
            }
            by_user &= !blocked_by.is_empty();
            if let Some((id, reason)) = self.straying.iter().find(|(id, _)| *id == unit.service.id) {
                blocked_by.push(Blocker { id: id.clone(), reason: (*reason).to_owned() });
                by_user = false;
            }
            if let Some((holder, port)) = self.port_in_the_way(at, &ending) {
                let reason = format!("still holds port {port} while it stops");
                blocked_by.push(Blocker { id: holder, reason });
                by_user = false;
            }
            let idle = matches!(unit.phase, Phase::Idle);
            let verdict = &mut verdicts[at];
            verdict.by_user = by_user && verdict.is_wanted() && idle;
            verdict.blocked_by = blocked_by;
        }
    }

    /// Why `needed` does not satisfy a dependent, if it does not; fits behind its id.
    fn obstacle(&self, needed: &Unit, verdict: &Verdict, renewed: bool, condition: Condition) -> Option<String> {
        match needed.service.kind {
            Kind::Detached | Kind::Settings => return None,
            Kind::Process(_) | Kind::External => {}
        }
        if needed.removed {
            return Some("is not defined any more".to_owned());
        }
        if !needed.service.enabled {
            return Some(match &needed.service.disabled_at {
                Some(place) => format!("is disabled in {place}"),
                None => "is disabled".to_owned(),
            });
        }
        if renewed {
            return Some("is being restarted".to_owned());
        }
        if self.is_off(&needed.service.id) {
            return Some("was stopped by the user".to_owned());
        }
        if verdict.held {
            return Some("has to wait itself".to_owned());
        }
        let health = needed.board().map(|board| board.state(self.now));
        let works = matches!(health, Some(HealthState::Healthy | HealthState::Degraded));
        let complaint =
            || needed.board().and_then(|board| board.complaint()).map(|text| format!(": {text}")).unwrap_or_default();
        match &needed.phase {
            Phase::Completed => None,
            Phase::Up(_) if condition == Condition::Completed => Some("has not completed yet".to_owned()),
            // Without a probe, a one-shot has done nothing yet while it runs.
            Phase::Up(_)
                if condition == Condition::Healthy && needed.service.one_shot && needed.service.probes.is_empty() =>
            {
                Some("has not completed yet".to_owned())
            }
            Phase::Up(_) if condition == Condition::Started || works => None,
            Phase::Up(_) if health == Some(HealthState::Unhealthy) => Some(format!("is unhealthy{}", complaint())),
            Phase::Up(_) => Some(format!("is starting{}", complaint())),
            Phase::Foreign(_) | Phase::Spawning(_) if works => None,
            Phase::Foreign(stranger) => Some(format!("can't start: {}", stranger.holder)),
            Phase::Spawning(attempt) => Some(match &attempt.stranger {
                Some(stranger) => format!("can't start: {}", stranger.holder),
                None => "is starting".to_owned(),
            }),
            Phase::Preparing(preparing) => Some(format!("is starting: {}", preparing.attempt.words())),
            Phase::Prepared(_) => Some("is starting".to_owned()),
            Phase::Watching(..) if works => None,
            Phase::Watching(..) => Some(format!("is not there{}", complaint())),
            Phase::Stopping(_) => Some("is stopping".to_owned()),
            Phase::Backoff(_) => Some(match &needed.first_cause {
                Some(cause) => format!("is to be tried again: {cause}"),
                None => "is to be started again".to_owned(),
            }),
            Phase::Failed(text) => Some(format!("failed: {text}")),
            Phase::Rested if condition == Condition::Completed => None,
            Phase::Rested => Some("exited by itself".to_owned()),
            Phase::Idle if verdict.is_wanted() => Some("is waiting".to_owned()),
            Phase::Idle => Some("is not running".to_owned()),
        }
    }

    /// The units that are ending and have a port, with their places in the scope, in the order of the catalog.
    fn ports_of_the_ending(&self) -> Vec<(usize, u16)> {
        let ending = (0..self.scope.len()).filter(|at| matches!(self.unit(*at).phase, Phase::Stopping(_)));
        let mut ports: Vec<_> = ending.filter_map(|at| Some((at, self.unit(at).service.port?))).collect();
        ports.sort_unstable_by_key(|(at, _)| self.scope.index(*at));
        ports
    }

    /// The one of `ending` that has the port of the unit at `at`, but is another.
    fn port_in_the_way(&self, at: usize, ending: &[(usize, u16)]) -> Option<(ServiceId, u16)> {
        let port = self.unit(at).service.port?;
        let (holder, _) = ending.iter().find(|(other, its)| *other != at && *its == port)?;
        Some((self.unit(*holder).service.id.clone(), port))
    }

    fn choose_stops(&self, plan: &mut Plan) {
        for at in (0..self.scope.len()).rev() {
            let unit = self.unit(at);
            let verdict = &plan.verdicts[at];
            let due = match &unit.phase {
                // What is in trouble is ended for itself, as if it had ended by itself: nobody else has to end first.
                Phase::Up(_) if !verdict.down => unit.trouble(self.now).is_some(),
                Phase::Up(_) | Phase::Preparing(_) => verdict.down && !self.is_needed_by_the_ending(at, &plan.verdicts),
                Phase::Prepared(_) => verdict.down,
                Phase::Stopping(ending) => verdict.down && !ending.asked,
                Phase::Rested | Phase::Completed | Phase::Failed(_) | Phase::Backoff(_) => {
                    !self.closing && !verdict.is_wanted()
                }
                Phase::Foreign(_) | Phase::Watching(..) => self.closing || !verdict.is_wanted() || verdict.held,
                Phase::Idle | Phase::Spawning(_) => false,
            };
            if due {
                plan.stop.push(self.scope.index(at));
            }
        }
    }

    /// Whether a dependent that has to end, too, still lives.
    fn is_needed_by_the_ending(&self, at: usize, verdicts: &[Verdict]) -> bool {
        let dependents = self.fleet.dependents(self.scope.index(at)).iter();
        dependents.filter_map(|index| self.place_of(*index)).any(|dependent| {
            let unit = self.unit(dependent);
            let lives = unit.is_live() && verdicts[dependent].down && !is_beyond_us(unit);
            lives || self.ending.contains(&unit.service.id)
        })
    }

    fn choose_starts(&self, plan: &mut Plan) {
        for at in 0..self.scope.len() {
            let unit = self.unit(at);
            let verdict = &plan.verdicts[at];
            let due = match &unit.phase {
                Phase::Idle | Phase::Prepared(_) => true,
                Phase::Backoff(until) => *until <= self.now,
                Phase::Foreign(_) => unit.port_is_due(self.now),
                Phase::Rested
                | Phase::Completed
                | Phase::Failed(_)
                | Phase::Spawning(_)
                | Phase::Preparing(_)
                | Phase::Up(_)
                | Phase::Stopping(_)
                | Phase::Watching(..) => false,
            };
            // What is only looked at waits for nothing.
            let free = verdict.blocked_by.is_empty() || matches!(unit.service.kind, Kind::External);
            if due && free && !verdict.down {
                plan.start.push(self.scope.index(at));
            } else if due {
                plan.wait.push(self.scope.index(at));
            }
        }
    }

    /// The unit at this place of the scope.
    fn unit(&self, at: usize) -> &Unit {
        self.fleet.at(self.scope.index(at))
    }

    /// What the unit at `at` depends on, each with its place, if there is such a unit.
    fn needs(&self, at: usize) -> impl Iterator<Item = (&Dependency, Option<usize>)> {
        let needs = self.fleet.needs(self.scope.index(at));
        needs.map(|(dependency, target)| (dependency, target.and_then(|index| self.place_of(index))))
    }

    /// Where the unit at `index` is in the scope.
    fn place_of(&self, index: usize) -> Option<usize> {
        self.fleet.place_in(self.scope, index)
    }
}

/// Whether what is left of the unit's run could not even be killed.
pub fn is_beyond_us(unit: &Unit) -> bool {
    matches!(&unit.phase, Phase::Stopping(ending) if !ending.survivors.is_empty())
}
