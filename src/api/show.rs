//! Answers that only look: status, ps, why (with the configuration), graph, what the last start took.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::backstage::Backstage;
use super::events::query;
use super::failure::internal;
use super::known::find;
use crate::domain::{Kind, ServiceView, Snapshot};
use crate::wire::{Address, Config, Critical, Failure, FailureKind, Graph, Ps, Samples, Status, Why, last_healthy};

/// How many lines of a log `why` shows.
const LAST_LINES: usize = 10;

/// So many threads work for clients at a time: what a client has asked for goes on when it has gone, and another one comes
/// in its place.
static THREADS: Semaphore = Semaphore::const_new(16);

/// How many bytes a service takes in a status, if it has not much to say.
const USUAL: usize = 640;

/// How old a status may find what processes cost: several faces that look all the time cost no more than one, and the
/// look at all processes of the machine, which is nearly all of a status, is taken once in this time.
const RECENT: Duration = Duration::from_secs(1);

/// Which services are asked about; all without it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Ids, joined by commas.
    #[serde(default)]
    ids: String,
}

/// `GET /v1/status`.
pub async fn status(State(backstage): State<Backstage>, uri: Uri) -> Result<impl IntoResponse, Failure> {
    let (views, snapshot) = chosen(&backstage, &query::<Which>(&uri)?).await?;
    // What processes cost is the least of a status: without it, the rest is shown.
    let samples = sample(&backstage, views.clone(), RECENT).await?.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to measure processes");
        Arc::default()
    });
    let shown = Snapshot { services: views.into(), ..Snapshot::clone(&snapshot) };
    // The one long answer that is asked for again and again: room for it is made at once.
    let mut text = Vec::with_capacity(USUAL * (shown.services.len() + 1));
    let status = Status::of(&shown, &backstage.engine.clock(), &backstage.agent, &samples);
    serde_json::to_writer(&mut text, &status).map_err(internal)?;
    Ok(([(CONTENT_TYPE, "application/json")], text))
}

/// `GET /v1/ps`.
pub async fn ps(State(backstage): State<Backstage>, uri: Uri) -> Result<Json<Ps>, Failure> {
    let (views, snapshot) = chosen(&backstage, &query::<Which>(&uri)?).await?;
    let samples = sample(&backstage, views.clone(), Duration::ZERO).await?;
    let samples = samples.map_err(|error| internal(format!("failed to measure processes: {error}")))?;
    Ok(Json(Ps::of(views.iter().map(|view| &view.id), &samples, &snapshot.secrets)))
}

/// `GET /v1/why/{id}`.
pub async fn why(State(backstage): State<Backstage>, Path(id): Path<String>) -> Result<Json<Why>, Failure> {
    let (views, snapshot) = find(&backstage.engine, [id.as_str()]).await?;
    // One was asked for, and so one was found.
    let view = views.first().ok_or_else(|| internal("the service is gone"))?;
    let asked = (backstage.clone(), Arc::clone(view));
    let (lines, events, checkout) = aside(move || {
        let (backstage, view) = asked;
        let lines = (backstage.last_lines)(&view.id, LAST_LINES);
        let events = backstage.journal.read_all();
        let since = events.as_ref().ok().and_then(|events| last_healthy(&view, events));
        let since = since.and_then(|at| at.try_into().ok()).unwrap_or_else(SystemTime::now);
        let folder = match &view.service.kind {
            Kind::Process(spawn) => Some(&spawn.cwd),
            Kind::External | Kind::Detached | Kind::Settings => None,
        };
        let checkout = folder.and_then(|folder| {
            // A suspect that can't be questioned spoils nothing else.
            let found = (backstage.checkout)(folder, since);
            found.unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to read what is checked out in {}", folder.display());
                None
            })
        });
        (lines, events, checkout)
    })
    .await?;
    let lines = lines.map_err(|error| internal(format!("failed to read the log of {id}: {error}")))?;
    let events = events.map_err(|error| internal(format!("failed to read what happened: {error}")))?;
    Ok(Json(Why::of(view, &snapshot, &backstage.engine.clock(), lines, (&events, checkout))))
}

/// `GET /v1/why/{id}/config`.
pub async fn config(State(backstage): State<Backstage>, Path(id): Path<String>) -> Result<Json<Config>, Failure> {
    let (views, snapshot) = find(&backstage.engine, [id.as_str()]).await?;
    let view = views.first().ok_or_else(|| internal("the service is gone"))?;
    let (basis, id) = (Arc::clone(&snapshot.basis), view.id.clone());
    let explained = aside(move || basis.explain(&id)).await?;
    let explained = explained.ok_or_else(|| {
        Failure::new(FailureKind::Refused, format!("no source defines {} any more", view.id))
            .hint("it is on its way out: see `pilotlight status`")
    })?;
    Ok(Json(Config::of(&view.id, &explained, &snapshot.secrets)))
}

/// `GET /v1/address/{id}`.
pub async fn address(State(backstage): State<Backstage>, Path(id): Path<String>) -> Result<Json<Address>, Failure> {
    let (views, _) = find(&backstage.engine, [id.as_str()]).await?;
    let view = views.first().ok_or_else(|| internal("the service is gone"))?;
    Ok(Json(Address { id: view.id.to_string(), url: view.service.url.clone() }))
}

/// `GET /v1/graph`.
pub async fn graph(State(backstage): State<Backstage>) -> Json<Graph> {
    Json(Graph::of(&backstage.engine.snapshot()))
}

/// `GET /v1/critical`.
pub async fn critical(State(backstage): State<Backstage>, uri: Uri) -> Result<Json<Critical>, Failure> {
    let which = query::<Which>(&uri)?;
    let (views, snapshot) = chosen(&backstage, &which).await?;
    let ids = if which.ids.is_empty() { Vec::new() } else { views.iter().map(|view| view.id.clone()).collect() };
    Ok(Json(Critical::of(&snapshot, &ids, &backstage.engine.clock())))
}

/// Runs what may block on a thread of its own, as soon as there is one.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let thread = THREADS.acquire().await.map_err(internal)?;
    let done = tokio::task::spawn_blocking(move || {
        // Held until the work is done, whether or not anybody waits for it.
        let _thread = thread;
        work()
    });
    done.await.map_err(internal)
}

async fn sample(
    backstage: &Backstage,
    views: Vec<Arc<ServiceView>>,
    age: Duration,
) -> Result<io::Result<Arc<Samples>>, Failure> {
    if let Some(recent) = backstage.meter.recent(&views, age) {
        return Ok(Ok(recent));
    }
    let meter = Arc::clone(&backstage.meter);
    aside(move || meter.measure(&views, age)).await
}

async fn chosen(backstage: &Backstage, which: &Which) -> Result<(Vec<Arc<ServiceView>>, Arc<Snapshot>), Failure> {
    if which.ids.is_empty() {
        let snapshot = backstage.engine.snapshot();
        return Ok((snapshot.services.iter().cloned().collect(), snapshot));
    }
    find(&backstage.engine, which.ids.split(',')).await
}
