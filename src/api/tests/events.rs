//! What happened, at once and as it happens.

use super::{World, eventually, url};
use crate::domain::sample::snapshot;
use crate::wire::Event;

fn kinds(text: &str) -> Vec<String> {
    text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().kind).collect()
}

#[tokio::test]
async fn events_are_lines_that_can_be_narrowed() {
    let world = World::new(snapshot(vec![]));
    for (kind, at) in [("starting", 10), ("healthy", 20), ("exited", 30)] {
        world.journal.add(kind, "api", at);
    }
    for (query, expected) in [
        ("", vec!["starting", "healthy", "exited"]),
        ("?since=1970-01-01T00:00:20Z", vec!["healthy", "exited"]),
        ("?last=1", vec!["exited"]),
        ("?last=9", vec!["starting", "healthy", "exited"]),
    ] {
        let response = world.client.get(url(&format!("/v1/events{query}"))).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        assert_eq!(kinds(&response.text().await.unwrap()), expected, "{query}");
    }
    assert_eq!(world.get("/v1/events?since=yesterday").await.0, 400);
}

#[tokio::test]
async fn followed_events_come_as_they_happen_and_end_with_the_client() {
    let world = World::new(snapshot(vec![]));
    world.journal.add("starting", "api", 10);
    let mut response = world.client.get(url("/v1/events?follow=true")).send().await.unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(kinds(std::str::from_utf8(&first).unwrap()), ["starting"]);
    world.journal.add("healthy", "api", 20);
    let second = response.chunk().await.unwrap().unwrap();
    assert_eq!(kinds(std::str::from_utf8(&second).unwrap()), ["healthy"]);
    assert_eq!(world.journal.grown.receiver_count(), 1);
    drop(response);
    eventually("nobody follows any more", || world.journal.grown.receiver_count() == 0).await;
}
