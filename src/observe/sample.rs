//! Measures the processes of all services in one scan of the system.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::tree::{Member, Trees};
use crate::domain::secrets::masked_words;
use crate::domain::text;
use crate::domain::{RunId, ServiceId};

/// Two samples farther apart than this tell too little of the present.
const RECENT: Duration = Duration::from_secs(10);
/// Two samples closer than this tell too little: the system counts in hundredths of a second.
const TELLING: Duration = Duration::from_millis(500);
/// Characters of a command line that are shown.
const COMMAND: usize = 2000;

/// Where a service's processes begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The service.
    pub id: ServiceId,
    /// Its main process, if that lives.
    pub pid: Option<u32>,
    /// Its run, which processes carry in their environment as `PILOTLIGHT_RUN`.
    pub run: RunId,
}

/// One process and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessUse {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: Option<u32>,
    /// Processor time in percent of one core: since the last sample if that is younger than 10 s, else the mean over
    /// the process's life. More than 100 if it uses several.
    pub cpu_percent: f64,
    /// Resident memory in bytes; what processes share counts in each.
    pub memory_bytes: u64,
    /// Seconds since it began.
    pub age_seconds: u64,
    /// Its command line, harmless to show and bounded; its name in brackets if it has none.
    pub command: String,
}

/// What all processes of a service cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// In percent of one core.
    pub cpu_percent: f64,
    /// In bytes.
    pub memory_bytes: u64,
    /// How many they are.
    pub processes: usize,
}

impl Usage {
    /// The sum of `processes`.
    pub fn of(processes: &[ProcessUse]) -> Self {
        Self {
            cpu_percent: processes.iter().map(|process| process.cpu_percent).sum(),
            memory_bytes: processes.iter().map(|process| process.memory_bytes).sum(),
            processes: processes.len(),
        }
    }
}

/// Samples on demand.
#[derive(Debug, Default)]
pub struct Observer {
    times: HashMap<Life, Times>,
}

/// A process that can't be mistaken for another: its pid, and the second in which it began.
type Life = (Pid, u64);

/// Processor time in milliseconds, and when that was measured.
type Spent = (Instant, u64);

/// What is remembered of one process: two measurements that are not too close to each other.
#[derive(Clone, Copy, Debug)]
struct Times {
    earlier: Option<Spent>,
    latest: Spent,
}

impl Times {
    /// Adds a measurement, and gives the one that it is to be compared with.
    fn add(&mut self, now: Spent) -> Option<Spent> {
        if now.0.duration_since(self.latest.0) >= TELLING {
            self.earlier = Some(self.latest);
            self.latest = now;
        }
        self.earlier.filter(|(at, _)| now.0.duration_since(*at) < RECENT)
    }
}

impl Observer {
    /// The processes of each of `roots`, as trees: a parent before its children, the main process first. Blocks for
    /// some milliseconds.
    ///
    /// To a service belong its main process, that one's session, what descends from these, and what carries its run's
    /// mark. Processes that have ended and only wait to be collected do not count.
    ///
    /// # Errors
    /// When the system tells nothing of its processes.
    pub fn sample(&mut self, roots: &[Root]) -> io::Result<BTreeMap<ServiceId, Vec<ProcessUse>>> {
        let mut system = System::new().map_err(io::Error::other)?;
        let nothing = ProcessRefreshKind::nothing().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, nothing);
        let trees = Trees::grow(roots, &members(&mut system, roots));
        let pids: Vec<Pid> = trees.pids().map(Pid::from_u32).collect();
        let costs = nothing.with_cpu().with_memory().with_cmd(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, costs);

