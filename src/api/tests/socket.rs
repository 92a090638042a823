//! Who gets through, and who can hold up whom.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Listener, World, eventually};
use crate::api::crowd::MAX_CONNECTIONS;
use crate::domain::sample::{healthy, snapshot, stopped};

#[tokio::test]
async fn the_socket_is_private() {
    let world = World::new(snapshot(vec![]));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&world.socket), 0o600);
    assert_eq!(mode(world.socket.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_folder_that_others_may_enter_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, PermissionsExt::from_mode(0o777)).unwrap();
    let _listener = Listener::bind(&run.join("a.sock")).unwrap();
    assert_eq!(std::fs::metadata(&run).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_dead_agents_socket_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/a.sock");
    let dead = Listener::bind(&path).unwrap();
    let living = Listener::bind(&path).unwrap();
    drop(dead);
    assert!(path.exists(), "the earlier listener must leave its successor's socket alone");
    drop(living);
    assert!(!path.exists(), "the socket must go away with its listener");
    std::fs::write(&path, "precious").unwrap();
    assert!(Listener::bind(&path).unwrap_err().to_string().contains("is in the way"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_folder_behind_a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", folder.path().join("run")).unwrap();
    assert!(Listener::bind(&folder.path().join("run/a.sock")).is_err());
}

#[tokio::test]
async fn slow_and_broken_clients_hold_up_nobody() {
    let world = World::new(snapshot(vec![healthy("api", 7)]));
    let mut slow = world.connect().await;
    slow.write_all(b"GET /v1/status HT").await.unwrap();
    let mut half_body = world.connect().await;
    half_body.write_all(b"POST /v1/start HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    let mut garbage = world.connect().await;
    garbage.write_all(b"\0\x01\x02 nonsense\r\n\r\n").await.unwrap();
    assert_eq!(world.get("/v1/status").await.0, 200);
    let mut rest = Vec::new();
    garbage.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    slow.write_all(b"TP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_the_others_are_served() {
    let world = World::new(snapshot(vec![healthy("api", 7)]));
    let mut others = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut other = world.connect().await;
        other.write_all(b"GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        other.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        others.push(other);
    }
    let mut surplus = world.connect().await;
    let mut told = Vec::new();
    surplus.read_to_end(&mut told).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&told));
    world.journal.add("healthy", "api", 20);
    for other in &mut others {
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains("\"kind\":\"healthy\"") {
            assert_ne!(other.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        }
    }
    drop(others);
    eventually("nobody follows any more", || world.journal.grown.receiver_count() == 0).await;
    assert_eq!(world.get("/v1/status").await.0, 200);
}

#[tokio::test]
async fn those_who_say_nothing_make_room_for_those_who_ask() {
    let mut world = World::new(snapshot(vec![healthy("api", 7)]));
    let waiting = world.post("/v1/wait", r#"{"ids": ["api"], "for": "stopped", "timeout": 60}"#);
    let mut silent = Vec::new();
    for opening in ["", "GET", "GET /v1/status HTTP/1.1\r\nhost: x\r\nx-slow: ", HALF_A_BODY] {
        for _ in 0..MAX_CONNECTIONS {
            let mut other = world.connect().await;
            // It may have had to go already.
            let _ = other.write_all(opening.as_bytes()).await;
            silent.push(other);
        }
        for _ in 0..3 {
            assert_eq!(world.get("/v1/status").await.0, 200);
        }
    }
    // The first who came has gone, and who has asked something still waits for the answer.
    let mut rest = Vec::new();
    // How a connection was cut is of no importance.
    let _ = silent[0].read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert!(!waiting.is_finished());
    world.publish(snapshot(vec![stopped("api")]));
    assert_eq!(waiting.await.unwrap().0, 200);
    assert!(world.commands.try_recv().is_err());
}

#[tokio::test]
async fn a_client_of_another_user_is_turned_away() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can play another user");
        return;
    }
    let world = World::new(snapshot(vec![healthy("api", 7)]));
    // Whoever is kept out by the file's modes alone is not kept out by who he is.
    let folder = world.socket.parent().unwrap();
    for (path, mode) in [(folder.parent().unwrap(), 0o755), (folder, 0o755), (&world.socket, 0o666)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let ask = |uid: u32| {
        let path = world.socket.clone();
        tokio::task::spawn_blocking(move || as_user(uid, &path))
    };
    assert!(ask(0).await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(ask(65534).await.unwrap(), "");
    assert_eq!(world.get("/v1/status").await.0, 200);
}

/// What a client of the user `uid` is answered.
fn as_user(uid: u32, socket: &std::path::Path) -> String {
    let socket = socket.to_owned();
    // The user of one thread, which ends with it.
    let client = std::thread::spawn(move || {
        let uid = rustix::process::Uid::from_raw(uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let mut answer = String::new();
        // Both may fail, as the connection is cut.
        let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer
    });
    client.join().unwrap()
}

const HALF_A_BODY: &str = "POST /v1/stop HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{\"all\": true";
