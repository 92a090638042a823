//! What taking other sources into use would bring about: tried on a copy, so that what is told is what would be done.
//!
//! Nothing is decided here: the copy reads, settles and plans like the real one. This only compares the two and finds
//! the words.

use super::Supervisor;
use super::fleet::Fleet;
use super::phase::Phase;
use super::unit::Unit;
use super::verdict::Verdict;
use crate::domain::catalog::Reading;
use crate::domain::diff::{CatalogDiff, ServiceDiff};
use crate::domain::{Does, Forecast, Kind, Moment, Planned, RestartWhen, ServiceId};

/// Fields that nothing takes up before the next start, though they are no part of what is spawned.
const OF_THE_START: [&str; 1] = ["before_start"];

impl Supervisor {
    /// What would come of it if the sources were as `reading` says, and stayed so, and were taken into use. Nothing of
    /// it is done.
    ///
    /// It tells what holds when everything has had its time. Until a file that is gone counts as removed, something may
    /// still start that needs what it defined.
    ///
    /// Of a supervisor that has read nothing yet it tells what an agent would do at its start.
    pub fn forecast(&self, now: Moment, reading: Reading) -> Forecast {
        let mut tried = self.clone();
        tried.take_reading(now, reading);
        tried.settle_and_apply(now, "a plan");
        // What is broken or gone counts as if it stayed so.
        while let Some(deadline) = tried.ledger.next_deadline() {
            tried.settle_and_apply(deadline, "a plan");
        }
        let is_first = self.generation == 0;
        let (before, after) = (self.verdicts(&self.fleet, now), tried.verdicts(&tried.fleet, now));
        let ended = tried.verdicts(&tried.without_the_renewed(&after), now);
        let mut services = Vec::new();
        for (at, (id, unit)) in tried.fleet.units.iter().enumerate() {
            let old = self.fleet.units.get_full(id).filter(|(_, _, unit)| !unit.removed);
            let new = Side { unit, verdict: &after[at], ended: &ended[at], fleet: &tried, verdicts: &after };
            services.extend(match old {
                Some(_) if unit.removed => Some(removal(unit)),
                None if unit.removed => None,
                Some((at, _, unit)) => {
                    let verdict = &before[at];
                    let old = Side { unit, verdict, ended: verdict, fleet: self, verdicts: &before };
                    Some(new.change(&old, now))
                }
                None if is_first => Some(new.beginning()),
                None => Some(new.addition()),
            });
        }
        let had = self.strays.services();
        for (id, _) in tried.strays.services().into_iter().filter(|stray| !had.contains(stray)) {
            if !tried.fleet.units.contains_key(&id) {
                services.push(plan(&id, Does::Remove, Vec::new(), "is stopped: nothing defines it any more"));
            }
        }
        for id in tried.strays.kept() {
            if !tried.fleet.units.contains_key(&id) {
                services.push(plan(&id, Does::None, Vec::new(), "goes on: its definition can't be read"));
            }
        }
        let frame = !is_first && CatalogDiff::between(&self.catalog, &tried.catalog).frame;
        services.iter_mut().for_each(|planned| tried.secrets.known().veil(&mut planned.text));
        Forecast { services, problems: tried.problems, frame }
    }

    /// The answer for each unit, by its index.
    fn verdicts(&self, fleet: &Fleet, now: Moment) -> Vec<Verdict> {
        let scope = fleet.whole();
        let plan = self.plan_of(fleet, &scope, now);
        let mut verdicts = vec![Verdict::default(); scope.len()];
        for (at, verdict) in plan.verdicts.into_iter().enumerate() {
            verdicts[scope.index(at)] = verdict;
        }
        verdicts
    }

    /// All units when the runs that make way for others have ended, and the others have not begun.
    fn without_the_renewed(&self, verdicts: &[Verdict]) -> Fleet {
        let mut fleet = self.fleet.clone();
        for (unit, verdict) in fleet.units.values_mut().zip(verdicts) {
            if is_renewed(unit, verdict) && !self.is_clearing() {
                unit.phase = Phase::Idle;
            }
        }
        fleet
    }
}

/// Whether the unit's run ends to make way for another.
fn is_renewed(unit: &Unit, verdict: &Verdict) -> bool {
    is_up(unit) && verdict.is_wanted() && verdict.down && !verdict.held
}

/// Whether it runs, or is on its way there.
fn is_up(unit: &Unit) -> bool {
    matches!(unit.phase, Phase::Up(_) | Phase::Spawning(_) | Phase::Preparing(_))
}

/// One service as it is, or as it would be.
struct Side<'a> {
    unit: &'a Unit,
    verdict: &'a Verdict,
    /// What would be said of it once the runs that make way for others have ended.
    ended: &'a Verdict,
    fleet: &'a Supervisor,
    verdicts: &'a [Verdict],
}

