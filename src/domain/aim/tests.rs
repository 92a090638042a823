//! The table of goals and states.

use std::sync::Arc;

use super::*;
use crate::domain::sample::{define, exited, foreign, healthy, id, needs, running, snapshot, stopped, waiting, wanted};
use crate::domain::{Exit, Light, PortHolder, RunId, Step};

/// What is expected, without the words.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Is {
    Reached,
    Pending,
    Unwanted,
    Hopeless,
}

fn aim(name: &str, goal: Goal) -> Aim {
    Aim { id: id(name), goal, not_run: None }
}

fn is(verdict: &Verdict) -> Is {
    match verdict {
        Verdict::Reached => Is::Reached,
        Verdict::Pending(_) => Is::Pending,
        Verdict::Unwanted(_) => Is::Unwanted,
        Verdict::Hopeless(_) => Is::Hopeless,
    }
}

/// A service `a` in `process`, with a process if that state has one.
fn in_state(process: ProcessState, health: HealthState) -> ServiceView {
    use ProcessState as P;
    let view = match process {
        P::Starting | P::Running | P::Stopping => running("a", 7, health, Light::Yellow, "some reason"),
        P::Stopped | P::Waiting | P::Backoff | P::Failed | P::Completed | P::Foreign => {
            wanted("a", process, Light::Yellow, "some reason")
        }
    };
    ServiceView { process, health, ..view }
}

#[test]
fn each_goal_and_state_of_a_wanted_service_has_its_verdict() {
    use HealthState as H;
    use Is::{Hopeless, Pending, Reached};
    use ProcessState as P;
    //             process      health        Healthy   Running   Stopped  Completed
    let table = [
        (P::Stopped, H::Stopped, Hopeless, Hopeless, Reached, Hopeless),
        (P::Waiting, H::Stopped, Pending, Pending, Reached, Pending),
        (P::Starting, H::Starting, Pending, Pending, Pending, Pending),
        (P::Starting, H::Healthy, Pending, Pending, Pending, Pending),
        (P::Running, H::Healthy, Reached, Reached, Pending, Pending),
        (P::Running, H::Degraded, Reached, Reached, Pending, Pending),
        (P::Running, H::Unhealthy, Pending, Reached, Pending, Pending),
        (P::Running, H::Unknown, Pending, Reached, Pending, Pending),
        (P::Stopping, H::Healthy, Pending, Pending, Pending, Pending),
        (P::Backoff, H::Stopped, Pending, Pending, Pending, Pending),
        (P::Failed, H::Stopped, Hopeless, Hopeless, Reached, Hopeless),
        (P::Completed, H::Stopped, Reached, Reached, Reached, Reached),
        (P::Foreign, H::Healthy, Reached, Reached, Reached, Hopeless),
        (P::Foreign, H::Degraded, Reached, Reached, Reached, Hopeless),
        (P::Foreign, H::Unhealthy, Hopeless, Hopeless, Reached, Hopeless),
        (P::Foreign, H::Unknown, Pending, Pending, Reached, Pending),
    ];
    for (process, health, on_healthy, on_running, on_stopped, on_completed) in table {
        let picture = snapshot(vec![in_state(process, health)]);
        for (goal, expected) in [
            (Goal::Healthy, on_healthy),
            (Goal::Running, on_running),
            (Goal::Stopped, on_stopped),
            (Goal::Completed, on_completed),
        ] {
            let verdict = judge(&aim("a", goal), &picture);
            assert_eq!(is(&verdict), expected, "{process:?} {health:?} for {goal:?}: {verdict:?}");
        }
    }
}

#[test]
fn what_is_not_wanted_is_told_apart_from_what_can_not_come() {
    for view in [stopped("a"), ServiceView { wanted: false, ..in_state(ProcessState::Stopping, HealthState::Healthy) }]
    {
        let verdict = judge(&aim("a", Goal::Healthy), &snapshot(vec![view]));
        assert!(matches!(&verdict, Verdict::Unwanted(reason) if reason.starts_with("not wanted: ")), "{verdict:?}");
    }
}

