//! Which configuration is meant, and what can be said of it without an agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{self, Check, Exit, Global};
use crate::domain::catalog::{Ledger, Reading, Resolution};
use crate::domain::secrets::{Learner, Secrets};
use crate::domain::{self, Catalog, Moment, Problem, ServiceId, Severity};
use crate::engine::StateDir;
use crate::process::RunRecord;
use crate::sources::{Asked, Location, Reader, Unwatched};
use crate::state::{self, AgentRecord, Place, Rendezvous, StateError};

/// A configuration, and the environment in which it is read.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// Where its sources are.
    pub location: Location,
    /// The command line's `--root`, absolute.
    pub root: Option<PathBuf>,
    /// What services inherit.
    pub environment: BTreeMap<String, String>,
    /// Whether it was asked for by name.
    is_named: bool,
}

impl Project {
    /// Finds what the command line means, or says why it can't be found.
    pub fn find(global: &Global) -> Result<Self, String> {
        // A variable that is not text can be inherited, but neither referred to nor shown.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<_, _> = std::env::vars_os().filter_map(text).collect();
        let asked = Asked::of_process(global.config.clone(), &environment)
            .map_err(|error| format!("failed to find the working directory: {error}"))?;
        let profile = global.profile.as_ref().or_else(|| environment.get("PILOTLIGHT_PROFILE"));
        let mut location = Location::find(&asked);
        if let Some(profile) = profile.filter(|profile| !profile.is_empty()) {
            location = location.with_profile(profile).map_err(|why| format!("the profile {profile:?} {why}"))?;
        }
        let is_named = asked.config.is_some();
        if is_named && !location.folder.is_dir() {
            return Err(format!("there is no folder {}", location.folder.display()));
        }
        let root = global.root.as_ref().map(|root| asked.working_directory.join(root));
        if let Some(root) = root.as_ref().filter(|root| !root.is_dir()) {
            return Err(format!("{} (of --root) is no directory", root.display()));
        }
        Ok(Self { location, root, environment, is_named })
    }

    /// Fails if it was asked for by name and nothing of it is there: an agent waits for it, but whoever judges it has
    /// nothing to judge.
    pub fn must_be_there(&self) -> Result<(), String> {
        let Location { main, drop_ins, found, .. } = &self.location;
        match self.is_named && !found {
            true => Err(format!("there is neither {} nor {}", main.display(), drop_ins.display())),
            false => Ok(()),
        }
    }

    /// The state directory, which need not exist.
    pub fn state(&self, global: &Global) -> Result<Place, String> {
        let variable = std::env::var_os("PILOTLIGHT_STATE_DIR");
        state::locate(&self.location.main, global.state_dir.as_deref(), variable.as_deref())
            .map_err(|error| in_full(&error))
    }

    /// The state directory, made if need be.
    pub fn open_state(&self, global: &Global) -> Result<Place, String> {
        let variable = std::env::var_os("PILOTLIGHT_STATE_DIR");
        state::open(&self.location.main, global.state_dir.as_deref(), variable.as_deref())
            .map_err(|error| in_full(&error))
    }

    /// Where its agent and those who ask it meet.
    pub fn rendezvous(&self) -> Result<Rendezvous, String> {
        Rendezvous::of(&self.location.main).map_err(|error| in_full(&error))
    }

    /// Where the agent listens: where they meet, else where the agent has written that it does (it may have been started
    /// in another session, with another runtime directory).
    pub fn socket(&self, global: &Global) -> Result<PathBuf, String> {
        let socket = self.rendezvous()?.socket();
        if Rendezvous::may_listen(&socket) {
            return Ok(socket);
        }
        let told = self.state(global).ok().and_then(|place| AgentRecord::load(&place.dir));
        let told = told.map(|record| PathBuf::from(record.control)).filter(|told| Rendezvous::may_listen(told));
        Ok(told.unwrap_or(socket))
    }

    /// The ids of all services that are defined now.
    pub fn defined(&self) -> Vec<ServiceId> {
        self.read().catalog.services.ids().cloned().collect()
    }

    /// What is defined now, and what is secret of it.
    pub fn known(&self) -> (Catalog, Arc<Secrets>) {
        let (resolution, secrets) = judge(self.reader().read("asked to".to_owned()));
        (resolution.catalog, secrets)
    }

    /// Judges the whole configuration, or single files by themselves.
    pub fn check(&self, check: &Check) -> Exit {
        if check.files.is_empty() {
            let Resolution { catalog, problems, .. } = self.read();
            let ids = catalog.services.ids().cloned().collect::<Vec<_>>();
            return cli::check(&problems, &ids, check.output.json);
        }
        let (mut problems, mut ids) = (Vec::new(), Vec::new());
        for file in &check.files {
            let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let name = file.to_string_lossy();
            match self.reader().read_alone(&name, &path) {
                Some(reading) => {
                    let alone = judge(reading).0;
                    problems.extend(alone.problems.into_iter().map(as_alone));
                    // What a service needs from other files does not make it less defined in this one.
                    ids.extend(alone.catalog.services.ids().cloned().chain(alone.invalid));
                }
                None => {
                    let place = domain::Place::whole(&Arc::from(&*name));
                    problems.push(Problem::error(&place, "there is no such file"));
                }
            }
        }
        problems.sort_by_key(|problem| problem.severity);
        cli::check(&problems, &ids, check.output.json)
    }

    fn read(&self) -> Resolution {
        judge(self.reader().read("asked to".to_owned())).0
    }

    /// Reads its sources, and watches nothing.
    pub fn reader(&self) -> Reader {
        Reader::new(self.location.clone(), self.root.clone(), self.environment.clone(), Box::new(Unwatched))
    }
}

/// Of which of the services `ids` (all of `defined` without any) the present run writes to no log of ours, a sentence
/// each.
pub(super) fn written_elsewhere(ids: &[String], defined: &[ServiceId], dir: &StateDir) -> Vec<String> {
    let asked = |id: &&ServiceId| ids.is_empty() || ids.iter().any(|asked| asked == id.as_str());
    let taken =
        |id: &&ServiceId| RunRecord::load(dir, id).is_some_and(|record| record.stranger && record.end.is_none());
    let told =
        |id| format!("the run of {id} was begun by somebody else and taken over: what it writes is not in this log");
    defined.iter().filter(asked).filter(taken).map(told).collect()
}

/// What a reading means to whoever waits for nothing: what is empty or broken now is told now. With it, what is secret.
fn judge(reading: Reading) -> (Resolution, Arc<Secrets>) {
    let (mut ledger, mut secrets) = (Ledger::default(), Learner::default());
    secrets.learn_sources(&reading);
    ledger.take(Moment::default(), reading);
    let mut settled = ledger.settle(Moment::default());
    while let Some(deadline) = ledger.next_deadline() {
        settled = ledger.settle(deadline);
    }
    let mut resolution = settled.resolution;
    secrets.learn_services(&resolution.catalog, &Catalog::default());
    resolution.problems.iter_mut().for_each(|problem| secrets.known().veil_problem(problem));
    (resolution, Arc::clone(secrets.known()))
}

/// What another file may define is no error of this one.
fn as_alone(problem: Problem) -> Problem {
    if problem.severity == Severity::Error && problem.for_want_of_a_source {
        Problem { severity: Severity::Note, ..problem }
    } else {
        problem
    }
}

/// An error with all its causes.
pub(super) fn in_full(error: &StateError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
