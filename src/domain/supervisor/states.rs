//! Draws the table of phases and inputs from the code itself, and holds `docs/STATES.md` to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::health::Board;
use super::meter::Meter;
use super::phase::{Attempt, CommandFact, Ending, Input, Life, Phase, Preparing, Sequel, StopCommand, Stranger};
use super::unit::{Orders, Unit};
use crate::domain::{
    Check, Display, Effect, Exit, HealthState, Kind, Moment, Outcome, Part, Place, PortHolder, Probe, ProcessId,
    RestartPolicy, RunId, Service, ServiceId, Spawn, Step, StopPolicy,
};

const NOW: Moment = Moment::at(Duration::from_secs(1000));

#[test]
fn the_table_of_states_is_what_the_code_does() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/STATES.md");
    let table = page();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &table).expect("docs/STATES.md can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, table, "docs/STATES.md is not what the code does; run the test with UPDATE_EXPECT=1");
}

fn page() -> String {
    let mut page = String::from(
        "# Phases of a service and what befalls them\n\n\
         Drawn from the code by a test (`UPDATE_EXPECT=1 cargo test the_table_of_states`). A cell names the phase that\n\
         follows and, in brackets, the orders that are given; `·` means that nothing changes. Facts that carry the id of\n\
         another run never come this far. The service of the table has one probe, the default restart policy and the\n\
         default stop policy; that of the rows about steps has one step before its start. `Start`, `Stop`, `Wait` and\n\
         `Kill` are the planner's, everything else is a fact.\n\n",
    );
    let inputs = inputs();
    page.push_str("| phase |");
    inputs.iter().for_each(|(name, _)| write!(page, " {name} |").expect("a string takes all"));
    page.push_str("\n|---|");
    inputs.iter().for_each(|_| page.push_str("---|"));
    page.push('\n');
    for (name, service, phase) in phases() {
        write!(page, "| **{name}** |").expect("a string takes all");
        for (_, input) in &inputs {
            write!(page, " {} |", cell(&phase, &service, input)).expect("a string takes all");
        }
        page.push('\n');
    }
    page
}

/// What follows when `input` befalls a unit in `phase`.
fn cell(phase: &Phase, service: &Arc<Service>, input: &Input) -> String {
    let mut unit = Unit::new(service);
    unit.phase = phase.clone();
    let mut effects = Vec::new();
    unit.step(NOW, input.clone(), &mut Orders { effects: &mut effects, generation: 1 });
    let orders = effects.iter().filter_map(order).collect::<Vec<_>>();
    let after = name(&unit.phase);
    let before = name(phase);
    match (after == before, orders.is_empty()) {
        (true, true) if unit.phase == *phase => "·".to_owned(),
        (_, true) => after.to_owned(),
        (_, false) => format!("{after} [{}]", orders.join(", ")),
    }
}

fn order(effect: &Effect) -> Option<&'static str> {
    match effect {
        Effect::Spawn(_) => Some("spawn"),
        Effect::Ask { .. } => Some("ask"),
        Effect::Kill { .. } => Some("kill"),
        Effect::Probe(_) => Some("probe"),
        Effect::Measure(_) => Some("measure"),
        Effect::ReadSources { .. }
        | Effect::KeepLogs(_)
        | Effect::TellTimeOfDay
        | Effect::WatchFiles { .. }
        | Effect::SaveIntent(_)
        | Effect::Record(_)
        | Effect::Notify(_)
        | Effect::Answer { .. }
        | Effect::Take(_)
        | Effect::RunAction(_)
        | Effect::Exit => None,
    }
}

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Idle => "Idle",
        Phase::Rested => "Rested",
        Phase::Completed => "Completed",
        Phase::Failed(_) => "Failed",
        Phase::Backoff(_) => "Backoff",
        Phase::Spawning(attempt) if attempt.stranger.is_some() => "Spawning (port was taken)",
        Phase::Spawning(attempt) if attempt.run.part() == Part::Step => "Spawning (a step)",
        Phase::Spawning(_) => "Spawning",
        Phase::Preparing(_) => "Preparing",
        Phase::Prepared(_) => "Prepared",
        Phase::Up(_) => "Up",
        Phase::Stopping(ending) if ending.is_over => "Stopping (only its command lives)",
        Phase::Stopping(ending) if ending.command.is_some() => "Stopping (asked by command)",
        Phase::Stopping(ending) if ending.asked => "Stopping (asked)",
        Phase::Stopping(ending) => match ending.sequel {
            Sequel::Policy => "Stopping (by itself)",
            Sequel::Trouble(_) => "Stopping (in trouble)",
            Sequel::NoStart(_) => "Stopping (a step that failed)",
            Sequel::Next(_) => "Stopping (a step that succeeded)",
        },
        Phase::Foreign(_) => "Foreign",
        Phase::Watching(..) => "Watching",
    }
}

