//! What the last start took, as people read it.

use pilotlight::cli::render_critical;
use pilotlight::engine::Clock;
use pilotlight::wire::Critical;
use serde_json::{Value, json};

use crate::cli::{golden, look};
use crate::sample::{NOW, snapshot, started};

fn spent(waiting: f64, in_vain: f64, before_start: f64, itself: f64) -> Value {
    json!({
        "waiting_seconds": waiting, "in_vain_seconds": in_vain,
        "before_start_seconds": before_start, "itself_seconds": itself,
    })
}

/// The link of `id` in a chain; `more` replaces what is usual.
fn link(id: &str, from: f64, to: f64, more: Value) -> Value {
    let usual = json!({
        "id": id, "from_seconds": from, "to_seconds": to, "took_seconds": to - from, "until": "healthy",
        "waited_for": null, "spent": spent(0.0, 0.0, 0.0, to - from),
    });
    with(usual, more)
}

/// A service of a start, ready by itself after `took` seconds; `more` replaces what is usual.
fn one(id: &str, took: f64, more: Value) -> Value {
    let usual = json!({
        "id": id, "state": "ready", "reason": null, "ready_when": "healthy", "begun": true, "asked_seconds": 0.0,
        "to_seconds": took, "took_seconds": took, "spent": spent(0.0, 0.0, 0.0, took), "tries": 1, "waited_for": [],
    });
    with(usual, more)
}

fn with(mut usual: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        usual[key] = value.clone();
    }
    usual
}

fn waited(id: &str, condition: &str, until: Option<f64>) -> Value {
    json!([{"id": id, "condition": condition, "until_seconds": until}])
}

fn text(critical: Value, named: bool) -> String {
    let critical: Critical = serde_json::from_value(critical).unwrap();
    render_critical(&critical, named, &look(None))
}

#[test]
fn a_start_that_went_well() {
    let chain = json!([
        link("db", 0.0, 2.21, json!({"spent": spent(0.0, 1.2, 0.0, 1.01)})),
        link("migrate", 2.21, 8.25, json!({"until": "completed", "waited_for": "db"})),
        link("main-api", 8.25, 11.31, json!({"waited_for": "migrate", "spent": spent(0.0, 0.0, 0.81, 2.25)})),
        link("web", 11.31, 11.33, json!({"until": null, "waited_for": "main-api"})),
    ]);
    let api = json!({
        "asked_seconds": 0.0, "waited_for": waited("migrate", "completed", Some(8.25)),
        "spent": spent(8.25, 0.0, 0.81, 2.25),
    });
    let migrate = json!({
        "ready_when": "completed", "spent": spent(2.21, 0.0, 0.0, 6.04),
        "waited_for": waited("db", "healthy", Some(2.21)),
    });
    let web = json!({
        "ready_when": "started", "spent": spent(11.31, 0.0, 0.0, 0.02),
        "waited_for": waited("main-api", "healthy", Some(11.31)),
    });
    let critical = json!({
        "at": "2026-01-09T14:01:20Z", "took_seconds": 11.33, "over": true,
        "chains": [{"took_seconds": 11.33, "links": chain}],
        "services": [
            one("migrate", 6.04, migrate),
            one("main-api", 3.06, api),
            one("db", 2.21, json!({"tries": 2, "spent": spent(0.0, 1.2, 0.0, 1.01)})),
            one("cache", 0.04, json!({"begun": false})),
            one("web", 0.02, web),
        ],
        "not_started": [{"id": "mail", "adopted": true, "reason": "healthy"}],
    });
    golden("critical", &text(critical, false));
}

#[test]
fn what_views_remember_of_a_start_is_told() {
    let critical = Critical::of(&snapshot(started()), &[], &Clock::start(NOW.since_zero()));
    let text = render_critical(&critical, false, &look(None));
    let lines: Vec<String> = text.lines().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
    assert_eq!(
        lines[2..4],
        ["page @8.00s +3.00s  healthy after 3.00s", "└─ store @5.00s +5.00s  healthy after 5.00s"],
        "{text}"
    );
}

#[test]
fn a_start_that_is_not_over_and_in_part_has_failed() {
    let chain =
        json!([link("db", 0.0, 2.0, json!({})), link("api", 2.0, 75.0, json!({"until": null, "waited_for": "db"})),]);
    let starting = json!({
        "state": "starting", "reason": "starting: connection refused", "to_seconds": null,
        "spent": spent(2.0, 0.0, 0.0, 73.0), "waited_for": waited("db", "healthy", Some(2.0)),
    });
    let waiting = json!({
        "state": "waiting", "reason": "waits for api, which is starting", "to_seconds": null, "begun": false,
        "spent": spent(75.0, 0.0, 0.0, 0.0), "waited_for": waited("api", "healthy", None), "tries": 0,
    });
    let failed = json!({"state": "not_ready", "reason": "exited with code 1\u{1b}[2J", "tries": 6});
    let critical = json!({
        "at": "2026-01-09T14:02:05Z", "took_seconds": 75.0, "over": false,
        "chains": [{"took_seconds": 75.0, "links": chain}],
        "services": [
            one("api", 73.0, starting),
            one("db", 2.0, json!({})),
            one("mail", 0.5, failed),
            one("gone", 0.2, json!({"state": "stopped", "reason": "stopped by the user"})),
            one("web", 0.0, waiting),
        ],
        "not_started": [],
    });
    golden("critical-under-way", &text(critical, true));
}

#[test]
fn where_nothing_was_started_that_is_said() {
    let critical = json!({
        "at": null, "took_seconds": null, "over": true, "chains": [], "services": [],
        "not_started": [
            {"id": "db", "adopted": true, "reason": "healthy"},
            {"id": "migrate", "adopted": false, "reason": "completed"},
        ],
    });
    golden("critical-nothing", &text(critical, false));
}
