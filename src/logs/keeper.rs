//! Notices when a log is too long, and has it rotated: one task for all logs, asleep while nothing is written.
//!
//! A watch that goes with the first write wakes it; from then on a timer does (`pace`), until the log has stopped
//! growing and is watched again. The copying is done by a thread of its own, one log at a time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

use super::index::LogIndex;
use super::pace::{self, LONGEST, Next, SHORTEST};
use super::rotate::{Rotated, Way, length, rotate};
use super::system::Growth;
use crate::domain::{Event, LogPolicy, ServiceId};
use crate::engine::ports::Inbox;
use crate::engine::{LogPlace, StateDir};

/// When a rotation that has failed is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How many logs are looked at before everybody else has a turn.
const BATCH: usize = 16;

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep these logs, and no others.
    Keep(BTreeMap<ServiceId, LogPolicy>),
    /// The log of this service is there now.
    Begun(ServiceId),
}

/// Keeps logs within their bounds.
#[derive(Debug)]
pub(super) struct Keeper {
    dir: StateDir,
    inbox: Inbox,
    index: Rc<RefCell<LogIndex>>,
    growth: Option<Growth>,
    logs: HashMap<ServiceId, Kept>,
    /// Those that are due, and when.
    due: BTreeSet<(Instant, ServiceId)>,
    /// Whose turn it is to be rotated.
    queue: VecDeque<ServiceId>,
    work: Option<Work>,
    /// The ways that have been told of.
    told: HashSet<Way>,
    /// Whether it has been told that logs can't be watched.
    complained: bool,
}

/// One log.
#[derive(Debug)]
struct Kept {
    policy: LogPolicy,
    state: State,
    /// When it was last looked at, and how much had been written to it then.
    seen: Option<(Instant, u64)>,
    is_troubled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is done before it begins, or is written to.
    Waiting,
    /// It is looked at then.
    Due(Instant),
    /// It is being rotated, or in the queue for that.
    Rotating,
}

/// A rotation under way.
#[derive(Debug)]
struct Work {
    id: ServiceId,
    done: JoinHandle<io::Result<Option<Rotated>>>,
}

impl Keeper {
    /// A keeper of the logs in `dir` that tells of trouble. Must be made within a runtime.
    pub fn new(dir: StateDir, inbox: Inbox, index: Rc<RefCell<LogIndex>>) -> Self {
        let mut keeper = Self {
            dir,
            inbox,
            index,
            growth: None,
            logs: HashMap::new(),
            due: BTreeSet::new(),
            queue: VecDeque::new(),
            work: None,
            told: HashSet::new(),
            complained: false,
        };
        match Growth::new() {
            Ok(growth) => keeper.growth = Some(growth),
            Err(error) => keeper.complain(&error),
        }
        keeper
    }

