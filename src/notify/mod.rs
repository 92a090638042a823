//! Notices as desktop notifications, and the answers to them as wishes.
//!
//! What is worth a notice, when, and what is muted is not decided here. A notification server that hangs, is absent or
//! comes and goes costs a notice at the most, never the agent.

mod message;
mod queue;

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod server;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::domain::{Command, Notice, NoticeKey, Selection, ServiceId};
use crate::engine::Handle;
use crate::engine::ports::Notifier;
pub use message::{Answer, Message};
use queue::{Queue, Waiting};
#[cfg(all(fuzzing, target_os = "linux"))]
#[doc(hidden)]
pub use server::markup;
use server::{Posted, Server};

/// How long a server may take to show a notification.
const PATIENCE: Duration = Duration::from_secs(3);
/// The first pause after a server was not there; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A notice that could not be shown for so long is nobody's news any more.
const NEWS: Duration = Duration::from_secs(600);
/// How long the button "mute" mutes.
const MUTE: Duration = Duration::from_secs(3600);
/// How many notifications are listened to at a time; the answers to older ones are lost.
const LISTENERS: usize = 16;

/// Opens the log of a service.
pub type OpenLog = Arc<dyn Fn(&ServiceId) + Send + Sync>;

/// Shows notices on the user's desktop. Once it is dropped, no further notice is shown and no answer is heard.
pub struct DesktopNotifier {
    queue: Arc<Queue>,
}

impl DesktopNotifier {
    /// Starts the task that does it, on the current tokio runtime. Without `open_log` there is no button for it.
    pub fn start(handle: Handle, open_log: Option<OpenLog>) -> Self {
        let queue = Arc::new(Queue::default());
        let desk = Desk { handle, open_log, shown: HashMap::new(), listeners: JoinSet::new(), outage: None };
        tokio::spawn(desk.run(Arc::clone(&queue)));
        Self { queue }
    }
}

impl Notifier for DesktopNotifier {
    fn show(&mut self, notice: Notice) {
        self.queue.push(notice);
    }
}

impl Drop for DesktopNotifier {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The task behind a [`DesktopNotifier`].
struct Desk {
    handle: Handle,
    open_log: Option<OpenLog>,
    /// What stands on the desktop, by what it is about.
    shown: HashMap<NoticeKey, Shown>,
    /// Each waits for the answer to one of these.
    listeners: JoinSet<Heard>,
    outage: Option<Outage>,
}

/// A notification on the desktop.
struct Shown {
    id: u32,
    /// Which server shows it, if that can be told.
    owner: Option<String>,
    /// When it was shown, to find the oldest.
    at: Instant,
    listener: AbortHandle,
}

/// What came of a notification.
struct Heard {
    key: NoticeKey,
    id: u32,
    service: Option<ServiceId>,
    answer: Option<Answer>,
}

/// The server does not show anything at present; it has been said.
struct Outage {
    next_try: Instant,
    pause: Duration,
}

impl Desk {
    async fn run(mut self, queue: Arc<Queue>) {
        // Made with the first notice: whoever never has one needs no connection.
        let mut server = None;
        loop {
            let next_try = self.outage.as_ref().map(|outage| outage.next_try);
            let may_try = next_try.is_none_or(|next_try| next_try <= Instant::now());
            tokio::select! {
                waiting = queue.next(), if may_try => match waiting {
                    Some(waiting) => {
                        if answers(&mut server).await {
                            self.show(waiting, &queue, server.as_ref()).await;
                        } else {
                            // Nobody has been told yet.
                            self.fail("the session bus does not answer");
                            keep(waiting, &queue);
                        }
                    }
                    None => return,
                },
                () = queue.closed(), if !may_try => return,
                // A pause without anything to show needs no end.
                () = sleep_until(next_try.unwrap_or_else(Instant::now)), if !may_try && !queue.is_empty() => {}
                () = queue.filled(), if !may_try && queue.is_empty() => {}
                owner = Server::changed(&mut server) => self.renounce(owner.as_deref()),
                Some(heard) = self.listeners.join_next() => if let Ok(heard) = heard {
                    self.hear(heard);
                },
            }
        }
    }

