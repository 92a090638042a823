//! How each source stands: good, or for how long it has been broken, empty, missing or out of sight.
//!
//! This is the part of the ledger that knows time; of what sources mean it knows only which ids they define.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::reading::{Content, Reading, Role, SourceFile};
use crate::domain::{Moment, Node, Place, Problem, ServiceId};

/// How long a source may be broken or empty before it is reported: editors write in steps.
const TO_BECOME_WHOLE: Duration = Duration::from_secs(1);

/// How long a source may be missing before it counts as removed: editors replace files, and users rename them.
pub(super) const TO_COME_BACK: Duration = Duration::from_secs(2);

/// All sources that are known, in the order in which they are merged.
#[derive(Clone, Debug, Default)]
pub(super) struct Standings {
    /// By kind and the bytes of the path.
    sources: BTreeMap<(Role, OsString), Standing>,
    unlisted: bool,
}

/// What is to be used of all sources.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// The sources in use, each with its last good version.
    pub files: Vec<SourceFile>,
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
    node: Arc<Node>,
    text: Arc<str>,
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
    /// Gone since then; if it was broken when it went, since when and how.
    Missing(Moment, Option<(Moment, Problem)>),
    /// Its folder can't be listed, so nobody knows.
    Unseen,
}

impl Standings {
    /// Takes note of what is on disk now; `ids_of` tells the ids that a source defines.
    pub fn take(&mut self, now: Moment, reading: &Reading, ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>) {
        self.unlisted = reading.unlisted;
        let mut before = std::mem::take(&mut self.sources);
        for file in &reading.files {
            let key = (file.role, file.path.clone().into_os_string());
            let before = before.remove(&key);
            self.sources.insert(key, Standing::after(before, now, file, &ids_of));
        }
        for (key, mut standing) in before {
            standing.state = match standing.state {
                _ if self.unlisted && key.0 == Role::DropIn => State::Unseen,
                State::Missing(since, broken) => State::Missing(since, broken),
                State::Broken(since, problem) => State::Missing(now, Some((since, problem))),
                State::Whole | State::Empty(_) | State::Refused(_) | State::Unseen => State::Missing(now, None),
            };
            self.sources.insert(key, standing);
        }
        self.follow_the_broken(now, ids_of);
        self.forget_what_never_was_good();
    }

    /// Gives each new source that is broken just as one was that is gone the last good version of that one: it has got
    /// another name.
    fn follow_the_broken(&mut self, now: Moment, ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>) {
        let new = self.sources.iter().filter(|(_, standing)| standing.good.is_none());
        let new: Vec<_> = new.map(|(key, _)| key.clone()).collect();
        for key in new {
            let Some(State::Broken(_, problem)) = self.sources.get(&key).map(|standing| &standing.state) else {
                continue;
            };
            let former = self.sources.iter().find_map(|(former, standing)| match &standing.state {
                State::Missing(_, Some((since, was))) if former.0 == key.0 && is_same_mistake(was, problem) => {
                    Some((former.clone(), *since, standing.good.clone()?))
                }
                State::Missing(..)
                | State::Whole
                | State::Empty(_)
                | State::Broken(..)
                | State::Refused(_)
                | State::Unseen => None,
            });
            let Some((former, since, Good { node, text, ids })) = former else { continue };
            let Some(standing) = self.sources.get_mut(&key) else { continue };
            let content = Content::Parsed(Arc::clone(&node), Arc::clone(&text));
            let file =
                SourceFile { name: Arc::clone(&standing.name), path: PathBuf::from(&key.1), role: key.0, content };
            standing.good = Some(Good { node, text, ids: since_when(ids_of(&file), &ids, now) });
            if let State::Broken(began, _) = &mut standing.state {
                *began = since;
            }
            self.sources.remove(&former);
        }
    }

    /// What is to be used now. Sources whose time has run out are forgotten.
    pub fn choose(&mut self, now: Moment) -> Chosen {
        self.sources
            .retain(|_, standing| !matches!(standing.state, State::Missing(since, _) if now >= since + TO_COME_BACK));
        let moving = self.move_renamed();
        let mut chosen = Chosen { moving, unsettled: self.unlisted, ..Chosen::default() };
        for ((role, path), standing) in &self.sources {
            chosen.unsettled |= !matches!(standing.state, State::Whole);
            chosen.problems.extend(standing.problem(now));
            if let Some(good) = &standing.good {
                let content = Content::Parsed(Arc::clone(&good.node), Arc::clone(&good.text));
                chosen.files.push(SourceFile {
                    name: Arc::clone(&standing.name),
                    path: PathBuf::from(path),
                    role: *role,
                    content,
                });
            }
        }
        chosen
    }

