//! What the agent prints on a terminal when it has no tray: what becomes of services and sources, and the services' own
//! lines between that.
//!
//! It tells of changes once, not of every step: a service that waits is named again when it waits for somebody else, not
//! when that one's state is told in other words.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::cli::{Change, LogForm, LogPrinter, Look, render_change, render_light, render_problem, render_waiting};
use crate::domain::{HealthState, Light, ProcessState, RunId, ServiceId, ServiceView, Severity, Snapshot, Waiting};
use crate::engine::{Handle, StateDir};
use crate::logs::{Query, Remote, follow};
use crate::wire::Problem;

/// A terminal that is being printed on, by threads of its own: following files blocks, and so does a terminal that has
/// been stopped, and the agent goes on all the same.
#[derive(Debug)]
pub(super) struct Console {
    /// Hangs up once the last line has been printed.
    printed: Receiver<()>,
}

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(300);

impl Console {
    /// Prints until the engine ends. To be called within the runtime.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn open(handle: &Handle, dir: &StateDir) -> io::Result<Self> {
        let printer = Arc::new(Mutex::new(LogPrinter::new(&[], LogForm::Named)));
        let remote = print_logs(dir, &printer)?;
        let (printing, printed) = sync_channel::<()>(0);
        let snapshots = handle.snapshots();
        let runtime = tokio::runtime::Handle::current();
        let print = move || {
            // It waits for nothing but snapshots, which need no driver.
            runtime.block_on(print_changes(snapshots, remote.as_ref(), &printer));
            if let Some(remote) = remote {
                remote.stop();
            }
            drop(printing);
        };
        std::thread::Builder::new().name("console".to_owned()).spawn(print)?;
        Ok(Self { printed })
    }

    /// Waits for the last lines after the engine has ended, unless nobody takes them.
    pub(super) fn close(self) {
        // Either way there is nothing more to wait for.
        let _ = self.printed.recv_timeout(LAST_LINES);
    }
}

/// Prints what each snapshot is worth. Those that come while the terminal is stopped are passed over, but for the last.
async fn print_changes(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    remote: Option<&Remote>,
    printer: &Mutex<LogPrinter>,
) {
    let mut screen = Screen::default();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        for view in snapshot.services.iter().filter(|view| !screen.knows(&view.id)) {
            lock(printer).expect(&view.id);
            if let Some(remote) = remote {
                remote.add(view.id.clone());
            }
        }
        let text = screen.lines(&snapshot, &Look::of_stdout());
        if !text.is_empty() {
            // A terminal that has gone takes nothing more, and the agent goes on without it.
            let _ = anstream::stdout().lock().write_all(text.as_bytes());
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// Prints what services write, as soon as there are services that the remote is told of.
fn print_logs(dir: &StateDir, printer: &Arc<Mutex<LogPrinter>>) -> io::Result<Option<Remote>> {
    let mut follower = match follow(dir, &[], &Query { last: Some(0), ..Query::default() }) {
        Ok((_, follower)) => follower,
        Err(error) => {
            tracing::warn!("logs can't be followed: {error}");
            return Ok(None);
        }
    };
    let (remote, printer) = (follower.remote(), Arc::clone(printer));
    let print = move || {
        while let Ok(Some(lines)) = follower.next_lines() {
            let printer = lock(&printer).clone();
            let mut out = anstream::stdout().lock();
            for line in &lines {
                // As above.
                let _ = printer.print(&mut out, line);
            }
        }
    };
    std::thread::Builder::new().name("console-logs".to_owned()).spawn(print)?;
    Ok(Some(remote))
}

/// Widths and colours are right whatever happened to the one who held them last.
fn lock(printer: &Mutex<LogPrinter>) -> MutexGuard<'_, LogPrinter> {
    printer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been told.
#[derive(Debug, Default)]
struct Screen {
    services: BTreeMap<ServiceId, Told>,
    problems: Vec<Problem>,
    waiting: Option<Arc<Waiting>>,
    light: Option<(Light, String, usize)>,
    /// The columns of the longest id so far.
    width: usize,
}

impl Screen {
    fn knows(&self, id: &ServiceId) -> bool {
        self.services.contains_key(id)
    }

    /// The lines that `snapshot` is worth after all those before it.
    fn lines(&mut self, snapshot: &Snapshot, look: &Look) -> String {
        let mut out = String::new();
        // Before the first reading there is nothing to tell.
        if snapshot.generation == 0 && snapshot.problems.is_empty() {
            return out;
        }
        let grave = snapshot.problems.iter().filter(|problem| problem.severity != Severity::Note);
        let problems: Vec<_> = grave.map(Problem::of).collect();
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            out.push_str(&render_problem(problem));
        }
        self.problems = problems;
        if let Some(waiting) = snapshot.waiting.as_ref().filter(|waiting| self.waiting.as_ref() != Some(waiting)) {
            out.push_str(&render_waiting(&waiting.text, look));
        }
        self.waiting.clone_from(&snapshot.waiting);
        let longest = snapshot.services.iter().map(|view| view.id.as_str().len()).max();
        self.width = self.width.max(longest.unwrap_or(0));
        let gone = self.services.extract_if(.., |id, _| snapshot.service(id.as_str()).is_none());
        for (id, _) in gone {
            out.push_str(&render_change(&removed(&id), self.width, look));
        }
        for view in snapshot.services.iter() {
            let now = Told::of(view, snapshot.shutting_down);
            let before = self.services.get(&view.id);
            if let Some(last) = &view.last_exit
                && before.is_some_and(|before| before.is_over(&now))
            {
                let words = last.exit.to_string();
                out.push_str(&render_change(&restarted(&view.id, &words), self.width, look));
            }
            if view.counted && before.map_or(view.wanted, |before| *before != now) {
                out.push_str(&render_change(&now.change(view), self.width, look));
            }
            self.services.insert(view.id.clone(), now);
        }
        let light = (snapshot.light, snapshot.summary.clone(), self.problems.len());
        // While all is being stopped, sums say nothing.
        if !snapshot.shutting_down && self.light.as_ref() != Some(&light) {
            out.push_str(&render_light(snapshot.light, &snapshot.summary, &self.problems, look));
            self.light = Some(light);
        }
        out
    }
}

/// Of a service, what is told again when it differs.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    process: ProcessState,
    health: Option<HealthState>,
    light: Light,
    run: Option<RunId>,
    restarts: u32,
    blocked_by: Vec<ServiceId>,
    /// Where it does not change with each probe.
    reason: Option<String>,
}

