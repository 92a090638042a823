//! Where the agent's own words go: with their time into its log, and to stderr as it suits whoever reads there.
//!
//! A terminal that has been stopped, or a pipe that nobody reads, takes nothing for any length of time: stderr is written
//! by a thread of its own, and what does not fit into its queue is in the log only.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::engine::StateDir;
use crate::state::AgentLog;

/// How many lines wait for a stderr that takes none.
const QUEUE: usize = 256;

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(300);

/// Opens the log, and lets everything that is said from now on go there and to stderr.
///
/// # Errors
/// If the log can't be opened, or there can be no thread.
pub(super) fn speak(dir: &StateDir) -> io::Result<Voice> {
    let (sender, lines) = sync_channel(QUEUE);
    std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
        for said in lines {
            match said {
                // Nobody is left to be told when stderr is gone.
                Said::Line(line) => drop(io::stderr().write_all(&line)),
                Said::All(told) => drop(told.send(())),
            }
        }
    })?;
    let log = layer().with_ansi(false).with_target(false).with_writer(AgentLog::open(&dir.agent_log())?);
    let stderr = Stderr(sender.clone());
    let stderr = layer().with_ansi(false).with_target(false).with_writer(move || stderr.clone());
    let stderr = match io::stderr().is_terminal() {
        true => stderr.event_format(Sentence).boxed(),
        false => stderr.boxed(),
    };
    tracing_subscriber::registry().with(log).with(stderr).with(LevelFilter::INFO).init();
    Ok(Voice(sender))
}

/// Lets the last words get out when it is dropped.
#[derive(Debug)]
pub(super) struct Voice(SyncSender<Said>);

impl Drop for Voice {
    fn drop(&mut self) {
        let (told, all) = sync_channel(1);
        if self.0.try_send(Said::All(told)).is_ok() {
            // Said or not, this is the end.
            let _ = all.recv_timeout(LAST_LINES);
        }
    }
}

#[derive(Debug)]
enum Said {
    Line(Vec<u8>),
    /// That everything before this has been said.
    All(SyncSender<()>),
}

/// The near end of the thread that writes stderr.
#[derive(Clone, Debug)]
struct Stderr(SyncSender<Said>);

impl Write for Stderr {
    /// Takes one whole line, as the subscriber hands them over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // What a full queue does not take is in the log.
        let _ = self.0.try_send(Said::Line(line.to_vec()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line for somebody who is looking on: no time, and a word before it only if something is amiss.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match *event.metadata().level() {
            Level::ERROR => out.write_str("error: ")?,
            Level::WARN => out.write_str("warning: ")?,
            _ => {}
        }
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
