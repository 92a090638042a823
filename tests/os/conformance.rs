//! What every implementation of the port `Processes` must do, as laws over a world that can be real or made up.

use pilotlight::domain::{Event, Exit, FoundRun, ProcessId, RunId, Signal, SpawnOrder, TakeOrder};

/// What a child of these laws does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Waits until it is let go, then exits with this code.
    Waits(i32),
    /// Exits with this code at once.
    EndsAtOnce(i32),
    /// Like `Waits(0)`, but takes no notice of SIGTERM.
    Deaf,
    /// Like `Waits` with this code, but has started another process that goes on until it is signalled.
    Leaves(i32),
    /// Like `Leaves`, but neither process takes notice of SIGTERM.
    LeavesDeaf(i32),
    /// Like `Waits` with this code, but another process of it has moved to a session of its own.
    MovesApart(i32),
    /// Like `MovesApart`, but a third process stays in the session, and takes no notice of SIGTERM.
    LeavesDeafAndApart(i32),
    /// There is no such program.
    NoProgram,
    /// There is no such directory.
    NoDirectory,
    /// The file is no program.
    NotExecutable,
}

/// A world with processes in it. What waits, waits with a generous deadline and then panics.
pub trait World {
    /// An order for a new run of a service of its own.
    fn order(&mut self, script: Script) -> SpawnOrder;
    /// Gives the order.
    fn spawn(&mut self, order: SpawnOrder);
    /// Gives the order.
    fn ask(&mut self, run: &RunId, signal: Signal);
    /// Gives the order, to leave what has moved to a session of its own.
    fn ask_group(&mut self, run: &RunId, signal: Signal);
    /// Gives the order.
    fn kill(&mut self, run: &RunId);
    /// Gives the order, to leave what has moved to a session of its own.
    fn kill_group(&mut self, run: &RunId);
    /// Waits until the script has come so far that it waits to be let go.
    fn wait_until_begun(&mut self, run: &RunId);
    /// Lets the main process of a script end.
    fn let_go(&mut self, run: &RunId);
    /// Waits for the next fact.
    fn next(&mut self) -> Event;
    /// How many processes of the run live, by a way of its own.
    fn living(&mut self, run: &RunId) -> usize;
    /// Lets a stranger listen on a port, and names it.
    fn taken_port(&mut self) -> u16;
    /// Lets a process that is nobody's run listen on a port, and waits until it does.
    fn begin_stranger(&mut self) -> Stranger;
    /// Gives the order.
    fn take(&mut self, order: TakeOrder);
    /// Starts a run that listens on a port; waits until it does.
    fn begin_listener(&mut self) -> Listener;
    /// The agent dies, and the next one finds what lives.
    fn next_agent(&mut self) -> Vec<FoundRun>;
}

/// A run that listens.
#[derive(Debug)]
pub struct Listener {
    pub order: SpawnOrder,
    pub pid: u32,
    pub port: u16,
}

/// A process on a port that is nobody's run.
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
    pub process: ProcessId,
    pub port: u16,
}

