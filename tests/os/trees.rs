//! Trees that are hard to end: wrappers, stopped processes, fugitives, forks during the kill, orphans.

use std::fs;

use pilotlight::domain::{Exit, Signal};
use rustix::process::{Pid, kill_process};

use crate::conformance::{World, ended, exited, expect_silence, over, spawned};
use crate::world::{RealWorld, processes_in};

#[test]
fn a_wrapping_shell_and_what_it_wraps_are_asked_together() {
    let world = &mut RealWorld::new();
    let order = world.start("sleep 1000; true");
    spawned(world, &order.run);
    world.wait_until("both live", || processes_in(&order.spawn.cwd).len() == 2);
    world.ask(&order.run, Signal::Term);
    assert_eq!(over(world, &order.run), Exit::Signal(15));
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn a_stopped_process_hears_what_it_is_asked() {
    let world = &mut RealWorld::new();
    let order = world.start("trap 'exit 5' TERM; : > begun; while :; do read x < go; done");
    let pid = spawned(world, &order.run);
    world.wait_until_begun(&order.run);
    kill_process(Pid::from_raw(pid as i32).unwrap(), rustix::process::Signal::STOP).unwrap();
    world.wait_until("it has stopped", || state(pid) == 'T');
    world.ask(&order.run, Signal::Term);
    assert_eq!(exited(world, &order.run), (Exit::Code(5), 0));
}

#[test]
fn a_stopped_process_can_be_killed() {
    let world = &mut RealWorld::new();
    let order = world.start(": > begun; read x < go");
    let pid = spawned(world, &order.run);
    world.wait_until_begun(&order.run);
    kill_process(Pid::from_raw(pid as i32).unwrap(), rustix::process::Signal::STOP).unwrap();
    world.wait_until("it has stopped", || state(pid) == 'T');
    world.kill(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Signal(9), 0));
}

/// Starts a process that has left session and parent alike, and says its pid in `fugitive`.
const FUGITIVE: &str =
    "(setsid sh -c 'trap \"\" TERM HUP; echo $$ > f; mv f fugitive; exec sleep 1000' &) ; read x < go";

#[test]
fn what_has_left_session_and_parent_is_found_by_its_marker() {
    let world = &mut RealWorld::new();
    let order = world.start(FUGITIVE);
    spawned(world, &order.run);
    world.wait_for_file(&order.run, "fugitive");
    // The file is there before who has moved it has ended.
    world.wait_until("only the two are left", || processes_in(&order.spawn.cwd).len() == 2);
    world.let_go(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(0), 1));
    world.ask(&order.run, Signal::Term);
    expect_silence(world);
    assert_eq!(world.living(&order.run), 1);
    world.kill(&order.run);
    ended(world, &order.run);
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn a_kill_takes_fugitives_along() {
    let world = &mut RealWorld::new();
    let order = world.start(FUGITIVE);
    spawned(world, &order.run);
    world.wait_for_file(&order.run, "fugitive");
    world.kill(&order.run);
    assert_eq!(over(world, &order.run), Exit::Signal(9));
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn what_is_forked_during_the_kill_is_killed_as_well() {
    let world = &mut RealWorld::new();
    // Bounded, in case that the test fails: 400 processes, each in a session of its own, each forked by the last.
    let chain = "case $0 in 400) exec sleep 1000;; esac; \
        [ $0 = 20 ] && : > begun; \
        (setsid sh -c \"$SCRIPT\" $(($0 + 1)) &); exec sleep 1000";
    let mut order = world.order_of(&["sh", "-c", chain, "0"]);
    let spawn = std::sync::Arc::make_mut(&mut order.spawn);
    spawn.env.insert("SCRIPT".to_owned(), Some(chain.to_owned()));
    let cwd = spawn.cwd.clone();
    world.spawn(order.clone());
    spawned(world, &order.run);
    world.wait_for_file(&order.run, "begun");
    world.kill(&order.run);
    assert_eq!(over(world, &order.run), Exit::Signal(9));
    assert!(processes_in(&cwd).is_empty());
}

#[test]
fn orphans_that_have_ended_are_collected() {
    let world = &mut RealWorld::new();
    let order = world.start("(setsid sh -c 'echo $$ > f; mv f orphan; read x < go' &) ; exit 0");
    spawned(world, &order.run);
    // The one that started it may still be about to end.
    let (exit, left) = exited(world, &order.run);
    assert!(exit == Exit::Code(0) && left >= 1, "{exit:?}, {left} left");
    let orphan = world.wait_for_file(&order.run, "orphan");
    world.let_go(&order.run);
    ended(world, &order.run);
    world.wait_until("its number is free", || !fs::exists(format!("/proc/{}", orphan.trim())).unwrap());
}

#[test]
fn a_child_without_its_environment_belongs_to_its_session_still() {
    let world = &mut RealWorld::new();
    let order = world.start("env -i /usr/bin/env sleep 1000 & : > begun; read x < go; exit 1");
    spawned(world, &order.run);
    world.wait_until("it has forgotten its marker", || {
        let children = processes_in(&order.spawn.cwd);
        children.iter().any(|pid| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|it| it.is_empty()))
    });
    world.let_go(&order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(1), 1));
    world.kill(&order.run);
    ended(world, &order.run);
    assert_eq!(world.living(&order.run), 0);
}

#[test]
fn a_tree_is_over_when_its_last_process_has_ended_by_itself() {
    let world = &mut RealWorld::new();
    let order = world.start("sh -c 'read x < go' & sh -c 'read x < go' & : > begun; exit 0");
    spawned(world, &order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(0), 2));
    world.let_go(&order.run);
    world.wait_until("at most one is left", || processes_in(&order.spawn.cwd).len() <= 1);
    if world.living(&order.run) == 1 {
        world.let_go(&order.run);
    }
    ended(world, &order.run);
}

fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 2..].chars().next().unwrap()
}
