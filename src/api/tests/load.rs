//! Clients that go without a word, say too much, or never read: nobody else notices, and nothing is kept for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::{World, eventually};
use crate::api::crowd::MAX_CONNECTIONS;
use crate::api::show::aside;
use crate::domain::sample::{healthy, snapshot};
use crate::wire::Event;

const FOLLOW: &str = "GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n";
const MORE: &str = "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n";

fn world() -> World {
    World::new(snapshot(vec![healthy("api", 7)]))
}

/// A client that follows events, and has the head of the answer.
async fn follower(world: &World, more: &str) -> UnixStream {
    let mut client = world.connect().await;
    client.write_all(FOLLOW.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // Who says too much is cut off.
    let _ = client.write_all(more.as_bytes()).await;
    client
}

#[tokio::test]
async fn a_follower_that_says_more_and_goes_is_noticed_at_once() {
    let world = world();
    for more in ["x", MORE, &MORE.repeat(1000), &MORE.repeat(10_000)] {
        let client = follower(&world, more).await;
        drop(client);
        // Nothing happens that could be told.
        eventually("nobody follows any more", || world.journal.grown.receiver_count() == 0).await;
    }
}

#[tokio::test]
async fn those_who_said_more_than_they_asked_and_went_lock_nobody_out() {
    let mut world = world();
    for round in 0..3 {
        let mut clients = Vec::new();
        for at in 0..MAX_CONNECTIONS {
            if at % 2 == 0 {
                clients.push(follower(&world, MORE).await);
            } else {
                let mut client = world.connect().await;
                let body = r#"{"ids": ["api"], "for": "stopped", "timeout": 1000}"#;
                let head = format!("POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
                client.write_all(format!("{head}{body}{MORE}").as_bytes()).await.unwrap();
                clients.push(client);
            }
        }
        drop(clients);
        eventually("nobody follows any more", || world.journal.grown.receiver_count() == 0).await;
        assert_eq!(world.get("/v1/status").await.0, 200, "in round {round}");
    }
    assert!(world.commands.try_recv().is_err());
}

#[tokio::test]
async fn what_was_said_while_an_answer_took_its_time_is_answered_after_it() {
    let mut world = world();
    let mut client = world.connect().await;
    let body = r#"{"ids": ["api"]}"#;
    let wish = format!("POST /v1/enable HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    client.write_all(wish.as_bytes()).await.unwrap();
    let request = world.commands.recv().await.unwrap();
    for _ in 0..100 {
        client.write_all(b"GET /v1/none HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    }
    client.write_all(b"GET /v1/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    // All of that has arrived, and is neither lost nor taken for the end.
    tokio::task::yield_now().await;
    request.reply.send(super::accepted(&[])).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 101, "{answers}");
}

/// Something that takes room.
fn long_event(at: i64) -> Event {
    Event {
        at: jiff::Timestamp::from_second(at).unwrap(),
        generation: 1,
        kind: "exited".to_owned(),
        service: None,
        run: None,
        text: "x".repeat(20_000),
    }
}

/// How many long events no socket takes in.
const MUCH: i64 = 300;

/// As much happens as no socket takes in.
fn much_happens(world: &World) {
    let mut events = world.journal.events.lock().unwrap();
    events.extend((0..MUCH).map(long_event));
    drop(events);
    world.journal.grown.send_modify(|count| *count += 1);
}

#[tokio::test]
async fn those_who_never_read_make_room_for_those_who_do() {
    let world = world();
    let mut deaf = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        deaf.push(follower(&world, "").await);
    }
    much_happens(&world);
    eventually_get(&world).await;
    // They went one by one, for as many as came.
    assert!(world.journal.grown.receiver_count() > MAX_CONNECTIONS / 2);
}

/// Waits until a question is answered.
async fn eventually_get(world: &World) {
    let wait = async {
        // Who is turned away may be told so before the question is out.
        while !world.client.get(super::url("/openapi.json")).send().await.is_ok_and(|answer| answer.status() == 200) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("a question is answered in the end");
}

#[tokio::test]
async fn a_follower_that_reads_too_late_is_told_that_it_missed_something_and_goes_on() {
    let world = world();
    world.journal.add("starting", "api", 10);
    let mut client = follower(&world, "").await;
    much_happens(&world);
    eventually("it has been read for it", || world.journal.reads.load(Ordering::SeqCst) > 3).await;
    *world.journal.first.lock().unwrap() = MUCH as usize - 10;
    world.journal.add("healthy", "api", 1000);
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains("\"kind\":\"healthy\"") {
        assert_ne!(client.read_buf(&mut told).await.unwrap(), 0);
    }
    let told = String::from_utf8_lossy(&told).into_owned();
    assert_eq!(told.matches("\"kind\":\"missed\"").count(), 1);
    let (before, after) = told.split_once("\"kind\":\"missed\"").unwrap();
    assert!(before.contains("\"kind\":\"starting\"") && after.contains("\"kind\":\"exited\""));
    // Of what was not kept nothing was held for it either.
    assert!(told.matches("\"kind\":\"exited\"").count() < MUCH as usize);
}

#[tokio::test]
async fn what_is_done_for_clients_that_have_gone_is_bounded() {
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let (opened, begun) = (Arc::new(std::sync::Mutex::new(opened)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..200 {
        let (opened, begun) = (Arc::clone(&opened), Arc::clone(&begun));
        let asking = tokio::spawn(aside(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            // Ends when the other side has gone.
            let _ = opened.lock().unwrap().recv();
        }));
        tokio::task::yield_now().await;
        asking.abort();
    }
    assert!(begun.load(Ordering::SeqCst) <= 16, "{begun:?}");
    drop(open);
    aside(|| ()).await.expect("there is a thread again");
    assert!(begun.load(Ordering::SeqCst) <= 16, "{begun:?}");
}
