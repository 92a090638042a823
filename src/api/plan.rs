//! What would happen: sources are read beside those in use, and the engine is asked what it would do with them.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;

use super::ask::parse;
use super::backstage::Backstage;
use super::failure::{internal, refused};
use super::show::aside;
use crate::domain::{self, Command, Refusal};
use crate::wire::{Failure, Plan, Proposal};

/// `POST /v1/plan`: changes nothing.
pub async fn plan(State(backstage): State<Backstage>, body: Bytes) -> Result<Json<Plan>, Failure> {
    let Proposal { files } = parse(&body)?;
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    if let Some(relative) = files.iter().find(|file| !file.is_absolute()) {
        return Err(refused(Refusal::Impossible(format!(
            "files must be absolute paths, not {:?}",
            relative.display().to_string()
        ))));
    }
    let propose = Arc::clone(&backstage.propose);
    let reading = aside(move || propose(&files)).await?.map_err(|problem| {
        let place = problem.place.map(|place| format!("{place}: ")).unwrap_or_default();
        refused(Refusal::Impossible(format!("{place}{}", backstage.engine.snapshot().secrets.hide(&problem.message))))
    })?;
    let command = Command::Plan(domain::Proposal(Arc::new(reading)));
    let accepted = backstage.engine.command(command).await.map_err(refused)?;
    let forecast = accepted.forecast.ok_or_else(|| internal("the engine has made no plan"))?;
    Ok(Json(Plan::of(&forecast)))
}