/// A test for each law, on the world that the expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($world:expr; $($law:ident),* $(,)?) => {
        $(
            #[test]
            fn $law() {
                $crate::conformance::$law(&mut $world);
            }
        )*
    };
    ($world:expr) => {
        $crate::conformance_tests! { $world;
            a_process_is_told_of_once_it_lives_and_once_it_has_ended,
            a_process_that_ends_at_once_has_lived,
            what_cannot_be_started_is_told_and_that_is_all,
            each_signal_reaches_a_process_and_is_told_as_its_end,
            a_process_may_end_in_its_own_way_when_asked,
            a_deaf_process_lives_until_it_is_killed,
            a_process_can_be_asked_and_killed_while_it_starts,
            what_outlives_the_main_process_is_counted_and_can_be_asked,
            what_outlives_the_main_process_and_is_deaf_can_be_killed,
            a_kill_takes_the_whole_tree,
            a_request_reaches_the_whole_group_of_the_main_process,
            an_end_is_told_once_whatever_is_ordered_after_it,
            runs_do_not_mix,
            a_taken_port_is_told_and_nothing_is_started,
            a_port_that_a_service_of_ours_holds_is_told_with_its_name,
            what_lives_is_found_by_the_next_agent_and_nothing_else_is,
            of_a_run_whose_main_process_is_over_only_the_end_is_told_to_the_next_agent,
            a_stranger_that_is_taken_is_told_of_and_ends_like_a_run,
            a_stranger_that_is_taken_can_be_killed,
            only_the_very_process_that_is_meant_is_taken,
            a_stranger_that_became_a_run_is_found_by_the_next_agent,
            a_stranger_that_was_only_to_end_is_not_found_by_the_next_agent,
            orders_for_an_unknown_run_do_nothing,
            what_has_moved_to_a_session_of_its_own_ends_with_the_rest,
            what_has_moved_to_a_session_of_its_own_is_left_if_it_is_said_so,
            what_has_not_moved_is_ended_as_ever,
            what_has_outlived_the_main_process_is_left_once_it_is_said_so,
            what_was_left_is_no_run_of_the_next_agent,
            a_step_that_lives_is_found_as_a_step,
        }
    };
}

pub fn a_process_is_told_of_once_it_lives_and_once_it_has_ended(world: &mut dyn World) {
    let run = begin(world, Script::Waits(3));
    assert_eq!(world.living(&run), 1);
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(3), 0));
    assert_eq!(world.living(&run), 0);
    expect_silence(world);
}

pub fn a_process_that_ends_at_once_has_lived(world: &mut dyn World) {
    let run = spawn(world, Script::EndsAtOnce(7));
    spawned(world, &run);
    assert_eq!(exited(world, &run), (Exit::Code(7), 0));
    expect_silence(world);
}

pub fn what_cannot_be_started_is_told_and_that_is_all(world: &mut dyn World) {
    let cases = [
        (Script::NoProgram, "program not found: "),
        (Script::NoDirectory, "directory does not exist: "),
        (Script::NotExecutable, "not executable: "),
    ];
    for (script, beginning) in cases {
        let run = spawn(world, script);
        match world.next() {
            Event::SpawnFailed { run: of, error, lasting } => {
                assert_eq!(of, run);
                assert!(lasting, "{script:?}: trying again is of no use");
                assert!(error.starts_with(beginning), "{script:?}: {error}");
                assert!(!error.ends_with('.'), "a fragment: {error}");
            }
            other => panic!("{script:?}: {other:?}"),
        }
        world.ask(&run, Signal::Term);
        world.kill(&run);
        expect_silence(world);
    }
}

pub fn each_signal_reaches_a_process_and_is_told_as_its_end(world: &mut dyn World) {
    // HUP, INT, QUIT, KILL and TERM have these numbers everywhere.
    for (signal, number) in
        [(Signal::Hup, 1), (Signal::Int, 2), (Signal::Quit, 3), (Signal::Kill, 9), (Signal::Term, 15)]
    {
        let run = begin(world, Script::Waits(0));
        world.ask(&run, signal);
        assert_eq!(exited(world, &run), (Exit::Signal(number), 0));
    }
}

pub fn a_process_may_end_in_its_own_way_when_asked(world: &mut dyn World) {
    let run = begin(world, Script::Deaf);
    world.ask(&run, Signal::Term);
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 0));
}

pub fn a_deaf_process_lives_until_it_is_killed(world: &mut dyn World) {
    let run = begin(world, Script::Deaf);
    world.ask(&run, Signal::Term);
    expect_silence(world);
    assert_eq!(world.living(&run), 1);
    world.kill(&run);
    assert_eq!(exited(world, &run), (Exit::Signal(9), 0));
}

