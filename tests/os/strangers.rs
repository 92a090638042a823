//! Strangers on ports as they are on a real machine: what is told of them, and whom an order about one of them reaches.

use pilotlight::domain::{EarlierRun, Event, Exit, PortHolder, Signal, SpawnOrder};

use crate::conformance::{Script, World, ends, not_taken, take, taken};
use crate::helpers::{self, Desk, start_time};
use crate::world::RealWorld;

/// Whether a process lives, dead ones that wait for their parent not counted.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn holder(world: &mut RealWorld, port: u16) -> PortHolder {
    let order = SpawnOrder { port: Some(port), ..world.order(Script::EndsAtOnce(0)) };
    world.spawn(order);
    match world.next() {
        Event::PortTaken { holder, .. } => holder,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stranger_is_told_with_all_that_can_be_known_of_it() {
    let mut world = RealWorld::new();
    let desk = helpers::stranger(&mut world);
    let holder = holder(&mut world, desk.listener.port);
    assert_eq!(holder.process, Some(desk.listener.process));
    assert!(holder.command.as_ref().is_some_and(|command| command.contains("listen_on_a_port")), "{holder:?}");
    assert_eq!((holder.folder, holder.service, holder.earlier), (Some(desk.folder), None, None));
    assert!(holder.since.is_some());
}

#[test]
fn an_earlier_run_is_told_with_its_service_and_its_agent() {
    let mut world = RealWorld::new();
    let own = world.folder().state();
    for (dir, elsewhere) in [(own.root().display().to_string(), None), ("/other".to_owned(), Some("/other".into()))] {
        let marker =
            [("PILOTLIGHT_SERVICE", "api"), ("PILOTLIGHT_RUN", "r-old"), ("PILOTLIGHT_STATE_DIR", dir.as_str())];
        let desk = helpers::stranger_with(&mut world, &marker);
        let holder = holder(&mut world, desk.listener.port);
        let service = pilotlight::domain::ServiceId::new("api").unwrap();
        assert_eq!(holder.earlier, Some(EarlierRun { service, elsewhere }));
        assert_eq!(holder.service, None, "no living run of ours has it");
    }
}

#[test]
fn an_order_about_a_stranger_reaches_it_and_its_children_and_nobody_else() {
    for by_killing in [false, true] {
        let mut world = RealWorld::new();
        let Desk { listener, parent, mate, child, .. } = helpers::stranger(&mut world);
        let order = take(&mut world, listener, true);
        taken(&mut world, &order.run);
        if by_killing {
            world.kill(&order.run);
        } else {
            world.ask(&order.run, Signal::Term);
        }
        ends(&mut world, &order.run);
        assert!(!lives(listener.process.pid) && !lives(child));
        assert!(lives(mate), "it only shares a session and a group with it");
        // The shell waits for its other child as well.
        assert!(lives(parent));
    }
}

#[test]
fn what_a_stranger_leaves_behind_is_known_and_can_be_ended() {
    let mut world = RealWorld::new();
    let Desk { listener, child, .. } = helpers::stranger(&mut world);
    let order = take(&mut world, listener, true);
    taken(&mut world, &order.run);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(listener.process.pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let (exit, left) = crate::conformance::exited(&mut world, &order.run);
    assert!([Exit::Signal(9), Exit::Unknown].contains(&exit), "{exit:?}");
    assert_eq!(left, 1);
    world.ask(&order.run, Signal::Term);
    crate::conformance::ended(&mut world, &order.run);
    assert!(!lives(child));
}

#[test]
fn a_stranger_that_is_our_run_is_recorded_as_one_that_writes_elsewhere() {
    let mut world = RealWorld::new();
    let desk = helpers::stranger(&mut world);
    let order = take(&mut world, desk.listener, true);
    taken(&mut world, &order.run);
    let dir = world.folder().state();
    let record = pilotlight::process::RunRecord::load(&dir, &order.id).unwrap();
    assert_eq!((record.pid, record.start_time), (desk.listener.process.pid, desk.listener.process.start));
    assert!(record.stranger && record.end.is_none());
    assert_eq!(std::fs::read_to_string(dir.pid(&order.id)).unwrap().trim(), record.pid.to_string());
    // Its port is a service's of ours now, also for whoever else wants it; and it can't be taken twice.
    assert_eq!(holder(&mut world, desk.listener.port).service, Some(order.id.clone()));
    let again = take(&mut world, desk.listener, false);
    assert!(not_taken(&mut world, &again.run).contains("already"));
    world.kill(&order.run);
    ends(&mut world, &order.run);
    assert!(!dir.pid(&order.id).exists());
}

#[test]
fn an_earlier_run_of_ours_that_was_taken_is_one_run_to_the_next_agent() {
    let mut world = RealWorld::new();
    let dir = world.folder().state().root().display().to_string();
    let marker = [("PILOTLIGHT_SERVICE", "api"), ("PILOTLIGHT_RUN", "r-old"), ("PILOTLIGHT_STATE_DIR", dir.as_str())];
    let desk = helpers::stranger_with(&mut world, &marker);
    let order = take(&mut world, desk.listener, true);
    taken(&mut world, &order.run);
    let runs = world.next_agent();
    let of_it = runs.iter().filter(|run| run.pid == Some(desk.listener.process.pid)).collect::<Vec<_>>();
    assert_eq!(of_it.len(), 1, "{runs:?}");
    assert_eq!(of_it[0].run, order.run);
    world.ask(&order.run, Signal::Term);
    ends(&mut world, &order.run);
    assert!(!lives(desk.child));
}

#[test]
fn the_first_process_is_left_alone() {
    let mut world = RealWorld::new();
    let desk = helpers::stranger(&mut world);
    let first = pilotlight::domain::ProcessId { pid: 1, start: start_time(1) };
    let order = take(&mut world, crate::conformance::Stranger { process: first, ..desk.listener }, true);
    not_taken(&mut world, &order.run);
}
