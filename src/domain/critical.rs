//! What the last start took: which services were part of it, how long each needed, and the chain of dependencies that
//! determined its end.
//!
//! Works on what the views of the services remember of their starts; it remembers nothing, and asks nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::id::ServiceId;
use super::launch::{Launch, Wait};
use super::moment::Moment;
use super::roll::Roll;
use super::service::{Condition, Kind};
use super::snapshot::{ProcessState, ServiceView};

/// Starts that follow each other within this time are one start.
const PAUSE: Duration = Duration::from_secs(1);

/// What a start took.
#[derive(Clone, Debug, PartialEq)]
pub struct Critical {
    /// When it began; `None` if nothing was started.
    pub begun: Option<Moment>,
    /// How long it took, or has taken so far: to the end of the latest of the chains.
    pub took: Duration,
    /// Whether nothing of it is still under way.
    pub is_over: bool,
    /// The chain that determined the end, or those that lead to the services that were asked for.
    pub chains: Vec<Chain>,
    /// All that took part, by how long they needed by themselves, longest first.
    pub services: Vec<Started>,
    /// Which services were meant, but not started by this agent.
    pub unstarted: Vec<ServiceId>,
}

/// Services one after the other, each of which held up the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// From the one that waited for none of the others. Never empty; each begins when the one before it ends.
    pub links: Vec<Link>,
}

/// The part of one service in a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The service.
    pub id: ServiceId,
    /// When the one before was what it had to be; for the first, when it was asked to start.
    pub from: Moment,
    /// When it was itself what the next one needs it to be; for the last, when it was ready (or came to its end
    /// otherwise, or now).
    pub to: Moment,
    /// What the next one needs it to be; `None` for the last.
    pub until: Option<Condition>,
    /// The dependency that it waited for itself; the first waited for none of which it is known how it was started.
    pub waited_for: Option<ServiceId>,
    /// Where the time between went.
    pub spent: Spent,
}

/// Where time went, in the order in which it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting, for whatever it was.
    pub waiting: Duration,
    /// On tries that came to nothing, and on a port that was taken.
    pub in_vain: Duration,
    /// On the steps before the start.
    pub on_steps: Duration,
    /// By the service itself: its process begins, and becomes what it has to be.
    pub itself: Duration,
}

/// One service of a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The service.
    pub id: ServiceId,
    /// How its start went.
    pub launch: Arc<Launch>,
    /// What has become of it.
    pub state: Progress,
    /// When it came to that; now, if it is under way.
    pub to: Moment,
    /// Whether it has steps before its start.
    pub has_steps: bool,
    /// Where its time went, from when it was asked to start.
    pub spent: Spent,
}

/// What has become of a start of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was ready.
    Ready,
    /// It is starting.
    Starting,
    /// It waits for something else.
    Waiting,
    /// It has not been ready: it failed, its grace ended, or its port was taken.
    NotReady,
    /// It was stopped before it was ready.
    Stopped,
}

impl Progress {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ready, Self::Starting, Self::Waiting, Self::NotReady, Self::Stopped];

    /// The word that users and programs see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::NotReady => "not_ready",
            Self::Stopped => "stopped",
        }
    }
}