pub fn a_process_can_be_asked_and_killed_while_it_starts(world: &mut dyn World) {
    let run = spawn(world, Script::Waits(0));
    world.ask(&run, Signal::Term);
    spawned(world, &run);
    assert_eq!(over(world, &run), Exit::Signal(15));
    let run = spawn(world, Script::Deaf);
    world.kill(&run);
    spawned(world, &run);
    assert_eq!(over(world, &run), Exit::Signal(9));
    assert_eq!(world.living(&run), 0);
}

pub fn what_outlives_the_main_process_is_counted_and_can_be_asked(world: &mut dyn World) {
    let run = begin(world, Script::Leaves(4));
    assert_eq!(world.living(&run), 2);
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(4), 1));
    assert_eq!(world.living(&run), 1);
    world.ask(&run, Signal::Term);
    ended(world, &run);
    assert_eq!(world.living(&run), 0);
    expect_silence(world);
}

pub fn what_outlives_the_main_process_and_is_deaf_can_be_killed(world: &mut dyn World) {
    let run = begin(world, Script::LeavesDeaf(0));
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 1));
    world.ask(&run, Signal::Term);
    expect_silence(world);
    assert_eq!(world.living(&run), 1);
    world.kill(&run);
    ended(world, &run);
    assert_eq!(world.living(&run), 0);
}

pub fn a_kill_takes_the_whole_tree(world: &mut dyn World) {
    let run = begin(world, Script::LeavesDeaf(0));
    world.kill(&run);
    assert_eq!(over(world, &run), Exit::Signal(9));
    assert_eq!(world.living(&run), 0);
    expect_silence(world);
}

pub fn a_request_reaches_the_whole_group_of_the_main_process(world: &mut dyn World) {
    let run = begin(world, Script::Leaves(0));
    assert_eq!(world.living(&run), 2);
    world.ask(&run, Signal::Term);
    assert_eq!(over(world, &run), Exit::Signal(15));
    assert_eq!(world.living(&run), 0);
    expect_silence(world);
}

pub fn an_end_is_told_once_whatever_is_ordered_after_it(world: &mut dyn World) {
    let run = begin(world, Script::Waits(0));
    world.kill(&run);
    world.kill(&run);
    world.ask(&run, Signal::Term);
    assert_eq!(over(world, &run), Exit::Signal(9));
    world.ask(&run, Signal::Term);
    world.kill(&run);
    expect_silence(world);
    let run = begin(world, Script::Leaves(0));
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 1));
    world.kill(&run);
    world.ask(&run, Signal::Term);
    ended(world, &run);
    world.ask(&run, Signal::Term);
    world.kill(&run);
    expect_silence(world);
}

pub fn runs_do_not_mix(world: &mut dyn World) {
    let first = begin(world, Script::Waits(1));
    let second = begin(world, Script::Leaves(2));
    let third = begin(world, Script::Waits(3));
    world.kill(&second);
    assert_eq!(over(world, &second), Exit::Signal(9));
    assert_eq!((world.living(&first), world.living(&second), world.living(&third)), (1, 0, 1));
    world.let_go(&third);
    assert_eq!(exited(world, &third), (Exit::Code(3), 0));
    world.let_go(&first);
    assert_eq!(exited(world, &first), (Exit::Code(1), 0));
}

