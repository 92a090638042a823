//! The laws of the port `Actions`.

use std::sync::Arc;

use pilotlight::domain::{ActionOrder, Event, Exit, RunId, ServiceId, Spawn};
use pilotlight::engine::StateDir;
use pilotlight::engine::ports::Actions;
use pilotlight::process::OsActions;
use tokio::sync::mpsc;

use crate::time::{DEADLINE, Made};

/// What an action does.
#[derive(Clone, Copy)]
enum Script {
    /// Says these words last, after others, and exits with this code.
    Says(&'static str, i32),
    /// There is no such program.
    NoProgram,
}

/// Actions that can be run.
trait World {
    fn actions(&mut self) -> &mut dyn Actions;
    /// From now on the action `name` does this; what it needs for that.
    fn lay_down(&mut self, name: &str, script: Script) -> Spawn;
    fn next(&mut self) -> Event;
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        how_it_ends_and_its_last_line_are_told,
        what_can_not_be_started_says_why,
        those_that_run_at_once_are_told_once_each,
    ]
}

fn how_it_ends_and_its_last_line_are_told(world: &mut dyn World) {
    for (words, code) in [("all done", 0), ("no such table", 3)] {
        let run = begin(world, "seed", Script::Says(words, code));
        assert_eq!(ended(world), (run, Some(Exit::Code(code)), words.to_owned()));
    }
}

fn what_can_not_be_started_says_why(world: &mut dyn World) {
    let run = begin(world, "seed", Script::NoProgram);
    let (of, exit, words) = ended(world);
    assert_eq!((of, exit), (run, None));
    assert!(words.contains("no-such-program"), "{words}");
}

fn those_that_run_at_once_are_told_once_each(world: &mut dyn World) {
    let mut runs: Vec<RunId> = ["a", "b", "c"].map(|name| begin(world, name, Script::Says(name, 0))).into();
    let mut told: Vec<RunId> = runs.iter().map(|_| ended(world).0).collect();
    runs.sort();
    told.sort();
    assert_eq!(told, runs);
}

fn begin(world: &mut dyn World, name: &str, script: Script) -> RunId {
    let spawn = world.lay_down(name, script);
    let run = RunId::new(&format!("action-{name}"));
    let id = ServiceId::new("web").unwrap();
    world.actions().run(ActionOrder { id, run: run.clone(), name: name.to_owned(), spawn: Arc::new(spawn) });
    run
}

fn ended(world: &mut dyn World) -> (RunId, Option<Exit>, String) {
    match world.next() {
        Event::ActionEnded { run, exit, words } => (run, exit, words),
        other => panic!("{other:?}"),
    }
}

fn spawn(argv: &[&str]) -> Spawn {
    Spawn {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        cwd: std::env::temp_dir(),
        env: Default::default(),
        shared_env: Arc::default(),
    }
}

impl World for Made {
    fn actions(&mut self) -> &mut dyn Actions {
        &mut self.machine
    }

    fn lay_down(&mut self, name: &str, script: Script) -> Spawn {
        let end = match script {
            Script::Says(words, code) => (Some(Exit::Code(code)), words.to_owned()),
            Script::NoProgram => (None, "program not found: no-such-program".to_owned()),
        };
        self.machine.ends_of_actions.insert(name.to_owned(), end);
        spawn(&[])
    }

    fn next(&mut self) -> Event {
        Made::next(self)
    }
}

struct Real {
    actions: OsActions,
    facts: mpsc::UnboundedReceiver<Event>,
    _folder: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        let folder = tempfile::tempdir().unwrap();
        Self { actions: OsActions::new(inbox, StateDir::new(folder.path())), facts, _folder: folder }
    }
}

impl World for Real {
    fn actions(&mut self) -> &mut dyn Actions {
        &mut self.actions
    }

    fn lay_down(&mut self, _name: &str, script: Script) -> Spawn {
        match script {
            Script::Says(words, code) => spawn(&["sh", "-c", &format!("echo first; echo {words}; exit {code}")]),
            Script::NoProgram => spawn(&["no-such-program"]),
        }
    }

    fn next(&mut self) -> Event {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let next = tokio::time::timeout(DEADLINE, self.facts.recv()).await;
            next.expect("an action ends").expect("the actions hold the other end")
        })
    }
}
