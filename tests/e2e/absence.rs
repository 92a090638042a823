//! An agent that is stopped for a while, as a terminal or a debugger may do, has missed nothing that it could be blamed
//! for, and blames nobody.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::desk::{Desk, free_port, pause};
use crate::supervision::demo;

/// Longer than the patience of all that is waited for below.
const AWAY: Duration = Duration::from_secs(5);

#[test]
fn an_agent_that_was_stopped_takes_nothing_for_a_failure_that_was_its_own() {
    let mut desk = Desk::new();
    let (steady, late) = (free_port(), free_port());
    let health = json!({"http": "/health", "interval": "50ms", "timeout": "1s", "unhealthy_after": 1, "grace": "3s"});
    let policy = json!({"on_unhealthy": true, "max_restarts": 1});
    desk.save(
        "services.d/steady.json",
        &demo(steady, json!({"auto_start": true, "health": health, "restart": policy})),
    );
    // Its grace would end while the agent is stopped, and it is ready only a moment later.
    let delay = format!("{}ms", AWAY.as_millis() + 1500);
    let arguments = ["demo-service", "--port", &late.to_string(), "--startup-delay", &delay];
    desk.save("services.d/late.json", &demo(late, json!({"args": arguments, "health": health, "restart": policy})));
    desk.start_agent();
    desk.until_service("steady", "health", "healthy");
    desk.ok(&["start", "late", "--no-wait"]);
    desk.until_service("late", "process", "starting");
    let before = desk.pids();
    assert_eq!(before.len(), 2);
    desk.signal_agent("STOP");
    let until = Instant::now() + AWAY;
    while Instant::now() < until {
        pause();
    }
    desk.signal_agent("CONT");
    desk.until_service("late", "health", "healthy");
    desk.until_light("green");
    assert_eq!(desk.pids(), before, "nothing was restarted");
    let events = desk.ok(&["events", "--json"]);
    for alarm in ["\"unhealthy\"", "\"notice\"", "\"backoff\"", "\"killing\""] {
        assert!(!events.contains(alarm), "{alarm}: {events}");
    }
    assert_eq!(events.matches("\"resumed\"").count(), 1, "{events}");
}

#[test]
fn since_when_a_service_runs_is_told_alike_by_every_agent() {
    let mut desk = Desk::new();
    desk.save("services.d/s.json", r#"{"type": "process", "command": ["sleep", "1000"], "auto_start": true}"#);
    desk.start_agent();
    desk.until_service("s", "process", "running");
    let began = |desk: &Desk| {
        let uptime = desk.service("s")["uptime_seconds"].as_f64().expect("it runs");
        jiff::Timestamp::now().as_millisecond() as f64 / 1000.0 - uptime
    };
    let before = began(&desk);
    desk.kill_agent();
    desk.start_agent();
    desk.until_service("s", "process", "running");
    // The kernel tells of starts in hundredths of a second, and the question takes its time.
    assert!((began(&desk) - before).abs() < 2.0, "an adopted run began when it began");
}
