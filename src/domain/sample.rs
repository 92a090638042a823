//! Made-up snapshots for tests; compiled into tests only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::catalog::{Basis, Content, Role, SourceFile, Surroundings};
use crate::domain::{
    Action, ActionState, Blocker, Check, Condition, Dependency, Display, EarlierRun, Entry, Exit, HealthState, Kind,
    LastAction, LastExit, Launch, Light, Moment, Node, Place, PortHolder, Probe, ProcessId, ProcessState,
    RestartPolicy, RunId, Service, ServiceId, ServiceView, Snapshot, Spawn, StopPolicy, Value, Wait, WantedBy,
};

/// The moment that all samples take for now.
pub const NOW: Moment = Moment::at(Duration::from_secs(100_000));

/// An id that is known to be good.
pub fn id(text: &str) -> ServiceId {
    ServiceId::new(text).expect("tests use good ids")
}

/// What one service is made of, with a secret in its environment.
pub fn basis(name: &str) -> Arc<Basis> {
    let file: Arc<str> = "services.json".into();
    let place = |line| Place { file: Arc::clone(&file), line, column: 5 };
    let text = |line, text: &str| Node { place: place(line), value: Value::Text(text.into()) };
    let entry = |key: &str, node: Node| Entry { key: key.into(), key_place: node.place.clone(), node };
    let map = |line, entries| Node { place: place(line), value: Value::Map(entries) };
    let variables = vec![entry("API_TOKEN", text(4, "hunter2")), entry("LEVEL", text(5, "debug"))];
    let service =
        map(2, vec![entry("id", text(2, name)), entry("command", text(3, name)), entry("env", map(4, variables))]);
    let source = SourceFile {
        name: Arc::clone(&file),
        path: PathBuf::from("/srv/services.json"),
        role: Role::Main,
        content: Content::Parsed(Arc::new(Node { place: place(1), value: Value::List(vec![service]) }), "".into()),
    };
    let environment = BTreeMap::from([("PATH".to_owned(), "/bin".to_owned())]);
    let surroundings = Surroundings { root: PathBuf::from("/srv"), environment, ..Surroundings::default() };
    Arc::new(Basis { files: [Arc::new(source)].into(), surroundings: Arc::new(surroundings), ..Basis::default() })
}

/// The definition of a process with one probe and a grace of 60 s.
pub fn service(name: &str) -> Service {
    Service {
        id: id(name),
        place: Place { file: "services.json".into(), line: 3, column: 5 },
        display: Display { name: name.to_owned(), ..Display::default() },
        enabled: true,
        disabled_at: None,
        auto_start: true,
        type_name: "process".to_owned(),
        kind: Kind::Process(Arc::new(Spawn {
            argv: vec![name.to_owned()],
            cwd: PathBuf::from("/srv"),
            env: BTreeMap::from([("API_TOKEN".to_owned(), Some("hunter2".to_owned()))]),
            shared_env: Arc::default(),
        })),
        argv_keys: Vec::new(),
        port: None,
        url: None,
        ports: Vec::new(),
        docs_url: None,
        probes: vec![Arc::new(Probe {
            check: Check::Tcp { host: "localhost".to_owned(), port: 1 },
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            healthy_after: 1,
            unhealthy_after: 3,
            grace: Duration::from_secs(60),
        })],
        depends_on: Vec::new(),
        talks_to: Vec::new(),
        restart: RestartPolicy::default(),
        stop: StopPolicy::default(),
        one_shot: false,
        before_start: Vec::new(),
        watch: Vec::new(),
        limits: crate::domain::Limits::default(),
        actions: Vec::new(),
        notify: crate::domain::NotifyPolicy::default(),
        log: crate::domain::LogPolicy::default(),
    }
}

/// A service that nobody wants and that does not run.
pub fn stopped(name: &str) -> ServiceView {
    ServiceView {
        id: id(name),
        service: Arc::new(service(name)),
        wanted: false,
        wanted_by: WantedBy::None,
        process: ProcessState::Stopped,
        health: HealthState::Stopped,
        light: Light::Gray,
        reason: "stopped by the user".to_owned(),
        since: NOW - Duration::from_secs(90),
        pid: None,
        run: None,
        started: None,
        adopted: false,
        is_fresh: false,
        restarts: 0,
        last_exit: None,
        first_cause: None,
        blocked_by: Vec::new(),
        next_try: None,
        spared: Vec::new(),
        counted: true,
        foreign: None,
        launch: None,
        last_action: None,
    }
}

/// A wanted service in the given state, without a process.
pub fn wanted(name: &str, process: ProcessState, light: Light, reason: &str) -> ServiceView {
    ServiceView {
        wanted: true,
        wanted_by: WantedBy::AutoStart,
        process,
        light,
        reason: reason.to_owned(),
        ..stopped(name)
    }
}

