//! One look at all processes of the machine, and which of them are proven to belong to a run.
//!
//! It signals nothing and remembers nothing; it may take milliseconds and so runs beside the engine's thread.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::brand::Brand;
use super::marker::{RUN, SERVICE, STATE_DIR, is_run_id};
use super::stat::{self, Identity, Stat};
use crate::domain::{RunId, ServiceId};

/// How many lists of processes make one look at most, on a machine where new ones come all the time.
const MOST_LISTS: u32 = 32;

/// All processes at one time, without threads of the kernel.
#[derive(Debug, Default)]
pub(super) struct Scan {
    processes: Vec<Process>,
    /// Ourselves and everybody that we descend from.
    own: HashSet<u32>,
}

/// One process of a [`Scan`].
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Its numbers.
    pub stat: Stat,
    /// What its environment says of it.
    pub marker: Option<Marker>,
    /// What its limits say of it; looked at only where its environment says nothing.
    pub brand: Option<Brand>,
}

/// What a child's environment says of it: all three variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The service.
    pub service: ServiceId,
    /// The run.
    pub run: RunId,
    /// The state directory of the agent that spawned it.
    pub state_dir: OsString,
}

/// What is known of a run before looking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    /// The run.
    pub run: &'a RunId,
    /// Our state directory.
    pub state_dir: &'a OsStr,
    /// Its main process, dead or alive.
    pub main: Option<Identity>,
    /// The main process's number is proven not to have been given away when the scan was taken.
    pub number_held: bool,
    /// It was begun by somebody else and is taken over: neither its session nor its group nor any marker makes others
    /// belong to it.
    pub is_stranger: bool,
    /// Processes that have been proven to belong to it before.
    pub known: &'a [Identity],
}

impl Scan {
    /// Looks at all processes. Environments and brands are read only of those that began at `since` (clock ticks after boot) or
    /// later: a process that is older than a run can't carry its marker or its brand.
    pub fn take(since: u64) -> io::Result<Self> {
        let mut processes = Vec::new();
        let mut seen = HashSet::new();
        // A list is as old as its first entry: who forks and ends could pass from list to list unseen. Once a list
        // names nobody new, all who lived when it was made have been looked at.
        for _ in 0..MOST_LISTS {
            let new: Vec<u32> = stat::list()?.into_iter().filter(|pid| seen.insert(*pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                let Some(stat) = Stat::read(pid)? else { continue };
                if stat.kernel {
                    continue;
                }
                let may_be_marked = stat.identity.start >= since && !stat.dead;
                let marker = if may_be_marked { Marker::read(pid)? } else { None };
                let brand = if may_be_marked && marker.is_none() { Brand::read(pid)? } else { None };
                processes.push(Process { stat, marker, brand });
            }
        }
        Ok(Self::new(processes, std::process::id()))
    }

    fn new(processes: Vec<Process>, ourselves: u32) -> Self {
        let parents: HashMap<u32, u32> =
            processes.iter().map(|process| (process.stat.identity.pid, process.stat.parent)).collect();
        let mut own = HashSet::new();
        let mut next = Some(ourselves);
        while let Some(pid) = next.filter(|pid| own.insert(*pid)) {
            next = parents.get(&pid).copied();
        }
        Self { processes, own }
    }

    /// All living processes that are neither ourselves nor our ancestors.
    pub fn others(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| !process.stat.dead && !self.own.contains(&process.stat.identity.pid))
    }

