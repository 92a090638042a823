//! The laws of the port `Logs`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use pilotlight::domain::{Event, LogPolicy, ServiceId};
use pilotlight::engine::StateDir;
use pilotlight::engine::ports::Logs;
use pilotlight::logs::{DiskLogs, Query, read};
use tokio::sync::mpsc;

use crate::fakes::Log;
use crate::time::{DEADLINE, Made};

/// Logs, whoever writes to them, and agents that keep them one after the other.
trait World {
    /// The port as the present agent has it.
    fn logs(&mut self) -> &mut dyn Logs;
    /// The service writes these lines.
    fn write(&mut self, id: &ServiceId, lines: &[String]);
    /// All lines that are kept, in their order.
    fn lines(&mut self, id: &ServiceId) -> Vec<String>;
    /// The lengths of the log (or what of it takes space) and of the older files, the newest first.
    fn lengths(&mut self, id: &ServiceId) -> Vec<u64>;
    /// The lengths that were noted, in bytes since the log's beginning.
    fn marks(&mut self, id: &ServiceId) -> Vec<u64>;
    /// Whether the log can't be rotated from now on.
    fn obstruct(&mut self, id: &ServiceId, obstructed: bool);
    /// Lets a moment pass; what was told in it.
    fn pass(&mut self) -> Vec<Event>;
    /// The agent dies, and the next one begins.
    fn next_agent(&mut self);
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        a_length_is_noted_only_when_the_log_has_grown,
        lengths_are_counted_from_the_beginning_whatever_has_been_rotated,
        a_log_that_is_too_long_is_rotated_and_every_line_stays,
        a_log_that_goes_on_growing_is_rotated_again_and_again,
        no_more_older_files_are_kept_than_wished,
        a_log_of_one_block_is_kept_as_well_as_a_long_one,
        a_new_bound_counts_at_once,
        logs_that_are_not_to_be_kept_are_left_alone,
        what_was_written_while_no_agent_was_there_is_rotated_by_the_next,
        what_cannot_be_rotated_is_told_once_and_made_up_for,
    ]
}

const POLICY: LogPolicy = LogPolicy { max_size: 100_000, keep: 50 };

fn a_length_is_noted_only_when_the_log_has_grown(world: &mut dyn World) {
    let id = id("web");
    world.logs().mark(&id);
    assert!(world.marks(&id).is_empty(), "there is no log");
    world.logs().begin(&id);
    assert_eq!(world.marks(&id).last().copied().unwrap_or(0), 0);
    let lines = numbered(0, 10);
    world.write(&id, &lines);
    let length = Log::length(&lines);
    until(world, "its new length is noted", |world| {
        world.logs().mark(&id);
        world.marks(&id).last() == Some(&length)
    });
    let noted = world.marks(&id);
    for _ in 0..10 {
        world.logs().mark(&id);
    }
    assert_eq!(world.marks(&id), noted);
}

fn lengths_are_counted_from_the_beginning_whatever_has_been_rotated(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, POLICY)]);
    world.logs().begin(&id);
    let mut written = 0;
    for round in 0..3 {
        let lines = numbered(round * 10_000, 5000);
        world.write(&id, &lines);
        written += Log::length(&lines);
        until(world, "it is rotated and noted", |world| {
            world.logs().mark(&id);
            is_within(world, &id, POLICY) && world.marks(&id).last() == Some(&written)
        });
    }
    assert!(world.marks(&id).is_sorted());
}

fn a_log_that_is_too_long_is_rotated_and_every_line_stays(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, POLICY)]);
    world.logs().begin(&id);
    world.write(&id, &numbered(0, 1000));
    assert_eq!(world.lines(&id), numbered(0, 1000));
    assert_eq!(world.lengths(&id).len(), 1, "it is not too long");
    world.write(&id, &numbered(1000, 9000));
    until(world, "it is rotated", |world| is_within(world, &id, POLICY));
    assert!(world.lengths(&id).len() > 1);
    assert_eq!(world.lines(&id), numbered(0, 10_000));
}

fn a_log_that_goes_on_growing_is_rotated_again_and_again(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, POLICY)]);
    world.logs().begin(&id);
    for round in 0..5 {
        world.write(&id, &numbered(round * 5000, 5000));
        until(world, "it is rotated", |world| is_within(world, &id, POLICY));
        let count = (round + 1) * 5000;
        assert_eq!(world.lines(&id), numbered(0, count));
    }
}