#[test]
fn a_fresh_run_without_probes_is_not_relied_on_yet() {
    let fresh = ServiceView { is_fresh: true, ..healthy("a", 7) };
    for goal in [Goal::Healthy, Goal::Running] {
        let verdict = judge(&aim("a", goal), &snapshot(vec![fresh.clone()]));
        assert_eq!(verdict, Verdict::Pending("too young to tell whether it lasts".to_owned()), "{goal:?}");
    }
}

#[test]
fn a_strangers_work_is_reached_with_the_reservation_that_it_is_one() {
    let service = |name: &str, change: fn(&mut PortHolder)| {
        let mut view = foreign(name);
        view.foreign.iter_mut().for_each(change);
        view
    };
    let picture = snapshot(vec![
        foreign("web"),
        service("twin", |holder| holder.service = Some(id("db"))),
        service("secret", |holder| holder.process = None),
        healthy("db", 7),
    ]);
    let told = |name: &str, goal| reservation(&aim(name, goal), &picture);
    let web = told("web", Goal::Healthy).expect("there is one");
    assert!(
        web.starts_with("web is not the agent's own: port 8000 is taken by pid 4321 (python3 -m http.server 8000)"),
        "{web}"
    );
    let remedy = "; `pilotlight adopt web` takes it over, `pilotlight stop --foreign web` ends it";
    assert!(web.ends_with(remedy), "{web}");
    for name in ["twin", "secret"] {
        let told = told(name, Goal::Running).expect("there is one");
        assert!(!told.contains("pilotlight"), "no stranger to be taken in hand: {told}");
    }
    assert_eq!(told("web", Goal::Stopped), None);
    assert_eq!(told("db", Goal::Healthy), None);
    assert_eq!(told("nobody", Goal::Healthy), None);
}

#[test]
fn a_service_that_is_gone_is_stopped_and_never_comes_up() {
    let empty = snapshot(vec![]);
    assert_eq!(judge(&aim("a", Goal::Stopped), &empty), Verdict::Reached);
    assert_eq!(judge(&aim("a", Goal::Healthy), &empty), Verdict::Hopeless("not defined any more".to_owned()));
}

#[test]
fn an_earlier_run_does_not_count() {
    let picture = snapshot(vec![healthy("a", 7)]);
    let old = Aim { not_run: Some(RunId::new("a-1")), ..aim("a", Goal::Healthy) };
    assert_eq!(is(&judge(&old, &picture)), Is::Pending);
    let other = Aim { not_run: Some(RunId::new("a-0")), ..aim("a", Goal::Healthy) };
    assert_eq!(judge(&other, &picture), Verdict::Reached);
}

#[test]
fn a_failed_service_whose_process_survived_the_kill_is_not_stopped() {
    let view = ServiceView { pid: Some(7), ..in_state(ProcessState::Failed, HealthState::Stopped) };
    let verdict = judge(&aim("a", Goal::Stopped), &snapshot(vec![view]));
    assert_eq!(verdict, Verdict::Hopeless("some reason (pid 7 still lives)".to_owned()));
}

#[test]
fn whoever_waits_for_something_hopeless_is_hopeless_and_names_the_root() {
    let blockers = [
        stopped("db"),
        wanted("db", ProcessState::Failed, Light::Red, "exited with code 1"),
        exited(wanted("db", ProcessState::Stopped, Light::Yellow, "exited by itself"), Exit::Code(0)),
        running("db", 9, HealthState::Unhealthy, Light::Red, "port 1 is taken by pid 9"),
    ];
    for (n, blocker) in blockers.into_iter().enumerate() {
        let foreign = ServiceView { process: ProcessState::Foreign, pid: None, ..blocker.clone() };
        let blocker = if n == 3 { foreign } else { blocker };
        let picture = snapshot(vec![
            waiting("web", "api", "waits for db"),
            waiting("api", "db", "does not work"),
            ServiceView { reason: "does not work".to_owned(), ..blocker },
        ]);
        let verdict = judge(&aim("web", Goal::Healthy), &picture);
        let expected = "waits for api, which waits for db, which does not work".to_owned();
        assert_eq!(verdict, Verdict::Hopeless(expected), "blocker {n}");
    }
}