pub fn a_taken_port_is_told_and_nothing_is_started(world: &mut dyn World) {
    let port = world.taken_port();
    let order = SpawnOrder { port: Some(port), ..world.order(Script::Waits(0)) };
    let run = order.run.clone();
    world.spawn(order);
    match world.next() {
        Event::PortTaken { run: of, holder } => {
            assert_eq!(of, run);
            assert_eq!((holder.port, holder.service), (port, None));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.living(&run), 0);
    world.kill(&run);
    expect_silence(world);
}

pub fn a_port_that_a_service_of_ours_holds_is_told_with_its_name(world: &mut dyn World) {
    let listener = world.begin_listener();
    let order = SpawnOrder { port: Some(listener.port), ..world.order(Script::EndsAtOnce(0)) };
    world.spawn(order.clone());
    match world.next() {
        Event::PortTaken { run, holder } => {
            assert_eq!(run, order.run);
            assert_eq!((holder.port, holder.pid()), (listener.port, Some(listener.pid)));
            assert_eq!(holder.service, Some(listener.order.id));
            assert!(holder.command.is_some_and(|command| !command.is_empty()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.living(&listener.order.run), 1, "it is left alone");
    world.kill(&listener.order.run);
    assert_eq!(over(world, &listener.order.run), Exit::Signal(9));
    world.spawn(order.clone());
    spawned(world, &order.run);
    assert_eq!(exited(world, &order.run), (Exit::Code(0), 0));
}

pub fn what_lives_is_found_by_the_next_agent_and_nothing_else_is(world: &mut dyn World) {
    let over = spawn(world, Script::EndsAtOnce(0));
    spawned(world, &over);
    assert_eq!(exited(world, &over), (Exit::Code(0), 0));
    let order = world.order(Script::Waits(3));
    world.spawn(order.clone());
    let pid = spawned(world, &order.run);
    world.wait_until_begun(&order.run);
    let runs = world.next_agent();
    let [FoundRun { id, run, pid: found, spawn_hash, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((id, run, *found), (&order.id, &order.run, Some(pid)));
    assert_eq!(*spawn_hash, Some(order.spawn.hash()));
    world.let_go(&order.run);
    let (exit, left) = exited(world, &order.run);
    // Whether an end can be told that is not a child's depends on the system.
    assert!([Exit::Code(3), Exit::Unknown].contains(&exit), "{exit:?}");
    assert_eq!(left, 0);
    expect_silence(world);
}

pub fn of_a_run_whose_main_process_is_over_only_the_end_is_told_to_the_next_agent(world: &mut dyn World) {
    let run = begin(world, Script::Leaves(0));
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 1));
    let runs = world.next_agent();
    let [FoundRun { run: found, pid: None, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(*found, run);
    world.ask(&run, Signal::Term);
    ended(world, &run);
    assert_eq!(world.next_agent(), []);
    expect_silence(world);
}

pub fn a_stranger_that_is_taken_is_told_of_and_ends_like_a_run(world: &mut dyn World) {
    let stranger = world.begin_stranger();
    let order = take(world, stranger, true);
    taken(world, &order.run);
    world.ask(&order.run, Signal::Term);
    ends(world, &order.run);
    expect_silence(world);
    let spawn = SpawnOrder { port: Some(stranger.port), ..world.order(Script::EndsAtOnce(0)) };
    world.spawn(spawn.clone());
    spawned(world, &spawn.run);
    assert_eq!(exited(world, &spawn.run), (Exit::Code(0), 0));
}

pub fn a_stranger_that_is_taken_can_be_killed(world: &mut dyn World) {
    let stranger = world.begin_stranger();
    let order = take(world, stranger, false);
    taken(world, &order.run);
    world.kill(&order.run);
    ends(world, &order.run);
    expect_silence(world);
}

pub fn only_the_very_process_that_is_meant_is_taken(world: &mut dyn World) {
    let stranger = world.begin_stranger();
    let ProcessId { pid, start } = stranger.process;
    for process in [ProcessId { pid, start: start + 1 }, ProcessId { pid: pid + 1, start }] {
        let order = take(world, Stranger { process, ..stranger }, true);
        not_taken(world, &order.run);
    }
    let order = take(world, Stranger { port: u16::from(stranger.port == 1) + 1, ..stranger }, true);
    not_taken(world, &order.run);
    let order = take(world, stranger, false);
    taken(world, &order.run);
    world.kill(&order.run);
    ends(world, &order.run);
    let order = take(world, stranger, true);
    not_taken(world, &order.run);
    expect_silence(world);
}

pub fn a_stranger_that_became_a_run_is_found_by_the_next_agent(world: &mut dyn World) {
    let stranger = world.begin_stranger();
    let order = take(world, stranger, true);
    taken(world, &order.run);
    let runs = world.next_agent();
    let [FoundRun { id, run, pid, spawn_hash, .. }] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!((id, run, *pid), (&order.id, &order.run, Some(stranger.process.pid)));
    assert_eq!(*spawn_hash, order.spawn_hash);
    world.ask(&order.run, Signal::Term);
    ends(world, &order.run);
    assert_eq!(world.next_agent(), []);
}

pub fn a_stranger_that_was_only_to_end_is_not_found_by_the_next_agent(world: &mut dyn World) {
    let stranger = world.begin_stranger();
    let order = take(world, stranger, false);
    taken(world, &order.run);
    assert_eq!(world.next_agent(), []);
    let order = take(world, stranger, false);
    taken(world, &order.run);
    world.kill(&order.run);
    ends(world, &order.run);
}

pub fn orders_for_an_unknown_run_do_nothing(world: &mut dyn World) {
    world.ask(&RunId::new("nobody"), Signal::Kill);
    world.kill(&RunId::new("nobody"));
    expect_silence(world);
}

pub fn what_has_moved_to_a_session_of_its_own_ends_with_the_rest(world: &mut dyn World) {
    let run = begin(world, Script::MovesApart(0));
    assert_eq!(world.living(&run), 2);
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 1));
    world.ask(&run, Signal::Term);
    ended(world, &run);
    assert_eq!(world.living(&run), 0);
}

pub fn what_has_moved_to_a_session_of_its_own_is_left_if_it_is_said_so(world: &mut dyn World) {
    let run = begin(world, Script::MovesApart(0));
    world.ask_group(&run, Signal::Term);
    assert_eq!(exited(world, &run), (Exit::Signal(15), 1));
    assert_eq!(spared(world, &run), 1);
    assert_eq!(world.living(&run), 1, "it lives on");
    world.kill(&run);
    expect_silence(world);
    assert_eq!(world.living(&run), 1, "it is nobody's any more");
    let run = begin(world, Script::MovesApart(0));
    world.kill_group(&run);
    assert_eq!(exited(world, &run), (Exit::Signal(9), 1));
    assert_eq!(spared(world, &run), 1);
}

pub fn what_has_not_moved_is_ended_as_ever(world: &mut dyn World) {
    let run = begin(world, Script::LeavesDeafAndApart(0));
    assert_eq!(world.living(&run), 3);
    world.ask_group(&run, Signal::Term);
    expect_silence(world);
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 2));
    expect_silence(world);
    world.kill_group(&run);
    assert_eq!(spared(world, &run), 1);
    assert_eq!(world.living(&run), 1);
}

pub fn what_has_outlived_the_main_process_is_left_once_it_is_said_so(world: &mut dyn World) {
    let run = begin(world, Script::MovesApart(4));
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(4), 1));
    expect_silence(world);
    world.ask_group(&run, Signal::Term);
    assert_eq!(spared(world, &run), 1);
    assert_eq!(world.living(&run), 1);
}

