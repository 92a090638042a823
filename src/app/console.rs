//! What the agent prints on a terminal when it has no tray: state changes, and the services' lines between them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use crate::cli::{LogForm, LogPrinter, Look, render_event};
use crate::domain::ServiceId;
use crate::engine::{Handle, StateDir};
use crate::logs::{Query, follow};
use crate::wire::{Event, timestamp};

/// Prints until the engine ends. Lines come by a thread of their own, because following files blocks.
pub(super) async fn show(handle: Handle, dir: StateDir) {
    let known = ids(&handle);
    let remote = match follow(&dir, &known, &Query { last: Some(0), ..Query::default() }) {
        Ok((_, mut follower)) => {
            let remote = follower.remote();
            let known = known.clone();
            std::thread::spawn(move || {
                let printer = LogPrinter::new(&known, LogForm::Named);
                while let Ok(Some(lines)) = follower.next_lines() {
                    let mut out = anstream::stdout().lock();
                    for line in &lines {
                        // A terminal that has gone takes nothing more, and the agent goes on without it.
                        let _ = printer.print(&mut out, line);
                    }
                }
            });
            Some(remote)
        }
        Err(error) => {
            tracing::warn!("logs can't be followed: {error}");
            None
        }
    };
    let mut snapshots = handle.snapshots();
    let mut shown = BTreeMap::<ServiceId, (String, String)>::new();
    let mut light = String::new();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let look = Look::of_stdout();
        let mut lines = Vec::new();
        let mut say = |kind: &str, service: Option<String>, text: String| {
            let at = timestamp(std::time::SystemTime::now());
            let event = Event { at, generation: snapshot.generation, kind: kind.to_owned(), service, run: None, text };
            lines.push(render_event(&event, &look));
        };
        for view in snapshot.services.iter().filter(|view| view.counted) {
            let state = (view.process.as_str().to_owned(), view.reason.clone());
            let before = shown.insert(view.id.clone(), state.clone());
            let is_news = before.as_ref().map_or(view.wanted, |before| *before != state);
            if is_news {
                say(&state.0, Some(view.id.to_string()), state.1);
            }
            if before.is_none()
                && let Some(remote) = &remote
            {
                remote.add(view.id.clone());
            }
        }
        let now = format!("{}: {}", snapshot.light.as_str(), snapshot.summary);
        if now != light {
            say("light", None, now.clone());
            light = now;
        }
        if !lines.is_empty() {
            let mut out = anstream::stdout().lock();
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
        }
        if snapshots.changed().await.is_err() {
            break;
        }
    }
    if let Some(remote) = remote {
        remote.stop();
    }
}

fn ids(handle: &Handle) -> Vec<ServiceId> {
    handle.snapshot().services.iter().map(|view| view.id.clone()).collect()
}