impl Side<'_> {
    /// What becomes of a service that was there before.
    fn change(&self, old: &Side<'_>, now: Moment) -> Planned {
        let diff = ServiceDiff::between(&old.unit.service, &self.unit.service);
        let told = |does, text: String| {
            let fields = diff.restart.iter().chain(&diff.live).cloned().collect();
            plan(&self.unit.service.id, does, fields, text)
        };
        let (in_place, later) = effects(&diff);
        if self.is_renewed() && !(old.is_renewed() && diff.is_empty()) {
            let of_a_start = |field: &&str| self.unit.is_at_its_steps() && OF_THE_START.contains(field);
            let (steps, with_it): (Vec<&str>, Vec<&str>) = diff.live.iter().map(String::as_str).partition(of_a_start);
            let causes: Vec<&str> = diff.restart.iter().map(String::as_str).chain(steps).collect();
            let cause = match self.renewing_dependency() {
                Some(id) if !self.unit.is_stale() => format!("with {id}"),
                Some(_) | None if causes.is_empty() => "what runs is not what is defined".to_owned(),
                Some(_) | None => causes.join(", "),
            };
            let mut text = self.restarting(&cause);
            if !with_it.is_empty() {
                text += &format!("; takes effect with it: {}", with_it.join(", "));
            }
            return told(Does::Restart, text);
        }
        if old.runs_on() && !self.runs_on() {
            return told(Does::Live, format!("is stopped: {}", self.why_down()));
        }
        if self.starts() && !old.starts() && !matches!(self.unit.service.kind, Kind::External) {
            let is_anew = old.verdict.is_wanted() && !old.verdict.held;
            return match diff.restart.iter().chain(&diff.live).map(String::as_str).collect::<Vec<_>>().join(", ") {
                fields if is_anew => told(Does::Restart, format!("starts anew: {fields}")),
                _ => told(Does::Live, self.starting()),
            };
        }
        if diff.is_empty() {
            return told(Does::None, "stays as it is".to_owned());
        }
        let rests = !self.unit.is_live() && !self.starts() && matches!(self.unit.service.kind, Kind::Process(_));
        let parts = [
            (rests && !later.is_empty()).then(|| "stays down".to_owned()),
            (!in_place.is_empty()).then(|| format!("takes effect in place: {}", in_place.join(", "))),
            (!later.is_empty()).then(|| format!("takes effect at the next start: {}", later.join(", "))),
            self.consequence(old, now),
        ];
        told(Does::Live, parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }

    /// What a change in place does to a run that is in trouble by it, if it is.
    fn consequence(&self, old: &Side<'_>, now: Moment) -> Option<String> {
        let Phase::Up(life) = &self.unit.phase else { return None };
        let ends = match self.unit.service.restart.when {
            RestartWhen::Always | RestartWhen::OnFailure => "restarts by that",
            RestartWhen::Never => "is stopped by that",
        };
        if self.verdict.down || old.unit.trouble(now).is_some() {
            return None;
        }
        let is_limited = self.unit.service.limits != old.unit.service.limits;
        let excess = || life.meter.excess().filter(|_| is_limited);
        let trouble = self.unit.trouble(now).map(|trouble| format!("{ends}: {trouble}"));
        trouble.or_else(|| Some(format!("{ends} if it stays so: {}", excess()?)))
    }

    /// What becomes of a service that is new.
    fn addition(&self) -> Planned {
        let text = match &self.unit.service.kind {
            _ if !self.unit.service.enabled => "is listed as disabled".to_owned(),
            Kind::External => "is watched".to_owned(),
            Kind::Settings => "exports its settings".to_owned(),
            Kind::Detached => format!("is listed: {} is another engine's", self.unit.service.type_name),
            Kind::Process(_) if self.verdict.is_wanted() => self.starting(),
            Kind::Process(_) => "is listed; starts when asked to".to_owned(),
        };
        plan(&self.unit.service.id, Does::Add, Vec::new(), text)
    }

    /// What becomes of a service when an agent starts.
    fn beginning(&self) -> Planned {
        let told = |does, text: String| plan(&self.unit.service.id, does, Vec::new(), text);
        let pid = match &self.unit.phase {
            Phase::Up(life) => format!("pid {}", life.pid),
            Phase::Idle
            | Phase::Rested
            | Phase::Completed
            | Phase::Failed(_)
            | Phase::Backoff(_)
            | Phase::Spawning(_)
            | Phase::Preparing(_)
            | Phase::Prepared(_)
            | Phase::Stopping(_)
            | Phase::Foreign(_)
            | Phase::Watching(..) => "what is left of its last run".to_owned(),
        };
        if self.is_renewed() {
            return told(
                Does::Restart,
                match self.renewing_dependency() {
                    Some(id) if !self.unit.is_stale() => self.restarting(&format!("with {id}")),
                    Some(_) | None => self.restarting(&format!("{pid} is not what is defined now")),
                },
            );
        }
        match (&self.unit.service.kind, &self.unit.phase) {
            (Kind::Process(_), Phase::Stopping(_)) if self.verdict.is_wanted() => {
                told(Does::Restart, format!("starts anew when {pid} has ended"))
            }
            (Kind::Process(_), _) if self.runs_on() => told(Does::None, format!("goes on as {pid}")),
            (Kind::Process(_), _) if self.unit.is_live() => {
                told(Does::Live, format!("is stopped ({pid}): {}", self.why_down()))
            }
            (Kind::Process(_), Phase::Completed) => told(Does::None, "has completed".to_owned()),
            (Kind::Process(_) | Kind::Detached | Kind::Settings, _) if !self.verdict.is_wanted() => {
                let disabled = !self.unit.service.enabled;
                told(Does::None, if disabled { "is disabled" } else { "stays stopped" }.to_owned())
            }
            (Kind::Process(_) | Kind::External | Kind::Detached | Kind::Settings, _) => {
                Planned { does: Does::Add, ..self.addition() }
            }
        }
    }

    /// Whether its run ends to make way for another.
    fn is_renewed(&self) -> bool {
        is_renewed(self.unit, self.verdict) && !self.fleet.is_clearing()
    }

    /// Whether it runs, and may.
    fn runs_on(&self) -> bool {
        is_up(self.unit) && (!self.verdict.down || self.is_renewed())
    }

    /// Whether it is down and due to start, at once or as soon as what it needs is there.
    fn starts(&self) -> bool {
        matches!(self.unit.phase, Phase::Idle | Phase::Prepared(_)) && self.verdict.is_wanted() && !self.verdict.down
    }

    fn restarting(&self, cause: &str) -> String {
        match self.ended.blocked_by.first().filter(|_| self.ended.held) {
            // Not even what it needs only once is to be had again.
            Some(blocker) => format!("is stopped ({cause}), and then waits: {} {}", blocker.id, blocker.reason),
            None if cause.starts_with("with ") => format!("restarts {cause}"),
            None => format!("restarts: {cause}"),
        }
    }

    fn starting(&self) -> String {
        let by = &self.verdict.wanted_by;
        match self.verdict.blocked_by.as_slice() {
            [] => format!("starts ({by})"),
            [first, ..] if self.verdict.held => format!("waits: {} {}", first.id, first.reason),
            // Something of its own still ends.
            [first, ..] if first.id == self.unit.service.id => format!("waits: it {}", first.reason),
            blockers => {
                let needed = blockers.iter().map(|blocker| blocker.id.as_str()).collect::<Vec<_>>().join(", ");
                format!("starts after {needed} ({by})")
            }
        }
    }

    fn why_down(&self) -> String {
        match self.verdict.blocked_by.first().filter(|_| self.verdict.held) {
            _ if !self.unit.service.enabled => "it is disabled".to_owned(),
            Some(blocker) => format!("it needs {}, which {}", blocker.id, blocker.reason),
            None => "nobody wants it any more".to_owned(),
        }
    }

    /// A dependency whose restart restarts it.
    fn renewing_dependency(&self) -> Option<&ServiceId> {
        let units = &self.fleet.fleet.units;
        let is_renewed = |id: &ServiceId| {
            units.get_full(id).is_some_and(|(at, _, unit)| {
                let verdict = &self.verdicts[at];
                Side { unit, verdict, ended: verdict, fleet: self.fleet, verdicts: self.verdicts }.is_renewed()
            })
        };
        let asked = self.unit.service.depends_on.iter().filter(|dependency| dependency.restart);
        asked.map(|dependency| &dependency.id).find(|id| is_renewed(id))
    }
}

fn removal(unit: &Unit) -> Planned {
    let text = if unit.is_live() { "is stopped and removed" } else { "is removed" };
    plan(&unit.service.id, Does::Remove, Vec::new(), text)
}

/// The fields that take effect in place, and those that do at the next start.
fn effects(diff: &ServiceDiff) -> (Vec<&str>, Vec<&str>) {
    let waits = |field: &&str| field.starts_with("exported ") || OF_THE_START.contains(field);
    let (waiting, in_place): (Vec<&str>, Vec<&str>) = diff.live.iter().map(String::as_str).partition(waits);
    (in_place, diff.restart.iter().map(String::as_str).chain(waiting).collect())
}

fn plan(id: &ServiceId, does: Does, fields: Vec<String>, text: impl Into<String>) -> Planned {
    Planned { id: id.clone(), does, fields, text: text.into() }
}