pub fn what_was_left_is_no_run_of_the_next_agent(world: &mut dyn World) {
    let run = begin(world, Script::MovesApart(0));
    world.ask_group(&run, Signal::Term);
    assert_eq!(exited(world, &run), (Exit::Signal(15), 1));
    assert_eq!(spared(world, &run), 1);
    for _ in 0..2 {
        assert_eq!(world.next_agent(), []);
        world.kill(&run);
        expect_silence(world);
        assert_eq!(world.living(&run), 1, "it lives on");
    }
    let run = begin(world, Script::MovesApart(0));
    world.let_go(&run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 1));
    assert_eq!(world.next_agent().len(), 1, "an agent that dies before it could leave it has not left it");
    world.ask_group(&run, Signal::Term);
    assert_eq!(spared(world, &run), 1);
    assert_eq!(world.next_agent(), []);
}

pub fn a_step_that_lives_is_found_as_a_step(world: &mut dyn World) {
    for to in [RunId::of_step, RunId::of_stop_command] {
        let order = world.order(Script::Waits(0));
        let order = SpawnOrder { run: to(&order.run), ..order };
        world.spawn(order.clone());
        let pid = spawned(world, &order.run);
        let runs = world.next_agent();
        let [FoundRun { id, run, pid: found, spawn_hash: None, .. }] = &runs[..] else { panic!("{runs:?}") };
        assert_eq!((id, run, *found), (&order.id, &order.run, Some(pid)));
        world.kill(&order.run);
        over(world, &order.run);
        assert_eq!(world.next_agent(), []);
    }
}

