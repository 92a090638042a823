//! Which path does what, and what every request must keep to.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use super::backstage::Backstage;
use super::failure::bad_request;
use super::line::Conduct;
use super::{OPENAPI, ask, events, plan, show};
use crate::wire::{Failure, FailureKind};

/// The longest body that a request may have, in bytes: room for the ids of some thousand services.
const MAX_BODY: usize = 256 * 1024;

/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The interface over `backstage`.
pub fn router(backstage: Backstage) -> Router {
    let add = |router: Router<Backstage>, Route { path, handler, .. }: Route| router.route(path, handler);
    routes()
        .into_iter()
        .fold(Router::new(), add)
        .fallback(async || Failure::new(FailureKind::NoSuchPath, "there is no such path").hint("see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Failure::new(FailureKind::NoSuchMethod, "this path does not take this method").hint("see /openapi.json")
        })
        .layer(from_fn(whole_body))
        .with_state(backstage)
}

/// One path of the interface.
pub(super) struct Route {
    /// `get` or `post`; read by the test that holds the OpenAPI document to the router.
    #[cfg_attr(not(test), expect(dead_code))]
    pub method: &'static str,
    /// With `{…}` for what varies.
    pub path: &'static str,
    /// What it does.
    pub handler: MethodRouter<Backstage>,
}

/// All paths.
pub(super) fn routes() -> Vec<Route> {
    let look = |path, handler| Route { method: "get", path, handler };
    let wish = |path, handler| Route { method: "post", path, handler };
    vec![
        look("/openapi.json", get(openapi)),
        look("/v1/status", get(show::status)),
        look("/v1/ps", get(show::ps)),
        look("/v1/why/{id}", get(show::why)),
        look("/v1/why/{id}/config", get(show::config)),
        look("/v1/address/{id}", get(show::address)),
        look("/v1/graph", get(show::graph)),
        look("/v1/critical", get(show::critical)),
        look("/v1/events", get(events::events)),
        wish("/v1/start", post(ask::start)),
        wish("/v1/stop", post(ask::stop)),
        wish("/v1/restart", post(ask::restart)),
        wish("/v1/adopt", post(ask::adopt)),
        wish("/v1/stop-foreign", post(ask::stop_foreign)),
        wish("/v1/run-action", post(ask::run_action)),
        wish("/v1/enable", post(ask::enable)),
        wish("/v1/disable", post(ask::disable)),
        wish("/v1/reset", post(ask::reset)),
        wish("/v1/reload", post(ask::reload)),
        wish("/v1/plan", post(plan::plan)),
        wish("/v1/wait", post(ask::wait)),
        wish("/v1/shutdown", post(ask::shutdown)),
    ]
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

/// Takes in the whole body before anything is done: bounded in size and time.
async fn whole_body(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => {
            let conduct = head.extensions.get::<Conduct>().cloned().unwrap_or_default();
            conduct.asks();
            // A wish is answered when it has come about, a question at once.
            let may_last = head.method == Method::POST;
            conduct.waits(may_last);
            let answer = next.run(Request::from_parts(head, Body::from(body))).await;
            if may_last {
                conduct.waits(false);
            }
            answer
        }
        Ok(Err(error)) => bad_request(format!("the body can't be taken: {error}")).into_response(),
        Err(_) => bad_request("the body took too long").into_response(),
    }
}