impl Told {
    fn of(view: &ServiceView, shutting_down: bool) -> Self {
        let (process, light) = match view.process {
            // What waits for something now waits for nothing that could still come.
            ProcessState::Waiting if shutting_down => (ProcessState::Stopped, Light::Gray),
            process => (process, view.light),
        };
        let health = match view.health {
            HealthState::Unknown => None,
            // It has no health but that it runs.
            HealthState::Healthy if view.service.one_shot => None,
            health => Some(health),
        };
        let (run, restarts) = (view.run.clone(), view.restarts);
        let mut told = Self { process, health, light, run, restarts, blocked_by: Vec::new(), reason: None };
        match process {
            ProcessState::Stopped if shutting_down => told.reason = Some("stopped".to_owned()),
            ProcessState::Running if view.service.one_shot => told.reason = Some("running".to_owned()),
            ProcessState::Stopped
            | ProcessState::Backoff
            | ProcessState::Failed
            | ProcessState::Completed
            | ProcessState::Foreign => told.reason = Some(view.reason.clone()),
            ProcessState::Waiting => {
                told.blocked_by = view.blocked_by.iter().map(|blocker| blocker.id.clone()).collect();
            }
            ProcessState::Starting | ProcessState::Running | ProcessState::Stopping => {}
        }
        told
    }

    /// Whether a run has ended and was followed by another since this was told, without a word about it.
    fn is_over(&self, now: &Self) -> bool {
        let in_backoff = [self.process, now.process].contains(&ProcessState::Backoff);
        now.restarts > self.restarts && !in_backoff
    }

    fn change<'a>(&'a self, view: &'a ServiceView) -> Change<'a> {
        Change {
            id: view.id.as_str(),
            process: self.process,
            health: self.health,
            light: self.light,
            reason: self.reason.as_deref().unwrap_or(&view.reason),
        }
    }
}

/// It ended and was started again before anybody could look.
fn restarted<'a>(id: &'a ServiceId, words: &'a str) -> Change<'a> {
    Change { id: id.as_str(), process: ProcessState::Backoff, health: None, light: Light::Yellow, reason: words }
}