    /// When [`Self::choose`] will next say something else than at `last`, if nothing is read until then.
    pub fn next_deadline(&self, last: Moment) -> Option<Moment> {
        self.sources.values().filter_map(Standing::deadline).filter(|deadline| *deadline > last).min()
    }

    /// Whether the main file is in use as it once was, and not as it is on disk.
    pub fn main_is_held(&self) -> bool {
        self.sources.iter().any(|((role, _), standing)| {
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

impl Standing {
    fn after(
        before: Option<Self>,
        now: Moment,
        file: &SourceFile,
        ids_of: impl Fn(&SourceFile) -> Vec<ServiceId>,
    ) -> Self {
        let name = Arc::clone(&file.name);
        let (known, state) = before.map_or((None, None), |before| (before.good, Some(before.state)));
        let since = match state {
            Some(State::Empty(since) | State::Broken(since, _)) => since,
            Some(State::Whole | State::Refused(_) | State::Missing(..) | State::Unseen) | None => now,
        };
        let (good, state) = match &file.content {
            Content::Parsed(node, _) if known.as_ref().is_some_and(|good| Arc::ptr_eq(&good.node, node)) => {
                (known, State::Whole)
            }
            Content::Parsed(node, text) => {
                let known = known.map(|good| good.ids).unwrap_or_default();
                let ids = since_when(ids_of(file), &known, now);
                (Some(Good { node: Arc::clone(node), text: Arc::clone(text), ids }), State::Whole)
            }
            Content::Empty => (known, State::Empty(since)),
            Content::Broken(problem) => (known, State::Broken(since, problem.clone())),
            Content::Refused(problem) => (None, State::Refused(problem.clone())),
        };
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

    fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Whole | State::Refused(_) | State::Unseen => None,
            State::Broken(..) if self.good.is_none() => None,
            State::Empty(since) | State::Broken(since, _) => Some(*since + TO_BECOME_WHOLE),
            State::Missing(since, _) => Some(*since + TO_COME_BACK),
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

/// Whether two files are broken in the same line, with the same words, for the same reason.
fn is_same_mistake(one: &Problem, other: &Problem) -> bool {
    let spot = |problem: &Problem| problem.place.as_ref().map(|place| (place.line, place.column));
    spot(one) == spot(other) && one.message == other.message && one.excerpt == other.excerpt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Severity, Value};
    use proptest::prelude::*;

    const MAIN: &str = "services.json";

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(1_000_000 + millis))
    }

    fn good(ids: &[&str]) -> Content {
        let place = Place::whole(&"a test".into());
        let node = |value| Node { place: place.clone(), value };
        let ids = ids.iter().map(|id| node(Value::Text((*id).into()))).collect();
        Content::Parsed(Arc::new(node(Value::List(ids))), "text".into())
    }

    fn broken() -> Content {
        Content::Broken(Problem::error(&Place::whole(&"a test".into()), "it is broken"))
    }

    fn refused() -> Content {
        Content::Refused(Problem::error(&Place::whole(&"a test".into()), "it is another user's"))
    }

    fn reading<'a>(files: impl IntoIterator<Item = (&'a str, Content)>) -> Reading {
        let files = files.into_iter().map(|(name, content)| SourceFile {
            name: name.into(),
            path: PathBuf::from("/").join(name),
            role: if name == MAIN { Role::Main } else { Role::DropIn },
            content,
        });
        let (files, surroundings) = (files.collect(), Arc::default());
        Reading { files, surroundings, unlisted: false, problems: Vec::new(), cause: "a test".to_owned(), order: 0 }
    }

    fn ids_of(file: &SourceFile) -> Vec<ServiceId> {
        let Content::Parsed(node, _) = &file.content else { return Vec::new() };
        let Value::List(ids) = &node.value else { return Vec::new() };
        let ids =
            ids.iter().filter_map(|id| if let Value::Text(id) = &id.value { ServiceId::new(id).ok() } else { None });
        ids.collect()
    }

    impl Standings {
        fn see<'a>(&mut self, now: u64, files: impl IntoIterator<Item = (&'a str, Content)>) -> String {
            self.take(at(now), &reading(files), ids_of);
            self.told(now)
        }

