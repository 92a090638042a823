//! How each source stands: good, or for how long it has been broken, empty, missing or out of sight.
//!
//! This is the part of the ledger that knows time; of what sources mean it knows only which ids they define.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::reading::{Content, Role, SourceFile};
use crate::domain::{Moment, Place, Problem, ServiceId};

/// How long a source may be broken or empty before it is reported: editors write in steps.
const TO_BECOME_WHOLE: Duration = Duration::from_secs(1);

/// How long a source may be missing before it counts as removed: editors replace files, and users rename them.
pub(super) const TO_COME_BACK: Duration = Duration::from_secs(2);

/// All sources that are known, in the order in which they are merged.
#[derive(Clone, Debug, Default)]
pub(super) struct Standings {
    /// By kind and the bytes of the path.
    sources: BTreeMap<(Role, OsString), Standing>,
    /// What was read last, if that is all that there is and nothing is wrong with it. It is the rule, and then nothing else
    /// has to be looked at.
    whole: Option<Arc<[Arc<SourceFile>]>>,
    unlisted: bool,
    /// Before that, nobody may have looked for a while: what is missing has its time from then on.
    looked: Moment,
}

/// What is to be used of all sources.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// The sources in use, each with its last good version.
    pub files: Arc<[Arc<SourceFile>]>,
    /// What is wrong with sources as such.
    pub problems: Vec<Problem>,
    /// Names of sources with ids that they take over from one that is missing: for the time being both define them.
    pub moving: BTreeSet<(Arc<str>, ServiceId)>,
    /// Whether some source is not what is in use.
    pub unsettled: bool,
}

#[derive(Clone, Debug)]
struct Standing {
    name: Arc<str>,
    good: Option<Good>,
    state: State,
}

/// The last good version.
#[derive(Clone, Debug)]
struct Good {
    source: Arc<SourceFile>,
    /// The ids that it defines, and since when its source has done so.
    ids: BTreeMap<ServiceId, Moment>,
}

#[derive(Clone, Debug)]
enum State {
    /// The last good version is what is on disk.
    Whole,
    /// Blank since then.
    Empty(Moment),
    /// No JSON, or not to be read, since then.
    Broken(Moment, Problem),
    /// Not to be trusted.
    Refused(Problem),
    /// Gone since then; if it was no good when it went, since when and how.
    Missing(Moment, Option<(Moment, Flaw)>),
    /// Its folder can't be listed, so nobody knows.
    Unseen,
}

/// What was wrong with a source that is gone.
#[derive(Clone, Debug)]
enum Flaw {
    Empty,
    Broken(Problem),
}

impl Standings {
    /// Takes note of what is on disk now; `ids_of` tells the ids that a source defines.
    pub fn take(
        &mut self,
        now: Moment,
        (files, unlisted): (Vec<Arc<SourceFile>>, bool),
        ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>,
    ) {
        self.unlisted = unlisted;
        let before = self.whole.take().filter(|_| !self.unlisted);
        if let Some(changed) = before.and_then(|before| changed_in_place(&before, &files)) {
            for (_, file) in changed {
                let before = self.sources.remove(&key_of(file));
                self.sources.insert(key_of(file), Standing::after(before, now, file, &ids_of));
            }
            self.whole = Some(files.into());
            return;
        }
        self.take_all(now, &files, &ids_of);
        self.follow_the_flawed(now, ids_of);
        self.forget_what_never_was_good();
        let is_whole = |standing: &Standing| matches!(standing.state, State::Whole);
        let is_all = self.sources.len() == files.len()
            && self.sources.iter().zip(&files).all(|((key, standing), file)| {
                is_whole(standing) && key.0 == file.role && key.1.as_os_str() == file.path.as_os_str()
            });
        self.whole = (is_all && !self.unlisted).then(|| files.into());
    }

    fn take_all(&mut self, now: Moment, files: &[Arc<SourceFile>], ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>) {
        let mut before = std::mem::take(&mut self.sources);
        for file in files {
            let before = before.remove(&key_of(file));
            self.sources.insert(key_of(file), Standing::after(before, now, file, &ids_of));
        }
        for (key, mut standing) in before {
            standing.state = match standing.state {
                _ if self.unlisted && key.0 == Role::DropIn => State::Unseen,
                State::Missing(since, flaw) => State::Missing(since, flaw),
                State::Broken(since, problem) => State::Missing(now, Some((since, Flaw::Broken(problem)))),
                State::Empty(since) => State::Missing(now, Some((since, Flaw::Empty))),
                State::Whole | State::Refused(_) | State::Unseen => State::Missing(now, None),
            };
            self.sources.insert(key, standing);
        }
    }