fn removed(id: &ServiceId) -> Change<'_> {
    let (process, light) = (ProcessState::Stopped, Light::Gray);
    Change { id: id.as_str(), process, health: None, light, reason: "no longer defined" }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::domain::sample::{exited, healthy, id, snapshot, waiting, wanted};
    use crate::domain::{Blocker, Exit, Place, Problem};

    fn told(screen: &mut Screen, snapshot: &Snapshot) -> String {
        let look = Look { width: None, now: Timestamp::UNIX_EPOCH, zone: TimeZone::UTC };
        anstream::adapter::strip_str(&screen.lines(snapshot, &look)).to_string()
    }

    fn starting(reason: &str) -> ServiceView {
        wanted("db", ProcessState::Starting, Light::Yellow, reason)
    }

    #[test]
    fn a_change_is_told_once_and_steps_on_the_way_are_not() {
        let mut screen = Screen::default();
        assert_eq!(told(&mut screen, &Snapshot::empty()), "");
        let text = told(&mut screen, &snapshot(vec![starting("starting"), waiting("api", "db", "is starting")]));
        assert!(text.starts_with("00:00:00 ▲ db  starting\n00:00:00 ▲ api waits for db\n"), "{text}");
        let refused = "starting: connection refused";
        assert_eq!(told(&mut screen, &snapshot(vec![starting(refused), waiting("api", "db", refused)])), "");
        let elsewhere = ServiceView {
            blocked_by: vec![Blocker { id: id("cache"), reason: "failed".to_owned() }],
            ..waiting("api", "cache", "failed")
        };
        let text = told(&mut screen, &snapshot(vec![healthy("db", 7), elsewhere]));
        assert!(text.starts_with("00:00:00 ● db  healthy\n00:00:00 ▲ api waits for cache\n"), "{text}");
    }

    #[test]
    fn a_crash_is_told_even_if_the_next_run_has_begun() {
        let mut screen = Screen::default();
        told(&mut screen, &snapshot(vec![healthy("db", 7)]));
        let again = exited(ServiceView { restarts: 1, ..starting("starting") }, Exit::Code(3));
        let text = told(&mut screen, &snapshot(vec![again]));
        assert!(text.starts_with("00:00:00 ▲ db exited with code 3\n00:00:00 ▲ db starting\n"), "{text}");
    }

    #[test]
    fn a_service_that_is_taken_away_is_named() {
        let mut screen = Screen::default();
        told(&mut screen, &snapshot(vec![healthy("db", 7), healthy("api", 8)]));
        let text = told(&mut screen, &snapshot(vec![healthy("api", 8)]));
        assert!(text.starts_with("00:00:00 ○ db  stopped: no longer defined\n"), "{text}");
    }

    #[test]
    fn a_mistake_in_a_source_is_told_when_it_comes_and_counted_until_it_goes() {
        let mut screen = Screen::default();
        let good = snapshot(vec![healthy("db", 7)]);
        told(&mut screen, &good);
        let place = Place { file: "services.json".into(), line: 3, column: 9 };
        let problems = Arc::new([Problem::error(&place, "the file ends too early")]);
        let bad = Snapshot { problems, light: Light::Yellow, ..good.clone() };
        let text = told(&mut screen, &bad);
        assert!(text.starts_with("error: services.json:3:9: the file ends too early\n"), "{text}");
        assert!(text.ends_with(", 1 error in the sources\n"), "{text}");
        assert_eq!(told(&mut screen, &bad), "");
        let text = told(&mut screen, &good);
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("sources"), "{text}");
    }

    #[test]
    fn changes_that_wait_are_told_once_and_again_when_they_are_others() {
        let mut screen = Screen::default();
        let good = snapshot(vec![healthy("db", 7)]);
        told(&mut screen, &good);
        let waits = |text: &str| {
            let waiting = Waiting { services: vec![id("db")], frame: false, text: text.to_owned() };
            Snapshot { waiting: Some(Arc::new(waiting)), ..good.clone() }
        };
        for text in ["removed db", "db changes (display)"] {
            let line = format!("00:00:00 changes wait for `pilotlight reload`: {text}\n");
            assert_eq!(told(&mut screen, &waits(text)), line);
            assert_eq!(told(&mut screen, &waits(text)), "");
        }
        assert_eq!(told(&mut screen, &good), "");
    }

    #[test]
    fn an_agent_that_ends_tells_who_stops_and_of_no_waiting() {
        let mut screen = Screen::default();
        told(&mut screen, &snapshot(vec![healthy("db", 7), healthy("api", 8)]));
        let ending = |db| Snapshot { shutting_down: true, ..snapshot(vec![db, waiting("api", "db", "is stopping")]) };
        let stopping = wanted("db", ProcessState::Stopping, Light::Yellow, "stopping");
        let text = told(&mut screen, &ending(stopping));
        assert_eq!(text, "00:00:00 ▲ db  stopping\n00:00:00 ○ api stopped\n");
        let over = wanted("db", ProcessState::Waiting, Light::Yellow, "about to start");
        assert_eq!(told(&mut screen, &ending(over)), "00:00:00 ○ db  stopped\n");
    }
}
