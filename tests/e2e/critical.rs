//! What the last start took, as a user asks for it.

use serde_json::{Value, json};

use crate::desk::{Desk, free_port};
use crate::supervision::demo;

/// The chain as ids, from the first to the last.
fn chain(critical: &Value) -> Vec<&str> {
    let links = critical["chains"][0]["links"].as_array().expect("there are links");
    links.iter().map(|link| link["id"].as_str().expect("an id")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A database that is slow, a migration, a service with a step before its start, a cache, and what ends it all.
fn project() -> (Desk, Vec<u16>) {
    let desk = Desk::new();
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let slow = |port: u16, delay: &str| json!(["demo-service", "--port", port.to_string(), "--startup-delay", delay]);
    desk.save("services.d/db.json", &demo(ports[0], json!({"args": slow(ports[0], "400ms")})));
    desk.save("services.d/cache.json", &demo(ports[1], json!({})));
    let job = json!({"type": "process", "command": ["sleep", "0.6"], "one_shot": true, "depends_on": ["db"]});
    desk.save("services.d/migrate.json", &job.to_string());
    let needs = json!([{"id": "migrate", "condition": "completed"}, "cache"]);
    let step = json!([["sleep", "0.8"]]);
    desk.save("services.d/api.json", &demo(ports[2], json!({"depends_on": needs, "before_start": step})));
    desk.save("services.d/web.json", &demo(ports[3], json!({"depends_on": ["api"]})));
    (desk, ports)
}

#[test]
fn what_the_last_start_took_is_told_as_a_chain_that_sums_up() {
    let (mut desk, _) = project();
    desk.fails(3, &["graph", "--critical"]);
    desk.start_agent();
    assert!(desk.ok(&["graph", "--critical"]).contains("has started no service yet"));
    desk.ok(&["start", "web"]);
    let critical = desk.json(&["graph", "--critical", "--json"]);
    assert_eq!(chain(&critical), ["db", "migrate", "api", "web"]);
    let took = number(&critical["took_seconds"]);
    let links = critical["chains"][0]["links"].as_array().expect("there are links");
    let sum: f64 = links.iter().map(|link| number(&link["took_seconds"])).sum();
    assert!((sum - took).abs() < 1e-6, "{sum} is not {took}");
    assert!(took >= 0.4 + 0.6 + 0.8, "{took}");
    assert!(links.windows(2).all(|pair| pair[0]["to_seconds"] == pair[1]["from_seconds"]));
    let untils: Vec<&Value> = links.iter().map(|link| &link["until"]).collect();
    assert_eq!(untils, [&json!("healthy"), &json!("completed"), &json!("healthy"), &Value::Null]);
    let api = &links[2];
    assert!(number(&api["spent"]["before_start_seconds"]) >= 0.8, "{api}");
    assert_eq!(api["waited_for"], "migrate");
    assert_eq!(critical["over"], true);
    let ids: Vec<&Value> = critical["services"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids[0], "api", "longest first: {ids:?}");
    assert_eq!(ids.len(), 5);
    // For people.
    let text = desk.ok(&["graph", "--critical"]);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains('@')).collect();
    let starts = ["web @", "└─ api @", "   └─ migrate @", "      └─ db @"];
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start) && line.contains(" +")), "{text}");
    assert!(text.contains("before start"), "{text}");
    assert_eq!(chain(&desk.json(&["graph", "--critical", "migrate", "--json"])), ["db", "migrate"]);
    desk.fails(4, &["graph", "--critical", "nobody"]);
    desk.fails(2, &["graph", "web"]);
}

#[test]
fn a_start_that_is_not_ready_says_who_is_not_and_why() {
    let (mut desk, ports) = project();
    desk.save("services.d/api.json", &demo(ports[2], json!({"depends_on": ["db"], "command": "no-such-program"})));
    desk.start_agent();
    desk.fails(1, &["start", "web"]);
    let critical = desk.json(&["graph", "--critical", "--json"]);
    assert_eq!(chain(&critical), ["db"]);
    let of = |id: &str| {
        let all = critical["services"].as_array().expect("a list");
        all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("{id} took part: {critical}")).clone()
    };
    assert_eq!((of("api")["state"].as_str(), of("web")["state"].as_str()), (Some("not_ready"), Some("waiting")));
    let text = desk.ok(&["graph", "--critical"]);
    assert!(text.contains("no-such-program"), "{text}");
}

#[test]
fn what_was_taken_over_is_said_not_to_have_been_started() {
    let (mut desk, _) = project();
    desk.start_agent();
    desk.ok(&["start", "web"]);
    desk.signal_agent("KILL");
    desk.wait_agent();
    desk.start_agent();
    desk.until_light("green");
    let critical = desk.json(&["graph", "--critical", "--json"]);
    assert_eq!((&critical["at"], &critical["chains"]), (&Value::Null, &json!([])));
    let adopted = critical["not_started"].as_array().expect("a list").iter().filter(|one| one["adopted"] == true);
    assert_eq!(adopted.count(), 4, "{critical}");
    assert!(desk.ok(&["graph", "--critical"]).contains("taken over"));
    desk.ok(&["restart", "web"]);
    assert_eq!(chain(&desk.json(&["graph", "--critical", "--json"])), ["web"]);
}