    /// All living processes.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| !process.stat.dead)
    }

    /// The living process with this number.
    pub fn living(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.stat.identity.pid == pid && !process.stat.dead)
    }

    /// Whether `pid` is ourselves or one that we descend from, which nothing is ever sent to.
    pub fn is_own(&self, pid: u32) -> bool {
        self.own.contains(&pid)
    }

    /// Whether the process is in the session `session`.
    pub fn is_in_session(&self, identity: Identity, session: u32) -> bool {
        let mut stats = self.processes.iter().map(|process| process.stat);
        stats.any(|stat| stat.identity == identity && stat.session == session)
    }

    /// The living processes of a run. Of ourselves and our ancestors only the run's main process may be among them.
    pub fn tree(&self, claim: &Claim<'_>) -> Vec<Identity> {
        if claim.is_stranger {
            return self.lineage(claim.main, claim.known);
        }
        let may_belong = |process: &Process| {
            let pid = process.stat.identity.pid;
            let is_main = claim.main == Some(process.stat.identity);
            let is_other_runs = process.marker.as_ref().is_some_and(|marker| marker.run != *claim.run);
            is_main || (pid > 1 && !self.own.contains(&pid) && !is_other_runs)
        };
        let candidates: Vec<&Process> = self.processes.iter().filter(|process| may_belong(process)).collect();

        let brand = Brand::of(claim.state_dir, claim.run.as_str());
        let mut found: HashMap<u32, u64> = HashMap::new();
        for process in &candidates {
            let identity = process.stat.identity;
            let is_marked = process
                .marker
                .as_ref()
                .is_some_and(|marker| marker.run == *claim.run && marker.state_dir == claim.state_dir);
            let is_branded = process.brand == Some(brand);
            if is_marked || is_branded || claim.main == Some(identity) || claim.known.contains(&identity) {
                found.insert(identity.pid, identity.start);
            }
        }
        if let Some(main) = claim.main.filter(|main| self.is_number_of(main, claim, &found)) {
            for process in &candidates {
                if process.stat.session == main.pid || process.stat.group == main.pid {
                    found.insert(process.stat.identity.pid, process.stat.identity.start);
                }
            }
        }
        with_descendants(&candidates, found)
    }

    /// The living among `main`, what was `known` to descend from it, and what does now. Of ourselves and our ancestors
    /// nobody is among them, nor is who carries the marker of another run than they.
    pub fn lineage(&self, main: Option<Identity>, known: &[Identity]) -> Vec<Identity> {
        let is_root = |process: &&Process| {
            let identity = process.stat.identity;
            identity.pid > 1
                && !self.own.contains(&identity.pid)
                && (main == Some(identity) || known.contains(&identity))
        };
        let roots: Vec<&Process> = self.processes.iter().filter(is_root).collect();
        let may_belong = |process: &&Process| {
            let pid = process.stat.identity.pid;
            let has_its_mark = |root: &&Process| {
                root.marker.as_ref().map(|mark| &mark.run) == process.marker.as_ref().map(|mark| &mark.run)
            };
            pid > 1 && !self.own.contains(&pid) && (process.marker.is_none() || roots.iter().any(has_its_mark))
        };
        let candidates: Vec<&Process> = self.processes.iter().filter(may_belong).collect();
        let found = roots.iter().map(|root| (root.stat.identity.pid, root.stat.identity.start)).collect();
        with_descendants(&candidates, found)
    }

    /// Whether session and group with the main process's number are the run's. A number is given away again only
    /// after the process, its session and its group are gone.
    fn is_number_of(&self, main: &Identity, claim: &Claim<'_>, proven: &HashMap<u32, u64>) -> bool {
        claim.number_held
            || self.processes.iter().any(|process| {
                let stat = &process.stat;
                stat.identity == *main || (stat.session == main.pid && proven.contains_key(&stat.identity.pid))
            })
    }
}

/// The living of `found` and of those that descend from them, all of them among `candidates`.
fn with_descendants(candidates: &[&Process], mut found: HashMap<u32, u64>) -> Vec<Identity> {
    // A child is not older than its parent: guards against a number that was given away between two reads.
    loop {
        let before = found.len();
        for process in candidates {
            let Identity { pid, start } = process.stat.identity;
            if found.get(&process.stat.parent).is_some_and(|parent| *parent <= start) {
                found.insert(pid, start);
            }
        }
        if found.len() == before {
            break;
        }
    }
    let lives = |process: &&&Process| !process.stat.dead && found.contains_key(&process.stat.identity.pid);
    candidates.iter().filter(lives).map(|process| process.stat.identity).collect()
}

impl Marker {
    /// Reads the marker of a process; `None` if it has none, not all of it, or may not be looked at.
    pub fn read(pid: u32) -> io::Result<Option<Self>> {
        Ok(stat::environment(pid)?.and_then(|environment| Self::parse(&environment)))
    }

