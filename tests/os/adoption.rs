//! What an agent leaves when it dies is found by the next one, and nothing else is.

use std::fs;
use std::process::{Child, Command};
use std::sync::Arc;

use pilotlight::domain::{Event, Exit, FoundRun, Signal};
use pilotlight::process::RunRecord;

use crate::conformance::{Script, World, begin, ended, exited, expect_silence, over, spawned};
use crate::helpers;
use crate::world::{Folder, RealWorld, processes_in};

#[test]
fn a_run_is_found_again_with_all_that_is_known_of_it() {
    let mut world = RealWorld::new();
    let order = world.order(Script::Waits(3));
    world.spawn(order.clone());
    let pid = spawned(&mut world, &order.run);
    world.wait_until_begun(&order.run);
    let world = &mut RealWorld::in_folder(world.die());
    let runs = world.find_runs();
    let [FoundRun { id, run, pid: found, spawn_hash, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((id, run, *found), (&order.id, &order.run, Some(pid)));
    assert_eq!(*spawn_hash, Some(order.spawn.hash()));
    world.let_go(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(3), 0));
    expect_silence(world);
}

#[test]
fn after_the_death_of_an_agent_its_services_exits_are_told_as_before() {
    let folder = Folder::new();
    let mut agent = helpers::agent_with_a_parent(&folder);
    let fifo = "mkfifo go; : > begun; read x < go; exit 42";
    let (first, second) = (helpers::order(&folder, fifo), helpers::order(&folder, fifo));
    agent.spawn(&first);
    agent.spawn(&second);
    agent.kill();
    let world = &mut RealWorld::in_folder(folder);
    let mut found: Vec<_> = world.find_runs().into_iter().map(|run| (run.id, run.run, run.pid.is_some())).collect();
    found.sort();
    let mut expected = vec![(first.id.clone(), first.run.clone(), true), (second.id.clone(), second.run.clone(), true)];
    expected.sort();
    assert_eq!(found, expected);
    world.wait_until_begun(&first.run);
    world.let_go(&first.run);
    // They are not our children: before Linux 6.15 the system may not tell.
    let told = if kernel() >= (6, 15) { vec![Exit::Code(42)] } else { vec![Exit::Code(42), Exit::Unknown] };
    let (exit, left) = exited(world, &first.run);
    assert!(told.contains(&exit) && left == 0, "{exit:?}, {left} left");
    world.wait_until_begun(&second.run);
    world.ask(&second.run, Signal::Term);
    let told = if kernel() >= (6, 15) { vec![Exit::Signal(15)] } else { vec![Exit::Signal(15), Exit::Unknown] };
    let (exit, left) = exited(world, &second.run);
    assert!(told.contains(&exit) && left == 0, "{exit:?}, {left} left");
}

#[test]
fn a_tree_of_strangers_is_ended_like_one_of_children() {
    let folder = Folder::new();
    let mut agent = helpers::agent_with_a_parent(&folder);
    let order =
        helpers::order(&folder, "trap '' TERM; sleep 1000 & (setsid sleep 1000 &); : > begun; sleep 1000; exit 0");
    agent.spawn(&order);
    agent.kill();
    let world = &mut RealWorld::in_folder(folder);
    assert_eq!(world.find_runs().len(), 1);
    world.wait_until("all have begun", || processes_in(&order.cwd).len() == 4);
    world.ask(&order.run, Signal::Term);
    expect_silence(world);
    world.kill(&order.run);
    over(world, &order.run);
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn what_a_stranger_leaves_belongs_to_its_session_even_without_a_marker() {
    let folder = Folder::new();
    let mut agent = helpers::agent_with_a_parent(&folder);
    let script = "mkfifo go; env -i /usr/bin/env sleep 1000 & : > begun; read x < go; exit 0";
    let order = helpers::order(&folder, script);
    agent.spawn(&order);
    agent.kill();
    let world = &mut RealWorld::in_folder(folder);
    assert_eq!(world.find_runs().len(), 1);
    world.wait_until("its child has forgotten its marker", || {
        let children = processes_in(&order.cwd);
        children.iter().any(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|it| it.is_empty()))
    });
    world.let_go(&order.run);
    let (exit, left) = exited(world, &order.run);
    if kernel() < (6, 9) {
        // Once the main process is collected, nothing proves any more whose session its number is.
        return;
    }
    assert!(exit == Exit::Code(0) || kernel() < (6, 15), "{exit:?}");
    assert_eq!(left, 1);
    world.kill(&order.run);
    ended(world, &order.run);
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn a_run_without_a_record_is_found_by_its_marker() {
    let mut world = RealWorld::new();
    let order = world.order(Script::Waits(0));
    world.spawn(order.clone());
    let pid = spawned(&mut world, &order.run);
    world.wait_until_begun(&order.run);
    let state = world.folder().state();
    fs::remove_file(state.run(&order.id)).unwrap();
    fs::remove_file(state.pid(&order.id)).unwrap();
    let world = &mut RealWorld::in_folder(world.die());
    let runs = world.find_runs();
    let [FoundRun { id, run, pid: found, spawn_hash: None, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((id, run, *found), (&order.id, &order.run, Some(pid)));
    assert_eq!(fs::read_to_string(state.pid(&order.id)).unwrap().trim(), pid.to_string());
    world.kill(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Signal(9), 0));
}

#[test]
fn a_run_without_a_marker_is_found_by_its_record() {
    let mut world = RealWorld::new();
    let order = world.order_of(&["env", "-i", "/usr/bin/env", "sleep", "1000"]);
    world.spawn(order.clone());
    let pid = spawned(&mut world, &order.run);
    world.wait_until("it has forgotten its marker", || fs::read(format!("/proc/{pid}/environ")).unwrap().is_empty());
    let world = &mut RealWorld::in_folder(world.die());
    let runs = world.find_runs();
    let [FoundRun { run, pid: found, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((run, *found), (&order.run, Some(pid)));
    world.ask(&order.run, Signal::Term);
    assert_eq!(exited(world, &order.run), (Exit::Signal(15), 0));
}

#[test]
fn a_tree_whose_main_process_has_gone_is_found_and_ends() {
    let mut world = RealWorld::new();
    let run = begin(&mut world, Script::LeavesDeaf(0));
    world.let_go(&run);
    assert_eq!(exited(&mut world, &run), (Exit::Code(0), 1));
    let world = &mut RealWorld::in_folder(world.die());
    let runs = world.find_runs();
    let [FoundRun { run: found, pid: None, spawn_hash: Some(_), .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(*found, run);
    world.ask(&run, Signal::Term);
    expect_silence(world);
    world.kill(&run);
    ended(world, &run);
    assert_eq!(world.living(&run), 0);
    expect_silence(world);
}

#[test]
fn all_runs_of_a_service_are_found() {
    let mut world = RealWorld::new();
    let first = world.order(Script::Waits(0));
    let mut second = world.order(Script::Waits(0));
    second.id = first.id.clone();
    for order in [&first, &second] {
        world.spawn(order.clone());
        spawned(&mut world, &order.run);
        world.wait_until_begun(&order.run);
    }
    let world = &mut RealWorld::in_folder(world.die());
    let runs = world.find_runs();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.id == first.id && run.pid.is_some()));
    // The one that the record names is the one that the service goes on as, and the file tells of that one only.
    let recorded = runs.iter().find(|run| run.run == second.run).and_then(|run| run.pid).unwrap().to_string();
    let pid_file = world.folder().state().pid(&first.id);
    assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), recorded);
    world.kill(&first.run);
    assert_eq!(exited(world, &first.run).0, Exit::Signal(9));
    assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), recorded, "the end of another run takes it not away");
    assert_eq!(world.living(&second.run), 1);
}

#[test]
fn a_number_that_was_given_to_another_process_is_refused() {
    let mut world = RealWorld::new();
    let order = world.order(Script::EndsAtOnce(0));
    world.spawn(order.clone());
    spawned(&mut world, &order.run);
    exited(&mut world, &order.run);
    let stranger = Stranger::new();
    let state = world.folder().state();
    let genuine = RunRecord::load(&state, &order.id).unwrap();
    let start = start_time(stranger.0.id());
    let folder = world.die();
    let forgeries = [
        RunRecord { pid: stranger.0.id(), start_time: start - 1, end: None, ..genuine.clone() },
        RunRecord { pid: stranger.0.id(), start_time: start + 1, end: None, ..genuine.clone() },
        RunRecord {
            pid: stranger.0.id(),
            start_time: start,
            boot_id: "another".to_owned(),
            end: None,
            ..genuine.clone()
        },
        RunRecord { pid: 1, start_time: start_time(1), end: None, ..genuine.clone() },
        RunRecord { pid: 0, end: None, ..genuine },
    ];
    for forgery in forgeries {
        forgery.save(&state, &order.id).unwrap();
        fs::write(state.pid(&order.id), stranger.0.id().to_string()).unwrap();
        let mut world = RealWorld::in_folder(folder.clone());
        assert_eq!(world.find_runs(), [], "{forgery:?}");
        world.ask(&order.run, Signal::Kill);
        world.kill(&order.run);
        expect_silence(&mut world);
        assert!(!state.pid(&order.id).exists(), "a stale pid misleads scripts");
    }
    assert!(stranger.lives());
}

#[test]
fn the_marker_of_another_agent_or_half_a_marker_is_nobodys_run() {
    let folder = Folder::new();
    let state = folder.state().root().display().to_string();
    let marked = |variables: &[(&str, &str)]| {
        let mut command = Command::new("sleep");
        command.arg("1000").current_dir(folder.path()).envs(variables.iter().copied());
        Stranger(command.spawn().unwrap())
    };
    let strangers = [
        marked(&[("PILOTLIGHT_SERVICE", "a"), ("PILOTLIGHT_RUN", "r"), ("PILOTLIGHT_STATE_DIR", "/elsewhere")]),
        marked(&[("PILOTLIGHT_SERVICE", "a"), ("PILOTLIGHT_STATE_DIR", &state)]),
        marked(&[("PILOTLIGHT_RUN", "r"), ("PILOTLIGHT_STATE_DIR", &state)]),
        marked(&[("PILOTLIGHT_SERVICE", "../a"), ("PILOTLIGHT_RUN", "r"), ("PILOTLIGHT_STATE_DIR", &state)]),
        marked(&[("PILOTLIGHT_SERVICE", "a"), ("PILOTLIGHT_RUN", "r/r"), ("PILOTLIGHT_STATE_DIR", &state)]),
    ];
    let world = &mut RealWorld::in_folder(folder.clone());
    assert_eq!(world.find_runs(), []);
    expect_silence(world);
    assert!(strangers.iter().all(Stranger::lives));
}

#[test]
fn a_corrupt_record_costs_only_itself() {
    let mut world = RealWorld::new();
    let broken = begin_order(&mut world);
    let whole = begin_order(&mut world);
    let state = world.folder().state();
    fs::write(state.run(&broken.id), "{\"format\": 1, \"run\":").unwrap();
    let world = &mut RealWorld::in_folder(world.die());
    let mut runs: Vec<_> = world.find_runs().into_iter().map(|run| (run.run, run.spawn_hash.is_some())).collect();
    runs.sort();
    let mut expected = vec![(broken.run, false), (whole.run, true)];
    expected.sort();
    assert_eq!(runs, expected);
}

#[test]
fn what_ends_while_no_agent_lives_is_not_found() {
    let mut world = RealWorld::new();
    let order = begin_order(&mut world);
    let state = world.folder().state();
    let folder = world.die();
    let mut other = RealWorld::new();
    for pid in processes_in(&order.spawn.cwd) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    other.wait_until("it has ended", || processes_in(&order.spawn.cwd).is_empty());
    let world = &mut RealWorld::in_folder(folder);
    assert_eq!(world.find_runs(), []);
    assert!(!state.pid(&order.id).exists());
    expect_silence(world);
}

#[test]
fn an_adopted_service_is_named_as_the_holder_of_its_port() {
    let mut world = RealWorld::new();
    let listener = helpers::listener(&mut world);
    let world = &mut RealWorld::in_folder(world.die());
    assert_eq!(world.find_runs().len(), 1);
    let mut order = world.order(Script::Waits(0));
    order.port = Some(listener.port);
    world.spawn(order);
    match world.next() {
        Event::PortTaken { holder, .. } => assert_eq!(holder.service, Some(listener.order.id)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_below_its_own_service_never_ends_itself() {
    let world = &mut RealWorld::new();
    let script = format!("read x < go; {}; read x < go", helpers::agent_below_its_service());
    let mut order = world.order_of(&["sh", "-c", &script]);
    let folder = world.folder();
    Arc::make_mut(&mut order.spawn).env.extend([helpers::variable(&folder)]);
    world.spawn(order.clone());
    let pid = spawned(world, &order.run);
    // By now the run is written down.
    world.let_go(&order.run);
    let told = folder.path().join("told");
    world.wait_until("the agent below has tried", || told.exists());
    let expected = format!("1 KillFailed {{ run: {}, pids: [{pid}] }}", order.run);
    assert_eq!(fs::read_to_string(told).unwrap(), expected);
    world.let_go(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(0), 0));
}

#[test]
fn a_record_that_names_the_agent_itself_is_refused() {
    let mut world = RealWorld::new();
    let order = begin_order(&mut world);
    let state = world.folder().state();
    let own = std::process::id();
    let genuine = RunRecord::load(&state, &order.id).unwrap();
    world.kill(&order.run);
    exited(&mut world, &order.run);
    RunRecord { pid: own, start_time: start_time(own), ..genuine }.save(&state, &order.id).unwrap();
    assert_eq!(RealWorld::in_folder(world.die()).find_runs(), []);
}

fn begin_order(world: &mut RealWorld) -> pilotlight::domain::SpawnOrder {
    let order = world.order(Script::Waits(0));
    world.spawn(order.clone());
    spawned(world, &order.run);
    world.wait_until_begun(&order.run);
    order
}

/// A process that is none of the agent's business; it goes with the test.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").spawn().unwrap())
    }

    fn lives(&self) -> bool {
        start_time(self.0.id()) != 0 && !fs::read(format!("/proc/{}/cmdline", self.0.id())).unwrap().is_empty()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 2..].split(' ').nth(19).unwrap().parse().unwrap()
}

fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
