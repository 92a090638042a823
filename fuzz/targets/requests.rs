//! What a client of the control interface sends: each request has an answer that can be read, none of them a failure of
//! ours; nothing but a wish changes anything; and a conversation ends when its client has gone.
//!
//! The bytes are what is sent over one connection. Time is made up: what would take a minute takes none.
#![no_main]

#[allow(dead_code, reason = "other targets use the rest")]
mod read;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use pilotlight::api::{Backstage, Journal, Meter, Page, router, serve_one};
use pilotlight::domain::catalog::{Reading, Role};
use pilotlight::domain::{
    Answer, Command, Effect, Event, Exit, Intent, Moment, RunIds, Selection, ServiceView, Snapshot, Supervisor,
};
use pilotlight::engine::{Clock, Handle, Request};
use pilotlight::wire::{AgentFacts, Samples};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The services that there are.
const SERVICES: &str = r#"{"service_groups": {"data": {"name": "Data"}, "apps": {"name": "Apps"}}, "services": [
    {"id": "db", "command": ["db"], "group": "data"},
    {"id": "web", "command": ["web", "--token=hunter2"], "depends_on": ["db"], "group": "apps",
     "env": {"API_TOKEN": "hunter2"}, "actions": [{"name": "seed", "command": ["seed"]}]},
    {"id": "once", "command": ["once"], "type": "oneshot", "auto_start": false}
]}"#;

fuzz_target!(|data: &[u8]| {
    let (answers, commands) = runtime().block_on(conversation(data));
    let wishes = commands.iter().filter(|command| **command != Command::Read);
    if !contains(data, b"POST") {
        assert_eq!(wishes.clone().count(), 0, "{commands:?}");
    }
    for command in wishes {
        if let Command::Start(ids) | Command::Stop(ids) | Command::Restart(ids) | Command::Reset(ids) = command {
            let Selection::Ids(ids) = ids else { continue };
            assert!(!ids.is_empty() && ids.iter().all(|id| ["db", "web", "once"].contains(&id.as_str())), "{ids:?}");
        }
    }
    assert!(!contains(&answers, b"hunter2") || contains(data, b"hunter2"), "a secret is told");
    // An answer to HEAD tells of a body that does not come.
    if !contains(data, b"HEAD") {
        readable(&answers);
    }
});

/// What came back for `data`, and what was wished by it.
async fn conversation(data: &[u8]) -> (Vec<u8>, Vec<Command>) {
    let (requests, queue) = mpsc::unbounded_channel();
    let mind = Supervisor::new(RunIds::new("fuzz"));
    let (snapshots, latest) = watch::channel(Arc::clone(mind.snapshot()));
    let commands = Arc::new(Mutex::new(Vec::new()));
    let engine = tokio::spawn(live(mind, queue, snapshots, Arc::clone(&commands)));
    let (mut client, stream) = duplex(4096);
    let past = Arc::new(Past(watch::Sender::new(1)));
    let (ending, ended) = watch::channel(());
    let app =
        router(backstage(Handle::new(requests, latest, Clock::start(Duration::from_secs(1000))), Arc::clone(&past)));
    let serving = tokio::spawn(serve_one(stream, app, ended));
    let (mut from, mut to) = tokio::io::split(&mut client);
    let mut answers = Vec::new();
    let sending = async {
        // A server that has heard enough hangs up.
        let _ = to.write_all(data).await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        let _ = to.shutdown().await;
    };
    let hearing = async {
        while let Ok(1..) = from.read_buf(&mut answers).await {
            assert!(answers.len() < 16 << 20, "an answer without end");
        }
    };
    let _ = timeout(Duration::from_secs(100), async { tokio::join!(sending, hearing) }).await;
    drop(client);
    // Who follows events and has sent something behind that is known to be gone by the next event only: what was sent
    // lies before the end of what can be read.
    past.0.send_modify(|events| *events += 1);
    timeout(Duration::from_secs(30), serving).await.expect("nobody is left to talk to").unwrap();
    drop(ending);
    engine.abort();
    let commands = std::mem::take(&mut *commands.lock().unwrap());
    (answers, commands)
}

