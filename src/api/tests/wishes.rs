//! Wishes and waiting.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{World, accepted, eventually};
use crate::domain::sample::{foreign, healthy, id, running, snapshot, stopped, wanted};
use crate::domain::{
    Accepted, Command, Goal, HealthState, Light, Place, Problem, ProcessId, ProcessState, Refusal, Selection,
    ServiceView, Shutdown, Snapshot, Waiting,
};
use crate::engine::Request;

fn starting(name: &str) -> ServiceView {
    let view = running(name, 7, HealthState::Starting, Light::Yellow, "its first probe has not passed");
    ServiceView { process: ProcessState::Starting, ..view }
}

fn ids(names: &[&str]) -> Selection {
    Selection::Ids(names.iter().map(|name| id(name)).collect())
}

#[tokio::test]
async fn start_answers_once_the_service_is_healthy_and_not_before() {
    let mut world = World::new(snapshot(vec![stopped("api")]));
    let idle = world.snapshots.receiver_count();
    let answer = world.post("/v1/start", r#"{"ids": ["api"]}"#);
    world.publish(snapshot(vec![starting("api")]));
    assert_eq!(world.answer(accepted(&[("api", Goal::Healthy)])).await, Command::Start(ids(&["api"])));
    // The wait holds one receiver more than the handler's own.
    eventually("somebody waits for the next snapshot", || world.snapshots.receiver_count() > idle + 1).await;
    assert!(!answer.is_finished());
    world.publish(snapshot(vec![healthy("api", 7)]));
    let (status, body) = answer.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["services"], json!([{"id": "api", "goal": "healthy", "reached": true, "reason": null}]));
}

#[tokio::test]
async fn start_tells_who_did_not_get_there_and_why() {
    let failed = wanted("db", ProcessState::Failed, Light::Red, "exited with code 1");
    let mut world = World::new(snapshot(vec![healthy("api", 7), failed]));
    let answer = world.post("/v1/start", r#"{"all": true}"#);
    let aims = accepted(&[("api", Goal::Healthy), ("db", Goal::Healthy)]);
    assert_eq!(world.answer(aims).await, Command::Start(Selection::All));
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["kind"]), (409, &json!("not_reached")));
    assert_eq!(body["error"], "1 service did not get there");
    assert_eq!(body["services"][1]["reason"], "failed: exited with code 1");
    assert_eq!(body["services"][0]["reached"], true);
}