impl Critical {
    /// What the last start of `services` took; with `ids`, what led to each of these.
    pub fn of(services: &Roll<ServiceView>, ids: &[ServiceId], now: Moment) -> Self {
        let starts = Starts::of(services, now);
        let wave = starts.last_wave();
        let (ends, members) = if ids.is_empty() {
            (starts.end_of(&wave).into_iter().collect::<Vec<_>>(), wave)
        } else {
            let ends = ids.iter().filter_map(|id| starts.of.get_key_value(id)).map(|(id, _)| *id).collect::<Vec<_>>();
            (ends.clone(), starts.behind(ends))
        };
        let all_chains = members.iter().map(|id| starts.chain(id)).collect::<Vec<_>>();
        let begun = all_chains.iter().filter_map(|chain| chain.links.first()).map(|link| link.from).min();
        let chains = ends.iter().map(|id| starts.chain(id)).collect::<Vec<_>>();
        let end = chains.iter().filter_map(|chain| chain.links.last()).map(|link| link.to).max();
        // What a chain leads through may have begun long before the rest.
        let led_through = chains.iter().flat_map(|chain| &chain.links).map(|link| &link.id);
        let shown = members.iter().copied().chain(led_through).collect::<BTreeSet<_>>();
        let mut started = shown.into_iter().filter_map(|id| starts.of.get(id)).cloned().collect::<Vec<_>>();
        started.sort_by_key(|one| std::cmp::Reverse(one.spent.own()));
        let is_meant = |view: &&Arc<ServiceView>| match ids {
            [] => view.wanted && view.counted,
            ids => ids.contains(&view.id),
        };
        let is_old = |view: &&Arc<ServiceView>| view.launch.is_none();
        Self {
            begun,
            took: begun.zip(end).map(|(begun, end)| end.since(begun)).unwrap_or_default(),
            is_over: !started.iter().any(|one| one.state == Progress::Starting),
            chains,
            services: started,
            unstarted: services.iter().filter(is_meant).filter(is_old).map(|view| view.id.clone()).collect(),
        }
    }
}

impl Chain {
    /// The time from its begin to its end.
    pub fn took(&self) -> Duration {
        self.links.iter().map(Link::took).sum()
    }
}

impl Link {
    /// Its part of the chain's time.
    pub fn took(&self) -> Duration {
        self.to.since(self.from)
    }
}

impl Started {
    /// When it began to be started; when it was asked to, if that has not come yet.
    fn begun(&self) -> Moment {
        self.launch.free.unwrap_or(self.launch.asked)
    }

    /// The dependency that held it up longest.
    pub fn waited_for(&self) -> Option<&Wait> {
        self.launch.last_wait()
    }
}

impl Spent {
    /// What `launch` spent between `from` and `to` on what.
    fn between(launch: &Launch, has_steps: bool, from: Moment, to: Moment) -> Self {
        let cut = |moment: Option<Moment>, least: Moment| moment.unwrap_or(to).clamp(least, to.max(least));
        let free = cut(launch.free, from);
        let tried = cut(launch.tried, free);
        // What was ready without a process of ours was only looked at.
        let is_prepared = has_steps && (launch.spawned.is_some() || launch.ready.is_none());
        let spawned = if is_prepared { cut(launch.spawned, tried) } else { tried };
        Self {
            waiting: free.since(from),
            in_vain: tried.since(free),
            on_steps: spawned.since(tried),
            itself: to.since(spawned),
        }
    }

    /// Without what it spent waiting.
    pub fn own(&self) -> Duration {
        self.in_vain + self.on_steps + self.itself
    }

    /// All of it.
    pub fn whole(&self) -> Duration {
        self.waiting + self.own()
    }
}

/// The starts of all services that are remembered.
struct Starts<'a> {
    of: BTreeMap<&'a ServiceId, Started>,
    now: Moment,
}