    /// Keeps them until nobody gives orders any more.
    pub async fn keep(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            self.start_work();
            let due = self.due.first().map(|(due, _)| *due);
            // All of them may be dropped while they wait.
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                grown = grown(&mut self.growth) => match grown {
                    Ok(ids) => ids.iter().for_each(|id| self.look_soon(id)),
                    Err(error) => {
                        self.growth = None;
                        self.complain(&error);
                        let all: Vec<_> = self.logs.keys().cloned().collect();
                        all.iter().for_each(|id| self.look_now(id));
                    }
                },
                (id, result) = done(&mut self.work) => {
                    self.work = None;
                    self.finish(&id, result);
                }
                () = until(due) => self.look_at_due().await,
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Keep(policies) => {
                let (growth, due) = (&mut self.growth, &mut self.due);
                self.logs.retain(|id, log| {
                    let stays = policies.contains_key(id);
                    if let Some(at) = log.state.due().filter(|_| !stays) {
                        due.remove(&(at, id.clone()));
                    }
                    if let Some(growth) = growth.as_mut().filter(|_| !stays) {
                        growth.forget(id);
                    }
                    stays
                });
                self.queue.retain(|id| policies.contains_key(id));
                for (id, policy) in policies {
                    let is_new = !self.logs.contains_key(&id);
                    let fresh = Kept { policy, state: State::Waiting, seen: None, is_troubled: false };
                    let log = self.logs.entry(id.clone()).or_insert(fresh);
                    if is_new || log.policy != policy {
                        log.policy = policy;
                        log.seen = None;
                        self.look_now(&id);
                    }
                }
            }
            Order::Begun(id) => self.look_now(&id),
        }
    }

    /// The log of `id` is in `state` from now on. The one place where that changes.
    fn put(&mut self, id: &ServiceId, state: State) {
        let Some(log) = self.logs.get_mut(id) else { return };
        let before = std::mem::replace(&mut log.state, state);
        if let Some(due) = before.due() {
            self.due.remove(&(due, id.clone()));
        }
        if let Some(due) = state.due() {
            self.due.insert((due, id.clone()));
        }
    }

    /// It is due now, unless it is being rotated, after which it is looked at anyhow.
    fn look_now(&mut self, id: &ServiceId) {
        if self.logs.get(id).is_some_and(|log| log.state != State::Rotating) {
            self.put(id, State::Due(Instant::now()));
        }
    }

    async fn look_at_due(&mut self) {
        let now = Instant::now();
        let due = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| id.clone());
        for id in due.take(BATCH).collect::<Vec<_>>() {
            self.look(&id);
        }
        yield_now().await;
    }

    /// Looks at a log, and decides what follows.
    fn look(&mut self, id: &ServiceId) {
        let place = self.place(id);
        self.put(id, State::Waiting);
        let Some(log) = self.logs.get_mut(id) else { return };
        let place = match place {
            Ok(Some(place)) => place,
            // It will be told when there is one.
            Ok(None) => {
                log.seen = None;
                return;
            }
            Err(error) => return self.fail(id, &error),
        };
        let now = Instant::now();
        // An earlier agent may have left something half done, and another policy may keep less.
        if log.seen.is_none() && self.dir.log_record(id).exists() {
            log.seen = Some((now, place.end));
            self.put(id, State::Rotating);
            self.queue.push_back(id.clone());
            return;
        }
        let (since, before) = log.seen.replace((now, place.end)).unwrap_or((now, place.end));
        let grown = place.end.saturating_sub(before);
        match pace::after_look(length(&place), log.policy.max_size, grown, now - since) {
            Next::Rotate => {
                self.put(id, State::Rotating);
                self.queue.push_back(id.clone());
            }
            Next::Look(span) => self.put(id, State::Due(now + span)),
            Next::Wait => self.wait_for_write(id, place.end),
        }
    }

    /// Sleeps until something is written behind `end`.
    fn wait_for_write(&mut self, id: &ServiceId, end: u64) {
        let Some(growth) = &mut self.growth else { return self.look_later(id, LONGEST) };
        match growth.wait_for(id, &self.dir.log(id)) {
            // What was written before the watch was there is noticed now.
            Ok(()) => match self.place(id) {
                Ok(Some(place)) if place.end == end => {}
                Ok(_) | Err(_) => self.look_soon(id),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                self.complain(&error);
                self.look_later(id, LONGEST);
            }
        }
    }

    /// It has begun to grow.
    fn look_soon(&mut self, id: &ServiceId) {
        if let Some(growth) = &mut self.growth {
            growth.forget(id);
        }
        // What can't be looked at now is told of then.
        let place = self.place(id).ok().flatten();
        if let Some(log) = self.logs.get_mut(id).filter(|log| log.state == State::Waiting) {
            let now = Instant::now();
            // How fast it was before it was quiet tells nothing.
            log.seen = place.map(|place| (now, place.end));
            let length = place.map_or(0, |place| length(&place));
            let due = now + pace::after_write(length, log.policy.max_size);
            self.put(id, State::Due(due));
        }
    }

    fn look_later(&mut self, id: &ServiceId, span: Duration) {
        self.put(id, State::Due(Instant::now() + span));
    }

    /// `None` if there is no log.
    fn place(&self, id: &ServiceId) -> io::Result<Option<LogPlace>> {
        match File::open(self.dir.log(id)) {
            Ok(log) => LogPlace::of(&self.dir, id, Some(&log)).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn start_work(&mut self) {
        while self.work.is_none()
            && let Some(id) = self.queue.pop_front()
        {
            let Some(policy) = self.logs.get(&id).map(|log| log.policy) else { continue };
            // A rotation counts as writing: when it was written to is noted before.
            self.index.borrow_mut().mark_written(&id);
            let (dir, of) = (self.dir.clone(), id.clone());
            let done = tokio::task::spawn_blocking(move || rotate(&dir, &of, policy));
            self.work = Some(Work { id, done });
        }
    }

    fn finish(&mut self, id: &ServiceId, result: io::Result<Option<Rotated>>) {
        match result {
            Ok(rotated) => {
                if let Some(Rotated { way, .. }) = rotated.filter(|rotated| rotated.moved > 0)
                    && self.told.insert(way)
                {
                    match way {
                        Way::Collapse | Way::Punch => tracing::info!("logs are rotated: {}", way.explain()),
                        Way::Empty => tracing::warn!("logs are rotated: {}", way.explain()),
                    }
                }
                if let Some(log) = self.logs.get_mut(id)
                    && std::mem::take(&mut log.is_troubled)
                {
                    tracing::info!("the log of {id} is rotated again");
                    self.tell(id, None);
                }
                // It may have become too long again meanwhile.
                self.look_later(id, SHORTEST);
            }
            Err(error) => self.fail(id, &error),
        }
    }

    /// Tells of a failure, once, and tries again later.
    fn fail(&mut self, id: &ServiceId, error: &io::Error) {
        self.look_later(id, RETRY);
        let Some(log) = self.logs.get_mut(id) else { return };
        if !std::mem::replace(&mut log.is_troubled, true) {
            let trouble = format!("the log of {id} can't be rotated, trying again: {error}");
            tracing::warn!("{trouble}");
            self.tell(id, Some(trouble));
        }
    }

    fn tell(&self, id: &ServiceId, trouble: Option<String>) {
        // An engine that has ended has no use for it.
        let _ = self.inbox.send(Event::LogTroubled { id: id.clone(), trouble });
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("logs can't be watched, so that each is looked at every {LONGEST:?}: {error}");
        }
    }
}

impl State {
    fn due(self) -> Option<Instant> {
        match self {
            Self::Due(due) => Some(due),
            Self::Waiting | Self::Rotating => None,
        }
    }
}

async fn grown(growth: &mut Option<Growth>) -> io::Result<Vec<ServiceId>> {
    match growth {
        Some(growth) => growth.grown().await,
        None => pending().await,
    }
}

async fn done(work: &mut Option<Work>) -> (ServiceId, io::Result<Option<Rotated>>) {
    match work {
        Some(work) => {
            let result = (&mut work.done).await;
            (work.id.clone(), result.unwrap_or_else(|error| Err(io::Error::other(error))))
        }
        None => pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