#[tokio::test]
async fn waiting_ends_with_its_time_and_says_what_was_missing() {
    let world = World::new(snapshot(vec![starting("api")]));
    let (status, body) = world.post("/v1/wait", r#"{"ids": ["api"], "timeout": 0.02}"#).await.unwrap();
    assert_eq!(status, 409);
    assert_eq!(body["services"][0]["reason"], "after 0.02 s still starting: its first probe has not passed");
}

#[tokio::test]
async fn with_a_time_one_waits_for_what_others_may_still_wish() {
    let world = World::new(snapshot(vec![stopped("api")]));
    let (status, body) = world.post("/v1/wait", r#"{"ids": ["api"]}"#).await.unwrap();
    assert_eq!(status, 409);
    assert_eq!(body["services"][0]["reason"], "not wanted: stopped by the user", "without one there is no end to it");
    let (status, body) = world.post("/v1/wait", r#"{"ids": ["api"], "timeout": 0.02}"#).await.unwrap();
    assert_eq!(status, 409);
    assert_eq!(body["services"][0]["reason"], "after 0.02 s still not wanted: stopped by the user");
    let before = world.snapshots.receiver_count();
    let answer = world.post("/v1/wait", r#"{"ids": ["api"], "timeout": 600}"#);
    eventually("the wait has begun", || world.snapshots.receiver_count() > before + 1).await;
    world.publish(snapshot(vec![starting("api")]));
    world.publish(snapshot(vec![healthy("api", 7)]));
    assert_eq!(answer.await.unwrap().0, 200);
}

#[tokio::test]
async fn whoever_has_wished_waits_no_longer_than_it_is_wanted() {
    let mut world = World::new(snapshot(vec![stopped("api")]));
    let answer = world.post("/v1/start", r#"{"ids": ["api"], "timeout": 600}"#);
    world.answer(accepted(&[("api", Goal::Healthy)])).await;
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["services"][0]["reason"]), (409, &json!("not wanted: stopped by the user")));
}

#[tokio::test]
async fn waiting_ends_with_the_engine() {
    let mut world = World::new(snapshot(vec![starting("api")]));
    let before = world.snapshots.receiver_count();
    let answer = world.post("/v1/wait", r#"{"ids": ["api"]}"#);
    eventually("the wait has begun", || world.snapshots.receiver_count() > before + 1).await;
    world.snapshots = tokio::sync::watch::Sender::new(snapshot(vec![]).into());
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["services"][0]["reason"]), (409, &json!("the agent has ended")));
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_wait() {
    let world = World::new(snapshot(vec![starting("api")]));
    let before = world.snapshots.receiver_count();
    let answer = world.post("/v1/wait", r#"{"ids": ["api"]}"#);
    eventually("the wait has begun", || world.snapshots.receiver_count() > before + 1).await;
    answer.abort();
    eventually("the wait has ended", || world.snapshots.receiver_count() == before).await;
}

#[tokio::test]
async fn who_does_not_want_to_wait_gets_the_answer_at_once() {
    let mut world = World::new(snapshot(vec![starting("api")]));
    let answer = world.post("/v1/restart", r#"{"group": "Backend", "wait": false}"#);
    let command = world.answer(accepted(&[("api", Goal::Healthy)])).await;
    assert_eq!(command, Command::Restart(Selection::Group("Backend".to_owned())));
    assert_eq!(answer.await.unwrap(), (200, json!({"services": [], "remarks": []})));

    for (path, expected) in [
        ("/v1/enable", Command::Start(ids(&["api"]))),
        ("/v1/disable", Command::Stop(ids(&["api"]))),
        ("/v1/reset", Command::Reset(ids(&["api"]))),
    ] {
        let answer = world.post(path, r#"{"ids": ["api"]}"#);
        assert_eq!(world.answer(accepted(&[("api", Goal::Healthy)])).await, expected);
        assert_eq!(answer.await.unwrap().0, 200, "{path}");
    }
}

#[tokio::test]
async fn shutdown_and_reload_reach_the_engine() {
    let mut world = World::new(snapshot(vec![healthy("api", 7)]));
    for (body, expected) in
        [("", Shutdown::AsConfigured), ("{}", Shutdown::AsConfigured), (r#"{"keep_services": true}"#, Shutdown::Keep)]
    {
        let answer = world.post("/v1/shutdown", body);
        assert_eq!(world.answer(Ok(Accepted::default())).await, Command::Shutdown(expected));
        assert_eq!(answer.await.unwrap().0, 200);
    }
    let answer = world.post("/v1/reload", "");
    assert_eq!(world.answer(Ok(Accepted::default())).await, Command::Reload);
    assert_eq!(answer.await.unwrap(), (200, json!({"generation": 7, "problems": [], "remarks": []})));
}

#[tokio::test]
async fn remarks_are_passed_on() {
    let mut world = World::new(snapshot(vec![healthy("api", 7)]));
    let answer = world.post("/v1/start", r#"{"ids": ["api"]}"#);
    let remarks = vec!["db, which was stopped by the user, starts as well".to_owned()];
    world.answer(Ok(Accepted { remarks: remarks.clone(), ..Accepted::default() })).await;
    assert_eq!(answer.await.unwrap().1["remarks"], json!(remarks));
}

#[tokio::test]
async fn no_such_service_is_404_with_the_name_that_may_be_meant() {
    let mut world = World::new(snapshot(vec![healthy("main-api", 7), healthy("db", 8)]));
    // An engine that reads nothing more.
    world.commands.close();
    let mut answers = vec![world.get("/v1/status?ids=db,main-apj").await, world.get("/v1/why/main-apj").await];
    answers.push(world.get("/v1/ps?ids=main-apj").await);
    for path in ["/v1/start", "/v1/stop", "/v1/restart", "/v1/enable", "/v1/disable", "/v1/reset", "/v1/wait"] {
        answers.push(world.post(path, r#"{"ids": ["main-apj"]}"#).await.unwrap());
    }
    for (status, body) in answers {
        assert_eq!(status, 404);
        assert_eq!(body["kind"], "no_such_service");
        assert_eq!(body["error"], "there is no service \"main-apj\"");
        assert_eq!(body["hint"], "did you mean main-api?");
    }
}

#[tokio::test]
async fn a_service_that_waits_to_be_applied_is_none_yet_and_it_is_said_how_it_becomes_one() {
    let waits = Waiting { services: vec![id("hello")], frame: false, text: "added hello".to_owned() };
    let mut world = World::new(Snapshot { waiting: Some(Arc::new(waits)), ..snapshot(vec![healthy("hallo", 7)]) });
    let answer = world.post("/v1/start", r#"{"ids": ["hello"]}"#);
    assert_eq!(world.answer(Ok(Accepted::default())).await, Command::Read);
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["kind"]), (404, &json!("no_such_service")));
    assert_eq!(body["error"], "there is no service \"hello\" yet");
    assert_eq!(body["hint"], "it is among the changes that wait: `pilotlight reload` applies them");
}

#[tokio::test]
async fn a_service_whose_definition_is_not_valid_is_not_called_unknown() {
    let wrong = Problem::error(&Place::whole(&"services.json".into()), "this service has no command").of(&id("web"));
    let mut world = World::new(Snapshot { problems: [wrong].into(), ..snapshot(vec![]) });
    let answer = world.post("/v1/start", r#"{"ids": ["web"]}"#);
    assert_eq!(world.answer(Ok(Accepted::default())).await, Command::Read);
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["error"]), (404, &json!("there is no service \"web\" in use")));
    assert_eq!(body["hint"], "its definition is not valid: `pilotlight check` shows what is wrong");
}

#[tokio::test]
async fn what_a_stranger_has_reached_is_said_to_be_his() {
    let stranger = foreign("web");
    let told = format!(
        "web is not the agent's own: {}; `pilotlight adopt web` takes it over, `pilotlight stop --foreign web` ends it",
        stranger.reason
    );
    let mut world = World::new(snapshot(vec![stranger]));
    let answer = world.post("/v1/start", r#"{"ids": ["web"]}"#);
    world.answer(accepted(&[("web", Goal::Healthy)])).await;
    let (status, body) = answer.await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(body["remarks"], json!([told]));
}

#[tokio::test]
async fn a_service_that_was_dropped_in_a_moment_ago_is_looked_for_in_the_sources() {
    let mut world = World::new(snapshot(vec![]));
    let answer = world.post("/v1/wait", r#"{"ids": ["hello"]}"#);
    let Request { command, reply } = world.commands.recv().await.unwrap();
    assert_eq!(command, Command::Read, "nothing that waits is applied by it");
    world.publish(snapshot(vec![healthy("hello", 7)]));
    reply.send(Ok(Accepted::default())).unwrap();
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &body["services"][0]["reached"]), (200, &json!(true)));
}

#[tokio::test]
async fn what_is_no_id_is_looked_for_nowhere() {
    let mut world = World::new(snapshot(vec![healthy("db", 8)]));
    let (status, body) = world.post("/v1/start", r#"{"ids": ["a/b"]}"#).await.unwrap();
    assert_eq!((status, &body["kind"]), (404, &json!("no_such_service")));
    assert!(world.commands.try_recv().is_err());
}

#[tokio::test]
async fn refusals_of_the_engine_keep_their_words() {
    let mut world = World::new(snapshot(vec![healthy("api", 7)]));
    for (refusal, code, error) in [
        (Refusal::NoSuchGroup("x".to_owned()), 404, "there is no group \"x\""),
        (Refusal::Impossible("api is disabled at a.json:3:5".to_owned()), 409, "api is disabled at a.json:3:5"),
    ] {
        let answer = world.post("/v1/start", r#"{"group": "x"}"#);
        world.answer(Err(refusal)).await;
        let (status, body) = answer.await.unwrap();
        assert_eq!((status, body["error"].as_str().unwrap()), (code, error));
    }
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_400_and_reaches_no_engine() {
    let mut world = World::new(snapshot(vec![healthy("api", 7)]));
    for (path, body) in [
        ("/v1/start", "{}"),
        ("/v1/start", r#"{"ids": ["api"], "all": true}"#),
        ("/v1/start", r#"{"ids": ["api"], "timeout": -1}"#),
        ("/v1/start", r#"{"ids": ["api"], "tiemout": 1}"#),
        ("/v1/start", "not json"),
        ("/v1/start", "[[[[[[["),
        ("/v1/start", r#"[["api"], false, null]"#),
        ("/v1/shutdown", "[]"),
        ("/v1/shutdown", "null"),
        ("/v1/enable", r#"{"ids": []}"#),
        ("/v1/wait", r#"{"ids": ["api"], "for": "ever"}"#),
    ] {
        let (status, answer) = world.post(path, body).await.unwrap();
        assert_eq!((status, &answer["kind"]), (400, &json!("bad_request")), "{path} {body}");
        assert_eq!(answer["services"], Value::Null);
    }
    let large = format!(r#"{{"ids": ["{}"]}}"#, "x".repeat(300_000));
    assert_eq!(world.post("/v1/start", &large).await.unwrap().0, 400);
    assert_eq!(world.get("/v1/status?idz=a").await.0, 400);
    assert_eq!(world.get("/v1/events?last=4294967296").await.0, 400);
    // Longer than any span is as long as one likes; a relative path can't be followed from here.
    assert_eq!(world.post("/v1/wait", r#"{"ids": ["api"], "timeout": 1e300}"#).await.unwrap().0, 200);
    assert_eq!(world.post("/v1/plan", r#"{"files": ["a.json"]}"#).await.unwrap().0, 409);
    assert!(world.commands.try_recv().is_err());
}

#[tokio::test]
async fn a_stranger_is_named_by_what_was_shown_of_it() {
    let stranger = ProcessId { pid: 42, start: 7 };
    let id = id("api");
    for (path, expected) in [
        ("/v1/adopt", Command::Adopt { id: id.clone(), stranger }),
        ("/v1/stop-foreign", Command::StopStranger { id: id.clone(), stranger }),
    ] {
        let mut world = World::new(snapshot(vec![healthy("api", 42)]));
        let answer = world.post(path, r#"{"id": "api", "stranger": "42-7"}"#);
        assert_eq!(world.answer(accepted(&[("api", Goal::Healthy)])).await, expected);
        let (status, body) = answer.await.unwrap();
        assert_eq!((status, &body["services"][0]["reached"]), (200, &json!(true)), "{path}");
        let answer = world.post(path, r#"{"id": "api", "stranger": "42-7", "wait": false}"#);
        let refusal = Refusal::Impossible("it is another process by now".to_owned());
        world.answer(Err(refusal)).await;
        let (status, body) = answer.await.unwrap();
        assert_eq!((status, &body["error"]), (409, &json!("it is another process by now")), "{path}");
    }
}

#[tokio::test]
async fn no_wish_about_a_stranger_goes_without_naming_it() {
    let mut world = World::new(snapshot(vec![foreign("api")]));
    for path in ["/v1/adopt", "/v1/stop-foreign"] {
        for body in [
            "{}",
            r#"{"id": "api"}"#,
            r#"{"id": "api", "stranger": ""}"#,
            r#"{"id": "api", "stranger": "42"}"#,
            r#"{"id": "api", "stranger": "everybody"}"#,
            r#"{"id": "api", "stranger": 42}"#,
            r#"{"id": "api", "stranger": "42-7", "force": true}"#,
            r#"{"ids": ["api"], "stranger": "42-7"}"#,
        ] {
            let (status, answer) = world.post(path, body).await.unwrap();
            assert_eq!((status, &answer["kind"]), (400, &json!("bad_request")), "{path} {body}");
        }
    }
    assert!(world.commands.try_recv().is_err(), "nothing has reached the engine");
}

#[tokio::test]
async fn a_stranger_is_shown_with_its_age_and_the_name_for_wishes() {
    let world = World::new(snapshot(vec![foreign("api"), healthy("db", 7)]));
    let (_, body) = world.get("/v1/status").await;
    let stranger = &body["services"][0]["foreign"];
    assert_eq!((&stranger["pid"], &stranger["identity"]), (&json!(4321), &json!("4321-99")));
    assert_eq!(stranger["earlier_run"], json!({"service": "api", "state_dir": "/home/dev/other"}));
    assert!(stranger["age_seconds"].as_f64().unwrap() >= 7384.0);
    let reason = body["services"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("port 8000 is taken by pid 4321 (python3 -m http.server 8000) in /home/dev/shop, 2 h old")
    );
    assert_eq!(body["services"][1]["foreign"], Value::Null);
    assert_eq!(world.get("/v1/why/api").await.1["foreign"]["folder"], "/home/dev/shop");
}
