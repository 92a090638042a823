//! Serves the router to whoever the listener lets through: nobody can hold it up.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::crowd::{Crowd, MAX_CONNECTIONS};
use super::line::{Conduct, Line};
use super::platform::{Listener, turn_away};

/// How long the head of a request may take to arrive, from the connection or the end of the request before.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long answers that are under way may still take at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// From how many clients on each may ask once and has to come again: so nobody keeps a place that others could use.
const CROWDED: usize = MAX_CONNECTIONS / 2;

/// What a client that is one too many is told.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves `router` to all clients of `listener` until `end`; then lets those that are being answered have their answer,
/// for a short while.
///
/// Gives the listener back: whoever waits for the agent to be gone sees its socket go when that is dropped.
pub async fn serve(listener: Listener, router: Router, end: impl Future<Output = ()>) -> Listener {
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::default();
    let (ending, ended) = watch::channel(());
    let mut end = pin!(end);
    loop {
        tokio::select! {
            stream = listener.accept() => {
                if crowd.make_room().await {
                    let (conduct, is_crowded) = (Conduct::default(), crowd.len() > CROWDED);
                    let client = converse(stream, router.clone(), conduct.clone(), is_crowded, ended.clone());
                    crowd.add(connections.spawn(client), conduct);
                } else {
                    turn_away(stream, BUSY);
                }
            }
            Some(_) = connections.join_next() => {}
            () = &mut end => break,
        }
    }
    drop((ending, router));
    let last_words = async { while connections.join_next().await.is_some() {} };
    // Who has not got its answer by then waits for something that will not come any more.
    let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    listener
}

/// Serves a client that nobody competes with.
#[cfg(fuzzing)]
pub async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    ended: watch::Receiver<()>,
) {
    converse(stream, router, Conduct::default(), false, ended).await;
}

/// Answers one client's requests, one after the other, until it hangs up or the sender of `ended` is gone; only the first
/// if it `asks_once`. How it behaves meanwhile is noted in `conduct`.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    conduct: Conduct,
    asks_once: bool,
    mut ended: watch::Receiver<()>,
) {
    let router = TowerToHyperService::new(router);
    let line = Line::new(stream, conduct.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(conduct.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(64 * 1024)
        .keep_alive(!asks_once)
        .serve_connection(TokioIo::new(line.clone()), service);
    let mut connection = pin!(connection);
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = line.abandoned() => return,
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        // A client that hung up or sent no HTTP; nobody is left to be told.
        tracing::debug!(%error, "a client's connection ended early");
    }
}
