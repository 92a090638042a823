//! The laws of the port `Meters`.

use std::process::{Child, Command};

use pilotlight::domain::{Event, MeasureOrder, RunId, ServiceId};
use pilotlight::engine::ports::Meters;
use pilotlight::observe::TreeMeters;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::fakes::Behaviour;
use crate::time::{DEADLINE, Made};

/// Runs that can be measured.
trait World {
    /// Measures, and gives the answers in the order in which they come.
    fn measure(&mut self, orders: Vec<MeasureOrder>) -> Vec<Event>;
    /// A run that lives, of a service of this name.
    fn living(&mut self, name: &str) -> MeasureOrder;
    /// The run ends.
    fn end(&mut self, order: &MeasureOrder);
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        of_a_living_run_it_is_told_how_much_it_uses,
        of_a_run_that_is_over_nothing_can_be_told,
        each_order_is_answered_once,
    ]
}

fn of_a_living_run_it_is_told_how_much_it_uses(world: &mut dyn World) {
    let order = world.living("web");
    let [Event::Measured { run, memory: Some(memory) }] = &world.measure(vec![order.clone()])[..] else { panic!() };
    assert!(*run == order.run && *memory > 0, "{run} uses {memory}");
}

fn of_a_run_that_is_over_nothing_can_be_told(world: &mut dyn World) {
    let order = world.living("web");
    world.end(&order);
    let told = world.measure(vec![order]);
    assert!(matches!(&told[..], [Event::Measured { memory: None, .. }]), "{told:?}");
}

fn each_order_is_answered_once(world: &mut dyn World) {
    let orders = ["a", "b", "c"].map(|name| world.living(name));
    let told = world.measure(orders.to_vec());
    let mut runs: Vec<RunId> = told.into_iter().map(measured).collect();
    runs.sort();
    assert_eq!(runs, orders.map(|order| order.run));
}

fn measured(event: Event) -> RunId {
    match event {
        Event::Measured { run, .. } => run,
        other => panic!("{other:?}"),
    }
}

fn order(name: &str, pid: u32) -> MeasureOrder {
    MeasureOrder { id: ServiceId::new(name).unwrap(), run: RunId::new(&format!("r-{name}")), pid }
}

impl World for Made {
    fn measure(&mut self, orders: Vec<MeasureOrder>) -> Vec<Event> {
        let count = orders.len();
        orders.into_iter().for_each(|order| self.machine.measure(order));
        (0..count).map(|_| self.next()).collect()
    }

    fn living(&mut self, name: &str) -> MeasureOrder {
        use pilotlight::domain::SpawnOrder;
        use pilotlight::engine::ports::Processes;
        let order = order(name, 1);
        self.machine.behaviours.insert(order.id.clone(), Behaviour::default());
        let spawn = pilotlight::domain::Spawn {
            argv: vec!["x".to_owned()],
            cwd: "/p".into(),
            env: Default::default(),
            shared_env: Default::default(),
        };
        let (id, run) = (order.id.clone(), order.run.clone());
        self.machine.spawn(SpawnOrder { id, run, spawn: spawn.into(), port: None });
        assert!(matches!(self.next(), Event::Spawned { .. }));
        order
    }

    fn end(&mut self, order: &MeasureOrder) {
        use pilotlight::domain::{Signal, StopTree};
        use pilotlight::engine::ports::Processes;
        self.machine.ask(&order.run, Signal::Kill, StopTree::All);
        assert!(matches!(self.next(), Event::Exited { .. }));
    }
}

struct Real {
    runtime: Runtime,
    meters: TreeMeters,
    facts: mpsc::UnboundedReceiver<Event>,
    children: Vec<Child>,
}

impl Real {
    fn new() -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, meters: TreeMeters::new(inbox), facts, children: Vec::new() }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World for Real {
    fn measure(&mut self, orders: Vec<MeasureOrder>) -> Vec<Event> {
        self.runtime.block_on(async {
            let count = orders.len();
            orders.into_iter().for_each(|order| self.meters.measure(order));
            let mut told = Vec::new();
            for _ in 0..count {
                let next = tokio::time::timeout(DEADLINE, self.facts.recv()).await;
                told.push(next.expect("it is measured").expect("the meters hold the other end"));
            }
            told
        })
    }

    fn living(&mut self, name: &str) -> MeasureOrder {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let order = order(name, child.id());
        self.children.push(child);
        order
    }

    fn end(&mut self, order: &MeasureOrder) {
        let child = self.children.iter_mut().find(|child| child.id() == order.pid).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
