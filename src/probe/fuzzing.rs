//! Doors for the fuzz targets: an answer is judged without a service that gives it.
//!
//! Nothing is decided here; only builds of cargo-fuzz have this.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{StatusCode, Url};

use super::http::{self, Expected};
use crate::domain::Outcome;

/// What is taken for healthy: these inclusive ranges of statuses, and this text in the body.
pub type Healthy<'h> = (&'h [(u16, u16)], Option<&'h str>);

/// What an answer means; `None` if `code` is no status of HTTP.
pub fn judge(code: u16, location: Option<&[u8]>, body: &[u8], (status, wanted): Healthy<'_>) -> Option<Outcome> {
    let mut headers = HeaderMap::new();
    if let Some(location) = location.and_then(|location| HeaderValue::from_bytes(location).ok()) {
        headers.insert(LOCATION, location);
    }
    Some(http::judge(StatusCode::from_u16(code).ok()?, &headers, body, Expected { status, body: wanted }))
}

/// Asks once, plainly.
pub async fn probe(url: Url, (status, wanted): Healthy<'_>, patience: Duration) -> Outcome {
    http::probe(None, url, Expected { status, body: wanted }, patience).await
}