#[test]
fn whoever_waits_for_something_that_may_still_come_is_pending() {
    for process in [ProcessState::Starting, ProcessState::Running, ProcessState::Backoff] {
        let db = ServiceView { process, ..running("db", 9, HealthState::Unhealthy, Light::Red, "answered 503") };
        let picture = snapshot(vec![waiting("api", "db", "answered 503"), db]);
        assert_eq!(is(&judge(&aim("api", Goal::Healthy), &picture)), Is::Pending, "{process:?}");
    }
}

#[test]
fn services_that_wait_for_each_other_do_not_hang_the_judge() {
    let picture = snapshot(vec![waiting("a", "b", "waits for a"), waiting("b", "a", "waits for b")]);
    assert_eq!(is(&judge(&aim("a", Goal::Healthy), &picture)), Is::Pending);
    assert!(patience(&[aim("a", Goal::Healthy)], &picture) > Duration::ZERO);
}

#[test]
fn nothing_comes_up_while_the_agent_ends() {
    let picture = Snapshot { shutting_down: true, ..snapshot(vec![waiting("a", "b", "is starting")]) };
    assert_eq!(judge(&aim("a", Goal::Healthy), &picture), Verdict::Hopeless("the agent is ending".to_owned()));
}

#[test]
fn what_this_version_does_not_run_is_hopeless_and_what_others_run_may_come() {
    let detached = define(in_state(ProcessState::Stopped, HealthState::Stopped), |s| s.kind = Kind::Detached);
    assert_eq!(is(&judge(&aim("a", Goal::Healthy), &snapshot(vec![detached]))), Is::Hopeless);
    let external = define(in_state(ProcessState::Stopped, HealthState::Stopped), |s| s.kind = Kind::External);
    assert_eq!(is(&judge(&aim("a", Goal::Healthy), &snapshot(vec![external]))), Is::Pending);
}

#[test]
fn a_service_that_exited_by_itself_with_success_has_completed() {
    let view = exited(wanted("a", ProcessState::Stopped, Light::Yellow, "exited by itself"), Exit::Code(0));
    assert_eq!(judge(&aim("a", Goal::Completed), &snapshot(vec![view])), Verdict::Reached);
}

#[test]
fn patience_has_time_for_steps_and_stop_commands() {
    let step = |seconds| Arc::new(Step { argv: vec!["make".to_owned()], timeout: Duration::from_secs(seconds) });
    let view = define(healthy("db", 1), |service| {
        service.before_start = vec![step(600), step(5)];
        service.stop.command = Some(vec!["ctl".to_owned()]);
    });
    let seconds = |goal| patience(&[aim("db", goal)], &snapshot(vec![view.clone()])).as_secs();
    assert_eq!((seconds(Goal::Healthy), seconds(Goal::Stopped)), (605 + 60 + 30, 2 * 10 + 30));
}

#[test]
fn patience_follows_the_longest_chain() {
    let picture = snapshot(vec![
        needs(needs(healthy("web", 1), "api"), "cache"),
        needs(healthy("api", 2), "db"),
        healthy("db", 3),
        healthy("cache", 4),
    ]);
    let seconds = |name: &str, goal| patience(&[aim(name, goal)], &picture).as_secs();
    assert_eq!(seconds("web", Goal::Healthy), 3 * 60 + 30);
    assert_eq!(seconds("db", Goal::Healthy), 60 + 30);
    assert_eq!(seconds("db", Goal::Stopped), 3 * 10 + 30);
    let restart = Aim { not_run: Some(RunId::new("api-1")), ..aim("api", Goal::Healthy) };
    assert_eq!(patience(&[restart], &picture).as_secs(), 2 * 10 + 2 * 60 + 30);
}