fn phases() -> Vec<(&'static str, Arc<Service>, Phase)> {
    let process = service(Kind::Process(spawn()));
    let external = service(Kind::External);
    let run = RunId::new("r");
    let prepared = Arc::new(Service { before_start: steps(), ..Service::clone(&process) });
    let board = || Board::new(&process.probes, NOW, NOW, HealthState::Starting, 0);
    let mut waiting = board();
    waiting.take_due(NOW);
    let stranger =
        || Box::new(Stranger { watch: RunId::new("w"), holder: holder(), board: waiting.clone(), recheck: NOW });
    let ending = |asked: bool| {
        Box::new(Ending {
            run: run.clone(),
            pid: Some(1),
            started: NOW,
            adopted: false,
            asked,
            sequel: Sequel::Policy,
            deadline: NOW,
            killed: false,
            survivors: Vec::new(),
            exit: (!asked).then_some(Exit::Code(1)),
            healthy_for: Duration::ZERO,
            command: None,
            is_over: false,
        })
    };
    let attempt = |run: &RunId, done, stranger| {
        Box::new(Attempt { run: run.clone(), spawn: spawn(), steps: steps(), done, stranger })
    };
    let step = || attempt(&run.of_step(), 0, None);
    let command = || Some(StopCommand { run: run.of_stop_command(), exit: None, killed: false });
    let life = Life {
        run: run.clone(),
        pid: 1,
        started: NOW,
        adopted: false,
        spawn_hash: None,
        spawn: None,
        shared: super::phase::Shared::default(),
        fresh_until: None,
        board: waiting.clone(),
        meter: Meter::new(None, NOW),
    };
    let by_itself = |sequel| Phase::Stopping(Box::new(Ending { sequel, ..*ending(false) }));
    let preparing = Preparing { attempt: *step(), pid: 1, started: NOW, deadline: NOW };
    let phases = [
        Phase::Idle,
        Phase::Spawning(step()),
        Phase::Preparing(Box::new(preparing)),
        by_itself(Sequel::Next(attempt(&run.of_step(), 1, None))),
        by_itself(Sequel::NoStart("x".to_owned())),
        Phase::Prepared(attempt(&run.of_step(), 1, None)),
        Phase::Spawning(attempt(&run, 1, None)),
        Phase::Up(Box::new(life)),
        Phase::Stopping(ending(true)),
        Phase::Stopping(Box::new(Ending { command: command(), ..*ending(true) })),
        Phase::Stopping(Box::new(Ending { command: command(), is_over: true, ..*ending(true) })),
        Phase::Stopping(ending(false)),
        by_itself(Sequel::Trouble("x".to_owned())),
        Phase::Backoff(NOW),
        Phase::Failed("x".to_owned()),
        Phase::Rested,
        Phase::Completed,
        Phase::Foreign(stranger()),
        Phase::Spawning(attempt(&run, 1, Some(stranger()))),
    ];
    let of = |phase: &Phase| Arc::clone(if is_about_steps(phase) { &prepared } else { &process });
    let mut rows = phases.into_iter().map(|phase| (name(&phase), of(&phase), phase)).collect::<Vec<_>>();
    rows.push(("Watching", external, Phase::Watching(run, Box::new(waiting.clone()))));
    rows
}

fn is_about_steps(phase: &Phase) -> bool {
    matches!(phase, Phase::Preparing(_) | Phase::Prepared(_)) || name(phase).contains("step")
}

fn steps() -> Vec<Arc<Step>> {
    vec![Arc::new(Step { argv: vec!["make".to_owned()], timeout: Duration::from_secs(600) })]
}

fn inputs() -> Vec<(&'static str, Input)> {
    vec![
        ("Start", Input::Start(RunId::new("next"))),
        ("Stop", Input::Stop(RunId::new("by"))),
        ("Wait", Input::Wait),
        ("Kill", Input::Kill),
        ("spawned", Input::Spawned(7)),
        ("spawn failed, for now", Input::SpawnFailed { error: "x".to_owned(), lasting: false }),
        ("spawn failed, for good", Input::SpawnFailed { error: "x".to_owned(), lasting: true }),
        ("port taken", Input::PortTaken(holder())),
        ("exited with 0", Input::Exited { exit: Exit::Code(0), left: 0 }),
        ("exited with 1", Input::Exited { exit: Exit::Code(1), left: 0 }),
        ("exited, others left", Input::Exited { exit: Exit::Code(1), left: 2 }),
        ("tree ended", Input::Ended(Vec::new())),
        ("kill failed", Input::KillFailed(vec![7])),
        ("probe passed", Input::Probed(0, Outcome::Pass)),
        ("stop command not there", Input::StopCommand(CommandFact::Failed("x".to_owned()))),
        ("stop command exited with 0", Input::StopCommand(CommandFact::Exited { exit: Exit::Code(0), left: 0 })),
        ("stop command exited with 1", Input::StopCommand(CommandFact::Exited { exit: Exit::Code(1), left: 0 })),
        ("deadline", Input::Time),
    ]
}

fn holder() -> PortHolder {
    PortHolder { process: Some(ProcessId { pid: 9, start: 9 }), ..PortHolder::unknown(1) }
}

fn spawn() -> Arc<Spawn> {
    Arc::new(Spawn {
        argv: vec!["x".to_owned()],
        cwd: "/".into(),
        env: BTreeMap::new(),
        shared_env: Arc::new(BTreeMap::new()),
    })
}

fn service(kind: Kind) -> Arc<Service> {
    let probe = Probe {
        check: Check::Tcp { host: "localhost".to_owned(), port: 1 },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(3),
        healthy_after: 1,
        unhealthy_after: 3,
        grace: Duration::from_secs(60),
    };
    Arc::new(Service {
        id: ServiceId::new("s").expect("a valid id"),
        place: Place::whole(&"s.json".into()),
        display: Display::default(),
        enabled: true,
        disabled_at: None,
        auto_start: false,
        type_name: "process".to_owned(),
        kind,
        argv_keys: Vec::new(),
        port: Some(1),
        url: None,
        ports: Vec::new(),
        docs_url: None,
        probes: vec![Arc::new(probe)],
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
    })
}
