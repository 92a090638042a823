//! The laws of the port `Store`.

use std::time::Duration;

use pilotlight::domain::{Intent, Occurrence, RunId, ServiceId};
use pilotlight::engine::ports::Store;
use pilotlight::engine::{Clock, StateDir};
use pilotlight::state::{DiskStore, EventLine, read_events};

use crate::time::Made;

/// A store, and agents that use it one after the other.
trait World {
    /// The store as the present agent has it.
    fn store(&mut self) -> &mut dyn Store;
    /// The agent dies; the wishes that the next one finds.
    fn next_agent(&mut self) -> Intent;
    /// What is known to have happened: as lines without their times.
    fn history(&mut self) -> Vec<EventLine>;
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        the_next_agent_finds_the_wishes_that_were_saved_last,
        what_happened_is_kept_whole_and_in_its_order,
    ]
}

fn the_next_agent_finds_the_wishes_that_were_saved_last(world: &mut dyn World) {
    assert_eq!(world.next_agent(), Intent::new());
    let id = |text: &str| ServiceId::new(text).unwrap();
    let first: Intent = [(id("web"), true), (id("db"), false)].into();
    let second: Intent = [(id("db"), true)].into();
    world.store().save_intent(&first);
    assert_eq!(world.next_agent(), first);
    assert_eq!(world.next_agent(), first, "it is not used up");
    world.store().save_intent(&first);
    world.store().save_intent(&second);
    assert_eq!(world.next_agent(), second, "nothing is left of the wishes before");
    world.store().save_intent(&Intent::new());
    assert_eq!(world.next_agent(), Intent::new());
}

fn what_happened_is_kept_whole_and_in_its_order(world: &mut dyn World) {
    assert_eq!(world.history(), []);
    let agent = Occurrence {
        kind: "generation",
        generation: 1,
        service: None,
        run: None,
        text: "3 services; \"a\"\nand more".to_owned(),
    };
    let service = Occurrence {
        kind: "exited",
        generation: 2,
        service: Some(ServiceId::new("web").unwrap()),
        run: Some(RunId::new("r-1")),
        text: "exited with code 1".to_owned(),
    };
    let mut expected = Vec::new();
    for occurrences in [vec![agent.clone()], vec![service.clone(), agent.clone()], Vec::new()] {
        world.store().record(&occurrences);
        expected.extend(occurrences.iter().map(line));
    }
    assert_eq!(world.history(), expected);
    world.next_agent();
    world.store().record(std::slice::from_ref(&service));
    expected.push(line(&service));
    assert_eq!(world.history(), expected);
}

fn line(occurrence: &Occurrence) -> EventLine {
    EventLine {
        at: String::new(),
        generation: occurrence.generation,
        kind: occurrence.kind.to_owned(),
        service: occurrence.service.as_ref().map(ServiceId::to_string),
        run: occurrence.run.as_ref().map(RunId::to_string),
        text: occurrence.text.clone(),
    }
}

impl World for Made {
    fn store(&mut self) -> &mut dyn Store {
        &mut self.machine
    }

    fn next_agent(&mut self) -> Intent {
        self.machine.lose_agent();
        self.machine.intent.clone()
    }

    fn history(&mut self) -> Vec<EventLine> {
        self.machine.history.iter().map(line).collect()
    }
}

/// A state directory of its own.
struct Real {
    store: DiskStore,
    dir: StateDir,
    _folder: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        Self { store: open(&dir).0, dir, _folder: folder }
    }
}

impl World for Real {
    fn store(&mut self) -> &mut dyn Store {
        &mut self.store
    }

    fn next_agent(&mut self) -> Intent {
        let (store, intent) = open(&self.dir);
        self.store = store;
        intent
    }

    fn history(&mut self) -> Vec<EventLine> {
        let lines = read_events(&self.dir, None).unwrap();
        lines.into_iter().map(|line| EventLine { at: String::new(), ..line }).collect()
    }
}

fn open(dir: &StateDir) -> (DiskStore, Intent) {
    let (store, kept) = DiskStore::open(dir.clone(), Clock::start(Duration::from_secs(1000)));
    assert_eq!(kept.remark, None);
    (store, kept.intent)
}
