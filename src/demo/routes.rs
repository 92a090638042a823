//! What the stand-in serves: its health and descriptions, and the switches of its mood.
//!
//! Every request costs one line of output, but health checks only when their answer is another than before: they come every
//! moment, and would hide all else. Nothing here ends the process: a crash is an order to the [part](super::part).

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::mood::{Health, Mood};
use super::options::Part;
use super::voice::say;
use super::{bodies, page};

/// Method, path and name of everything that is served.
const ROUTES: [(&str, &str, &str); 11] = [
    ("GET", "/", "front"),
    ("GET", "/health", "health"),
    ("GET", "/docs", "docs"),
    ("GET", "/dev/info", "service_info"),
    ("GET", "/dev/architecture/map", "architecture_map"),
    ("POST", "/demo/fail", "fail"),
    ("POST", "/demo/hang", "hang"),
    ("POST", "/demo/slow", "slow"),
    ("POST", "/demo/crash", "crash"),
    ("POST", "/demo/degrade", "degrade"),
    ("POST", "/demo/recover", "recover"),
];

/// What all requests share.
pub struct Stage {
    /// What is played.
    pub part: Part,
    /// Where it listens.
    pub port: u16,
    /// How it behaves.
    pub mood: watch::Sender<Mood>,
    /// Takes the exit code of a crash.
    pub crash: mpsc::Sender<u8>,
    /// Asks what the part needs.
    pub client: reqwest::Client,
    /// The status of the last health check that was told of; 0 before the first, and after each order.
    pub told: AtomicU16,
}

type Shared = State<Arc<Stage>>;

/// All routes.
pub fn router(stage: Arc<Stage>) -> Router {
    let switches = Router::new()
        .route("/demo/fail", post(fail))
        .route("/demo/hang", post(hang))
        .route("/demo/slow", post(slow))
        .route("/demo/crash", post(crash))
        .route("/demo/degrade", post(degrade))
        .route("/demo/recover", post(recover))
        .layer(middleware::from_fn(refuse_strangers));
    let faces = Router::new()
        .route("/", get(front))
        .route("/health", get(health))
        .route("/docs", get(docs))
        .route("/dev/info", get(info))
        .route("/dev/architecture/map", get(map))
        .layer(middleware::from_fn_with_state(Arc::clone(&stage), dawdle));
    faces.merge(switches).layer(middleware::from_fn_with_state(Arc::clone(&stage), log)).with_state(stage)
}

async fn health(State(stage): Shared) -> Response {
    let mut moods = stage.mood.subscribe();
    // The stage holds the sender, so that this waits for another mood and never fails.
    let mood = match moods.wait_for(|mood| mood.health != Health::Hanging).await {
        Ok(mood) => mood.health.clone(),
        Err(_) => Health::Well,
    };
    let asked = stage.part.needs.iter().map(async |need| (need.name.clone(), need.trouble(&stage.client).await));
    let needs = futures_util::future::join_all(asked).await;
    let missing = needs.iter().find_map(|(name, trouble)| Some(format!("{name}: {}", trouble.as_ref()?)));
    let (status, word, error) = match (mood, missing) {
        (Health::Failing(reason), _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy", Some(reason)),
        (Health::Degraded(reason), _) | (Health::Well | Health::Hanging, Some(reason)) => {
            (StatusCode::OK, "degraded", Some(reason))
        }
        (Health::Well | Health::Hanging, None) => (StatusCode::OK, "healthy", None),
    };
    (status, Json(bodies::health(&stage.part, word, error.as_deref(), &needs))).into_response()
}

async fn front(State(stage): Shared) -> Html<String> {
    Html(page::front(&stage.part))
}

async fn docs(State(stage): Shared) -> Html<String> {
    Html(page::docs(&stage.part, &ROUTES))
}

async fn info(State(stage): Shared) -> Json<Value> {
    Json(bodies::info(&stage.part, stage.port))
}

async fn map(State(stage): Shared) -> Json<Value> {
    Json(bodies::map(&stage.part, &ROUTES))
}

#[derive(serde::Deserialize)]
struct Reason {
    reason: Option<String>,
}

#[derive(serde::Deserialize)]
struct Delay {
    ms: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Crash {
    code: Option<u8>,
}

async fn fail(State(stage): Shared, Query(query): Query<Reason>, headers: HeaderMap) -> Response {
    let reason = query.reason.unwrap_or_else(|| "told to fail".to_owned());
    stage.mood.send_modify(|mood| mood.health = Health::Failing(reason));
    done(&stage, "fail", &headers)
}

async fn degrade(State(stage): Shared, Query(query): Query<Reason>, headers: HeaderMap) -> Response {
    let reason = query.reason.unwrap_or_else(|| "told to degrade".to_owned());
    stage.mood.send_modify(|mood| mood.health = Health::Degraded(reason));
    done(&stage, "degrade", &headers)
}

async fn hang(State(stage): Shared, headers: HeaderMap) -> Response {
    stage.mood.send_modify(|mood| mood.health = Health::Hanging);
    done(&stage, "hang", &headers)
}

async fn slow(State(stage): Shared, Query(query): Query<Delay>, headers: HeaderMap) -> Response {
    stage.mood.send_modify(|mood| mood.delay = std::time::Duration::from_millis(query.ms.unwrap_or(5000)));
    done(&stage, "slow", &headers)
}

async fn recover(State(stage): Shared, headers: HeaderMap) -> Response {
    stage.mood.send_replace(Mood::default());
    done(&stage, "recover", &headers)
}

async fn crash(State(stage): Shared, Query(query): Query<Crash>, headers: HeaderMap) -> Response {
    let code = query.code.or(stage.part.exit_code).unwrap_or(1);
    // A full channel holds a crash already.
    let _ = stage.crash.try_send(code);
    done(&stage, "crash", &headers)
}

/// Browsers go back to the page that has the buttons; programs get JSON.
fn done(stage: &Stage, order: &str, headers: &HeaderMap) -> Response {
    let wants_page = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if wants_page.is_some_and(|accept| accept.contains("text/html")) {
        Redirect::to("/").into_response()
    } else {
        Json(json!({"service": stage.part.name, "told": order})).into_response()
    }
}

/// No page of another site may press the buttons.
async fn refuse_strangers(request: Request, next: Next) -> Response {
    if is_strange(request.headers()) {
        return (StatusCode::FORBIDDEN, "another site may not tell this service what to do\n").into_response();
    }
    next.run(request).await
}

fn is_strange(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let own = text(header::HOST).map(|host| format!("http://{host}"));
    headers.contains_key(header::ORIGIN) && text(header::ORIGIN) != own.as_deref()
}

/// Answers as late as it has been told to.
async fn dawdle(State(stage): Shared, request: Request, next: Next) -> Response {
    let delay = stage.mood.borrow().delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    next.run(request).await
}

async fn log(State(stage): Shared, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let is_check = request.uri().path() == "/health";
    let line = format!("{} {}", request.method(), request.uri());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let is_news = match is_check {
        true => stage.told.swap(status, Ordering::Relaxed) != status,
        false => {
            stage.told.store(0, Ordering::Relaxed);
            true
        }
    };
    if is_news {
        say(format_args!("{line} {status} {} ms", began.elapsed().as_millis()));
    }
    response
}
