//! Failures as HTTP answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::domain::{Problem, Refusal, Severity, Snapshot};
use crate::wire::{Failure, FailureKind};

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.kind {
            FailureKind::BadRequest => StatusCode::BAD_REQUEST,
            FailureKind::NoSuchPath | FailureKind::NoSuchService | FailureKind::NoSuchGroup => StatusCode::NOT_FOUND,
            FailureKind::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            FailureKind::Refused | FailureKind::NotReached => StatusCode::CONFLICT,
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}

/// A request that can't be understood.
pub fn bad_request(error: impl Into<String>) -> Failure {
    Failure::new(FailureKind::BadRequest, error)
}

/// Something that should not fail has failed.
pub fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Internal, error.to_string())
}

/// There is no service `id` in `snapshot`.
pub fn no_such_service(id: &str, snapshot: &Snapshot) -> Failure {
    if snapshot.waiting.as_ref().is_some_and(|waiting| waiting.services.iter().any(|other| other.as_str() == id)) {
        let hint = "it is among the changes that wait: `pilotlight reload` applies them";
        return Failure::new(FailureKind::NoSuchService, format!("there is no service {id:?} yet")).hint(hint);
    }
    let is_wrong = |problem: &Problem| {
        problem.severity == Severity::Error && problem.service.as_ref().is_some_and(|s| s.as_str() == id)
    };
    if snapshot.problems.iter().any(is_wrong) {
        let hint = "its definition is not valid: `pilotlight check` shows what is wrong";
        return Failure::new(FailureKind::NoSuchService, format!("there is no service {id:?} in use")).hint(hint);
    }
    let ids = snapshot.services.iter().map(|view| view.id.as_str());
    let similar = ids.map(|other| (strsim::jaro_winkler(id, other), other)).filter(|(likeness, _)| *likeness > 0.8);
    let similar = similar.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other.to_owned());
    refused(Refusal::NoSuchService { id: id.to_owned(), similar })
}

/// The engine's refusal as a failure.
pub fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NoSuchService { id, similar } => {
            let hint = match similar {
                Some(similar) => format!("did you mean {similar}?"),
                None => "see `pilotlight status` for all services".to_owned(),
            };
            Failure::new(FailureKind::NoSuchService, format!("there is no service {id:?}")).hint(hint)
        }
        Refusal::NoSuchGroup(group) => Failure::new(FailureKind::NoSuchGroup, format!("there is no group {group:?}"))
            .hint("see `pilotlight status` for all groups"),
        Refusal::Impossible(reason) => Failure::new(FailureKind::Refused, reason),
    }
}
