//! The agent: everything is put together here, in the order in which it can fail, and taken down in reverse.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::backstage::{SharedMeter, ToldStore, checkouts, last_lines, outputs, root};
use super::console::Console;
use super::plan::proposals;
use super::platform::Requests;
use super::project::{Project, in_full};
use super::{signals, words};
use crate::api::{self, Backstage, Listener};
use crate::cli::{Exit, Global, Run, refuse};
use crate::domain::{Event, RunIds, ServiceId, Snapshot};
use crate::engine::{Clock, Engine, Handle, Ports, StateDir};
use crate::logs::DiskLogs;
use crate::notify::{DesktopNotifier, OpenLog};
use crate::observe::{Observer, TreeMeters, Usage};
use crate::open::{Opener, Target, find_opener};
use crate::probe::NetProbes;
use crate::process::{OsActions, OsProcesses};
use crate::sources::{DiskSources, Reader};
use crate::state::{AgentFile, AgentRecord, DiskStore, Instance, Kept};
use crate::watch::{FileWatch, FolderWatch};
use crate::wire::AgentFacts;
use crate::{power, tray};

/// Runs the agent until it is told to end.
pub(super) fn run(project: &Project, global: &Global, run: &Run) -> Exit {
    let face = match (run.headless, run.tray) {
        (true, _) => Face::None,
        (false, insists) => match tray::obstacle() {
            None => Face::Tray,
            Some(obstacle) if insists => {
                let text = format!("{obstacle}, so there can be no tray");
                return refuse(Exit::NotDone, &text, Some("run it with --headless"));
            }
            Some(_) => Face::TrayLater,
        },
    };
    let place = match project.open_state(global) {
        Ok(place) => place,
        Err(error) => return refuse(Exit::NotDone, &error, None),
    };
    let dir = place.dir;
    let claimed = project.rendezvous().and_then(|rendezvous| {
        let instance = Instance::claim(&project.location.main, &rendezvous, &dir).map_err(|error| in_full(&error))?;
        Ok((rendezvous, instance))
    });
    let (rendezvous, _instance) = match claimed {
        Ok(claimed) => claimed,
        Err(error) => return refuse(Exit::NotDone, &error, None),
    };
    let _voice = match words::speak(&dir) {
        Ok(voice) => voice,
        Err(error) => return refuse(Exit::NotDone, &format!("failed to open the agent's log: {error}"), None),
    };
    place.remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    let agent = Agent { project, dir, socket: rendezvous.socket(), face, is_quiet: run.quiet };
    let life = |stand| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_keep_alive(LINGER).build();
        let runtime = runtime.map_err(|error| format!("failed to start: {error}"))?;
        LocalSet::new().block_on(&runtime, agent.live(stand))
    };
    // Some trays need this very thread; then the agent lives on another.
    match tray::host(face != Face::None, life) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => refuse(Exit::NotDone, &error, None),
        Err(error) => refuse(Exit::NotDone, &format!("failed to start: {error}"), None),
    }
}

/// How long a thread that has done something slow waits for more of it.
const LINGER: Duration = Duration::from_secs(1);

/// What the user sees of the agent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Face {
    /// Nothing in the panel, whatever comes.
    None,
    /// The tray.
    Tray,
    /// The tray as soon as it can be shown; until then the same as without.
    TrayLater,
}

/// What an agent is made of.
struct Agent<'a> {
    project: &'a Project,
    dir: StateDir,
    socket: PathBuf,
    face: Face,
    is_quiet: bool,
}