    /// Gives each new source that is broken just as one was that is gone, or is empty as that was, the last good version
    /// of that one: it has got another name.
    fn follow_the_flawed(&mut self, now: Moment, ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>) {
        let new = self.sources.iter().filter(|(_, standing)| standing.good.is_none());
        let new: Vec<_> = new.map(|(key, _)| key.clone()).collect();
        for key in new {
            let Some(state) = self.sources.get(&key).map(|standing| &standing.state) else { continue };
            let former = self.sources.iter().find_map(|(former, standing)| match &standing.state {
                State::Missing(_, Some((since, flaw))) if former.0 == key.0 && flaw.is_that_of(state) => {
                    Some((former.clone(), *since, standing.good.clone()?))
                }
                State::Missing(..)
                | State::Whole
                | State::Empty(_)
                | State::Broken(..)
                | State::Refused(_)
                | State::Unseen => None,
            });
            let Some((former, since, Good { source, ids })) = former else { continue };
            let Some(standing) = self.sources.get_mut(&key) else { continue };
            let (name, path) = (Arc::clone(&standing.name), PathBuf::from(&key.1));
            let source = Arc::new(SourceFile { name, path, ..SourceFile::clone(&source) });
            let ids = since_when(ids_of(&source), &ids, now);
            standing.good = Some(Good { source, ids });
            if let State::Broken(began, _) | State::Empty(began) = &mut standing.state {
                *began = since;
            }
            self.sources.remove(&former);
        }
    }

    /// What is to be used now. Sources whose time has run out are forgotten.
    pub fn choose(&mut self, now: Moment) -> Chosen {
        if let Some(files) = &self.whole {
            return Chosen { files: Arc::clone(files), ..Chosen::default() };
        }
        let looked = self.looked;
        let is_gone = |since: Moment| now >= since.max(looked) + TO_COME_BACK;
        self.sources.retain(|_, standing| !matches!(standing.state, State::Missing(since, _) if is_gone(since)));
        let moving = self.move_renamed();
        let mut chosen = Chosen { moving, unsettled: self.unlisted, ..Chosen::default() };
        let mut files = Vec::with_capacity(self.sources.len());
        for standing in self.sources.values() {
            chosen.unsettled |= !matches!(standing.state, State::Whole);
            chosen.problems.extend(standing.problem(now));
            files.extend(standing.good.as_ref().map(|good| Arc::clone(&good.source)));
        }
        chosen.files = files.into();
        chosen
    }

    /// When [`Self::choose`] will next say something else than at `last`, if nothing is read until then.
    pub fn next_deadline(&self, last: Moment) -> Option<Moment> {
        if self.whole.is_some() {
            return None;
        }
        let deadlines = self.sources.values().filter_map(|standing| standing.deadline(self.looked));
        deadlines.filter(|deadline| *deadline > last).min()
    }

    /// Gives what is missing all of its time again: until now nobody has looked for a while.
    pub fn forgive(&mut self, now: Moment) {
        self.looked = now;
    }

    /// Whether the main file is in use as it once was, and not as it is on disk.
    pub fn main_is_held(&self) -> bool {
        self.whole.is_none()
            && self.sources.iter().any(|((role, _), standing)| {
                *role == Role::Main && standing.good.is_some() && !matches!(standing.state, State::Whole)
            })
    }

    /// Forgets each missing source whose ids have all been taken over by sources that began to define them when it was
    /// gone; for the others, tells what has been taken over.
    fn move_renamed(&mut self) -> BTreeSet<(Arc<str>, ServiceId)> {
        let mut moving = BTreeSet::new();
        let mut renamed = Vec::new();
        for (key, standing) in &self.sources {
            let (State::Missing(since, _), Some(good)) = (&standing.state, &standing.good) else { continue };
            let heirs = |id: &ServiceId| {
                self.sources.values().filter(|other| other.began_to_define(id, *since)).collect::<Vec<_>>()
            };
            let heirs: BTreeMap<_, _> = good.ids.keys().map(|id| (id, heirs(id))).collect();
            if !heirs.is_empty() && heirs.values().all(|heirs| !heirs.is_empty()) {
                renamed.push(key.clone());
            } else {
                for (id, heirs) in heirs {
                    moving.extend(heirs.into_iter().map(|heir| (Arc::clone(&heir.name), id.clone())));
                }
            }
        }
        for key in renamed {
            self.sources.remove(&key);
        }
        moving
    }

    fn forget_what_never_was_good(&mut self) {
        self.sources.retain(|_, standing| {
            standing.good.is_some() || !matches!(standing.state, State::Missing(..) | State::Unseen)
        });
    }
}

fn key_of(file: &SourceFile) -> (Role, OsString) {
    (file.role, file.path.clone().into_os_string())
}

