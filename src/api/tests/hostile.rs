//! Requests that are none, or that say two things at once: each is refused or understood in one way, does what it says and
//! nothing else, and leaves the others alone.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::World;
use crate::domain::sample::{healthy, snapshot};
use crate::domain::{Accepted, Command};
use crate::engine::Request;

/// The wish that no request here may be taken for.
const SMUGGLED: &str = "POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n{\"all\": true}";

/// The last request of those that are all whole: with its answer, the connection ends.
const LAST: &str = "GET /v1/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Whether a client closes its side after what it has said.
#[derive(PartialEq)]
enum Then {
    Closes,
    Listens,
}

/// Everything that is answered to `bytes`.
async fn answer(world: &World, bytes: &[u8], then: Then) -> String {
    let mut client = world.connect().await;
    // Who is refused early need not be read to the end.
    let _ = client.write_all(bytes).await;
    if then == Then::Closes {
        let _ = client.shutdown().await;
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), client.read_to_end(&mut answer)).await;
    // It may be cut off, but it must end.
    let _ = read.unwrap_or_else(|_| panic!("no end to the answer to {:?}", String::from_utf8_lossy(bytes)));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of each answer.
fn statuses(told: &str) -> Vec<&str> {
    let starts = told.match_indices("HTTP/1.1 ").map(|(at, found)| &told[at + found.len()..]);
    starts.filter_map(|rest| rest.get(..3)).filter(|status| status.parse::<u16>().is_ok()).collect()
}

fn world() -> World {
    World::new(snapshot(vec![healthy("api", 7)]))
}

/// A request to start something, with this head, and what stands behind the head.
fn start(head: &str, rest: &str) -> String {
    format!("POST /v1/start HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n{rest}")
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_connection_ends() {
    let mut world = world();
    let (long, many) = ("x".repeat(300_000), "a: b\r\n".repeat(500));
    let body = "{\"all\": true}";
    for request in [
        "GET /v1/status\r\n\r\n".to_owned(),
        "GET /v1/status HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned() + &long,
        "GET  /v1/status  HTTP/1.1\r\n\r\n".to_owned(),
        "G\0T /v1/status HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /v1/\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\na: {long}\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{long}: a\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        "GET /v1/status HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n".to_owned(),
        "GET /v1/status HTTP/1.1\r\nhost: x\r\na : c\r\n\r\n".to_owned(),
        "GET /v1/status HTTP/1.1\r\nhost: x\r\na: c\r\n folded\r\n\r\n".to_owned(),
        "GET /v1/status HTTP/1.1\r\nhost: x\r\na: c\0d\r\n\r\n".to_owned(),
        start("content-length: -1", body),
        start("content-length: +13", body),
        start("content-length: 13, 14", body),
        start("content-length: 0x0d", body),
        start("content-length: 99999999999999999999999", body),
        start("content-length: 13\r\ncontent-length: 14", body),
        start("transfer-encoding: chunked, identity", body),
        start("transfer-encoding: xchunked", body),
        start("transfer-encoding: gzip", body),
        start("transfer-encoding:\u{b}chunked", "d\r\n{\"all\": true}\r\n0\r\n\r\n"),
    ] {
        let told = answer(&world, format!("{request}{SMUGGLED}").as_bytes(), Then::Listens).await;
        let shown = &request[..request.len().min(200)];
        match statuses(&told)[..] {
            [status] => assert!(status.starts_with('4'), "{shown:?}: {told}"),
            // Another version's greeting is not answered at all.
            [] => assert!(request.starts_with("PRI"), "{shown:?}: {told}"),
            [..] => panic!("{shown:?}: {told}"),
        }
    }
    assert!(world.commands.try_recv().is_err());
    assert_eq!(world.get("/v1/status").await.0, 200);
}

#[tokio::test]
async fn a_body_that_is_not_whole_or_too_much_reaches_no_engine() {
    let mut world = world();
    let large = "x".repeat(300_000);
    for (request, told) in [
        (start("content-length: 100", "{\"all\": true}"), ""),
        (start("content-length: 10000000000000", &large), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", &format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len())), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", "d\r\n{\"all\": true}"), ""),
        (start("transfer-encoding: chunked", "d\r\n{\"all\": true}\r\n"), ""),
        (start("transfer-encoding: chunked", "fffffffffffffffff\r\n{\"all\": true}"), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", "-d\r\n{\"all\": true}\r\n0\r\n\r\n"), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", "0xd\r\n{\"all\": true}\r\n0\r\n\r\n"), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", "d\n{\"all\": true}\n0\n\n"), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", "d\r\n{\"all\": true}xx0\r\n\r\n"), "HTTP/1.1 400"),
        (start("transfer-encoding: chunked", &format!("d;{large}\r\n{{\"all\": true}}\r\n0\r\n\r\n")), "HTTP/1.1 400"),
        (
            start("transfer-encoding: chunked", &format!("d\r\n{{\"all\": true}}\r\n0\r\na: {large}\r\n\r\n")),
            "HTTP/1.1 400",
        ),
    ] {
        let then = if told.is_empty() { Then::Closes } else { Then::Listens };
        let answer = answer(&world, request.as_bytes(), then).await;
        let as_expected = if told.is_empty() { !answer.contains("200 OK") } else { answer.starts_with(told) };
        assert!(as_expected, "{:?}: {answer}", &request[..request.len().min(200)]);
        assert!(world.commands.try_recv().is_err(), "{:?}", &request[..request.len().min(200)]);
    }
    assert_eq!(world.get("/v1/status").await.0, 200);
}