        let now = Instant::now();
        self.times.retain(|_, times| now.duration_since(times.latest.0) < RECENT);
        let mut services = BTreeMap::new();
        for (root, pids) in roots.iter().zip(trees.of_roots()) {
            let processes = pids.iter().filter_map(|pid| system.process(Pid::from_u32(*pid)));
            let living = processes.filter(|process| is_alive(process));
            services.insert(root.id.clone(), living.map(|process| self.measure(process, now)).collect());
        }
        Ok(services)
    }

    fn measure(&mut self, process: &Process, now: Instant) -> ProcessUse {
        let life = (process.pid(), process.start_time());
        let spent = process.accumulated_cpu_time();
        let times = self.times.entry(life).or_insert(Times { earlier: None, latest: (now, spent) });
        let cpu_percent = match times.add((now, spent)) {
            Some((at, before)) => percent(spent.saturating_sub(before), now.duration_since(at)),
            // Ages are known in whole seconds.
            None => percent(spent, Duration::from_secs(process.run_time().max(1))),
        };
        ProcessUse {
            pid: process.pid().as_u32(),
            ppid: process.parent().map(Pid::as_u32),
            cpu_percent,
            memory_bytes: process.memory(),
            age_seconds: process.run_time(),
            command: command(process),
        }
    }
}

/// `spent` milliseconds of `span` in percent, with one decimal.
fn percent(spent: u64, span: Duration) -> f64 {
    let share = Duration::from_millis(spent).as_secs_f64() / span.as_secs_f64().max(0.001);
    (share * 1000.0).round() / 10.0
}

fn command(process: &Process) -> String {
    let words: Vec<_> = process.cmd().iter().map(|word| word.to_string_lossy()).collect();
    let line = text::plain_line(&masked_words(&words).join(" "), COMMAND);
    if line.is_empty() { format!("[{}]", text::plain_line(&process.name().to_string_lossy(), COMMAND)) } else { line }
}

fn is_alive(process: &Process) -> bool {
    !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}

/// All processes, as far as trees go. The marks of those that began before every root are not looked for.
fn members(system: &mut System, roots: &[Root]) -> Vec<Member> {
    let began = |root: &Root| root.pid.and_then(|pid| system.process(Pid::from_u32(pid))).map(Process::start_time);
    // A root without a main process may have begun at any time.
    let oldest = roots.iter().map(|root| began(root).unwrap_or(0)).min().unwrap_or(u64::MAX);
    let mut members: Vec<Member> = system.processes().values().map(member).collect();
    let unclaimed: HashSet<u32> = Trees::grow(roots, &members).unclaimed(&members).collect();
    let candidates: Vec<Pid> = unclaimed
        .into_iter()
        .map(Pid::from_u32)
        .filter(|pid| system.process(*pid).is_some_and(|process| process.start_time() >= oldest))
        .collect();
    let environment = ProcessRefreshKind::nothing().without_tasks().with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&candidates), true, environment);
    for member in &mut members {
        let Some(process) = system.process(Pid::from_u32(member.pid)) else { continue };
        let mark = process.environ().iter().find_map(|entry| entry.to_str()?.strip_prefix("PILOTLIGHT_RUN="));
        member.run = mark.map(RunId::new);
    }
    members
}

