//! The laws of the port `Processes`, on the made-up machine. (On the real one they are held by `tests/os`.)

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::{
    Event, Exit, FoundRun, RunId, RunIds, ServiceId, Signal, Spawn, SpawnOrder, StopTree, TakeOrder,
};
use pilotlight::engine::ports::Processes;

use crate::conformance::{Listener, Script, Stranger, World, spawned};
use crate::fakes::{Behaviour, Spawning, stranger_on};
use crate::time::Made;

crate::conformance_tests!(MadeUp::new());

/// Scripted children. When it goes it must have nothing left to tell.
struct MadeUp {
    made: Made,
    ids: RunIds,
    scripts: Vec<(RunId, Script)>,
    ports: u16,
}

impl MadeUp {
    fn new() -> Self {
        Self { made: Made::new(), ids: RunIds::new("t"), scripts: Vec::new(), ports: 5000 }
    }

    fn free_port(&mut self) -> u16 {
        self.ports += 1;
        self.ports
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left = self.made.rest();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

impl World for MadeUp {
    fn order(&mut self, script: Script) -> SpawnOrder {
        let run = self.ids.fresh();
        let id = ServiceId::new(&format!("s-{run}")).unwrap();
        let normal = Behaviour { obeys: Some(Duration::ZERO), grouped: true, ..Behaviour::default() };
        let behaviour = match script {
            Script::Waits(_) => normal,
            Script::EndsAtOnce(code) => Behaviour { life: Some((Duration::ZERO, code)), ..normal },
            Script::Deaf => Behaviour { obeys: None, ..normal },
            Script::Leaves(_) => Behaviour { leaves: 1, ..normal },
            Script::LeavesDeaf(_) => Behaviour { leaves: 1, obeys: None, grouped: false, ..normal },
            Script::MovesApart(_) => Behaviour { apart: 1, ..normal },
            Script::LeavesDeafAndApart(_) => Behaviour { apart: 1, leaves: 1, obeys: None, grouped: false, ..normal },
            Script::NoProgram => Behaviour { spawn: Spawning::FailsForGood, ..normal },
            Script::NoDirectory => Behaviour { spawn: Spawning::NoDirectory, ..normal },
            Script::NotExecutable => Behaviour { spawn: Spawning::NotExecutable, ..normal },
        };
        self.made.machine.behaviours.insert(id.clone(), behaviour);
        self.scripts.push((run.clone(), script));
        let spawn = Spawn {
            argv: vec!["x".to_owned()],
            cwd: PathBuf::from("/p"),
            env: [("RUN".to_owned(), Some(run.to_string()))].into(),
            shared_env: Arc::default(),
        };
        SpawnOrder { id, run, spawn: Arc::new(spawn), port: None }
    }

    fn spawn(&mut self, order: SpawnOrder) {
        self.made.machine.spawn(order);
    }

    fn ask(&mut self, run: &RunId, signal: Signal) {
        self.made.machine.ask(run, signal, StopTree::All);
    }

    fn ask_group(&mut self, run: &RunId, signal: Signal) {
        self.made.machine.ask(run, signal, StopTree::Group);
    }

    fn kill(&mut self, run: &RunId) {
        self.made.machine.kill(run, StopTree::All);
    }

    fn kill_group(&mut self, run: &RunId) {
        self.made.machine.kill(run, StopTree::Group);
    }

    fn wait_until_begun(&mut self, run: &RunId) {
        assert!(self.made.machine.children[run].main);
    }

    fn let_go(&mut self, run: &RunId) {
        let (_, script) = self.scripts.iter().find(|(of, _)| of == run).unwrap();
        let code = match script {
            Script::Waits(code)
            | Script::EndsAtOnce(code)
            | Script::Leaves(code)
            | Script::LeavesDeaf(code)
            | Script::MovesApart(code)
            | Script::LeavesDeafAndApart(code) => *code,
            Script::Deaf | Script::NoProgram | Script::NoDirectory | Script::NotExecutable => 0,
        };
        self.made.machine.end(run, Duration::ZERO, Exit::Code(code));
    }

    fn next(&mut self) -> Event {
        self.made.next()
    }

    fn living(&mut self, run: &RunId) -> usize {
        let child = self.made.machine.children.get(run);
        child.map_or(0, |child| usize::from(child.main) + child.others as usize + child.apart as usize)
    }

    fn taken_port(&mut self) -> u16 {
        let port = self.free_port();
        self.made.machine.strangers.insert(port, true);
        port
    }

    fn begin_stranger(&mut self) -> Stranger {
        let port = self.taken_port();
        Stranger { process: stranger_on(port), port }
    }

    fn take(&mut self, order: TakeOrder) {
        self.made.machine.take(order);
    }

    fn begin_listener(&mut self) -> Listener {
        let port = self.free_port();
        let order = SpawnOrder { port: Some(port), ..self.order(Script::Waits(0)) };
        self.spawn(order.clone());
        let pid = spawned(self, &order.run);
        Listener { order, pid, port }
    }

    fn next_agent(&mut self) -> Vec<FoundRun> {
        self.made.machine.lose_agent();
        self.made.machine.find_runs()
    }
}