/// Those of `files` that are not what they were `before`; `None` if there is more to it than files that say something
/// else, all of them whole.
pub(super) fn changed_in_place<'f>(
    before: &[Arc<SourceFile>],
    files: &'f [Arc<SourceFile>],
) -> Option<Vec<(usize, &'f Arc<SourceFile>)>> {
    if before.len() != files.len() {
        return None;
    }
    let unlike = before.iter().zip(files).enumerate().filter(|(_, (before, file))| !Arc::ptr_eq(before, file));
    let is_in_place = |before: &SourceFile, file: &SourceFile| {
        before.role == file.role
            && before.path.as_os_str() == file.path.as_os_str()
            && before.name == file.name
            && matches!(file.content, Content::Parsed(..))
    };
    unlike.map(|(at, (before, file))| is_in_place(before, file).then_some((at, file))).collect()
}

impl Standing {
    fn after(
        before: Option<Self>,
        now: Moment,
        file: &Arc<SourceFile>,
        ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>,
    ) -> Self {
        let (known, state) = before.map_or((None, None), |before| (before.good, Some(before.state)));
        let since = match state {
            Some(State::Empty(since) | State::Broken(since, _)) => since,
            Some(State::Whole | State::Refused(_) | State::Missing(..) | State::Unseen) | None => now,
        };
        let (mut good, state) = match &file.content {
            Content::Parsed(..) if known.as_ref().is_some_and(|good| good.source.content.is(&file.content)) => {
                (known, State::Whole)
            }
            Content::Parsed(..) => {
                let known = known.map(|good| good.ids).unwrap_or_default();
                let ids = since_when(ids_of(file), &known, now);
                (Some(Good { source: Arc::clone(file), ids }), State::Whole)
            }
            Content::Empty => (known, State::Empty(since)),
            Content::Broken(problem) => (known, State::Broken(since, problem.clone())),
            Content::Refused(problem) => (None, State::Refused(problem.clone())),
        };
        let name = Arc::clone(&file.name);
        if let Some(good) = good.as_mut().filter(|good| good.source.name != name) {
            Arc::make_mut(&mut good.source).name = Arc::clone(&name);
        }
        Self { name, good, state }
    }

    fn problem(&self, now: Moment) -> Option<Problem> {
        match &self.state {
            State::Whole | State::Missing(..) | State::Unseen => None,
            State::Refused(problem) => Some(problem.clone()),
            State::Broken(since, problem) => {
                (self.good.is_none() || now >= *since + TO_BECOME_WHOLE).then(|| problem.clone())
            }
            State::Empty(since) if now >= *since + TO_BECOME_WHOLE => {
                let problem = Problem::warning(&Place::whole(&self.name), "the file is empty");
                Some(match self.good {
                    Some(_) => problem.hint("what it said before stays in use; write {} if it is to say nothing"),
                    None => problem.hint("write {} if it is to say nothing"),
                })
            }
            State::Empty(_) => None,
        }
    }

    fn deadline(&self, looked: Moment) -> Option<Moment> {
        match &self.state {
            State::Whole | State::Refused(_) | State::Unseen => None,
            State::Broken(..) if self.good.is_none() => None,
            State::Empty(since) | State::Broken(since, _) => Some(*since + TO_BECOME_WHOLE),
            State::Missing(since, _) => Some((*since).max(looked) + TO_COME_BACK),
        }
    }

    fn began_to_define(&self, id: &ServiceId, since: Moment) -> bool {
        let began = self.good.as_ref().filter(|_| matches!(self.state, State::Whole)).and_then(|good| good.ids.get(id));
        began.is_some_and(|began| *began >= since)
    }
}

/// Since when a source has defined each of `ids`: those that are not `known` begin now.
fn since_when(ids: Vec<ServiceId>, known: &BTreeMap<ServiceId, Moment>, now: Moment) -> BTreeMap<ServiceId, Moment> {
    ids.into_iter().map(|id| known.get(&id).map_or((id.clone(), now), |began| (id.clone(), *began))).collect()
}

impl Flaw {
    /// Whether a source that stands as `state` has the same.
    fn is_that_of(&self, state: &State) -> bool {
        match (self, state) {
            (Self::Empty, State::Empty(_)) => true,
            (Self::Broken(was), State::Broken(_, is)) => is_same_mistake(was, is),
            (
                Self::Empty | Self::Broken(_),
                State::Whole
                | State::Empty(_)
                | State::Broken(..)
                | State::Refused(_)
                | State::Missing(..)
                | State::Unseen,
            ) => false,
        }
    }
}

/// Whether two files are broken in the same line, with the same words, for the same reason.
fn is_same_mistake(one: &Problem, other: &Problem) -> bool {
    let spot = |problem: &Problem| problem.place.as_ref().map(|place| (place.line, place.column));
    spot(one) == spot(other) && one.message == other.message && one.excerpt == other.excerpt
}

#[cfg(test)]
mod tests;