/// Starts a run and waits until it waits to be let go.
pub fn begin(world: &mut dyn World, script: Script) -> RunId {
    let run = spawn(world, script);
    spawned(world, &run);
    world.wait_until_begun(&run);
    run
}

/// Orders to take `stranger`, as a run that is to last or only to be ended.
pub fn take(world: &mut dyn World, stranger: Stranger, lasts: bool) -> TakeOrder {
    let SpawnOrder { id, run, spawn, port: _ } = world.order(Script::Waits(0));
    let spawn_hash = lasts.then(|| spawn.hash());
    let order = TakeOrder { id, run, stranger: stranger.process, port: stranger.port, spawn_hash };
    world.take(order.clone());
    order
}

pub fn taken(world: &mut dyn World, run: &RunId) {
    match world.next() {
        Event::Taken { run: of } => assert_eq!(of, *run),
        other => panic!("{other:?}"),
    }
}

pub fn not_taken(world: &mut dyn World, run: &RunId) -> String {
    match world.next() {
        Event::NotTaken { run: of, error } => {
            assert_eq!(of, *run);
            error
        }
        other => panic!("{other:?}"),
    }
}

/// Waits until nothing of a stranger is left; how it ended depends on what the system tells of it.
pub fn ends(world: &mut dyn World, run: &RunId) {
    if exited(world, run).1 > 0 {
        ended(world, run);
    }
}

fn spawn(world: &mut dyn World, script: Script) -> RunId {
    let order = world.order(script);
    let run = order.run.clone();
    world.spawn(order);
    run
}

/// The next fact is that the run lives.
pub fn spawned(world: &mut dyn World, run: &RunId) -> u32 {
    match world.next() {
        Event::Spawned { run: of, pid } if of == *run && pid != 0 => pid,
        other => panic!("{run} should have been spawned, but {other:?}"),
    }
}

/// The next fact is that the run's main process has ended.
pub fn exited(world: &mut dyn World, run: &RunId) -> (Exit, u32) {
    match world.next() {
        Event::Exited { run: of, exit, left } if of == *run => (exit, left),
        other => panic!("{run} should have exited, but {other:?}"),
    }
}

/// The next facts are that the run's main process has ended and, if others outlived it, that they have, too.
pub fn over(world: &mut dyn World, run: &RunId) -> Exit {
    let (exit, left) = exited(world, run);
    if left > 0 {
        ended(world, run);
    }
    exit
}

/// The next fact is that nothing of the run is left.
pub fn ended(world: &mut dyn World, run: &RunId) {
    match world.next() {
        Event::Ended { run: of, spared } if of == *run && spared.is_empty() => {}
        other => panic!("{run} should have ended, but {other:?}"),
    }
}

/// The next fact is that nothing of the run is left but what is spared; tells how many processes that are.
pub fn spared(world: &mut dyn World, run: &RunId) -> usize {
    match world.next() {
        Event::Ended { run: of, spared } if of == *run => {
            assert!(spared.iter().all(|spared| spared.pid > 1 && !spared.command.is_empty()), "{spared:?}");
            spared.len()
        }
        other => panic!("{run} should have ended, but {other:?}"),
    }
}

/// Nothing is told of what was there before: the next facts are those of one more run, from its begin to its end.
pub fn expect_silence(world: &mut dyn World) {
    let run = spawn(world, Script::EndsAtOnce(0));
    spawned(world, &run);
    assert_eq!(exited(world, &run), (Exit::Code(0), 0));
}
