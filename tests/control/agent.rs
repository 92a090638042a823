//! An agent without an engine, on a thread of its own.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use pilotlight::api::{Backstage, Journal, Listener, Meter, Page, router, serve};
use pilotlight::cli::{self, Control, Exit, Invocation, client_on};
use pilotlight::domain::{Accepted, Answer, Command, Place, Problem, ServiceView, Snapshot};
use pilotlight::engine::{Clock, Handle, Request};
use pilotlight::wire::{AgentFacts, Event, Process, Samples};
use tokio::sync::{mpsc, watch};

use crate::sample::NOW;

/// What the made-up engine does with a command.
pub enum Reply {
    /// It answers.
    Answer(Answer),
    /// It takes the command, and ends with its agent.
    End,
}

/// A running agent.
pub struct Agent {
    socket: PathBuf,
    commands: Arc<Mutex<Vec<Command>>>,
    journal: Arc<Past>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Agent {
    /// One that takes every command and does nothing.
    pub fn of(snapshot: Snapshot) -> Self {
        Self::answering(snapshot, |_| Reply::Answer(Ok(Accepted::default())))
    }

    /// One that answers commands like this.
    pub fn answering(snapshot: Snapshot, answer: fn(&Command) -> Reply) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("run/agent.sock");
        let commands = Arc::new(Mutex::new(Vec::new()));
        let journal =
            Arc::new(Past { events: Mutex::new(vec![event("something happened")]), grown: watch::Sender::new(0) });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, started) = channel();
        let world = (socket.clone(), Arc::clone(&commands), Arc::clone(&journal));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(live(world, snapshot, answer, stopped, ready));
        });
        let () = started.recv().unwrap();
        Self { socket, commands, journal, stop: Some(stop), thread: Some(thread), _folder: folder }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has been told.
    pub fn commands(&self) -> Vec<Command> {
        self.commands.lock().unwrap().clone()
    }

    /// Calls the command line, and gives its exit status, stdout and stderr without colours.
    pub fn call(&self, line: &str) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = self.call_on(line, &mut out, &mut err);
        (exit, plain(&out), plain(&err))
    }

    /// Follows the events until so many lines have come, and makes one more event after the first.
    pub fn follow(&self, count: usize) -> Vec<String> {
        struct Reader<'a> {
            journal: &'a Past,
            lines: Vec<String>,
            count: usize,
        }
        impl Write for Reader<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.lines.push(plain(bytes));
                if self.lines.len() == 1 {
                    self.journal.add(event("something more happened"));
                }
                // A reader that has seen enough, like `head`.
                if self.lines.len() > self.count { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
            }

            fn flush(&mut self) -> io::Result<()> {
                if self.lines.len() == self.count { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
            }
        }
        let mut reader = Reader { journal: &self.journal, lines: Vec::new(), count };
        let mut err = Vec::new();
        let exit = self.call_on("events -f", &mut reader, &mut err);
        assert_eq!((exit, plain(&err).as_str()), (Exit::Done, ""));
        reader.lines
    }

    /// Kills it so that its socket stays.
    pub fn leave_a_dead_socket(&mut self) {
        let kept = self.socket.with_extension("kept");
        std::fs::rename(&self.socket, &kept).unwrap();
        self.end();
        std::fs::rename(&kept, &self.socket).unwrap();
    }

    fn call_on(&self, line: &str, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
        let words = std::iter::once("pilotlight").chain(line.split_whitespace());
        let invocation = Invocation::of(words).unwrap();
        let cli::Command::Ask(ask) = invocation.command else { panic!("{line} asks no agent") };
        let control = Control { socket: self.socket.clone(), config: PathBuf::from("/srv/services.json") };
        client_on(&ask, &control, out, err)
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether one of `lines` holds `text`.
pub fn said(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

async fn live(
    (socket, commands, journal): (PathBuf, Arc<Mutex<Vec<Command>>>, Arc<Past>),
    snapshot: Snapshot,
    answer: fn(&Command) -> Reply,
    stopped: tokio::sync::oneshot::Receiver<()>,
    ready: std::sync::mpsc::Sender<()>,
) {
    let (requests, mut inbox) = mpsc::unbounded_channel::<Request>();
    let (_snapshots, latest) = watch::channel(Arc::new(snapshot));
    let backstage = Backstage {
        engine: Handle::new(requests, latest, Clock::start(NOW.since_zero())),
        agent: Arc::new(AgentFacts {
            pid: 1,
            config: PathBuf::from("/srv/services.json"),
            state_dir: PathBuf::from("/srv/state"),
            since: SystemTime::UNIX_EPOCH,
            has_tray: Arc::default(),
            dashboard: None,
        }),
        meter: Arc::new(MadeUp),
        last_lines: Arc::new(|id, _| Ok(Some(vec![format!("last words of {id}")]))),
        checkout: Arc::new(|_, _| Ok(None)),
        propose: Arc::new(|_| Err(Problem::error(&Place::whole(&"services.json".into()), "nothing is read here"))),
        journal,
    };
    let listener = Listener::bind(&socket).unwrap();
    ready.send(()).unwrap();
    let engine = async {
        while let Some(Request { command, reply }) = inbox.recv().await {
            let answered = answer(&command);
            commands.lock().unwrap().push(command);
            match answered {
                Reply::Answer(answer) => drop(reply.send(answer)),
                Reply::End => {
                    drop(reply.send(Ok(Accepted::default())));
                    return;
                }
            }
        }
    };
    let end = async {
        tokio::select! {
            () = engine => {}
            _ = stopped => {}
        }
    };
    drop(serve(listener, router(backstage), end).await);
}

/// A journal in memory.
struct Past {
    events: Mutex<Vec<Event>>,
    grown: watch::Sender<u64>,
}

impl Past {
    fn add(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.grown.send_modify(|count| *count += 1);
    }
}

impl Journal for Past {
    fn read(&self, cursor: u128) -> io::Result<Page> {
        let events = self.events.lock().unwrap();
        let new = events[usize::try_from(cursor).unwrap()..].to_vec();
        Ok(Page { events: new, cursor: events.len() as u128, is_last: true, has_gap: false })
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

fn event(text: &str) -> Event {
    let (kind, text) = ("generation".to_owned(), text.to_owned());
    Event { at: Timestamp::from_second(10).unwrap(), generation: 1, kind, service: None, run: None, text }
}

fn plain(bytes: &[u8]) -> String {
    anstream::adapter::strip_str(&String::from_utf8_lossy(bytes)).to_string()
}

/// Knows of each process that it serves its service.
struct MadeUp;

impl Meter for MadeUp {
    fn recent(&self, _: &[Arc<ServiceView>], _: Duration) -> Option<Arc<Samples>> {
        None
    }

    fn measure(&self, views: &[Arc<ServiceView>], _: Duration) -> io::Result<Arc<Samples>> {
        let process = |pid, command| Process {
            pid,
            ppid: None,
            cpu_percent: None,
            memory_bytes: None,
            age_seconds: None,
            command,
        };
        let one =
            |view: &Arc<ServiceView>| Some((view.id.clone(), vec![process(view.pid?, format!("{} --serve", view.id))]));
        Ok(Arc::new(views.iter().filter_map(one).collect()))
    }
}
