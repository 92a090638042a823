//! What happened, as lines of JSON; on request without end.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::backstage::{Backstage, Journal, Page};
use super::failure::{bad_request, internal};
use super::line::Conduct;
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
pub async fn events(
    State(backstage): State<Backstage>,
    conduct: Option<Extension<Conduct>>,
    uri: Uri,
) -> Result<Response, Failure> {
    let Which { since, last, follow } = query(&uri)?;
    let Backstage { engine, journal, .. } = backstage;
    let mut reader = Reader { grown: journal.grown(), journal, engine, cursor: 0, since, passed_over: 0 };
    if let Some(last) = last {
        // Counted first, so that no more than a page is ever held.
        reader.passed_over = reader.count().await?.saturating_sub(u64::from(last));
    }
    let (first, is_last) = reader.next().await?;
    if let Some(Extension(conduct)) = conduct.filter(|_| follow) {
        conduct.waits(true);
    }
    let body = Body::from_stream(stream::unfold(Follow { ready: Some(first), is_last, follow, reader }, go_on));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The query of `uri` as `T`.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let Query(query) = Query::try_from_uri(uri).map_err(|error| bad_request(error.body_text()))?;
    Ok(query)
}

/// Reads a journal page by page.
struct Reader {
    journal: Arc<dyn Journal>,
    /// Taken before the first reading, so that nothing falls between that and the first waiting.
    grown: watch::Receiver<u64>,
    engine: Handle,
    cursor: u128,
    since: Option<Timestamp>,
    /// So many more are not given.
    passed_over: u64,
}

impl Reader {
    /// How many there are now from the cursor on.
    async fn count(&self) -> Result<u64, Failure> {
        let (mut count, mut cursor) = (0, self.cursor);
        loop {
            let page = self.read(cursor).await?;
            count += page.events.len() as u64;
            cursor = page.cursor;
            if page.is_last {
                return Ok(count);
            }
        }
    }

    /// The lines of the next page, and whether it is the last one for now.
    async fn next(&mut self) -> Result<(Bytes, bool), Failure> {
        let Page { mut events, cursor, is_last, has_gap } = self.read(self.cursor).await?;
        self.cursor = cursor;
        let passed_over = self.passed_over.min(events.len() as u64);
        self.passed_over -= passed_over;
        // No more than there are.
        events.drain(..passed_over as usize);
        let snapshot = self.engine.snapshot();
        // Earlier versions wrote down what this one hides.
        events.iter_mut().for_each(|event| snapshot.secrets.veil(&mut event.text));
        if has_gap {
            events.insert(0, missed(snapshot.generation));
        }
        Ok((lines(&events)?, is_last))
    }

    /// The page at `cursor`, without what is too old.
    async fn read(&self, cursor: u128) -> Result<Page, Failure> {
        let journal = Arc::clone(&self.journal);
        let read = aside(move || journal.read(cursor)).await?;
        let mut page = read.map_err(|error| internal(format!("failed to read what happened: {error}")))?;
        if let Some(since) = self.since {
            page.events.retain(|event| event.at >= since);
        }
        Ok(page)
    }
}

/// What whoever reads more slowly than things happen is told in place of them.
fn missed(generation: u64) -> Event {
    let text = "what happened before this was read too late: some of it may not be kept any more".to_owned();
    Event { at: Timestamp::now(), generation, kind: "missed".to_owned(), service: None, run: None, text }
}

/// The next part of the answer, if it is there already, and where the rest comes from.
struct Follow {
    ready: Option<Bytes>,
    /// Whether all has been read for now.
    is_last: bool,
    follow: bool,
    reader: Reader,
}

async fn go_on(mut at: Follow) -> Option<(Result<Bytes, Infallible>, Follow)> {
    loop {
        if let Some(ready) = at.ready.take().filter(|ready| !ready.is_empty()) {
            return Some((Ok(ready), at));
        }
        if at.is_last {
            if !at.follow {
                return None;
            }
            // Closed: the agent ends, and so does the answer.
            at.reader.grown.changed().await.ok()?;
        }
        // An error on the way ends the answer: its head has been sent.
        let (ready, is_last) = at.reader.next().await.ok()?;
        (at.ready, at.is_last) = (Some(ready), is_last);
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