impl Agent<'_> {
    /// Puts all sides together, and lives until the domain orders the end. The tray, if any, is shown on `stand`.
    async fn live(self, stand: tray::Stand) -> Result<Exit, String> {
        let Self { project, dir, socket, face, is_quiet } = self;
        // From here on no signal ends the agent without a word.
        let requests = Requests::listen().map_err(|error| format!("failed to listen to signals: {error}"))?;
        let clock = Clock::since_boot();
        let engine = Engine::new(clock, RunIds::new(&prefix()));
        let (inbox, handle) = (engine.inbox(), engine.handle());

        let mut processes = OsProcesses::new(inbox.clone(), dir.clone(), clock)
            .map_err(|error| format!("failed to prepare for running services: {error}"))?;
        let runs = processes
            .find_runs()
            .map_err(|error| format!("failed to look for services that an earlier agent has left: {error}"))?;
        let (ends, spared) = (processes.find_ends(&runs), processes.find_spared());
        let (store, Kept { intent, is_lost: is_intent_lost, remark }) = DiskStore::open(dir.clone(), clock);
        remark.iter().for_each(|remark| tracing::warn!("{remark}"));
        let store = ToldStore::new(store);
        let journal = Arc::new(store.journal(dir.clone()));
        let opener = match face {
            Face::None => None,
            Face::Tray | Face::TrayLater => find_opener(std::env::var_os("PATH")),
        };
        let watch = FolderWatch::start(&project.location.folder, inbox.clone());
        let reader =
            Reader::new(project.location.clone(), project.root.clone(), project.environment.clone(), Box::new(watch));
        let ports = Ports {
            processes: Box::new(processes),
            probes: Box::new(NetProbes::new(inbox.clone(), outputs(dir.clone()))),
            meters: Box::new(TreeMeters::new(inbox.clone())),
            actions: Box::new(OsActions::new(inbox.clone(), dir.clone())),
            sources: Box::new(DiskSources::start(reader, inbox.clone())),
            files: Box::new(FileWatch::new(inbox.clone())),
            store: Box::new(store),
            logs: Box::new(DiskLogs::start(dir.clone(), inbox.clone())),
            notifier: Box::new(DesktopNotifier::start(handle.clone(), open_log(opener.clone(), &dir))),
        };
        power::tell_resumes(inbox.clone());
        for event in [
            Event::Found { runs, ends, spared, intent, is_intent_lost },
            Event::SourcesTouched { cause: "the agent has begun".to_owned() },
        ] {
            // The engine holds the other end.
            let _ = inbox.send(event);
        }

        let record = AgentRecord {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config: project.location.main.to_string_lossy().into_owned(),
            control: socket.to_string_lossy().into_owned(),
            dashboard: None,
        };
        let _agent_file = match AgentFile::publish(&dir, &record) {
            Ok(file) => Some(file),
            Err(error) => {
                // Services come first: the agent is found all the same by whoever knows its config.
                tracing::warn!("agent.json could not be written: {error}");
                None
            }
        };
        let has_tray = Arc::new(AtomicBool::new(face == Face::Tray));
        let facts = AgentFacts {
            pid: std::process::id(),
            config: project.location.main.clone(),
            state_dir: dir.root().to_owned(),
            since: SystemTime::now(),
            has_tray: Arc::clone(&has_tray),
            dashboard: None,
        };
        let backstage = Backstage {
            engine: handle.clone(),
            agent: Arc::new(facts),
            meter: Arc::new(SharedMeter::default()),
            last_lines: last_lines(dir.clone()),
            checkout: checkouts(),
            propose: proposals(project),
            journal,
        };
        let (ended, end) = oneshot::channel::<()>();
        let listener =
            Listener::bind(&socket).map_err(|error| format!("failed to listen at {}: {error}", socket.display()))?;
        let serving = tokio::task::spawn_local(serve(handle.clone(), listener, api::router(backstage), end));

        let is_hasty = Rc::new(Cell::new(false));
        let obeying = tokio::task::spawn_local(signals::obey(requests, handle.clone(), Rc::clone(&is_hasty)));
        greet(project, face);
        if face != Face::None {
            let pictures = socket.with_extension("pictures");
            stand.show(handle.clone(), desk(project, &dir, opener, has_tray, pictures));
        }
        let mut console = None;
        if face != Face::Tray && !is_quiet && io::stdout().is_terminal() {
            let opened = Console::open(&handle, &dir);
            console = Some(opened.map_err(|error| format!("failed to print on the terminal: {error}"))?);
        }

        engine.run(ports).await;
        console.into_iter().for_each(Console::close);
        obeying.abort();
        let _ = ended.send(());
        // Dropped last: whoever waits for the agent's end waits for the socket to refuse.
        let listener = serving.await;
        drop(listener);
        Ok(if is_hasty.get() { Exit::NotDone } else { Exit::Done })
    }
}

/// Serves the control interface, from the moment on that there is something to tell.
async fn serve(handle: Handle, listener: Listener, router: axum::Router, end: oneshot::Receiver<()>) -> Listener {
    let mut snapshots = handle.snapshots();
    // An engine that has ended meanwhile has nothing more to tell.
    let _ = snapshots.wait_for(|snapshot| snapshot.generation > 0 || snapshot.shutting_down).await;
    api::serve(listener, router, async {
        let _ = end.await;
    })
    .await
}

/// Says once, on stderr, what this agent is about.
fn greet(project: &Project, face: Face) {
    let face = match face {
        Face::None => " without a tray",
        Face::Tray => " with a tray",
        // The tray itself says what it waits for.
        Face::TrayLater => "",
    };
    if project.location.found {
        tracing::info!("running{face}, for {}", project.location.main.display());
        tracing::info!("try `pilotlight status`, `pilotlight start --all`, `pilotlight logs -f`");
    } else {
        tracing::info!("running{face}; no services are defined yet");
        tracing::info!("drop a file into {}, for example hello.json:", project.location.drop_ins.display());
        tracing::info!(r#"  {{"type": "process", "command": ["sleep", "1000"], "auto_start": true}}"#);
    }
}

/// What the tray needs beside the engine.
fn desk(
    project: &Project,
    dir: &StateDir,
    opener: Option<Opener>,
    is_there: Arc<AtomicBool>,
    pictures: PathBuf,
) -> tray::Desk {
    let places = tray::Places {
        sources: project.location.folder.clone(),
        drop_ins: project.location.drop_ins.clone(),
        state: dir.clone(),
        opener: opener.is_some(),
    };
    let mut observer = Observer::default();
    let sampler = move |snapshot: &Snapshot| {
        let roots = snapshot.services.iter().filter_map(|view| root(view)).collect::<Vec<_>>();
        let trees = observer.sample(&roots).unwrap_or_else(|error| {
            tracing::warn!("processes can't be measured: {error}");
            Default::default()
        });
        let costs = trees.into_iter().map(|(id, tree)| {
            let usage = Usage::of(&tree);
            (id, tray::Cost { cpu_percent: Some(usage.cpu_percent), memory_bytes: usage.memory_bytes })
        });
        costs.collect()
    };
    tray::Desk { places, opener, sampler: Some(Box::new(sampler)), is_there, pictures }
}

fn open_log(opener: Option<Opener>, dir: &StateDir) -> Option<OpenLog> {
    let dir = dir.clone();
    let opener = opener?;
    Some(Arc::new(move |id: &ServiceId| opener(&Target::Path(dir.log(id)))))
}

/// What makes the run ids of this agent different from all others': when it began, and as which process.
fn prefix() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since.as_millis(), std::process::id())
}
