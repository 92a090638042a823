//! Brings one process to life: its job, its environment, its output. It begins suspended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use windows_sys::Win32::System::Threading::{CREATE_BREAKAWAY_FROM_JOB, CREATE_NO_WINDOW, CREATE_SUSPENDED};

use super::environment::Environment;
use super::held::Held;
use super::job::Job;
use super::program;
use crate::domain::SpawnOrder;
use crate::engine::{LogPlace, StateDir};
use crate::process::record::make_folder;

/// A process that has been made, and does nothing until it is let go.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its main process, held.
    pub main: Held,
    /// The job that it is in.
    pub job: Job,
    /// How much had been written to the log before, in bytes since its beginning.
    pub log_offset: u64,
}

/// Why there is no process.
#[derive(Debug)]
pub(super) struct NotSpawned {
    /// As a fragment.
    pub error: String,
    /// Whether trying again is of no use: the program or its directory is not there.
    pub lasting: bool,
}

impl From<String> for NotSpawned {
    fn from(error: String) -> Self {
        Self { error, lasting: false }
    }
}

/// Makes the process of `order`, suspended, or says why there is none.
pub(super) fn spawn(order: &SpawnOrder, dir: &StateDir) -> Result<Spawned, NotSpawned> {
    let log_path = dir.log(&order.id);
    let log = make_folder(dir, &order.id).and_then(|()| open_log(&log_path));
    let log = log.map_err(|error| format!("log cannot be opened: {} ({error})", log_path.display()))?;
    // Readers that don't know it begin with the log's beginning.
    let log_offset = LogPlace::of(dir, &order.id, Some(&log)).map_or(0, |place| place.end);

    let outputs = log.try_clone().map(|second| (log, second));
    let (stdout, stderr) = outputs.map_err(|error| format!("log cannot be opened: {error}"))?;
    let (main, job) = make(order, dir, stdout.into(), stderr.into())?;
    Ok(Spawned { main, job, log_offset })
}

/// Makes the process of `order`, suspended and in a job of its own, which writes to `stdout` and `stderr`.
pub(super) fn make(
    order: &SpawnOrder,
    dir: &StateDir,
    stdout: Stdio,
    stderr: Stdio,
) -> Result<(Held, Job), NotSpawned> {
    let environment = Environment::of(order, dir);
    let (name, arguments) = order.spawn.argv.split_first().ok_or_else(|| "command is empty".to_owned())?;
    let program =
        program::find(name, &order.spawn.cwd, &environment).map_err(|error| NotSpawned { error, lasting: true })?;
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(&order.spawn.cwd).env_clear().envs(environment.iter()).stdin(Stdio::null());
    command.stdout(stdout).stderr(stderr);

    let child = start(&mut command).map_err(|error| NotSpawned {
        error: format!("program cannot be started: {} ({error})", program.display()),
        lasting: error.kind() == io::ErrorKind::InvalidInput,
    })?;
    let main = Held::child(child).map_err(|error| format!("process cannot be watched: {error}"))?;
    match confine(order, &main) {
        Ok(job) => Ok((main, job)),
        Err(error) => {
            let given_up = format!("process cannot be put into a job: {error}");
            // Better none than one that nobody can end; it has not yet begun.
            match main.terminate() {
                Ok(()) => Err(given_up.into()),
                Err(error) => Err(format!("{given_up}; and it is still there, suspended: {error}").into()),
            }
        }
    }
}

/// Opens the file at `path` for what is written to it from now on.
pub(in crate::process) fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Starts it outside of the job that the agent may itself be in, which could take it along when it ends; inside, where
/// that job does not let it go.
fn start(command: &mut Command) -> io::Result<Child> {
    const ALWAYS: u32 = CREATE_SUSPENDED | CREATE_NO_WINDOW;
    match command.creation_flags(ALWAYS | CREATE_BREAKAWAY_FROM_JOB).spawn() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => command.creation_flags(ALWAYS).spawn(),
        started => started,
    }
}

fn confine(order: &SpawnOrder, main: &Held) -> io::Result<Job> {
    let job = Job::create(&order.run)?;
    job.take_in(main)?;
    job.lend_to(main)?;
    Ok(job)
}