fn no_more_older_files_are_kept_than_wished(world: &mut dyn World) {
    let id = id("web");
    for keep_count in [2, 0] {
        let policy = LogPolicy { keep: keep_count, ..POLICY };
        keep(world, &[(&id, policy)]);
        world.logs().begin(&id);
        for _ in 0..3 {
            world.write(&id, &numbered(0, 20_000));
            until(world, "it is rotated", |world| is_within(world, &id, policy));
        }
        let lines = world.lines(&id);
        let all = numbered(0, 20_000);
        let whole = lines.len().saturating_sub(1);
        assert!(whole < all.len(), "{whole} lines are kept of {keep_count} older files");
        assert_eq!(lines[lines.len() - whole..], all[all.len() - whole..], "the newest are kept");
    }
}

fn a_log_of_one_block_is_kept_as_well_as_a_long_one(world: &mut dyn World) {
    let id = id("web");
    let policy = LogPolicy { max_size: 4096, keep: 200 };
    keep(world, &[(&id, policy)]);
    world.logs().begin(&id);
    for round in 0..5 {
        world.write(&id, &numbered(round * 2000, 2000));
        until(world, "it is rotated", |world| is_within(world, &id, policy));
        assert_eq!(world.lines(&id), numbered(0, (round + 1) * 2000));
    }
    let fewer = LogPolicy { keep: 2, ..policy };
    keep(world, &[(&id, fewer)]);
    until(world, "what is too much is gone", |world| is_within(world, &id, fewer));
    let lines = world.lines(&id);
    assert_eq!(lines.last(), numbered(0, 10_000).last(), "the newest are kept");
}

fn a_new_bound_counts_at_once(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, LogPolicy { max_size: 10_000_000, keep: 50 })]);
    world.logs().begin(&id);
    world.write(&id, &numbered(0, 50_000));
    assert_eq!(world.lengths(&id).len(), 1);
    keep(world, &[(&id, POLICY)]);
    until(world, "it is rotated", |world| is_within(world, &id, POLICY));
    assert_eq!(world.lines(&id), numbered(0, 50_000));
    let fewer = LogPolicy { keep: 1, ..POLICY };
    keep(world, &[(&id, fewer)]);
    until(world, "what is too much is gone", |world| is_within(world, &id, fewer));
}

fn logs_that_are_not_to_be_kept_are_left_alone(world: &mut dyn World) {
    let (web, db) = (id("web"), id("db"));
    keep(world, &[(&web, POLICY), (&db, POLICY)]);
    keep(world, &[(&web, POLICY)]);
    for id in [&db, &web] {
        world.logs().begin(id);
        world.write(id, &numbered(0, 20_000));
    }
    until(world, "the one is rotated", |world| is_within(world, &web, POLICY));
    assert_eq!(world.lengths(&db).len(), 1);
}

fn what_was_written_while_no_agent_was_there_is_rotated_by_the_next(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, POLICY)]);
    world.logs().begin(&id);
    world.next_agent();
    world.write(&id, &numbered(0, 20_000));
    assert_eq!(world.lengths(&id).len(), 1);
    keep(world, &[(&id, POLICY)]);
    until(world, "it is rotated", |world| is_within(world, &id, POLICY));
    assert_eq!(world.lines(&id), numbered(0, 20_000));
}

fn what_cannot_be_rotated_is_told_once_and_made_up_for(world: &mut dyn World) {
    let id = id("web");
    keep(world, &[(&id, POLICY)]);
    world.logs().begin(&id);
    world.obstruct(&id, true);
    world.write(&id, &numbered(0, 20_000));
    assert!(trouble_of(&id, next(world)).is_some());
    world.write(&id, &numbered(20_000, 100));
    world.obstruct(&id, false);
    assert_eq!(trouble_of(&id, next(world)), None, "it is not told twice");
    assert!(is_within(world, &id, POLICY));
    assert_eq!(world.lines(&id), numbered(0, 20_100));
}

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).unwrap()
}

fn numbered(from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|number| format!("line {number:06}")).collect()
}

fn keep(world: &mut dyn World, policies: &[(&ServiceId, LogPolicy)]) {
    let policies: BTreeMap<ServiceId, LogPolicy> =
        policies.iter().map(|(id, policy)| ((*id).clone(), *policy)).collect();
    world.logs().keep(&policies);
}

fn is_within(world: &mut dyn World, id: &ServiceId, policy: LogPolicy) -> bool {
    let lengths = world.lengths(id);
    lengths.iter().all(|length| *length <= policy.max_size) && lengths.len() <= policy.keep as usize + 1
}

fn until(world: &mut dyn World, what: &str, mut done: impl FnMut(&mut dyn World) -> bool) {
    let began = Instant::now();
    while !done(world) {
        assert!(began.elapsed() < DEADLINE, "waited too long until {what}");
        world.pass();
    }
}

