//! What a child is given: output, environment, descriptors, signals; and what is written down of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use pilotlight::domain::{Event, Exit, RunId, ServiceId, Signal};
use pilotlight::process::RunRecord;

use crate::conformance::{Script, World, begin, exited, spawned};
use crate::helpers;
use crate::world::{Folder, RealWorld};

#[test]
fn both_outputs_go_to_the_end_of_the_log_in_their_order() {
    let world = &mut RealWorld::new();
    let mut order = world.order_of(&["sh", "-c", "echo one; echo two >&2; echo three; exit 0"]);
    let state = world.folder().state();
    let mut log = String::new();
    for run in ["first", "second"] {
        let offset = log.len() as u64;
        order.run = RunId::new(run);
        world.spawn(order.clone());
        spawned(world, &order.run);
        assert_eq!(exited(world, &order.run), (Exit::Code(0), 0));
        log.push_str("one\ntwo\nthree\n");
        assert_eq!(fs::read_to_string(state.log(&order.id)).unwrap(), log);
        assert_eq!(RunRecord::load(&state, &order.id).unwrap().log_offset, offset);
    }
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state.log(&order.id)), 0o600);
    assert_eq!(mode(&state.service(&order.id)), 0o700);
    assert_eq!(mode(&state.run(&order.id)), 0o600);
}

#[test]
fn a_run_is_written_down_while_it_lives_and_its_end_after() {
    let world = &mut RealWorld::new();
    let order = world.order(Script::Waits(6));
    let state = world.folder().state();
    world.spawn(order.clone());
    let pid = spawned(world, &order.run);
    assert_eq!(fs::read_to_string(state.pid(&order.id)).unwrap().trim(), pid.to_string());
    let record = RunRecord::load(&state, &order.id).unwrap();
    assert_eq!((record.run.as_str(), record.pid), (order.run.as_str(), pid));
    assert_eq!(record.spawn_hash, order.spawn.hash());
    assert_eq!(record.end, None);
    assert!(record.since.parse::<jiff::Timestamp>().is_ok());
    world.wait_until_begun(&order.run);
    world.let_go(&order.run);
    exited(world, &order.run);
    assert!(!state.pid(&order.id).exists());
    assert_eq!(RunRecord::load(&state, &order.id).unwrap().end.unwrap().code, Some(6));
}

#[test]
fn nothing_of_the_agents_own_gets_into_a_child() {
    let folder = Folder::new();
    // An agent that was started badly: deaf to signals, with a descriptor too many, and as a unit of systemd.
    let script = "trap '' HUP INT USR1 CHLD; exec 7< /dev/null; exec \"$@\"";
    let mut agent = helpers::agent_through(
        &folder,
        &["sh", "-c", script, "sh"],
        &[("NOTIFY_SOCKET", "/run/x"), ("INHERITED", "yes"), ("PILOTLIGHT_RUN", "forged")],
    );
    let order =
        helpers::order(&folder, "grep Sig /proc/self/status; echo fds: /proc/self/fd/*; env; touch told; sleep 1000");
    agent.spawn(&order);
    let world = &mut RealWorld::in_folder(Folder::new());
    let log = folder.state().log(&order.id);
    let told = order.cwd.join("told");
    world.wait_until("it has told", || told.exists());
    let text = fs::read_to_string(log).unwrap();
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = text.lines().find(|line| line.starts_with(set)).unwrap();
        // The shell itself may catch some; nothing is blocked or ignored.
        assert!(set == "SigCgt" || line.ends_with("\t0000000000000000"), "{line}");
    }
    let fds = text.lines().find_map(|line| line.strip_prefix("fds: ")).unwrap();
    assert!(!fds.contains("/7"), "{fds}");
    let has = |line: &str| text.lines().any(|it| it == line);
    assert!(has("INHERITED=yes") && !text.contains("NOTIFY_SOCKET="));
    assert!(has(&format!("PILOTLIGHT_RUN={}", order.run)) && has(&format!("PILOTLIGHT_SERVICE={}", order.id)));
    assert!(has(&format!("PILOTLIGHT_STATE_DIR={}", folder.state().root().display())));
    assert!(has(&format!("PWD={}", order.cwd.display())));
}