        /// "a.json: x y | problem of a.json", and an exclamation mark while unsettled.
        fn told(&mut self, now: u64) -> String {
            let chosen = self.choose(at(now));
            let files = chosen.files.iter().map(|file| {
                let ids: Vec<_> = ids_of(file).iter().map(ToString::to_string).collect();
                format!("{}: {}", file.name, ids.join(" "))
            });
            let problems = chosen.problems.iter().map(|problem| problem.message.clone());
            let mut told = files.chain(problems).collect::<Vec<_>>().join(" | ");
            if chosen.unsettled {
                told.push('!');
            }
            told
        }
    }

    #[test]
    fn a_source_that_parses_is_taken_at_once() {
        let mut ledger = Standings::default();
        assert_eq!(ledger.see(0, [("b.json", good(&["y"])), (MAIN, good(&["x"]))]), "services.json: x | b.json: y");
        assert_eq!(ledger.see(1, [("b.json", good(&["z"])), (MAIN, good(&[]))]), "services.json:  | b.json: z");
        assert_eq!(ledger.next_deadline(at(1)), None);
    }

    #[test]
    fn a_broken_source_keeps_its_last_good_version_and_is_reported_after_a_second() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        assert_eq!(ledger.see(100, [("a.json", broken())]), "a.json: x!");
        assert_eq!(ledger.next_deadline(at(100)), Some(at(1100)));
        assert_eq!(ledger.see(900, [("a.json", broken())]), "a.json: x!");
        assert_eq!(ledger.told(1099), "a.json: x!");
        assert_eq!(ledger.told(1100), "a.json: x | it is broken!");
        assert_eq!(ledger.next_deadline(at(1100)), None);
        assert_eq!(ledger.see(1_000_000, [("a.json", broken())]), "a.json: x | it is broken!");
        assert_eq!(ledger.see(1_000_001, [("a.json", good(&["y"]))]), "a.json: y");
    }

    #[test]
    fn a_source_that_never_was_good_is_reported_at_once_unless_it_is_empty() {
        let mut ledger = Standings::default();
        assert_eq!(ledger.see(0, [("a.json", broken()), ("b.json", Content::Empty)]), "it is broken!");
        assert_eq!(ledger.next_deadline(at(0)), Some(at(1000)));
        assert_eq!(ledger.told(1000), "it is broken | the file is empty!");
        assert_eq!(ledger.see(1001, [("b.json", good(&["x"]))]), "b.json: x");
    }

    #[test]
    fn a_broken_source_that_gets_another_name_keeps_its_last_good_version() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        ledger.see(1, [("a.json", broken())]);
        assert_eq!(ledger.see(2000, [("b.json", broken())]), "b.json: x | it is broken!");
        assert_eq!(ledger.see(2001, []), "b.json: x!");
        assert_eq!(ledger.see(3000, [("c.json", broken())]), "c.json: x | it is broken!");
        assert_eq!(ledger.told(1_000_000), "c.json: x | it is broken!");
        assert_eq!(ledger.see(1_000_001, [("c.json", good(&["x"]))]), "c.json: x");
    }

    #[test]
    fn a_source_that_is_broken_in_another_way_is_no_new_name() {
        let other = || Content::Broken(Problem::error(&Place::whole(&"a test".into()), "another mistake"));
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        ledger.see(1, [("a.json", broken())]);
        assert_eq!(ledger.see(2, [("b.json", other())]), "a.json: x | another mistake!");
        assert_eq!(ledger.told(2002), "another mistake!");
    }

    #[test]
    fn an_empty_file_is_never_a_removal() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        assert_eq!(ledger.see(1, [("a.json", Content::Empty)]), "a.json: x!");
        assert_eq!(ledger.told(1_000_000), "a.json: x | the file is empty!");
        assert_eq!(ledger.see(1_000_001, [("a.json", good(&[]))]), "a.json: ");
    }

    #[test]
    fn a_source_that_is_gone_counts_for_two_seconds_more() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"])), ("b.json", good(&["y"]))]);
        assert_eq!(ledger.see(10, [("b.json", good(&["y"]))]), "a.json: x | b.json: y!");
        assert_eq!(ledger.see(1000, [("b.json", good(&["y"]))]), "a.json: x | b.json: y!");
        assert_eq!(ledger.next_deadline(at(1000)), Some(at(2010)));
        assert_eq!(ledger.told(2009), "a.json: x | b.json: y!");
        assert_eq!(ledger.told(2010), "b.json: y");
        assert_eq!(ledger.next_deadline(at(2010)), None);
    }

    #[test]
    fn a_source_that_comes_back_in_time_was_never_gone() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        for round in 0..5 {
            assert_eq!(ledger.see(round * 3000 + 1, []), "a.json: x!");
            assert_eq!(ledger.see(round * 3000 + 1900, [("a.json", good(&["x"]))]), "a.json: x");
        }
    }

    #[test]
    fn a_renamed_source_is_replaced_at_once_by_the_one_with_its_ids() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x", "y"]))]);
        assert_eq!(ledger.see(1, [("b.json", good(&["x", "y"]))]), "b.json: x y");
        assert_eq!(ledger.see(2, []), "b.json: x y!");
        assert_eq!(ledger.see(1900, [("c.json", good(&["x", "y", "z"]))]), "c.json: x y z");
    }

    #[test]
    fn a_source_that_is_split_in_two_is_replaced_when_the_second_is_there() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x", "y"]))]);
        ledger.take(at(1), &reading([("b.json", good(&["x"]))]), ids_of);
        let chosen = ledger.choose(at(1));
        assert_eq!(chosen.files.len(), 2);
        assert_eq!(chosen.moving, BTreeSet::from([("b.json".into(), ServiceId::new("x").unwrap())]));
        assert_eq!(ledger.see(2, [("b.json", good(&["x"])), ("c.json", good(&["y"]))]), "b.json: x | c.json: y");
    }

    #[test]
    fn a_source_that_had_the_ids_before_is_no_new_name_of_a_missing_one() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"])), ("b.json", good(&["x"]))]);
        assert_eq!(ledger.see(1, [("b.json", good(&["x"]))]), "a.json: x | b.json: x!");
        assert_eq!(ledger.choose(at(1)).moving, BTreeSet::new());
    }

    #[test]
    fn a_refused_source_is_out_at_once_and_so_is_what_it_was() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", good(&["x"]))]);
        assert_eq!(ledger.see(1, [("a.json", refused())]), "it is another user's!");
        assert_eq!(ledger.see(2, [("a.json", broken())]), "it is broken!");
        assert_eq!(ledger.see(3, []), "");
    }

    #[test]
    fn a_folder_that_cannot_be_listed_removes_nothing() {
        let mut ledger = Standings::default();
        let unlisted = || Reading { unlisted: true, ..reading([(MAIN, good(&["x"]))]) };
        ledger.see(0, [(MAIN, good(&["x"])), ("a.json", good(&["y"]))]);
        ledger.take(at(1), &unlisted(), ids_of);
        assert_eq!(ledger.told(1_000_000), "services.json: x | a.json: y!");
        assert_eq!(ledger.next_deadline(at(1)), None);
        assert_eq!(ledger.see(1_000_001, [(MAIN, good(&["x"]))]), "services.json: x | a.json: y!");
        ledger.take(at(1_000_002), &unlisted(), ids_of);
        assert_eq!(ledger.told(2_000_000), "services.json: x | a.json: y!");
        assert_eq!(
            ledger.see(2_000_001, [(MAIN, good(&["x"])), ("a.json", good(&["y"]))]),
            "services.json: x | a.json: y"
        );
        // The main file is no part of that folder.
        ledger.take(at(2_000_002), &Reading { unlisted: true, ..reading([]) }, ids_of);
        assert_eq!(ledger.told(3_000_000), "a.json: y!");
    }

    #[test]
    fn an_empty_source_is_a_warning_that_says_how_to_mean_it() {
        let mut ledger = Standings::default();
        ledger.see(0, [("a.json", Content::Empty)]);
        let problems = ledger.choose(at(1000)).problems;
        assert_eq!(problems[0].severity, Severity::Warning);
        assert_eq!(problems[0].hint.as_deref(), Some("write {} if it is to say nothing"));
    }

    /// A state of one file on disk.
    fn content() -> impl Strategy<Value = Option<Content>> {
        prop_oneof![
            3 => Just(None),
            1 => Just(Some(Content::Empty)),
            1 => Just(Some(broken())),
            1 => Just(Some(refused())),
            4 => prop::sample::subsequence(vec!["u", "v", "w", "x"], 0..3).prop_map(|ids| Some(good(&ids))),
        ]
    }

    const NAMES: [&str; 4] = [MAIN, "a.json", "b.json", "c.json"];

    fn disk() -> impl Strategy<Value = Vec<Option<Content>>> {
        prop::collection::vec(content(), NAMES.len())
    }

    fn files(disk: &[Option<Content>]) -> Vec<(&'static str, Content)> {
        let content = |name: &str, content: &Content| match content {
            // No two are broken alike.
            Content::Broken(_) => Content::Broken(Problem::error(&Place::whole(&name.into()), name)),
            Content::Parsed(..) | Content::Empty | Content::Refused(_) => content.clone(),
        };
        NAMES
            .into_iter()
            .zip(disk)
            .filter_map(|(name, on_disk)| Some((name, content(name, on_disk.as_ref()?))))
            .collect()
    }

    proptest! {
        #[test]
        fn the_order_of_the_listing_does_not_matter(disks in prop::collection::vec((disk(), 0..1500_u64), 1..6)) {
            let (mut one, mut other, mut now) = (Standings::default(), Standings::default(), 0);
            for (disk, span) in disks {
                now += span;
                let mut turned = files(&disk);
                turned.reverse();
                prop_assert_eq!(one.see(now, files(&disk)), other.see(now, turned));
            }
        }

        #[test]
        fn once_the_disk_is_good_for_two_seconds_the_past_is_forgotten(
            disks in prop::collection::vec((disk(), 0..1500_u64, any::<bool>()), 0..8),
            last in disk(),
        ) {
            let (mut ledger, mut now) = (Standings::default(), 0);
            let mut last_good: BTreeMap<&str, Content> = BTreeMap::new();
            let mut steps = disks;
            steps.push((last.clone(), 10, false));
            for (disk, span, unlisted) in steps {
                now += span;
                let mut reading = reading(files(&disk));
                reading.unlisted = unlisted;
                ledger.take(at(now), &reading, ids_of);
                ledger.choose(at(now));
                for (name, content) in files(&disk) {
                    match content {
                        Content::Parsed(..) => drop(last_good.insert(name, content)),
                        Content::Refused(_) => drop(last_good.remove(name)),
                        Content::Empty | Content::Broken(_) => {}
                    }
                }
            }
            // Every deadline is kept, as the engine does.
            while let Some(deadline) = ledger.next_deadline(at(now)) {
                now = u64::try_from(deadline.since(at(0)).as_millis()).unwrap();
                ledger.choose(at(now));
            }
            let chosen = ledger.choose(at(now));
            let mut fresh = Standings::default();
            fresh.take(at(now), &reading(files(&last)), ids_of);
            let expected = fresh.choose(at(now + 2000));
            let problems = |chosen: &Chosen| chosen.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
            prop_assert_eq!(problems(&chosen), problems(&expected));
            prop_assert_eq!(chosen.unsettled, expected.unsettled);
            prop_assert!(chosen.moving.is_empty());
            let content = |chosen: &Chosen, name: &str| chosen.files.iter().find(|file| &*file.name == name).map(ids_of);
            for (name, on_disk) in NAMES.into_iter().zip(&last) {
                let is_parsed = matches!(on_disk, Some(Content::Parsed(..)));
                if is_parsed || on_disk.is_none() {
                    prop_assert_eq!(content(&chosen, name), content(&expected, name), "{}", name);
                } else if let Some(found) = content(&chosen, name) {
                    let kept = reading(last_good.get(name).map(|content| (name, content.clone())));
                    prop_assert_eq!(Some(found), kept.files.first().map(ids_of), "{}", name);
                    prop_assert!(!matches!(on_disk, Some(Content::Refused(_))));
                }
            }
        }

        #[test]
        fn a_deadline_lies_ahead_and_nothing_changes_before_it(disks in prop::collection::vec((disk(), 0..1500_u64), 1..6)) {
            let (mut ledger, mut now) = (Standings::default(), 0);
            for (disk, span) in disks {
                now += span;
                let told = ledger.see(now, files(&disk));
                if let Some(deadline) = ledger.next_deadline(at(now)) {
                    prop_assert!(deadline > at(now));
                    let before = u64::try_from(deadline.since(at(0)).as_millis()).unwrap() - 1;
                    prop_assert_eq!(ledger.told(before.max(now)), told);
                }
            }
        }
    }
}
