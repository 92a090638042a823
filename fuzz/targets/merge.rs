//! Several sources, one edit after the other: a resolver that remembers comes to what a new one comes to, and an agent
//! lives with all of it.
//!
//! The bytes are edits: which source, then what it says, up to a zero byte.
#![no_main]

mod read;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pilotlight::domain::catalog::{InUse, Reading, Resolution, Resolver, Role, SourceFile, resolve};
use pilotlight::domain::{Effect, Event, Intent, Moment, RunIds, Supervisor};

fuzz_target!(|data: &[u8]| {
    let mut resolver = Resolver::default();
    let mut agent = Agent::new();
    let (mut files, mut in_use) = (BTreeMap::new(), InUse::default());
    for edit in data.split(|byte| *byte == 0).take(8) {
        let Some((which, bytes)) = edit.split_first() else { continue };
        let which = which % 5;
        match bytes {
            [] => drop(files.remove(&which)),
            _ => drop(files.insert(which, source(which, bytes))),
        }
        let sources: Vec<Arc<SourceFile>> = files.values().cloned().collect();
        let surroundings = read::surroundings(if which == 4 { "you" } else { "me" });
        let fresh = resolve(&sources, &surroundings, &in_use);
        let remembered = resolver.resolve(&sources, &surroundings, &in_use);
        assert_eq!(told(&remembered), told(&fresh));
        assert!(remembered.in_use == fresh.in_use, "what is in use differs");
        in_use = remembered.in_use;
        agent.read(sources, surroundings);
    }
});

fn source(which: u8, bytes: &[u8]) -> Arc<SourceFile> {
    match which {
        0 => read::source(Role::Main, "services.json", bytes),
        3 => read::source(Role::Include, "apps/web/package.json", bytes),
        4 => read::source(Role::Profile, "profiles/web.json", bytes),
        which => read::source(Role::DropIn, &format!("services.d/{which}.json"), bytes),
    }
}

/// All that comes of resolving, to the last variable: equal services may differ in what others export.
fn told(resolution: &Resolution) -> String {
    let Resolution { catalog, problems, env_files, invalid, in_use: _ } = resolution;
    format!("{catalog:#?}\n{problems:#?}\n{env_files:?}\n{invalid:?}")
}

/// The agent's mind, whose every order to start comes to nothing.
struct Agent {
    mind: Supervisor,
    now: Duration,
}

impl Agent {
    fn new() -> Self {
        let mut agent = Self { mind: Supervisor::new(RunIds::new("fuzz")), now: Duration::ZERO };
        let found = Event::Found {
            runs: Vec::new(),
            ends: Vec::new(),
            spared: Vec::new(),
            intent: Intent::new(),
            is_intent_lost: false,
        };
        agent.mind.handle(agent.moment(), found);
        agent.decide();
        agent
    }

    fn read(&mut self, files: Vec<Arc<SourceFile>>, surroundings: pilotlight::domain::catalog::Surroundings) {
        let reading = Reading {
            files,
            surroundings: Arc::new(surroundings),
            unlisted: false,
            problems: Vec::new(),
            cause: "a reading".to_owned(),
            order: 0,
        };
        self.mind.handle(self.moment(), Event::SourcesRead(reading));
        // Long enough for a source that is broken or gone to count as such.
        for _ in 0..2 {
            self.decide();
            self.now += Duration::from_secs(3);
        }
        self.decide();
        let light = self.mind.snapshot().light;
        assert!(!light.as_str().is_empty());
    }

    fn decide(&mut self) {
        let orders = self.mind.decide(self.moment());
        for order in orders {
            if let Effect::Spawn(order) = order {
                let error = "no such file or directory".to_owned();
                self.mind.handle(self.moment(), Event::SpawnFailed { run: order.run, error, lasting: false });
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment::at(self.now)
    }
}