impl<'a> Starts<'a> {
    fn of(services: &'a Roll<ServiceView>, now: Moment) -> Self {
        let started = |view: &'a Arc<ServiceView>| {
            let launch = view.launch.clone()?;
            let state = progress(view, &launch);
            let to = match state {
                Progress::Ready => launch.ready,
                Progress::NotReady => launch.stumbled,
                Progress::Stopped => launch.spawned.or(launch.tried),
                Progress::Starting | Progress::Waiting => Some(now),
            };
            let to = to.unwrap_or(now);
            let has_steps = !view.service.before_start.is_empty();
            let spent = Spent::between(&launch, has_steps, launch.asked, to);
            Some((&view.id, Started { id: view.id.clone(), launch, state, to, has_steps, spent }))
        };
        Self { of: services.iter().filter_map(started).collect(), now }
    }

    /// Those of the last start: whatever began while something else of it was under way, or shortly after.
    fn last_wave(&self) -> Vec<&'a ServiceId> {
        let mut sorted = self.of.iter().map(|(id, one)| (one.begun(), *id, one)).collect::<Vec<_>>();
        sorted.sort_by_key(|(begun, id, _)| (*begun, *id));
        let mut wave = Vec::new();
        let mut end: Option<Moment> = None;
        for (begun, id, one) in sorted {
            if end.is_some_and(|end| begun > end + PAUSE) {
                wave.clear();
                end = None;
            }
            wave.push(id);
            // Who only waits keeps no start open.
            let to = if one.state == Progress::Waiting { begun } else { one.to };
            end = end.max(Some(to));
        }
        wave
    }

    /// The one of `wave` that determined its end: the last to be ready, or to be waited for.
    fn end_of(&self, wave: &[&'a ServiceId]) -> Option<&'a ServiceId> {
        let weight = |id: &&'a ServiceId| {
            let one = self.of.get(id)?;
            let rank = match one.state {
                Progress::Starting => 4,
                Progress::Ready => 3,
                Progress::NotReady => 2,
                Progress::Waiting => 1,
                Progress::Stopped => 0,
            };
            Some((rank, one.to, one.spent.own()))
        };
        wave.iter().copied().max_by_key(weight)
    }

    /// The chain that leads to `id`, which is one of these.
    fn chain(&self, id: &'a ServiceId) -> Chain {
        let mut links = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = self.of.get_key_value(id).map(|(id, one)| (*id, one, one.to, None));
        while let Some((id, one, to, until)) = next {
            seen.insert(id);
            let before = self.before(one, to).filter(|(id, ..)| !seen.contains(id));
            let from = before.as_ref().map_or(one.launch.asked, |(_, _, from, _)| *from);
            let spent = Spent::between(&one.launch, one.has_steps, from, to);
            let waited_for = one.waited_for().map(|wait| wait.id.clone());
            links.push(Link { id: id.clone(), from, to, until, waited_for, spent });
            next = before;
        }
        links.reverse();
        Chain { links }
    }

    /// The one that held up `one`, which took its part until `to`; and until when it did, and what it had to be.
    fn before(&self, one: &Started, to: Moment) -> Option<(&'a ServiceId, &Started, Moment, Option<Condition>)> {
        let wait = one.waited_for()?;
        let (id, before) = self.waited_for(wait)?;
        let until = wait.until.unwrap_or(self.now).min(to);
        Some((id, before, until, wait.condition))
    }

    /// The start that `wait` was for; `None` if it is not remembered: it was another agent's, or there was one since.
    fn waited_for(&self, wait: &Wait) -> Option<(&'a ServiceId, &Started)> {
        let (id, one) = self.of.get_key_value(&wait.id)?;
        (one.begun() <= wait.until.unwrap_or(self.now)).then_some((*id, one))
    }

    /// These, what they waited for, and what that did in turn.
    fn behind(&self, ids: Vec<&'a ServiceId>) -> Vec<&'a ServiceId> {
        let mut found = BTreeSet::new();
        let mut open = ids;
        while let Some(id) = open.pop() {
            let Some(one) = self.of.get(id).filter(|_| found.insert(id)) else { continue };
            let needed = one.launch.waits.iter().filter(|wait| wait.condition.is_some());
            open.extend(needed.filter_map(|wait| self.waited_for(wait)).map(|(id, _)| id));
        }
        found.into_iter().collect()
    }
}

fn progress(view: &ServiceView, launch: &Launch) -> Progress {
    if launch.ready.is_some() {
        return Progress::Ready;
    }
    if launch.free.is_none() {
        return Progress::Waiting;
    }
    if !view.wanted {
        return Progress::Stopped;
    }
    match view.process {
        _ if launch.stumbled.is_some() => Progress::NotReady,
        ProcessState::Starting | ProcessState::Running | ProcessState::Foreign => Progress::Starting,
        ProcessState::Stopped if view.service.kind == Kind::External => Progress::Starting,
        ProcessState::Waiting
        | ProcessState::Stopped
        | ProcessState::Stopping
        | ProcessState::Backoff
        | ProcessState::Failed
        | ProcessState::Completed => Progress::Stopped,
    }
}

#[cfg(test)]
mod tests;
