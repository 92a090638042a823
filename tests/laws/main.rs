//! The laws of the supervisor, on a simulated world: whatever happens, in whatever order, these hold.
//!
//! The laws that hold at every moment are checked by the [`world`] itself whenever an order is given; here stand the
//! stories, and what must be true once the dust has settled.

mod absence;
mod actions;
mod critical;
mod edges;
mod foreign;
mod life;
mod plan;
mod quiet;
mod stories;
mod touched;
mod verdicts;
mod waiting;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use pilotlight::domain::{Command, Event, Exit, Light, Outcome, ProcessState, RunId, Selection, ServiceId, Shutdown};
use proptest::prelude::*;

use world::{Aside, Behaviour, Spawning, World, stranger_on};

/// The services of the random world, each in a drop-in of its own: id, and what of its definition never changes.
const SERVICES: [(&str, &str); 7] = [
    ("db", r#""default_port": 5000, "auto_start": true"#),
    ("api", r#""default_port": 5001, "depends_on": ["db"], "auto_start": true, "stop": {"command": "ctl"}"#),
    (
        "gen",
        r#""default_port": 5002, "depends_on": [{"id": "db", "restart": true}], "restart": {"on_unhealthy": true},
        "before_start": [["prepare"], {"command": "seed", "timeout": "3s"}]"#,
    ),
    ("web", r#""default_port": 5003, "depends_on": [{"id": "api", "condition": "started"}, "gen"]"#),
    ("job", r#""one_shot": true, "depends_on": ["db"]"#),
    ("worker", r#""depends_on": [{"id": "job", "condition": "completed"}], "restart": "always""#),
    (
        "lone",
        r#""restart": {"policy": "on-failure", "max_restarts": 0, "max_delay": "5s"}, "auto_start": true,
        "stop": {"tree": "group"}"#,
    ),
];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Op {
    Start(usize),
    Stop(usize),
    Restart(usize),
    Reset(usize),
    StartAll,
    StopAll,
    /// Edit what is spawned.
    Respawn(usize),
    /// Edit what is only shown.
    Describe(usize),
    Remove(usize),
    Restore(usize),
    Disable(usize),
    Break(usize),
    Empty(usize),
    Crash(usize, i32),
    Health(usize, u8),
    Behave(usize, u8),
    Stranger(usize, bool),
    NoStranger(usize),
    Adopt(usize),
    StopStranger(usize),
    /// A process writes so many lines of 1000 bytes.
    Write(usize, u16),
    /// Its log can't be rotated, or can again.
    Obstruct(usize, bool),
    KillAgent,
    /// The agent dies after so many more orders, and the next begins so many milliseconds later.
    DieAmid(u32, u16),
    /// The agent is stopped for so many seconds.
    StopAgent(u16),
    /// The machine sleeps for so many seconds; the agent may be told.
    Sleep(u16, bool),
    SetClock,
    /// Nothing can be stored, or can again.
    FillDisk(bool),
    Stale(usize),
    Pass(u16),
}

impl Op {
    /// Whether it may lead to another agent.
    fn is_deadly(&self) -> bool {
        matches!(self, Self::KillAgent | Self::DieAmid(..))
    }
}

fn op() -> impl Strategy<Value = Op> {
    let one = 0..SERVICES.len();
    prop_oneof![
        3 => one.clone().prop_map(Op::Start),
        3 => one.clone().prop_map(Op::Stop),
        2 => one.clone().prop_map(Op::Restart),
        1 => one.clone().prop_map(Op::Reset),
        1 => Just(Op::StartAll),
        1 => Just(Op::StopAll),
        2 => one.clone().prop_map(Op::Respawn),
        1 => one.clone().prop_map(Op::Describe),
        2 => one.clone().prop_map(Op::Remove),
        3 => one.clone().prop_map(Op::Restore),
        1 => one.clone().prop_map(Op::Disable),
        1 => one.clone().prop_map(Op::Break),
        1 => one.clone().prop_map(Op::Empty),
        3 => (one.clone(), 0..3).prop_map(|(at, code)| Op::Crash(at, code)),
        2 => (one.clone(), 0..3_u8).prop_map(|(at, health)| Op::Health(at, health)),
        4 => (one.clone(), 0..15_u8).prop_map(|(at, how)| Op::Behave(at, how)),
        1 => (one.clone(), any::<bool>()).prop_map(|(at, works)| Op::Stranger(at, works)),
        2 => one.clone().prop_map(Op::NoStranger),
        1 => one.clone().prop_map(Op::Adopt),
        1 => one.clone().prop_map(Op::StopStranger),
        2 => (one.clone(), 0..200_u16).prop_map(|(at, lines)| Op::Write(at, lines)),
        1 => (one.clone(), any::<bool>()).prop_map(|(at, obstructed)| Op::Obstruct(at, obstructed)),
        1 => Just(Op::KillAgent),
        1 => (0..12_u32, 0..3000_u16).prop_map(|(orders, millis)| Op::DieAmid(orders, millis)),
        1 => (0..300_u16).prop_map(Op::StopAgent),
        1 => (0..20_000_u16, any::<bool>()).prop_map(|(seconds, is_told)| Op::Sleep(seconds, is_told)),
        1 => Just(Op::SetClock),
        1 => any::<bool>().prop_map(Op::FillDisk),
        1 => one.prop_map(Op::Stale),
        8 => (0..4000_u16).prop_map(Op::Pass),
    ]
}

/// The random world and what is changed of its definitions.
struct Play {
    world: World,
    versions: [u32; SERVICES.len()],
    words: [u32; SERVICES.len()],
    disabled: [bool; SERVICES.len()],
}

impl Play {
    fn new() -> Self {
        let mut play = Self {
            world: World::new(&[]),
            versions: [0; SERVICES.len()],
            words: [0; SERVICES.len()],
            disabled: [false; SERVICES.len()],
        };
        for at in 0..SERVICES.len() {
            let text = play.text(at);
            play.world.disk.insert(file(at), text);
        }
        play.world.touch("all");
        play.world.pass(Duration::from_millis(10));
        play
    }

    fn text(&self, at: usize) -> String {
        let (_, fixed) = SERVICES[at];
        format!(
            r#"{{"type": "process", "command": ["run", "v{}"], "description": "{}", "enabled": {}, {fixed},
                "log": {{"max_size": "64KiB", "keep": 2}}}}"#,
            self.versions[at], self.words[at], !self.disabled[at]
        )
    }

    fn rewrite(&mut self, at: usize) {
        self.world.write(&file(at), self.text(at));
    }

    /// Plays one after the other; whoever was about to die then lives on.
    fn play_all(&mut self, ops: &[Op]) {
        ops.iter().for_each(|op| self.play(op));
        self.world.dies_after = None;
    }

    fn play(&mut self, op: &Op) {
        let world = &mut self.world;
        match *op {
            Op::Start(at) => drop(world.wish(Command::Start(ids(at)))),
            Op::Stop(at) => drop(world.wish(Command::Stop(ids(at)))),
            Op::Restart(at) => drop(world.wish(Command::Restart(ids(at)))),
            Op::Reset(at) => drop(world.wish(Command::Reset(ids(at)))),
            Op::StartAll => drop(world.wish(Command::Start(Selection::All))),
            Op::StopAll => drop(world.wish(Command::Stop(Selection::All))),
            Op::Respawn(at) => {
                self.versions[at] += 1;
                self.rewrite(at);
            }
            Op::Describe(at) => {
                self.words[at] += 1;
                self.rewrite(at);
            }
            Op::Remove(at) => world.remove(&file(at)),
            Op::Restore(at) => self.rewrite(at),
            Op::Disable(at) => {
                self.disabled[at] = !self.disabled[at];
                self.rewrite(at);
            }
            Op::Break(at) => world.write(&file(at), "{\"id\": "),
            Op::Empty(at) => world.write(&file(at), ""),
            Op::Crash(at, code) => world.crash(&id(at), Exit::Code(code)),
            Op::Health(at, health) => {
                let health = match health {
                    0 => Outcome::Pass,
                    1 => Outcome::Degraded("slow".to_owned()),
                    _ => Outcome::Fail("answered 503".to_owned()),
                };
                world.behaviours.entry(id(at)).or_default().health = health;
            }
            Op::Behave(at, how) => {
                let behaviour = world.behaviours.entry(id(at)).or_default();
                let health = behaviour.health.clone();
                let normal = Behaviour { health, ..Behaviour::default() };
                let (second, aside) = (Duration::from_secs(1), Aside::default());
                *behaviour = match how {
                    0 => Behaviour { spawn: Spawning::FailsForNow, ..normal },
                    1 => Behaviour { spawn: Spawning::FailsForGood, ..normal },
                    2 => Behaviour { warm_up: second * 5, ..normal },
                    3 => Behaviour { life: Some((second, 1)), ..normal },
                    4 => Behaviour { life: Some((second / 4, 0)), ..normal },
                    5 => Behaviour { obeys: None, ..normal },
                    6 => Behaviour { leaves: 2, ..normal },
                    7 => Behaviour { leaves: 1, obeys: None, ..normal },
                    8 => Behaviour { step: Aside { life: Some((second, 1)), ..aside }, ..normal },
                    9 => Behaviour { step: Aside { life: None, obeys: None, ..aside }, ..normal },
                    10 => Behaviour { step: Aside { life: Some((second * 2, 0)), leaves: 1, ..aside }, ..normal },
                    11 => Behaviour { stop_command: Aside { life: Some((second, 1)), ..aside }, ..normal },
                    12 => Behaviour { stop_command: Aside { life: None, leaves: 1, ..aside }, obeys: None, ..normal },
                    13 => Behaviour { apart: 1, ..normal },
                    _ => normal,
                };
            }
            Op::Stranger(at, works) => {
                if let Some(port) = port(at) {
                    world.strangers.insert(port, works);
                }
            }
            Op::NoStranger(at) => {
                if let Some(port) = port(at) {
                    world.strangers.remove(&port);
                }
            }
            // With the services' ids the ports are fixed: who is on it, if anybody is, is the one that is named.
            Op::Adopt(at) => {
                if let Some(port) = port(at) {
                    world.wish(Command::Adopt { id: id(at), stranger: stranger_on(port) });
                }
            }
            Op::StopStranger(at) => {
                if let Some(port) = port(at) {
                    world.wish(Command::StopStranger { id: id(at), stranger: stranger_on(port) });
                }
            }
            Op::Write(at, lines) => world.write_log(&id(at), (0..lines).map(|_| "x".repeat(999))),
            Op::Obstruct(at, obstructed) => world.logs.entry(id(at)).or_default().obstructed = obstructed,
            Op::KillAgent => world.kill_agent(),
            Op::DieAmid(orders, millis) => {
                world.dies_after = Some((orders, Duration::from_millis(u64::from(millis))));
            }
            Op::StopAgent(seconds) => world.stop_agent(Duration::from_secs(u64::from(seconds))),
            Op::Sleep(seconds, is_told) => world.sleep(Duration::from_secs(u64::from(seconds)), is_told),
            Op::SetClock => world.tell(Event::ClockSet),
            Op::FillDisk(is_full) => world.is_full = is_full,
            Op::Stale(at) => {
                world.dies_after = None;
                let before = world.snapshot().clone();
                let run = RunId::new("stale");
                world.tell(Event::Exited { run: run.clone(), exit: Exit::Code(1), left: 0 });
                world.tell(Event::Spawned { run: run.clone(), pid: 1 });
                world.tell(Event::Probed { run, index: at, outcome: Outcome::Fail("stale".to_owned()) });
                assert_eq!(world.snapshot().services, before.services, "a stale fact changed something");
            }
            Op::Pass(millis) => world.pass(Duration::from_millis(u64::from(millis))),
        }
    }

    /// All is well again: whatever was broken is mended, and time passes.
    fn mend(&mut self) {
        self.world.is_full = false;
        self.world.strangers.clear();
        self.world.behaviours.clear();
        self.world.logs.values_mut().for_each(|log| log.obstructed = false);
        self.disabled = [false; SERVICES.len()];
        for at in 0..SERVICES.len() {
            // A changed definition starts anew what had failed.
            self.versions[at] += 1;
            let text = self.text(at);
            self.world.disk.insert(file(at), text);
        }
        // The job's own process ends with success.
        let job = Behaviour { life: Some((Duration::from_millis(50), 0)), ..Behaviour::default() };
        self.world.behaviours.insert(id(4), job);
        self.world.touch("mended");
        self.world.pass(Duration::from_secs(180));
        self.world.check_logs();
    }
}

fn id(at: usize) -> ServiceId {
    ServiceId::new(SERVICES[at].0).expect("the ids are valid")
}

fn ids(at: usize) -> Selection {
    Selection::Ids(vec![id(at)])
}

fn file(at: usize) -> String {
    format!("services.d/{}.json", SERVICES[at].0)
}

fn port(at: usize) -> Option<u16> {
    (at < 4).then(|| 5000 + at as u16)
}

#[test]
fn a_stranger_that_is_to_end_ends_also_if_its_service_is_stopped_meanwhile() {
    let inputs = [
        vec![Op::Stranger(0, false), Op::Respawn(0), Op::Pass(24), Op::StopStranger(0), Op::StopAll],
        vec![Op::Stranger(2, true), Op::StartAll, Op::Pass(3), Op::StopStranger(2), Op::StopAll, Op::Pass(1)],
    ];
    for ops in inputs {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
    }
}

fn pids(world: &World) -> BTreeMap<String, u32> {
    let views = world.snapshot().services.iter();
    views.filter_map(|view| Some((view.id.to_string(), view.pid?))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn once_all_is_well_again_every_service_is_as_wished(ops in prop::collection::vec(op(), 0..60)) {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
        for view in play.world.snapshot().services.iter() {
            let expected = if !view.wanted {
                ProcessState::Stopped
            } else if view.light == Light::Gray {
                // The user has stopped what it needs.
                ProcessState::Waiting
            } else if view.service.one_shot {
                ProcessState::Completed
            } else {
                ProcessState::Running
            };
            prop_assert_eq!(view.process, expected, "{} {}", view.id, view.reason);
            let off = play.world.intent.get(&view.id) == Some(&false);
            prop_assert!(!(off && view.wanted), "{} was stopped by the user, and is wanted", view.id);
            if view.process == ProcessState::Running {
                prop_assert_eq!(view.light, Light::Green, "{} {}", view.id, view.reason);
                prop_assert_eq!(view.pid, play.world.pid(view.id.as_str()));
            }
        }
    }

    #[test]
    fn every_wanted_service_runs_or_says_why_not(ops in prop::collection::vec(op(), 0..60)) {
        let mut play = Play::new();
        for op in &ops {
            play.play(op);
            for view in play.world.snapshot().services.iter().filter(|view| view.wanted) {
                prop_assert!(!view.reason.is_empty());
                match view.process {
                    ProcessState::Waiting => prop_assert!(
                        !view.blocked_by.is_empty(), "{} waits for nothing: {}", view.id, view.reason
                    ),
                    ProcessState::Backoff => prop_assert!(view.next_try.is_some()),
                    ProcessState::Failed => prop_assert!(view.last_exit.is_some() || view.first_cause.is_some()),
                    ProcessState::Stopped
                    | ProcessState::Starting
                    | ProcessState::Running
                    | ProcessState::Stopping
                    | ProcessState::Completed
                    | ProcessState::Foreign => {}
                }
            }
        }
    }

    #[test]
    fn the_end_spawns_nothing_and_comes_within_the_sum_of_the_graces(ops in prop::collection::vec(op(), 0..40)) {
        let mut play = Play::new();
        play.play_all(&ops);
        let spawns = play.world.spawns.clone();
        let _ = play.world.command(Command::Shutdown(Shutdown::AsConfigured));
        // Each link of the longest chain has its own patience of 10 s, and a kill takes no time worth naming.
        let ended = play.world.pass_until(Duration::from_secs(60), |world| world.exited);
        prop_assert!(ended, "it does not end: {:?}", play.world.snapshot());
        prop_assert_eq!(spawns, play.world.spawns.clone());
        prop_assert!(play.world.children.values().all(|child| !child.lives()));
    }

    #[test]
    fn an_agent_that_dies_costs_no_service_its_life(ops in prop::collection::vec(op(), 0..30)) {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
        let before = pids(&play.world);
        play.world.kill_agent();
        play.world.pass(Duration::from_secs(30));
        prop_assert_eq!(before, pids(&play.world));
    }

    #[test]
    fn while_the_agent_or_the_machine_is_away_nothing_is_lost_and_nothing_alarms(
        ops in prop::collection::vec(op(), 0..30),
        absences in prop::collection::vec((0..4_u8, 1..2000_u16, 0..5000_u16), 1..6),
    ) {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
        let (before, notices) = (pids(&play.world), play.world.notices.len());
        for (how, seconds, millis) in absences {
            let span = Duration::from_secs(u64::from(seconds));
            match how {
                0 => play.world.stop_agent(span),
                1 => play.world.sleep(span, true),
                2 => play.world.tell(Event::ClockSet),
                _ => play.world.kill_agent_for(span),
            }
            play.world.pass(Duration::from_millis(u64::from(millis)));
        }
        play.world.pass(Duration::from_secs(60));
        prop_assert_eq!(before, pids(&play.world));
        prop_assert_eq!(&play.world.notices[notices..], &[]);
    }

    #[test]
    fn dropping_in_or_changing_one_service_leaves_every_other_pid(
        ops in prop::collection::vec(op(), 0..30),
        at in 0..SERVICES.len(),
        ported in any::<bool>(),
    ) {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
        let mut before = pids(&play.world);
        if ported {
            play.versions[at] += 1;
            play.rewrite(at);
            before.remove(SERVICES[at].0);
            // These asked to be restarted with it.
            if SERVICES[at].0 == "db" {
                before.remove("gen");
            }
        } else {
            let text = r#"{"type": "process", "command": "new", "auto_start": true, "default_port": 6000}"#;
            play.world.write("services.d/a-new-one.json", text);
        }
        play.world.pass(Duration::from_secs(30));
        let after = pids(&play.world);
        for (id, pid) in before {
            prop_assert_eq!(after.get(&id), Some(&pid), "{} was restarted", id);
        }
        prop_assert!(ported || after.contains_key("a-new-one"));
    }

    #[test]
    fn restart_really_restarts(ops in prop::collection::vec(op(), 0..30), at in 0..SERVICES.len()) {
        let mut play = Play::new();
        play.play_all(&ops);
        play.mend();
        let before = play.world.spawns.get(&id(at)).copied().unwrap_or_default();
        let pid = play.world.pid(SERVICES[at].0);
        prop_assert!(play.world.command(Command::Restart(ids(at))).is_ok());
        play.world.pass(Duration::from_secs(30));
        prop_assert_eq!(play.world.spawns.get(&id(at)).copied(), Some(before + 1));
        prop_assert!(play.world.pid(SERVICES[at].0) != pid || SERVICES[at].0 == "job");
    }
}

/// How many worlds each law is tried in; more by `PILOTLIGHT_SEEDS`.
fn cases() -> u32 {
    std::env::var("PILOTLIGHT_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}
