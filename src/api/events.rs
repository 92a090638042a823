//! What happened, as lines of JSON; on request without end.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::backstage::{Backstage, Journal};
use super::failure::{bad_request, internal};
use super::show::aside;
use crate::engine::Handle;
use crate::wire::{Event, Failure};

/// Which events are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Not those before this.
    since: Option<Timestamp>,
    /// Of those that have happened, only so many of the latest.
    last: Option<u32>,
    /// Whether to go on with those that are still to happen.
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/events`.
pub async fn events(State(backstage): State<Backstage>, uri: Uri) -> Result<Response, Failure> {
    let which: Which = query(&uri)?;
    let Backstage { engine, journal, .. } = backstage;
    let mut reader = Reader { grown: journal.grown(), journal, engine, cursor: 0 };
    let mut past = reader.next().await?;
    if let Some(since) = which.since {
        past.retain(|event| event.at >= since);
    }
    if let Some(last) = which.last {
        past.drain(..past.len().saturating_sub(last as usize));
    }
    let past = lines(&past)?;
    let body =
        if which.follow { Body::from_stream(stream::unfold(Follow(Some(past), reader), follow)) } else { past.into() };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The query of `uri` as `T`.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let Query(query) = Query::try_from_uri(uri).map_err(|error| bad_request(error.body_text()))?;
    Ok(query)
}

/// Reads a journal step by step.
struct Reader {
    journal: Arc<dyn Journal>,
    /// Taken before the first reading, so that nothing falls between that and the first waiting.
    grown: watch::Receiver<u64>,
    engine: Handle,
    cursor: u128,
}

impl Reader {
    /// What has come since the last time.
    async fn next(&mut self) -> Result<Vec<Event>, Failure> {
        let (journal, cursor) = (Arc::clone(&self.journal), self.cursor);
        let read = aside(move || journal.read(cursor)).await?;
        let (mut events, cursor) = read.map_err(|error| internal(format!("failed to read what happened: {error}")))?;
        self.cursor = cursor;
        // Earlier versions wrote down what this one hides.
        let secrets = &self.engine.snapshot().secrets;
        events.iter_mut().for_each(|event| secrets.veil(&mut event.text));
        Ok(events)
    }
}

/// The next part of the answer, if it is there already, and where the rest comes from.
struct Follow(Option<Bytes>, Reader);

async fn follow(Follow(ready, mut reader): Follow) -> Option<(Result<Bytes, Infallible>, Follow)> {
    if let Some(ready) = ready {
        return Some((Ok(ready), Follow(None, reader)));
    }
    loop {
        // Closed: the agent ends, and so does the answer. An error on the way ends it too: its head has been sent.
        reader.grown.changed().await.ok()?;
        let events = reader.next().await.ok()?;
        let lines = lines(&events).ok()?;
        if !lines.is_empty() {
            return Some((Ok(lines), Follow(None, reader)));
        }
    }
}

fn lines(events: &[Event]) -> Result<Bytes, Failure> {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event).map_err(internal)?;
        text.push(b'\n');
    }
    Ok(text.into())
}
