//! Wishes: start, stop, restart, adopt, stop a stranger, enable, disable, reset, reload, wait, shutdown.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::de::DeserializeOwned;

use super::backstage::Backstage;
use super::failure::{bad_request, refused};
use super::known::find;
use super::wait::{Wisher, until_settled};
use crate::domain::{Accepted, Aim, Command, Goal, ProcessId, Selection, ServiceId, Shutdown};
use crate::wire::{self, Done, Failure, Ids, Problem, Reloaded, RunAction, ShutdownWish, StrangerWish, Wait, Wish};

/// `POST /v1/start`.
pub async fn start(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish(&backstage, &body, Command::Start).await
}

/// `POST /v1/stop`.
pub async fn stop(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish(&backstage, &body, Command::Stop).await
}

/// `POST /v1/restart`.
pub async fn restart(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish(&backstage, &body, Command::Restart).await
}

/// `POST /v1/adopt`.
pub async fn adopt(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish_for_stranger(&backstage, &body, |id, stranger| Command::Adopt { id, stranger }).await
}

/// `POST /v1/stop-foreign`: answers when the stranger is gone.
pub async fn stop_foreign(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish_for_stranger(&backstage, &body, |id, stranger| Command::StopStranger { id, stranger }).await
}

/// `POST /v1/run-action`: answers when the action has ended.
pub async fn run_action(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    let RunAction { id, name } = parse(&body)?;
    let id = known_one(id, &backstage).await?;
    let command = Command::RunAction { id, name, is_unseen: false };
    let Accepted { remarks, .. } = backstage.engine.command(command).await.map_err(refused)?;
    Ok(Json(Done { services: Vec::new(), remarks }))
}

/// `POST /v1/enable`.
pub async fn enable(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish_only(&backstage, &body, Command::Start).await
}

/// `POST /v1/disable`.
pub async fn disable(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish_only(&backstage, &body, Command::Stop).await
}

/// `POST /v1/reset`.
pub async fn reset(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    wish_only(&backstage, &body, Command::Reset).await
}

/// `POST /v1/reload`.
pub async fn reload(State(backstage): State<Backstage>) -> Result<Json<Reloaded>, Failure> {
    let accepted = backstage.engine.command(Command::Reload).await.map_err(refused)?;
    let snapshot = backstage.engine.snapshot();
    let problems = snapshot.problems.iter().map(Problem::of).collect();
    Ok(Json(Reloaded { generation: snapshot.generation, problems, remarks: accepted.remarks }))
}

/// `POST /v1/wait`.
pub async fn wait(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    let Wait { ids, goal, timeout } = parse(&body)?;
    let timeout = wire::span(timeout).map_err(bad_request)?;
    let ids = known(&ids, &backstage).await?;
    let goal = Goal::from(goal);
    let aims: Vec<Aim> = ids.into_iter().map(|id| Aim { id, goal, not_run: None }).collect();
    // Who names a time waits for what others may wish in it; without one, what nobody wants never comes.
    let wisher = if timeout.is_some() { Wisher::Anyone } else { Wisher::Oneself };
    until_settled(&backstage.engine, &aims, timeout, wisher, Vec::new()).await.map(Json)
}

/// `POST /v1/shutdown`: answers as soon as the wish is taken; the agent ends after that.
pub async fn shutdown(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Done>, Failure> {
    let ShutdownWish { keep_services } = parse(&body)?;
    let how = if keep_services { Shutdown::Keep } else { Shutdown::AsConfigured };
    let accepted = backstage.engine.command(Command::Shutdown(how)).await.map_err(refused)?;
    Ok(Json(Done { services: Vec::new(), remarks: accepted.remarks }))
}

async fn wish(backstage: &Backstage, body: &[u8], command: fn(Selection) -> Command) -> Result<Json<Done>, Failure> {
    let Wish { ids, all, group, wait, timeout } = parse(body)?;
    let timeout = wire::span(timeout).map_err(bad_request)?;
    let selection = match (ids.is_empty(), all, group) {
        (false, false, None) => Selection::Ids(known(&ids, backstage).await?),
        (true, true, None) => Selection::All,
        (true, false, Some(group)) => Selection::Group(group),
        (_, _, _) => return Err(bad_request("say which services: exactly one of ids, all and group")),
    };
    let Accepted { aims, remarks, .. } = backstage.engine.command(command(selection)).await.map_err(refused)?;
    if wait {
        until_settled(&backstage.engine, &aims, timeout, Wisher::Oneself, remarks).await.map(Json)
    } else {
        Ok(Json(Done { services: Vec::new(), remarks }))
    }
}

async fn wish_for_stranger(
    backstage: &Backstage,
    body: &[u8],
    command: fn(ServiceId, ProcessId) -> Command,
) -> Result<Json<Done>, Failure> {
    let StrangerWish { id, stranger, wait, timeout } = parse(body)?;
    let timeout = wire::span(timeout).map_err(bad_request)?;
    let stranger = stranger.parse().map_err(|error: String| bad_request(error))?;
    let id = known_one(id, backstage).await?;
    let Accepted { aims, remarks, .. } = backstage.engine.command(command(id, stranger)).await.map_err(refused)?;
    if wait {
        until_settled(&backstage.engine, &aims, timeout, Wisher::Oneself, remarks).await.map(Json)
    } else {
        Ok(Json(Done { services: Vec::new(), remarks }))
    }
}

async fn wish_only(
    backstage: &Backstage,
    body: &[u8],
    command: fn(Selection) -> Command,
) -> Result<Json<Done>, Failure> {
    let Ids { ids } = parse(body)?;
    let ids = known(&ids, backstage).await?;
    let command = command(Selection::Ids(ids));
    let Accepted { remarks, .. } = backstage.engine.command(command).await.map_err(refused)?;
    Ok(Json(Done { services: Vec::new(), remarks }))
}

async fn known_one(id: String, backstage: &Backstage) -> Result<ServiceId, Failure> {
    let ids = known(&[id], backstage).await?;
    ids.into_iter().next().ok_or_else(|| bad_request("id is empty: name a service"))
}

/// The ids of a request, all of which must be services; there must be one at least.
async fn known(ids: &[String], backstage: &Backstage) -> Result<Vec<ServiceId>, Failure> {
    if ids.is_empty() {
        return Err(bad_request("ids is empty: name at least one service"));
    }
    let (views, _) = find(&backstage.engine, ids.iter().map(String::as_str)).await?;
    Ok(views.iter().map(|view| view.id.clone()).collect())
}

/// The body of a request; an empty one is an empty object.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body.trim_ascii_start() };
    // A list would be taken for the values of an object without their names.
    if !body.starts_with(b"{") {
        return Err(bad_request("the body is not as expected: it must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| bad_request(format!("the body is not as expected: {error}")))
}