/// What is told next.
fn next(world: &mut dyn World) -> Event {
    let began = Instant::now();
    loop {
        let mut told = world.pass();
        if let Some(event) = told.pop() {
            assert!(told.is_empty(), "{told:?} before {event:?}");
            return event;
        }
        assert!(began.elapsed() < DEADLINE, "nothing is told");
    }
}

fn trouble_of(id: &ServiceId, event: Event) -> Option<String> {
    match event {
        Event::LogTroubled { id: of, trouble } => {
            assert_eq!(of, *id);
            assert!(trouble.as_ref().is_none_or(|trouble| trouble.contains(id.as_str())), "{trouble:?}");
            trouble
        }
        other => panic!("{other:?}"),
    }
}

impl World for Made {
    fn logs(&mut self) -> &mut dyn Logs {
        &mut self.machine
    }

    fn write(&mut self, id: &ServiceId, lines: &[String]) {
        self.machine.write_log(id, lines.iter().cloned());
    }

    fn lines(&mut self, id: &ServiceId) -> Vec<String> {
        self.machine.logs[id].lines()
    }

    fn lengths(&mut self, id: &ServiceId) -> Vec<u64> {
        let log = &self.machine.logs[id];
        [&log.current].into_iter().chain(&log.pieces).map(|lines| Log::length(lines)).collect()
    }

    fn marks(&mut self, id: &ServiceId) -> Vec<u64> {
        self.machine.logs.get(id).map(|log| log.marks.clone()).unwrap_or_default()
    }

    fn obstruct(&mut self, id: &ServiceId, obstructed: bool) {
        self.machine.logs.get_mut(id).unwrap().obstructed = obstructed;
    }

    fn pass(&mut self) -> Vec<Event> {
        // Until something is told, or nothing lies ahead.
        self.step().into_iter().collect()
    }

    fn next_agent(&mut self) {
        self.machine.lose_agent();
    }
}

/// A state directory of its own, and this test as the service that writes.
struct Real {
    logs: Option<DiskLogs>,
    facts: mpsc::UnboundedReceiver<Event>,
    dir: StateDir,
    local: tokio::task::LocalSet,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, facts) = mpsc::unbounded_channel();
        let mut real = Self { logs: None, facts, dir, local: tokio::task::LocalSet::new(), runtime, _folder: folder };
        real.next_agent();
        real
    }
}

impl World for Real {
    fn logs(&mut self) -> &mut dyn Logs {
        self.logs.as_mut().unwrap()
    }

    fn write(&mut self, id: &ServiceId, lines: &[String]) {
        let mut log = OpenOptions::new().append(true).open(self.dir.log(id)).unwrap();
        log.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    }

    fn lines(&mut self, id: &ServiceId) -> Vec<String> {
        let lines = read(&self.dir, std::slice::from_ref(id), &Query::default()).unwrap();
        lines.map(|line| String::from_utf8(line.unwrap().bytes).unwrap()).collect()
    }

    fn lengths(&mut self, id: &ServiceId) -> Vec<u64> {
        let log = fs::metadata(self.dir.log(id)).unwrap();
        // Where the front can't be cut out, it is a hole.
        let used = log.len().min(std::os::unix::fs::MetadataExt::blocks(&log) * 512);
        let piece = |number| fs::metadata(self.dir.log_piece(id, number)).ok().map(|piece| piece.len());
        [used].into_iter().chain((1..).map_while(piece)).collect()
    }

    fn marks(&mut self, id: &ServiceId) -> Vec<u64> {
        let index = fs::read(self.dir.log_index(id)).unwrap_or_default();
        let (records, torn) = index.as_chunks::<16>();
        assert!(torn.is_empty());
        records.iter().map(|record| u64::from_le_bytes(record[8..].try_into().unwrap())).collect()
    }

    fn obstruct(&mut self, id: &ServiceId, obstructed: bool) {
        // A folder in the place of the copy.
        let copy = self.dir.log_copy(id);
        if obstructed { fs::create_dir(copy).unwrap() } else { fs::remove_dir(copy).unwrap() }
    }

    fn pass(&mut self) -> Vec<Event> {
        let moment = async { tokio::time::sleep(Duration::from_millis(2)).await };
        self.runtime.block_on(self.local.run_until(moment));
        std::iter::from_fn(|| self.facts.try_recv().ok()).collect()
    }

    fn next_agent(&mut self) {
        self.logs = None;
        let (inbox, facts) = mpsc::unbounded_channel();
        self.facts = facts;
        let _runtime = self.runtime.enter();
        let _local = self.local.enter();
        self.logs = Some(DiskLogs::start(self.dir.clone(), inbox));
    }
}
