//! What has been touched and not yet told: filled by the watcher's thread, emptied by a task of ours.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::sync::Notify;

use super::interest::Interest;

/// The shared side of a watch.
#[derive(Debug, Default)]
pub struct Touches {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    interests: BTreeMap<PathBuf, Interest>,
    lost: HashSet<PathBuf>,
    pending: BTreeSet<Touch>,
}

/// Why to read again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    /// Something that is a sentence by itself.
    Said(String),
    /// A file, by what people call it.
    Changed(String),
}

impl Touches {
    /// From now on these matter, and nothing else.
    pub fn expect(&self, interests: BTreeMap<PathBuf, Interest>) {
        self.lock().interests = interests;
    }

    /// Takes the folders that have been moved or removed since it was last asked: whatever has their names now must be
    /// watched anew.
    pub fn take_lost(&self) -> HashSet<PathBuf> {
        std::mem::take(&mut self.lock().lost)
    }

    /// What the watcher tells.
    pub fn take_in(&self, told: notify::Result<Event>) {
        let event = match told {
            Ok(event) if event.need_rescan() => return self.say("the system has lost track of changes".to_owned()),
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("watching files failed, so they are read again: {error}");
                return self.say(format!("watching files failed ({error})"));
            }
        };
        if !matters(event.kind) {
            return;
        }
        let mut state = self.lock();
        let before = state.pending.len();
        for path in &event.paths {
            if is_removal(event.kind) && state.interests.contains_key(path) {
                state.lost.insert(path.clone());
            }
            if let Some(label) = label(&state.interests, path) {
                state.pending.insert(Touch::Changed(label));
            }
        }
        if state.pending.len() > before {
            self.wake.notify_one();
        }
    }

    /// A file, by what people call it, was found to have changed.
    pub fn changed(&self, label: String) {
        self.add(Touch::Changed(label));
    }

    /// Something else has happened that asks for a reading: a sentence.
    pub fn say(&self, sentence: String) {
        self.add(Touch::Said(sentence));
    }

    /// Waits for touches, and gives the cause of all that there are by then.
    pub async fn next(&self) -> String {
        loop {
            self.wake.notified().await;
            // Whatever else is already on its way is taken along.
            tokio::task::yield_now().await;
            let pending = std::mem::take(&mut self.lock().pending);
            if !pending.is_empty() {
                return cause(pending);
            }
        }
    }

    fn add(&self, touch: Touch) {
        self.lock().pending.insert(touch);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single insertion or replacement: a panic leaves none half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label(interests: &BTreeMap<PathBuf, Interest>, path: &Path) -> Option<String> {
    if let Some(interest) = interests.get(path) {
        return interest.own_label();
    }
    let folder = path.parent()?;
    interests.get(folder)?.label(folder, path.file_name()?)
}

/// Whether an event can mean that something reads differently now. Opening and closing does not: reading would cause
/// the next reading. A rename that is told as a pair has been told from both ends before.
fn matters(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn is_removal(kind: EventKind) -> bool {
    matches!(kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From | RenameMode::Any)))
}

fn cause(touches: BTreeSet<Touch>) -> String {
    let mut names = Vec::new();
    for touch in touches {
        match touch {
            Touch::Said(sentence) => return sentence,
            Touch::Changed(name) => names.push(name),
        }
    }
    match names.as_slice() {
        [] => "something changed".to_owned(),
        [one] => format!("{one} changed"),
        [one, other] => format!("{one} and {other} changed"),
        [first, others @ ..] => format!("{first} and {} others changed", others.len()),
    }
}
