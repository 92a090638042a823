//! `graph --critical`: what the last start took.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{timestamp, word};
use crate::domain::critical::{self, Progress};
use crate::domain::{Condition, Moment, ServiceId, ServiceView, Snapshot};
use crate::engine::Clock;

/// Everything that `graph --critical` tells. Times are seconds after `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Critical {
    /// When the start began; null if this agent has started nothing.
    pub at: Option<Timestamp>,
    /// How long it took, or has taken so far: until the last of the chains has ended.
    pub took_seconds: Option<f64>,
    /// Whether nothing of it is still under way.
    pub over: bool,
    /// The chain that determined the end, or one for each service that was asked for.
    pub chains: Vec<Chain>,
    /// The services that took part, by how long they needed by themselves, longest first.
    pub services: Vec<Started>,
    /// The services that were meant, but not started by this agent.
    pub not_started: Vec<Unstarted>,
}

/// Services one after the other, each of which held up the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// How long all of it took.
    pub took_seconds: f64,
    /// From the first to the last: each begins when the one before it ends.
    pub links: Vec<Link>,
}

/// The part of one service in a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The service.
    pub id: String,
    /// When what it waited for was there; for the first, when it was asked to start.
    pub from_seconds: f64,
    /// When it was what the next one waits for; for the last, when it was ready.
    pub to_seconds: f64,
    /// The time between.
    pub took_seconds: f64,
    /// `started`, `healthy` or `completed`: what the next one waits for; null for the last.
    pub until: Option<String>,
    /// The dependency that it waited for itself.
    pub waited_for: Option<String>,
    /// Where its part of the time went.
    pub spent: Spent,
}

/// Where time went, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Waiting for others.
    pub waiting_seconds: f64,
    /// On tries that failed, or on a port that was taken.
    pub in_vain_seconds: f64,
    /// On its steps before the start.
    pub before_start_seconds: f64,
    /// By the service itself.
    pub itself_seconds: f64,
}

/// One service of a start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The service.
    pub id: String,
    /// What has become of its start.
    #[serde(with = "word")]
    pub state: Progress,
    /// Why it is not ready; null when it is.
    pub reason: Option<String>,
    /// `started`, `healthy` or `completed`: what makes it ready.
    pub ready_when: String,
    /// Whether the agent has begun its process; not that of a stranger on its port, and of what is only watched.
    pub begun: bool,
    /// When it was due to start, were it not for what it needs.
    pub asked_seconds: f64,
    /// When it was ready, or came to its end otherwise; null as long as it has not.
    pub to_seconds: Option<f64>,
    /// How long it needed by itself.
    pub took_seconds: f64,
    /// Where the time since it was asked for went.
    pub spent: Spent,
    /// How often it was tried.
    pub tries: u32,
    /// Its dependencies that were in its way.
    pub waited_for: Vec<WaitedFor>,
}

/// A dependency that was in the way of a start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitedFor {
    /// Which.
    pub id: String,
    /// `started`, `healthy` or `completed`: what it had to be.
    pub condition: String,
    /// When it was; null as long as it is not.
    pub until_seconds: Option<f64>,
}

/// A service that this agent has not started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unstarted {
    /// The service.
    pub id: String,
    /// Whether an earlier agent has, and this one took it over.
    pub adopted: bool,
    /// How it is.
    pub reason: String,
}

impl Critical {
    /// What the last start of `snapshot`'s services took; with `ids`, what led to each of these.
    pub fn of(snapshot: &Snapshot, ids: &[ServiceId], clock: &Clock) -> Self {
        let found = critical::Critical::of(&snapshot.services, ids, clock.now());
        let offsets = Offsets(found.begun.unwrap_or_default());
        let started = found.services.iter().filter_map(|one| Some((one, snapshot.service(one.id.as_str())?)));
        let unstarted = found.unstarted.iter().filter_map(|id| snapshot.service(id.as_str()));
        Self {
            at: found.begun.map(|begun| timestamp(clock.wall(begun))),
            took_seconds: found.begun.map(|_| found.took.as_secs_f64()),
            over: found.is_over,
            chains: found.chains.iter().map(|chain| offsets.chain(chain)).collect(),
            services: started.map(|(one, view)| offsets.started(one, view, clock.now())).collect(),
            not_started: unstarted.map(|view| Unstarted::of(view, clock.now())).collect(),
        }
    }
}

/// Tells moments as seconds after this one.
struct Offsets(Moment);

impl Offsets {
    fn of(&self, moment: Moment) -> f64 {
        moment.since(self.0).as_secs_f64() - self.0.since(moment).as_secs_f64()
    }

    fn chain(&self, chain: &critical::Chain) -> Chain {
        let link = |link: &critical::Link| Link {
            id: link.id.to_string(),
            from_seconds: self.of(link.from),
            to_seconds: self.of(link.to),
            took_seconds: link.took().as_secs_f64(),
            until: link.until.map(condition),
            waited_for: link.waited_for.as_ref().map(ToString::to_string),
            spent: Spent::from(link.spent),
        };
        Chain { took_seconds: chain.took().as_secs_f64(), links: chain.links.iter().map(link).collect() }
    }

    fn started(&self, one: &critical::Started, view: &ServiceView, now: Moment) -> Started {
        let waits = one.launch.waits.iter().filter_map(|wait| {
            let condition = condition(wait.condition?);
            Some(WaitedFor { id: wait.id.to_string(), condition, until_seconds: wait.until.map(|at| self.of(at)) })
        });
        let (is_ready, is_on) = match one.state {
            Progress::Ready => (true, false),
            Progress::Starting | Progress::Waiting => (false, true),
            Progress::NotReady | Progress::Stopped => (false, false),
        };
        Started {
            id: one.id.to_string(),
            state: one.state,
            reason: (!is_ready).then(|| view.reason_at(now).into_owned()),
            ready_when: condition(match (view.service.one_shot, view.service.probes.is_empty()) {
                (true, _) => Condition::Completed,
                (false, true) => Condition::Started,
                (false, false) => Condition::Healthy,
            }),
            begun: one.launch.spawned.is_some(),
            asked_seconds: self.of(one.launch.asked),
            to_seconds: (!is_on).then(|| self.of(one.to)),
            took_seconds: one.spent.own().as_secs_f64(),
            spent: Spent::from(one.spent),
            tries: one.launch.tries,
            waited_for: waits.collect(),
        }
    }
}

impl From<critical::Spent> for Spent {
    fn from(spent: critical::Spent) -> Self {
        let seconds = |span: Duration| span.as_secs_f64();
        Self {
            waiting_seconds: seconds(spent.waiting),
            in_vain_seconds: seconds(spent.in_vain),
            before_start_seconds: seconds(spent.on_steps),
            itself_seconds: seconds(spent.itself),
        }
    }
}

impl Unstarted {
    fn of(view: &ServiceView, now: Moment) -> Self {
        Self { id: view.id.to_string(), adopted: view.adopted, reason: view.reason_at(now).into_owned() }
    }
}

fn condition(condition: Condition) -> String {
    match condition {
        Condition::Started => "started",
        Condition::Healthy => "healthy",
        Condition::Completed => "completed",
    }
    .to_owned()
}
