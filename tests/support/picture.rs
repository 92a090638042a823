//! Snapshots made up for the faces' tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pilotlight::domain::{
    Display, HealthState, Kind, Light, Moment, Place, ProcessState, RestartPolicy, Service, ServiceId, ServiceView,
    Snapshot, Spawn, StopPolicy, WantedBy,
};

/// A service id that is known to be one.
pub fn id(text: &str) -> ServiceId {
    ServiceId::new(text).unwrap()
}

/// The definition of `view`, to be changed.
pub fn define(view: &mut ServiceView) -> &mut Service {
    Arc::make_mut(&mut view.service)
}

/// A service of a process, wanted by the user, about which nothing else is known.
pub fn view(name: &str, shown: &str, process: ProcessState, health: HealthState, light: Light) -> ServiceView {
    let spawn = Spawn {
        argv: vec!["true".to_owned()],
        cwd: PathBuf::from("/"),
        env: BTreeMap::new(),
        shared_env: Arc::default(),
    };
    let service = Service {
        id: id(name),
        place: Place { file: "services.json".into(), line: 1, column: 1 },
        display: Display { name: shown.to_owned(), ..Display::default() },
        enabled: true,
        disabled_at: None,
        auto_start: false,
        type_name: "process".to_owned(),
        kind: Kind::Process(Arc::new(spawn)),
        argv_keys: Vec::new(),
        port: None,
        url: None,
        ports: Vec::new(),
        docs_url: None,
        probes: Vec::new(),
        depends_on: Vec::new(),
        talks_to: Vec::new(),
        restart: RestartPolicy::default(),
        stop: StopPolicy::default(),
        one_shot: false,
        before_start: Vec::new(),
        watch: Vec::new(),
        limits: pilotlight::domain::Limits::default(),
        actions: Vec::new(),
        notify: pilotlight::domain::NotifyPolicy::default(),
        log: pilotlight::domain::LogPolicy::default(),
    };
    ServiceView {
        id: id(name),
        service: Arc::new(service),
        wanted: true,
        wanted_by: WantedBy::User,
        process,
        health,
        light,
        reason: String::new(),
        since: Moment::default(),
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

/// A snapshot of `services`, with the worst of their lights.
pub fn picture(services: Vec<ServiceView>) -> Snapshot {
    let light = services.iter().map(|view| view.light).max().unwrap_or(Light::Gray);
    Snapshot {
        light,
        summary: "1 of 1 healthy".to_owned(),
        services: services.into_iter().map(Arc::new).collect(),
        ..Snapshot::empty()
    }
}