fn member(process: &Process) -> Member {
    Member {
        pid: process.pid().as_u32(),
        parent: process.parent().map(Pid::as_u32),
        session: process.session_id().map(Pid::as_u32),
        began: process.start_time(),
        run: None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A service of real processes, which end with it.
    struct Service {
        child: Child,
        root: Root,
    }

    impl Service {
        fn start(id: &str, program: &str, arguments: &[&str]) -> Self {
            let run = RunId::new(&format!("test-{}-{id}", std::process::id()));
            let mut command = Command::new(program);
            command.args(arguments).env("PILOTLIGHT_RUN", run.as_str());
            let child = command.stdin(Stdio::null()).spawn().unwrap();
            let root = Root { id: ServiceId::new(id).unwrap(), pid: Some(child.id()), run };
            Self { child, root }
        }

        /// Samples until the service has `count` processes that are what they shall be.
        fn wait_for(&self, observer: &mut Observer, ready: impl Fn(&[ProcessUse]) -> bool) -> Vec<ProcessUse> {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                let processes =
                    observer.sample(std::slice::from_ref(&self.root)).unwrap().remove(&self.root.id).unwrap();
                if ready(&processes) {
                    return processes;
                }
                assert!(Instant::now() < deadline, "{processes:?}");
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Service {
        fn drop(&mut self) {
            let left = Observer::default().sample(std::slice::from_ref(&self.root)).unwrap();
            for process in left.values().flatten() {
                let pid = rustix::process::Pid::from_raw(process.pid as i32).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }

    fn all_sleep(processes: &[ProcessUse], count: usize) -> bool {
        processes.iter().filter(|process| process.command.starts_with("sleep ")).count() == count
    }

    #[test]
    fn a_tree_is_told_from_its_root_on() {
        let service = Service::start("tree", "sh", &["-c", "sleep 1001 & sh -c 'sleep 1002 & wait' & wait"]);
        let processes = service.wait_for(&mut Observer::default(), |processes| all_sleep(processes, 2));
        assert_eq!(processes[0].pid, service.child.id());
        assert_eq!(processes[0].ppid, Some(std::process::id()));
        for (number, process) in processes.iter().enumerate().skip(1) {
            assert!(processes[..number].iter().any(|earlier| Some(earlier.pid) == process.ppid), "{processes:?}");
        }
        let sleeper = processes.iter().find(|process| process.command == "sleep 1002").unwrap();
        assert!(sleeper.memory_bytes > 10_000 && sleeper.age_seconds < 3600, "{sleeper:?}");
        let usage = Usage::of(&processes);
        assert_eq!(usage.processes, processes.len());
        assert!(usage.memory_bytes > sleeper.memory_bytes);
    }

    #[test]
    fn who_left_the_family_but_not_the_session_belongs_to_it() {
        let service = Service::start("session", "setsid", &["sh", "-c", "(sleep 1003 &); exec sleep 1004"]);
        let processes = service.wait_for(&mut Observer::default(), |processes| all_sleep(processes, 2));
        assert_eq!(processes[0].command, "sleep 1004");
        assert_ne!(processes[1].ppid, Some(processes[0].pid));
    }

    #[test]
    fn who_left_family_and_session_is_known_by_the_mark() {
        let service = Service::start("mark", "setsid", &["sh", "-c", "setsid -f sleep 1005; exec sleep 1006"]);
        let processes = service.wait_for(&mut Observer::default(), |processes| all_sleep(processes, 2));
        assert_eq!(processes[0].command, "sleep 1006");
        assert_eq!(processes[1].command, "sleep 1005");
    }

    #[test]
    fn what_has_ended_does_not_count() {
        let service = Service::start("ended", "true", &[]);
        let processes = service.wait_for(&mut Observer::default(), <[_]>::is_empty);
        assert_eq!(Usage::of(&processes), Usage::default());
    }

    #[test]
    fn a_busy_process_is_told_from_an_idle_one() {
        let busy = Service::start("busy", "sh", &["-c", "while :; do :; done"]);
        let idle = Service::start("idle", "sleep", &["1007"]);
        let mut observer = Observer::default();
        busy.wait_for(&mut observer, |processes| processes.iter().any(|process| process.cpu_percent > 1.0));
        idle.wait_for(&mut observer, |processes| all_sleep(processes, 1) && processes[0].cpu_percent < 1.0);
        // Whoever is asked for no more is forgotten.
        observer.times.values_mut().for_each(|times| times.latest.0 = times.latest.0.checked_sub(RECENT).unwrap());
        observer.sample(&[]).unwrap();
        assert!(observer.times.is_empty());
    }

    #[test]
    fn processor_time_is_compared_with_a_telling_and_recent_measurement() {
        let start = Instant::now();
        let at = |millis: u64| (start + Duration::from_millis(millis), millis);
        let mut times = Times { earlier: None, latest: at(0) };
        assert_eq!(times.add(at(100)), None);
        assert_eq!(times.add(at(2000)), Some(at(0)));
        assert_eq!(times.add(at(2001)), Some(at(0)));
        assert_eq!(times.add(at(4000)), Some(at(2000)));
        assert_eq!(times.add(at(14_000)), None);
        assert_eq!(times.add(at(15_000)), Some(at(14_000)));
    }

    #[test]
    fn shares_of_a_core_are_rounded_to_a_tenth() {
        assert_eq!(percent(500, Duration::from_secs(1)), 50.0);
        assert_eq!(percent(2500, Duration::from_secs(1)), 250.0);
        assert_eq!(percent(1, Duration::from_secs(3)), 0.0);
        assert_eq!(percent(0, Duration::ZERO), 0.0);
    }
}