#[tokio::test]
async fn a_body_is_never_taken_for_the_next_request() {
    let mut world = world();
    for request in [
        start(&format!("content-length: {}", SMUGGLED.len()), SMUGGLED),
        start("transfer-encoding: chunked", &format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())),
        // Of two lengths the chunks' holds; the other one is not believed.
        start(
            "content-length: 4\r\ntransfer-encoding: chunked",
            &format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
        ),
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        format!("GET /v1/none HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        format!("DELETE /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len()),
        format!(
            "GET /v1/status HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\ncontent-length: {}\r\n\r\n{SMUGGLED}",
            SMUGGLED.len()
        ),
    ] {
        let told = answer(&world, format!("{request}{LAST}").as_bytes(), Then::Listens).await;
        let statuses = statuses(&told);
        // Whose length can't be believed is the last of its connection.
        assert!(matches!(statuses[..], [_] | [_, "404"]), "{request:?}: {told}");
        assert!(world.commands.try_recv().is_err(), "{request:?}");
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let mut world = world();
    let paths = ["/v1/graph", "/v1/none", "/v1/status", "/openapi.json"];
    let row = (0..200).map(|at| format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", paths[at % 4])).collect::<String>();
    let told = answer(&world, format!("{row}{LAST}").as_bytes(), Then::Listens).await;
    assert_eq!(statuses(&told), [["200", "404", "200", "200"].repeat(50), vec!["404"]].concat());
    // Each wish once, also those behind one that is refused.
    let body = r#"{"ids": ["api"], "wait": false}"#;
    let wish = |path| start(&format!("content-length: {}", body.len()), body).replace("/start", path);
    let row = [wish("/start"), wish("/stop"), wish("/nothing"), wish("/restart"), LAST.to_owned()].concat();
    let asking = tokio::spawn({
        let client = world.connect().await;
        async move {
            let mut client = client;
            client.write_all(row.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        }
    });
    let mut wished = Vec::new();
    for _ in 0..3 {
        wished.push(world.answer(Ok(Accepted::default())).await);
    }
    assert!(matches!(wished[..], [Command::Start(_), Command::Stop(_), Command::Restart(_)]), "{wished:?}");
    assert_eq!(statuses(&asking.await.unwrap()), ["200", "200", "404", "200", "404"]);
}

#[tokio::test]
async fn a_path_that_does_not_take_a_method_says_which_it_takes() {
    let world = world();
    for (method, path, takes) in [
        ("TRACE", "/v1/status", "GET,HEAD"),
        ("POST", "/v1/status", "GET,HEAD"),
        ("GET", "/v1/stop", "POST"),
        ("OPTIONS", "/v1/stop", "POST"),
        ("NONSENSE", "/v1/why/api", "GET,HEAD"),
    ] {
        let told =
            answer(&world, format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n{LAST}").as_bytes(), Then::Listens)
                .await;
        assert!(told.starts_with("HTTP/1.1 405"), "{method} {path}: {told}");
        assert!(told.contains(&format!("allow: {takes}\r\n")), "{method} {path}: {told}");
        assert!(told.contains(r#""kind":"no_such_method""#), "{method} {path}: {told}");
    }
}

/// A request with some of its bytes changed, left out, doubled or cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![
        Just(SMUGGLED.replace("stop", "start")),
        Just(start("transfer-encoding: chunked", "d\r\n{\"all\": true}\r\n0\r\n\r\n")),
        Just("GET /v1/why/api?x=%41 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n".to_owned()),
    ];
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..5);
    (whole, prop::collection::vec(change, 0..6)).prop_map(|(whole, changes)| {
        let mut bytes = whole.into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match how {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, byte),
                3 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

#[test]
fn no_damaged_request_stops_the_service_of_others_or_lacks_an_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut world = runtime.block_on(async { world() });
    // Whatever is understood is done.
    let mut commands = std::mem::replace(&mut world.commands, tokio::sync::mpsc::unbounded_channel().1);
    runtime.spawn(async move {
        while let Some(Request { reply, .. }) = commands.recv().await {
            let _ = reply.send(Ok(Accepted::default()));
        }
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: std::env::var("PILOTLIGHT_REQUESTS").map_or(500, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let held = runner.run(&damaged(), |bytes| {
        let (told, status) =
            runtime.block_on(async { (answer(&world, &bytes, Then::Closes).await, world.get("/v1/status").await.0) });
        prop_assert!(told.is_empty() || told.starts_with("HTTP/1."), "{}", told);
        prop_assert!(!told.contains(" 500 "), "{}", told);
        prop_assert_eq!(status, 200);
        Ok(())
    });
    held.unwrap();
}