#[test]
fn the_program_is_looked_for_by_the_childs_own_path_and_directory() {
    let world = &mut RealWorld::new();
    let mut order = world.order_of(&["greet"]);
    let spawn = Arc::make_mut(&mut order.spawn);
    fs::create_dir(spawn.cwd.join("bin")).unwrap();
    fs::write(spawn.cwd.join("bin/greet"), "#!/bin/sh\necho $0\n").unwrap();
    fs::set_permissions(spawn.cwd.join("bin/greet"), fs::Permissions::from_mode(0o755)).unwrap();
    spawn.env.insert("PATH".to_owned(), Some("bin:/bin".to_owned()));
    let mut runs = 0;
    for program in ["greet", "bin/greet", "./bin/greet"] {
        runs += 1;
        order.run = RunId::new(&format!("run-{runs}"));
        Arc::make_mut(&mut order.spawn).argv = vec![program.to_owned()];
        world.spawn(order.clone());
        spawned(world, &order.run);
        assert_eq!(exited(world, &order.run), (Exit::Code(0), 0), "{program}");
    }
}

#[test]
fn a_holder_without_a_marker_is_known_by_the_session_of_its_service() {
    let world = &mut RealWorld::new();
    let script = "env -i PILOTLIGHT_TEST_FOLDER=\"$PILOTLIGHT_TEST_FOLDER\" \"$@\" & wait";
    let listener = helpers::listener_through(world, script);
    let mut order = world.order(Script::Waits(0));
    order.port = Some(listener.port);
    world.spawn(order);
    match world.next() {
        Event::PortTaken { holder, .. } => {
            assert_ne!(holder.pid(), Some(listener.pid), "the listener is a child of the main process");
            assert_eq!(holder.service, Some(listener.order.id));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_told() {
    let world = &mut RealWorld::new();
    let order = world.order(Script::Waits(0));
    fs::create_dir_all(world.folder().state().log(&order.id)).unwrap();
    world.spawn(order.clone());
    match world.next() {
        Event::SpawnFailed { error, .. } => assert!(error.starts_with("log cannot be opened: /"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_written_down_runs_all_the_same() {
    let world = &mut RealWorld::new();
    let order = world.order(Script::Waits(0));
    let state = world.folder().state();
    // A folder in the place of the temporary file fails every write of the record.
    fs::create_dir_all(state.run(&order.id).with_extension("tmp")).unwrap();
    fs::create_dir_all(state.pid(&order.id).with_extension("tmp")).unwrap();
    world.spawn(order.clone());
    spawned(world, &order.run);
    world.ask(&order.run, Signal::Term);
    assert_eq!(exited(world, &order.run), (Exit::Signal(15), 0));
}

#[test]
fn an_argument_that_no_program_can_take_is_told() {
    let world = &mut RealWorld::new();
    for (argument, part) in [("a\0b".to_owned(), "NUL"), ("x".repeat(300_000), "too long")] {
        let order = world.order_of(&["true", &argument]);
        world.spawn(order);
        match world.next() {
            Event::SpawnFailed { error, .. } => assert!(error.contains(part) && error.len() < 1000, "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_folder_that_is_no_services_is_passed_over() {
    let world = &mut RealWorld::new();
    let run = begin(world, Script::Waits(0));
    let services = world.folder().state().services();
    fs::create_dir(services.join(".hidden")).unwrap();
    fs::write(services.join("file"), "").unwrap();
    fs::create_dir(services.join("empty")).unwrap();
    world.kill(&run);
    exited(world, &run);
    assert_eq!(world.find_runs(), []);
    assert!(ServiceId::new("empty").is_ok());
}
