//! Who gets through, and who can hold up whom.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Listener, World, eventually};
use crate::domain::sample::{healthy, snapshot};

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
    for _ in 0..crate::api::serve::MAX_CONNECTIONS {
        others.push(world.connect().await);
    }
    let mut surplus = world.connect().await;
    let mut told = Vec::new();
    surplus.read_to_end(&mut told).await.unwrap();
    assert!(told.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&told));
    let first = &mut others[0];
    first.write_all(b"GET /v1/graph HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    first.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    drop(others);
    let free = || std::os::unix::net::UnixStream::connect(&world.socket).is_ok();
    eventually("the socket takes clients again", free).await;
}
