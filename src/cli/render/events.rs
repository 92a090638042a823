//! What happened, a line each.

use super::units::time;
use super::{BOLD, DIM, Look, pad, paint};
use crate::domain::text::plain;
use crate::wire::Event;

/// One event as a line without its end: time, kind, service, sentence.
pub fn render_event(event: &Event, look: &Look) -> String {
    let kind = pad(&plain(&event.kind), 11);
    let service = event.service.as_ref().map(|id| paint(BOLD, &plain(id)) + ": ").unwrap_or_default();
    format!("{} {kind} {service}{}", paint(DIM, &time(event.at, look)), plain(&event.text))
}