/// All of it is answers of HTTP, one after the other, but for the last, which may be cut.
fn readable(mut rest: &[u8]) {
    while !rest.is_empty() {
        let Some(end) = rest.windows(4).position(|part| part == b"\r\n\r\n") else { return };
        let head = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 4..];
        let (first, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let code: u16 = first.strip_prefix("HTTP/1.").and_then(|line| line.get(2..5)).unwrap().parse().unwrap();
        assert!(matches!(code, 100 | 200 | 400..500), "{head}");
        let fields: HashMap<String, &str> = fields
            .lines()
            .filter_map(|field| field.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let body = match fields.get("content-length") {
            Some(length) => {
                let length: usize = length.parse().unwrap();
                let Some((body, behind)) = rest.split_at_checked(length) else { return };
                rest = behind;
                body
            }
            // In pieces, or up to the end.
            None if code != 100 => return,
            None => continue,
        };
        if fields.get("content-type") == Some(&"application/json") {
            let said: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert!(code < 400 || said["error"].as_str().is_some_and(|error| !error.is_empty()), "{said}");
        } else {
            assert!(code < 400 || body.is_empty(), "{head}");
        }
    }
}

/// The agent's mind behind its channels; what it starts runs until it is asked to end.
async fn live(
    mut mind: Supervisor,
    mut requests: mpsc::UnboundedReceiver<Request>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    commands: Arc<Mutex<Vec<Command>>>,
) {
    let began = Instant::now();
    let now = || Moment::at(Duration::from_secs(1000) + began.elapsed());
    let found = Event::Found {
        runs: Vec::new(),
        ends: Vec::new(),
        spared: Vec::new(),
        intent: Intent::new(),
        is_intent_lost: false,
    };
    let mut facts = VecDeque::from([found]);
    let mut waiting: Vec<oneshot::Sender<Answer>> = Vec::new();
    loop {
        let mut answers = Vec::new();
        while let Some(fact) = facts.pop_front() {
            mind.handle(now(), fact);
        }
        for effect in mind.decide(now()) {
            match effect {
                Effect::ReadSources { order, cause } => facts.push_back(Event::SourcesRead(reading(order, cause))),
                Effect::Spawn(order) => facts.push_back(Event::Spawned { run: order.run, pid: 4242 }),
                Effect::Ask { run, .. } | Effect::Kill { run, .. } => {
                    facts.push_back(Event::Exited { run: run.clone(), exit: Exit::Code(0), left: 0 });
                    facts.push_back(Event::Ended { run, spared: Vec::new() });
                }
                Effect::RunAction(order) => facts.push_back(Event::ActionEnded {
                    run: order.run,
                    exit: Some(Exit::Code(0)),
                    words: String::new(),
                }),
                Effect::Answer { ticket, answer } => answers.push((ticket, answer)),
                Effect::Exit => return,
                _ => {}
            }
        }
        snapshots.send_replace(Arc::clone(mind.snapshot()));
        for (ticket, answer) in answers {
            let (nobody, _) = oneshot::channel();
            let _ = std::mem::replace(&mut waiting[usize::try_from(ticket).unwrap()], nobody).send(answer);
        }
        if !facts.is_empty() {
            continue;
        }
        let due = mind.next_deadline().map(|due| began + due.since(Moment::at(Duration::from_secs(1000))));
        tokio::select! {
            request = requests.recv() => {
                let Some(Request { command, reply }) = request else { return };
                commands.lock().unwrap().push(command.clone());
                let ticket = waiting.len() as u64;
                waiting.push(reply);
                facts.push_back(Event::Commanded { ticket, command });
            }
            () = async { sleep_until(due.unwrap()).await }, if due.is_some() => {}
        }
    }
}

fn reading(order: u64, cause: String) -> Reading {
    Reading {
        files: vec![read::source(Role::Main, "services.json", SERVICES.as_bytes())],
        surroundings: Arc::new(read::surroundings("me")),
        unlisted: false,
        problems: Vec::new(),
        cause,
        order,
    }
}

fn backstage(engine: Handle, past: Arc<Past>) -> Backstage {
    Backstage {
        engine,
        agent: Arc::new(AgentFacts {
            pid: 1,
            config: PathBuf::from("/srv/services.json"),
            state_dir: PathBuf::from("/srv/state"),
            since: SystemTime::UNIX_EPOCH,
            has_tray: Arc::default(),
            dashboard: None,
        }),
        meter: Arc::new(Nothing),
        last_lines: Arc::new(|id, _| Ok(Some(vec![format!("last words of {id}")]))),
        checkout: Arc::new(|_, _| Ok(None)),
        propose: Arc::new(|_| Ok(reading(0, "a proposal".to_owned()))),
        journal: past,
    }
}

/// Nothing that runs costs anything.
struct Nothing;

impl Meter for Nothing {
    fn recent(&self, _: &[Arc<ServiceView>], _: Duration) -> Option<Arc<Samples>> {
        None
    }

    fn measure(&self, _: &[Arc<ServiceView>], _: Duration) -> io::Result<Arc<Samples>> {
        Ok(Arc::default())
    }
}

/// So many events have happened.
struct Past(watch::Sender<u64>);

impl Journal for Past {
    fn read(&self, cursor: u128) -> io::Result<Page> {
        let event = pilotlight::wire::Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            generation: 1,
            kind: "exited".to_owned(),
            service: Some("web".to_owned()),
            run: None,
            text: "something happened".to_owned(),
        };
        let happened = *self.0.borrow();
        let new = happened.saturating_sub(u64::try_from(cursor).unwrap());
        let events = vec![event; usize::try_from(new).unwrap()];
        Ok(Page { events, cursor: u128::from(happened), is_last: true, has_gap: false })
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_all().start_paused(true).build().unwrap())
}
