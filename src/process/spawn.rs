//! Brings one process to life: its session, its environment, its output.
//!
//! `launch` or `std::process::Command` does the forking; this says what the child is given, and, more than anything, what it is
//! not: no descriptor, no signal setting and none of the agent's own variables get through.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::brand::Brand;
use super::detach::detach;
use super::end::Pinned;
use super::failure;
use super::launch::Launch;
use super::marker::{RUN, SERVICE, STATE_DIR};
use super::record::make_folder;
use super::stat::Stat;
use crate::domain::{Spawn, SpawnOrder};
use crate::engine::{LogPlace, StateDir};

/// A process that has just begun.
#[derive(Debug)]
pub(super) struct Spawned {
    /// Its main process, held.
    pub main: Pinned,
    /// How much had been written to the log before, in bytes since its beginning.
    pub log_offset: u64,
}

/// Variables that are about the agent's own start, and would mislead a service that believes them.
const OURS_ALONE: &[&str] = &[
    // systemd's word with a unit's main process.
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    // A desktop's word with a program that it has launched.
    "DESKTOP_STARTUP_ID",
    "DESKTOP_AUTOSTART_ID",
    "XDG_ACTIVATION_TOKEN",
    "GIO_LAUNCHED_DESKTOP_FILE",
    "GIO_LAUNCHED_DESKTOP_FILE_PID",
    "BAMF_DESKTOP_FILE_HINT",
    // A shell's word with the agent.
    "_",
];

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

/// Starts the process of `order`, or says why there is none.
pub(super) fn spawn(order: &SpawnOrder, dir: &StateDir) -> Result<Spawned, NotSpawned> {
    let log_path = dir.log(&order.id);
    let log = make_folder(dir, &order.id).and_then(|()| open_log(&log_path));
    let log = log.map_err(|error| format!("log cannot be opened: {} ({error})", log_path.display()))?;
    // Readers that don't know it begin with the log's beginning.
    let log_offset = LogPlace::of(dir, &order.id, Some(&log)).map_or(0, |place| place.end);

    let environment = environment(order, dir);
    let path = environment.get(&OsString::from("PATH")).cloned();
    let brand = Brand::of(dir.root().as_os_str(), order.run.as_str());
    let (argv, cwd) = (&order.spawn.argv, &order.spawn.cwd);
    let launch = Launch { argv, cwd, environment: &environment, output: &log, brand };
    let pid = launch.begin().map_or_else(|| fork(&order.spawn, &environment, log, brand), Ok);
    let pid = pid.map_err(|error| NotSpawned {
        error: failure::explain(&order.spawn, path.as_deref(), &error),
        lasting: failure::is_lasting(&error),
    })?;
    match pin(pid) {
        Ok(main) => Ok(Spawned { main, log_offset }),
        Err(error) => Err(give_up(pid, &error).into()),
    }
}

/// The long way: finds the program as the child does, and tells why it can't be started.
fn fork(spawn: &Spawn, environment: &BTreeMap<OsString, OsString>, log: File, brand: Brand) -> io::Result<u32> {
    let (program, arguments) = spawn.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&spawn.cwd).env_clear().envs(environment).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    detach(&mut command, brand);
    Ok(command.spawn()?.id())
}

/// Opens the file at `path` for what is written to it from now on, for nobody else to read.
pub(super) fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Inherited, then shared, then its own, then the marker: the later wins.
pub(super) fn environment(order: &SpawnOrder, dir: &StateDir) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> =
        std::env::vars_os().filter(|(name, _)| !OURS_ALONE.iter().any(|ours| name == ours)).collect();
    // What is inherited is true of the agent only, and is believed by some instead of asking the system.
    environment.insert("PWD".into(), order.spawn.cwd.clone().into());
    for (name, value) in order.spawn.shared_env.iter() {
        environment.insert(name.into(), value.into());
    }
    for (name, value) in &order.spawn.env {
        match value {
            Some(value) => environment.insert(name.into(), value.into()),
            None => environment.remove(&OsString::from(name)),
        };
    }
    add_own_folder(&mut environment);
    environment.insert(SERVICE.into(), order.id.as_str().into());
    environment.insert(RUN.into(), order.run.as_str().into());
    environment.insert(STATE_DIR.into(), dir.root().into());
    environment
}

/// Puts the folder of this program last on the `PATH`, so that a service may always be a command of it.
fn add_own_folder(environment: &mut BTreeMap<OsString, OsString>) {
    let Some(folder) = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned)) else {
        return;
    };
    let path = environment.entry("PATH".into()).or_insert_with(|| failure::DEFAULT_PATH.into());
    let mut folders = std::env::split_paths(path).collect::<Vec<_>>();
    if folders.contains(&folder) {
        return;
    }
    folders.push(folder);
    // A folder whose name holds the separator can't be on any PATH.
    if let Ok(joined) = std::env::join_paths(folders) {
        *path = joined;
    }
}

/// Holds a child of ours. It can't have been collected yet, so its number is its own.
fn pin(pid: u32) -> io::Result<Pinned> {
    let gone = || io::Error::other("the child is gone");
    let stat = Stat::read(pid)?.ok_or_else(gone)?;
    Pinned::open(stat.identity)?.ok_or_else(gone)
}

/// Ends a child whose life can't be followed: better none than one that nobody watches.
fn give_up(pid: u32, error: &io::Error) -> String {
    if let Some(pid) = super::end::raw(pid) {
        // The child is not collected yet, and leads this group since before it became the program.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    format!("process cannot be watched: {error}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::domain::{RunId, ServiceId};

    #[test]
    fn the_strongest_word_on_a_variable_wins() {
        let text = |text: &str| text.to_owned();
        let order = SpawnOrder {
            id: ServiceId::new("web").unwrap(),
            run: RunId::new("r-1"),
            spawn: Arc::new(Spawn {
                argv: vec![text("true")],
                cwd: PathBuf::from("/somewhere"),
                env: [(text("A"), Some(text("own"))), (text("B"), None), (text(RUN), Some(text("forged")))].into(),
                shared_env: Arc::new(
                    [(text("A"), text("shared")), (text("B"), text("shared")), (text("C"), text("c"))].into(),
                ),
            }),
            port: None,
        };
        let environment = environment(&order, &StateDir::new("/state"));
        let value = |name: &str| environment.get(&OsString::from(name)).and_then(|value| value.to_str());
        assert_eq!((value("A"), value("B"), value("C")), (Some("own"), None, Some("c")));
        assert_eq!(value("PWD"), Some("/somewhere"));
        assert_eq!((value(SERVICE), value(RUN), value(STATE_DIR)), (Some("web"), Some("r-1"), Some("/state")));
        let folders = |path: &OsString| std::env::split_paths(path).collect::<Vec<_>>();
        let inherited = std::env::var_os("PATH").map(|path| folders(&path)).unwrap_or_default();
        let own = std::env::current_exe().unwrap().parent().map(Path::to_owned).unwrap();
        let given = environment.get(&OsString::from("PATH")).map(folders).unwrap();
        assert!(given.starts_with(&inherited) && given.contains(&own), "{given:?}");
    }
}