    fn parse(environment: &[u8]) -> Option<Self> {
        let value = |name: &str| {
            environment
                .split(|byte| *byte == 0)
                .find_map(|entry| entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")))
        };
        let text = |name: &str| std::str::from_utf8(value(name)?).ok();
        let run = text(RUN).filter(|run| is_run_id(run))?;
        Some(Self {
            service: ServiceId::new(text(SERVICE)?).ok()?,
            run: RunId::new(run),
            state_dir: OsString::from_vec(value(STATE_DIR)?.to_vec()),
        })
    }

    /// Whether it was set by an agent with this state directory.
    pub fn is_of(&self, state_dir: &OsStr) -> bool {
        self.state_dir.as_bytes() == state_dir.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "/state";

    fn process(pid: u32, parent: u32, session: u32) -> Process {
        let stat = Stat {
            identity: Identity { pid, start: u64::from(pid) },
            parent,
            group: session,
            session,
            dead: false,
            kernel: false,
            status: 0,
        };
        Process { stat, marker: None, brand: None }
    }

    #[cfg(target_os = "linux")]
    fn branded(mut process: Process, run: &str, dir: &str) -> Process {
        process.brand = Some(Brand::of(OsStr::new(dir), run));
        process
    }

    fn marked(mut process: Process, run: &str, dir: &str) -> Process {
        process.marker =
            Some(Marker { service: ServiceId::new("web").unwrap(), run: RunId::new(run), state_dir: dir.into() });
        process
    }

    fn tree(processes: Vec<Process>, main: Option<u32>, number_held: bool, known: &[u32]) -> Vec<u32> {
        let identity = |pid: u32| Identity { pid, start: u64::from(pid) };
        let known: Vec<Identity> = known.iter().map(|pid| identity(*pid)).collect();
        let run = RunId::new("r");
        let claim = Claim {
            run: &run,
            state_dir: OsStr::new(DIR),
            main: main.map(identity),
            number_held,
            is_stranger: false,
            known: &known,
        };
        Scan::new(processes, 2).tree(&claim).into_iter().map(|identity| identity.pid).collect()
    }

    /// The first process, we (2), and a stranger (50) with a child.
    fn machine(more: Vec<Process>) -> Vec<Process> {
        let mut all = vec![process(1, 0, 1), process(2, 1, 2), process(50, 1, 50), process(51, 50, 50)];
        all.extend(more);
        all
    }

    #[test]
    fn session_descendants_and_marked_ones_belong_to_a_run() {
        let all = machine(vec![
            process(10, 2, 10),
            process(11, 10, 10),
            process(12, 11, 12),
            process(13, 1, 10),
            marked(process(14, 1, 14), "r", DIR),
            process(15, 14, 15),
        ]);
        assert_eq!(tree(all, Some(10), false, &[]), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn strangers_other_runs_and_other_agents_do_not() {
        let all = machine(vec![
            marked(process(10, 2, 10), "r", DIR),
            marked(process(20, 10, 20), "other", DIR),
            process(21, 20, 20),
            marked(process(30, 1, 30), "r", "/elsewhere"),
        ]);
        assert_eq!(tree(all, Some(10), false, &[]), [10]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_has_laid_down_all_else_is_known_by_its_brand() {
        let all = machine(vec![
            process(10, 2, 10),
            branded(process(11, 2, 11), "r", DIR),
            process(12, 11, 12),
            branded(process(20, 2, 20), "other", DIR),
            branded(process(30, 1, 30), "r", "/elsewhere"),
            marked(branded(process(40, 2, 40), "r", DIR), "other", DIR),
        ]);
        assert_eq!(tree(all.clone(), Some(10), false, &[]), [10, 11, 12]);
        assert_eq!(tree(all, None, false, &[]), [11, 12]);
    }

    #[test]
    fn a_session_whose_number_may_be_anothers_proves_nothing() {
        let mut reused = process(10, 1, 10);
        reused.stat.identity.start = 9999;
        let all = machine(vec![reused, process(11, 1, 10)]);
        assert_eq!(tree(all, Some(10), false, &[]), [] as [u32; 0]);
    }

    #[test]
    fn a_session_is_proven_by_its_number_being_held_or_a_proven_member() {
        let all = machine(vec![process(11, 1, 10), process(12, 1, 10)]);
        assert_eq!(tree(all.clone(), Some(10), true, &[]), [11, 12]);
        assert_eq!(tree(all.clone(), Some(10), false, &[11]), [11, 12]);
        assert_eq!(tree(all, Some(10), false, &[]), [] as [u32; 0]);
    }

    #[test]
    fn the_dead_are_not_left_but_prove_for_others() {
        let mut main = process(10, 2, 10);
        main.stat.dead = true;
        assert_eq!(tree(machine(vec![main, process(11, 1, 10)]), Some(10), false, &[]), [11]);
    }

    #[test]
    fn we_and_our_ancestors_are_not_of_the_tree_even_where_we_carry_its_marker() {
        let all = vec![
            process(1, 0, 1),
            marked(process(10, 1, 10), "r", DIR),
            marked(process(11, 10, 10), "r", DIR),
            marked(process(2, 11, 10), "r", DIR),
            marked(process(12, 10, 10), "r", DIR),
        ];
        assert_eq!(tree(all.clone(), None, false, &[]), [12]);
        assert_eq!(tree(all, Some(10), false, &[]), [10, 12], "the main process is told of, whoever it is");
    }

    #[test]
    fn a_child_that_is_older_than_its_parent_is_another_ones() {
        let mut old = process(11, 10, 11);
        old.stat.identity.start = 3;
        assert_eq!(tree(machine(vec![process(10, 2, 10), old]), Some(10), false, &[]), [10]);
    }

    #[test]
    fn to_a_stranger_belong_its_descendants_alone() {
        let identity = |pid: u32| Identity { pid, start: u64::from(pid) };
        let lineage = |processes: Vec<Process>, main: u32, known: &[u32]| -> Vec<u32> {
            let known: Vec<Identity> = known.iter().map(|pid| identity(*pid)).collect();
            let found = Scan::new(processes, 2).lineage(Some(identity(main)), &known);
            found.into_iter().map(|identity| identity.pid).collect()
        };
        // A shell (10) with two programs in its session, of which one has children, one of these in its own session.
        let desk = machine(vec![
            process(10, 1, 10),
            process(11, 10, 10),
            process(12, 10, 10),
            process(13, 11, 10),
            process(14, 11, 14),
        ]);
        assert_eq!(lineage(desk.clone(), 11, &[]), [11, 13, 14]);
        assert_eq!(lineage(desk.clone(), 99, &[13]), [13], "it has ended, and left one behind");
        let mut reused = desk;
        reused[5].stat.identity.start = 9999;
        assert_eq!(lineage(reused, 11, &[]), [] as [u32; 0]);
        let runs = machine(vec![
            marked(process(10, 1, 10), "old", "/elsewhere"),
            marked(process(11, 10, 10), "old", "/elsewhere"),
            marked(process(12, 10, 10), "another", DIR),
        ]);
        assert_eq!(lineage(runs, 10, &[]), [10, 11]);
        let agent = vec![process(1, 0, 1), process(10, 1, 10), process(2, 10, 10), process(11, 10, 10)];
        assert_eq!(lineage(agent, 10, &[]), [] as [u32; 0], "we descend from it");
    }

    #[test]
    fn a_marker_needs_all_three_variables_and_safe_ids() {
        let whole = b"A=1\0PILOTLIGHT_RUN=r-1\0PILOTLIGHT_SERVICE=web\0PILOTLIGHT_STATE_DIR=/s\0";
        let marker = Marker::parse(whole).unwrap();
        assert_eq!((marker.run.as_str(), marker.service.as_str()), ("r-1", "web"));
        assert!(marker.is_of(OsStr::new("/s")));
        for bad in [
            &b"PILOTLIGHT_RUN=r\0PILOTLIGHT_SERVICE=web\0"[..],
            b"PILOTLIGHT_RUN=\0PILOTLIGHT_SERVICE=web\0PILOTLIGHT_STATE_DIR=/s\0",
            b"PILOTLIGHT_RUN=../r\0PILOTLIGHT_SERVICE=web\0PILOTLIGHT_STATE_DIR=/s\0",
            b"PILOTLIGHT_RUN=r\0PILOTLIGHT_SERVICE=../web\0PILOTLIGHT_STATE_DIR=/s\0",
            b"XPILOTLIGHT_RUN=r\0PILOTLIGHT_SERVICE=web\0PILOTLIGHT_STATE_DIR=/s\0",
            b"",
        ] {
            assert_eq!(Marker::parse(bad), None);
        }
    }

    #[test]
    fn a_look_finds_ourselves_among_our_own() {
        let scan = Scan::take(u64::MAX).unwrap();
        assert!(scan.is_own(std::process::id()));
        assert!(scan.others().all(|process| process.stat.identity.pid != std::process::id()));
    }
}
