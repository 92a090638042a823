//! What a changed definition costs the domain alone, beside the number of those that have not changed: no file is read
//! and nothing is spawned.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pilotlight::domain::catalog::{Content, Reading, Role, SourceFile, Surroundings};
use pilotlight::domain::{Effect, Event, Exit, Intent, Moment, Outcome, RunId, RunIds, ServiceId, Supervisor};
use pilotlight::sources::parse;
use serde_json::{Value, json};

/// How often one definition is changed, after as many that are not measured.
const ROUNDS: usize = 20;

/// What the domain takes, from one changed source of `count` to the order that ends the old run, and from its end to
/// the order that begins the new one: each time the sum of both.
pub fn reload(count: usize) -> Vec<Duration> {
    let mut world = World::of(count);
    world.read();
    world.settle();
    assert_eq!(world.runs.len(), count, "all of them run");
    let mut times = Vec::new();
    for round in 0..2 * ROUNDS {
        let index = (7 * round + 3) % count;
        times.push(world.change(index, round + 1));
    }
    times.split_off(ROUNDS)
}

/// Everything around the domain: what is defined, and processes that start, work and end at once.
struct World {
    files: Vec<Arc<SourceFile>>,
    supervisor: Supervisor,
    surroundings: Arc<Surroundings>,
    runs: HashMap<ServiceId, RunId>,
    now: Duration,
    /// What the domain has taken since the last change.
    last: Duration,
}

impl World {
    fn of(count: usize) -> Self {
        let mut supervisor = Supervisor::new(RunIds::new("bench"));
        supervisor.handle(
            Moment::default(),
            Event::Found {
                runs: Vec::new(),
                ends: Vec::new(),
                spared: Vec::new(),
                intent: Intent::new(),
                is_intent_lost: false,
            },
        );
        let environment = std::env::vars().collect();
        let mut files: Vec<_> = (0..count).map(|index| source(index, 0)).collect();
        files.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
        let surroundings = Surroundings { root: PathBuf::from("/srv/project"), environment, ..Surroundings::default() };
        Self {
            files,
            supervisor,
            surroundings: Arc::new(surroundings),
            runs: HashMap::new(),
            now: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// Changes one definition; gives what the domain takes until everything is quiet again.
    fn change(&mut self, index: usize, round: usize) -> Duration {
        let changed = source(index, round);
        if let Some(file) = self.files.iter_mut().find(|file| file.path == changed.path) {
            *file = changed;
        }
        self.last = Duration::ZERO;
        self.read();
        self.settle();
        self.last
    }

    fn read(&mut self) {
        let reading = Reading {
            files: self.files.clone(),
            surroundings: Arc::clone(&self.surroundings),
            unlisted: false,
            problems: Vec::new(),
            cause: "a definition changed".to_owned(),
            order: 0,
        };
        self.happen(vec![Event::SourcesRead(reading)]);
    }

    /// Carries out orders until there are none.
    fn settle(&mut self) {
        loop {
            let began = Instant::now();
            let effects = self.supervisor.decide(self.moment());
            self.last += began.elapsed();
            let facts: Vec<_> = effects.into_iter().filter_map(|effect| self.carry_out(effect)).collect();
            if facts.is_empty() {
                return;
            }
            self.happen(facts);
        }
    }

    fn happen(&mut self, facts: Vec<Event>) {
        self.now += Duration::from_millis(1);
        let now = self.moment();
        let began = Instant::now();
        facts.into_iter().for_each(|fact| self.supervisor.handle(now, fact));
        self.last += began.elapsed();
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Spawn(order) => {
                self.runs.insert(order.id, order.run.clone());
                Some(Event::Spawned { run: order.run, pid: 1 })
            }
            Effect::Ask { run, .. } | Effect::Kill { run, .. } => {
                Some(Event::Exited { run, exit: Exit::Code(0), left: 0 })
            }
            Effect::Probe(order) => Some(Event::Probed { run: order.run, index: order.index, outcome: Outcome::Pass }),
            Effect::Measure(order) => Some(Event::Measured { run: order.run, memory: None }),
            Effect::ReadSources { .. }
            | Effect::KeepLogs(_)
            | Effect::SaveIntent(_)
            | Effect::Record(_)
            | Effect::Notify(_)
            | Effect::TellTimeOfDay
            | Effect::WatchFiles { .. }
            | Effect::Answer { .. }
            | Effect::Take(_)
            | Effect::RunAction(_)
            | Effect::Exit => None,
        }
    }

    fn moment(&self) -> Moment {
        Moment::at(self.now)
    }
}

/// A drop-in with one of ten services that belong together: the first exports its URL, and the others need it.
fn source(index: usize, round: usize) -> Arc<SourceFile> {
    let (first, port) = (index - index % 10, 10_000 + index);
    let mut definition = json!({
        "type": "process",
        "command": ["./serve", "--port", port.to_string()],
        "auto_start": true,
        "default_port": port,
        "health": {"http": "/health", "interval": "1h"},
        "env": {"ROUND": round.to_string()},
    });
    let more = if index == first {
        json!({"base_url_env": format!("S{first}_URL")})
    } else {
        json!({"depends_on": [format!("s{first}")], "env": {"ROUND": round.to_string(), "UP": format!("$S{first}_URL")}})
    };
    if let (Value::Object(definition), Value::Object(more)) = (&mut definition, more) {
        definition.extend(more);
    }
    let (name, text): (Arc<str>, String) = (format!("services.d/s{index}.json").into(), definition.to_string());
    let node = parse(&name, &text).unwrap();
    Arc::new(SourceFile {
        path: PathBuf::from("/srv/project").join(&*name),
        name,
        role: Role::DropIn,
        content: Content::Parsed(Arc::new(node), text.into()),
    })
}