    async fn show(&mut self, waiting: Waiting, queue: &Queue, server: Option<&Server>) {
        let notice = &waiting.notice;
        let message = Message::of(notice, self.open_log.is_some());
        let replaces = self.shown.get(&notice.key).map(|shown| shown.id);
        match timeout(PATIENCE, server::show(&message, replaces)).await {
            Ok(Ok(posted)) => {
                if self.outage.take().is_some() {
                    tracing::info!("notifications are shown again");
                }
                let owner = match server {
                    Some(server) => timeout(PATIENCE, server.owner()).await.ok().flatten(),
                    None => None,
                };
                self.listen(notice, posted, owner);
            }
            Ok(Err(error)) => {
                self.fail(&error);
                keep(waiting, queue);
            }
            // The server has been told, and will show it when it comes to itself; telling it twice would show it twice.
            Err(_) => self.fail("the notification server does not answer"),
        }
    }

    fn fail(&mut self, error: &str) {
        let pause = match &self.outage {
            Some(outage) => (outage.pause * 2).min(LONGEST_PAUSE),
            None => {
                tracing::warn!("notifications can't be shown for now: {error}");
                FIRST_PAUSE
            }
        };
        self.outage = Some(Outage { next_try: Instant::now() + pause, pause });
    }

    /// Waits for the answer to what has just been shown, in place of what it has replaced.
    fn listen(&mut self, notice: &Notice, posted: Posted, owner: Option<String>) {
        if self.shown.len() >= LISTENERS && !self.shown.contains_key(&notice.key) {
            let oldest = self.shown.iter().min_by_key(|(_, shown)| shown.at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.and_then(|key| self.shown.remove(&key)) {
                oldest.listener.abort();
            }
        }
        let id = posted.id();
        let (key, service) = (notice.key.clone(), notice.service.clone());
        let listener = self.listeners.spawn(async move { Heard { key, id, service, answer: posted.answer().await } });
        let shown = Shown { id, owner, at: Instant::now(), listener };
        if let Some(before) = self.shown.insert(notice.key.clone(), shown) {
            // Only now: some servers take a notification away with the connection it came by.
            before.listener.abort();
        }
    }

    /// The server is another, or none: another one counts from 1 again, and what an old id means there is not ours.
    fn renounce(&mut self, owner: Option<&str>) {
        self.shown.retain(|_, shown| {
            let stays = owner.is_some() && shown.owner.as_deref() == owner;
            if !stays {
                shown.listener.abort();
            }
            stays
        });
        if let Some(outage) = self.outage.as_mut().filter(|_| owner.is_some()) {
            outage.next_try = Instant::now();
        }
    }

    fn hear(&mut self, heard: Heard) {
        if let Entry::Occupied(shown) = self.shown.entry(heard.key)
            && shown.get().id == heard.id
        {
            shown.remove();
        }
        let (Some(answer), Some(id)) = (heard.answer, heard.service) else { return };
        match answer {
            Answer::Restart => self.handle.send(Command::Restart(Selection::Ids(vec![id]))),
            Answer::Mute => self.handle.send(Command::Mute { id, span: MUTE }),
            Answer::Logs => {
                if let Some(open_log) = &self.open_log {
                    open_log(&id);
                }
            }
        }
    }
}

/// Shows it later, if it will still be news then.
fn keep(waiting: Waiting, queue: &Queue) {
    if waiting.since.elapsed() < NEWS {
        queue.put_back(waiting);
    }
}

/// Whether there is any use in asking for something by the bus: one that hangs would swallow it. Watches `server` from
/// now on, if nobody does and there is a bus.
async fn answers(server: &mut Option<Server>) -> bool {
    let asking = async {
        match server {
            Some(server) => drop(server.owner().await),
            None => *server = Server::watch().await,
        }
    };
    timeout(PATIENCE, asking).await.is_ok()
}
