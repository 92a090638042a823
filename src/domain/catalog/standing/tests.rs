//! How sources stand, moment by moment.

use super::*;
use crate::domain::Node;
use crate::domain::catalog::Reading;
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
    let files = files.into_iter().map(|(name, content)| {
        let role = if name == MAIN { Role::Main } else { Role::DropIn };
        Arc::new(SourceFile { name: name.into(), path: PathBuf::from("/").join(name), role, content })
    });
    let (files, surroundings) = (files.collect(), Arc::default());
    Reading { files, surroundings, unlisted: false, problems: Vec::new(), cause: "a test".to_owned(), order: 0 }
}

fn seen(reading: Reading) -> (Vec<Arc<SourceFile>>, bool) {
    (reading.files, reading.unlisted)
}

fn ids_of(file: &SourceFile) -> Vec<ServiceId> {
    let Content::Parsed(node, _) = &file.content else { return Vec::new() };
    let Value::List(ids) = &node.value else { return Vec::new() };
    let ids = ids.iter().filter_map(|id| if let Value::Text(id) = &id.value { ServiceId::new(id).ok() } else { None });
    ids.collect()
}

impl Standings {
    fn see<'a>(&mut self, now: u64, files: impl IntoIterator<Item = (&'a str, Content)>) -> String {
        self.take(at(now), seen(reading(files)), ids_of);
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
fn an_empty_source_that_gets_another_name_keeps_its_last_good_version() {
    let mut ledger = Standings::default();
    ledger.see(0, [("a.json", good(&["x"])), ("b.json", good(&["y"]))]);
    ledger.see(1, [("a.json", Content::Empty), ("b.json", good(&["y"]))]);
    assert_eq!(ledger.see(2, [("b.json", good(&["y"])), ("c.json", Content::Empty)]), "b.json: y | c.json: x!");
    assert_eq!(ledger.told(1_000_000), "b.json: y | c.json: x | the file is empty!");
    assert_eq!(ledger.see(1_000_001, [("b.json", good(&["y"])), ("c.json", good(&[]))]), "b.json: y | c.json: ");
    // One that was whole when it went has another name only where it is whole again.
    assert_eq!(ledger.see(1_000_002, [("c.json", good(&[])), ("d.json", Content::Empty)]), "b.json: y | c.json: !");
    assert_eq!(ledger.told(1_002_002), "c.json:  | the file is empty!");
}

#[test]
fn nothing_is_gone_that_nobody_could_look_for() {
    let mut ledger = Standings::default();
    ledger.see(0, [("a.json", good(&["x"]))]);
    assert_eq!(ledger.see(1, []), "a.json: x!");
    ledger.forgive(at(60_000));
    assert_eq!(ledger.next_deadline(at(1)), Some(at(62_000)));
    assert_eq!(ledger.told(61_999), "a.json: x!");
    assert_eq!(ledger.told(62_000), "");
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
    ledger.take(at(1), seen(reading([("b.json", good(&["x"]))])), ids_of);
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
    ledger.take(at(1), seen(unlisted()), ids_of);
    assert_eq!(ledger.told(1_000_000), "services.json: x | a.json: y!");
    assert_eq!(ledger.next_deadline(at(1)), None);
    assert_eq!(ledger.see(1_000_001, [(MAIN, good(&["x"]))]), "services.json: x | a.json: y!");
    ledger.take(at(1_000_002), seen(unlisted()), ids_of);
    assert_eq!(ledger.told(2_000_000), "services.json: x | a.json: y!");
    assert_eq!(ledger.see(2_000_001, [(MAIN, good(&["x"])), ("a.json", good(&["y"]))]), "services.json: x | a.json: y");
    // The main file is no part of that folder.
    ledger.take(at(2_000_002), seen(Reading { unlisted: true, ..reading([]) }), ids_of);
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
    NAMES.into_iter().zip(disk).filter_map(|(name, on_disk)| Some((name, content(name, on_disk.as_ref()?)))).collect()
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
            ledger.take(at(now), seen(reading), ids_of);
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
        fresh.take(at(now), seen(reading(files(&last))), ids_of);
        let expected = fresh.choose(at(now + 2000));
        let problems = |chosen: &Chosen| chosen.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>();
        prop_assert_eq!(problems(&chosen), problems(&expected));
        prop_assert_eq!(chosen.unsettled, expected.unsettled);
        prop_assert!(chosen.moving.is_empty());
        let content = |chosen: &Chosen, name: &str| chosen.files.iter().find(|file| &*file.name == name).map(|file| ids_of(file));
        for (name, on_disk) in NAMES.into_iter().zip(&last) {
            let is_parsed = matches!(on_disk, Some(Content::Parsed(..)));
            if is_parsed || on_disk.is_none() {
                prop_assert_eq!(content(&chosen, name), content(&expected, name), "{}", name);
            } else if let Some(found) = content(&chosen, name) {
                // An empty file may be another one's new name.
                let is_empty = matches!(on_disk, Some(Content::Empty));
                let kept = last_good.iter().filter(|(of, _)| is_empty || **of == name);
                let kept = reading(kept.map(|(of, content)| (*of, content.clone())));
                prop_assert!(kept.files.iter().map(|file| ids_of(file)).any(|ids| ids == found), "{}: {:?}", name, found);
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