/// A wanted service whose process runs in the run `<name>-1`.
pub fn running(name: &str, pid: u32, health: HealthState, light: Light, reason: &str) -> ServiceView {
    ServiceView {
        health,
        pid: Some(pid),
        run: Some(RunId::new(&format!("{name}-1"))),
        started: Some(NOW - Duration::from_secs(7384)),
        ..wanted(name, ProcessState::Running, light, reason)
    }
}

/// A healthy service.
pub fn healthy(name: &str, pid: u32) -> ServiceView {
    running(name, pid, HealthState::Healthy, Light::Green, "healthy")
}

/// A wanted service that waits for `needed`.
pub fn waiting(name: &str, needed: &str, because: &str) -> ServiceView {
    let view = ServiceView {
        blocked_by: vec![Blocker { id: id(needed), reason: because.to_owned() }],
        ..wanted(name, ProcessState::Waiting, Light::Yellow, &format!("waits for {needed}"))
    };
    needs(view, needed)
}

/// A wanted service whose port 8000 a stranger has, which works.
pub fn foreign(name: &str) -> ServiceView {
    let holder = PortHolder {
        process: Some(ProcessId { pid: 4321, start: 99 }),
        command: Some("python3 -m http.server 8000".to_owned()),
        folder: Some(PathBuf::from("/home/dev/shop")),
        since: Some(NOW - Duration::from_secs(7384)),
        earlier: Some(EarlierRun { service: id("api"), elsewhere: Some(PathBuf::from("/home/dev/other")) }),
        ..PortHolder::unknown(8000)
    };
    let view = wanted(name, ProcessState::Foreign, Light::Yellow, &holder.to_string());
    let view = ServiceView { health: HealthState::Healthy, foreign: Some(holder), ..view };
    define(view, |service| service.port = Some(8000))
}

/// `view` with an action `name`, which has failed a minute ago.
pub fn acted(view: ServiceView, name: &str) -> ServiceView {
    let state = ActionState::Failed("exited with code 3: no such table".to_owned());
    let last = LastAction { name: name.to_owned(), state, at: NOW - Duration::from_secs(60) };
    let action = Action { name: name.to_owned(), argv: vec![name.to_owned()], confirm: false };
    define(ServiceView { last_action: Some(last), ..view }, |service| service.actions.push(Arc::new(action)))
}

/// `view`, depending on `needed` being healthy.
pub fn needs(view: ServiceView, needed: &str) -> ServiceView {
    define(view, |service| {
        service.depends_on.push(Dependency { id: id(needed), condition: Condition::Healthy, restart: false });
    })
}

/// A page that waits for a database, and how both were started.
pub fn started() -> Vec<ServiceView> {
    let at = |seconds| Some(NOW - Duration::from_secs(seconds));
    let begun = Launch { free: at(9), tries: 1, tried: at(9), ..Launch::asked(NOW - Duration::from_secs(9)) };
    let db = Launch { spawned: at(9), ready: at(4), ..begun.clone() };
    let wait = Wait { id: id("store"), condition: Some(Condition::Healthy), until: at(4) };
    let page = Launch { waits: vec![wait], free: at(4), tried: at(4), spawned: at(4), ready: at(1), ..begun };
    let with = |view: ServiceView, launch| ServiceView { launch: Some(Arc::new(launch)), ..view };
    vec![with(needs(healthy("page", 8), "store"), page), with(healthy("store", 7), db)]
}

/// `view` with a changed definition.
pub fn define(view: ServiceView, change: impl FnOnce(&mut Service)) -> ServiceView {
    let mut service = Service::clone(&view.service);
    change(&mut service);
    ServiceView { service: Arc::new(service), ..view }
}

/// `view` with a last exit one minute ago.
pub fn exited(view: ServiceView, exit: Exit) -> ServiceView {
    ServiceView { last_exit: Some(LastExit { exit, at: NOW - Duration::from_secs(60) }), ..view }
}

/// A snapshot of `views`, with the worst of their lights.
pub fn snapshot(views: Vec<ServiceView>) -> Snapshot {
    let light = views.iter().map(|view| view.light).max().unwrap_or(Light::Gray);
    let wanted = views.iter().filter(|view| view.wanted).count();
    let green = views.iter().filter(|view| view.light == Light::Green).count();
    let summary = if wanted == 0 { "nothing wanted".to_owned() } else { format!("{green} of {wanted} healthy") };
    Snapshot {
        revision: 1,
        generation: 7,
        light,
        summary,
        services: views.into_iter().map(Arc::new).collect(),
        ..Snapshot::empty()
    }
}
