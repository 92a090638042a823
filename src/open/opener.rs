//! The user's own programs for files, folders and addresses. What is opened is nobody's child for long and no service.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::Target;
use super::system::{self, Apart};

/// Opens things; returns at once, and says in the log if it could not.
pub type Opener = Arc<dyn Fn(&Target) + Send + Sync>;

/// The user's opener, if `search_path` (as `$PATH`) has one.
pub fn find_opener(search_path: Option<OsString>) -> Option<Opener> {
    let program = Program::find(search_path)?;
    Some(Arc::new(move |target| {
        if let Err(error) = program.open(target) {
            tracing::warn!("{error}");
        }
    }))
}

/// The program that opens what it is given with whatever the user has chosen for that.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    argument: Option<&'static str>,
    apart: Apart,
}

impl Program {
    /// Why there is none, where [`Program::find`] finds none.
    pub const MISSING: &str = system::MISSING;

    /// The first of the system's openers (on Linux `xdg-open`, else `gio open`) that `search_path` (as `$PATH`) has.
    pub fn find(search_path: Option<OsString>) -> Option<Self> {
        let search_path = search_path?;
        let find = |name: &str| {
            env::split_paths(&search_path).map(|folder| folder.join(name)).find(|path| system::is_program(path))
        };
        let (path, argument) = system::OPENERS.iter().find_map(|(name, argument)| Some((find(name)?, *argument)))?;
        Some(Self { path, argument, apart: Apart::find(&find) })
    }

    /// Opens `target`, and returns at once.
    ///
    /// # Errors
    /// If the program can't be started; what it makes of the target is not known.
    pub fn open(&self, target: &Target) -> io::Result<()> {
        self.start(target).map(drop)
    }

    /// Opens `target`, and returns when the program has ended or `patience` is over: some stay as long as what they opened.
    ///
    /// # Errors
    /// If the program can't be started, or has failed within that time.
    pub fn open_and_see(&self, target: &Target, patience: Duration) -> io::Result<()> {
        match self.start(target)?.recv_timeout(patience) {
            Ok(Ok(status)) if !status.success() => {
                let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy();
                Err(io::Error::other(format!("{name} has found nothing to open it with ({status})")))
            }
            // It works on, or somebody else was told how it ended.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Begins to open `target`, and tells how the program ends.
    fn start(&self, target: &Target) -> io::Result<Receiver<io::Result<ExitStatus>>> {
        let what: OsString = match target {
            Target::Path(path) => existing(path).into(),
            Target::Url(url) => url.into(),
        };
        let mut command = self.apart.command(&self.path);
        command.args(self.argument).arg(&what).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // An address may hold a password.
        let shown = match target {
            Target::Path(_) => what.to_string_lossy(),
            Target::Url(_) => "the page".into(),
        };
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("failed to open {shown}: {error}"));
        command.spawn().map(reap).map_err(failed)
    }
}

/// The path itself, or the nearest folder above it that is there: the drop-in folder may not have been made yet.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(path).to_owned()
}

/// Waits for the end, on a thread that does nothing else: some openers stay as long as what they opened.
fn reap(mut child: Child) -> Receiver<io::Result<ExitStatus>> {
    let (tell, ended) = mpsc::channel();
    let waiting = std::thread::Builder::new().name("opener".to_owned()).stack_size(64 * 1024);
    // Somebody who reaps all children may be faster, and then there is nothing left to wait for.
    // Mostly nobody listens.
    if let Err(error) = waiting.spawn(move || tell.send(child.wait())) {
        tracing::warn!("failed to wait for the opener: {error}");
    }
    ended
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::Command;

    use super::*;

    /// Written by a process of its own: a file that is open for writing in ours, or in a child forked meanwhile by
    /// another test, could not be run.
    fn program(folder: &Path, name: &str, script: &str) {
        let write = r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#;
        let status = Command::new("sh").args(["-c", write, "sh"]).arg(folder.join(name)).arg(script).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn without_an_opener_on_the_search_path_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("xdg-open"), "not executable").unwrap();
        assert!(find_opener(Some(folder.path().into())).is_none());
        assert!(find_opener(None).is_none());
    }

    #[test]
    fn the_opener_gets_the_target_and_a_missing_folder_falls_back_to_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
        program(folder.path(), "xdg-open", &format!("printf %s \"$1\" > '{}'", pipe.display()));
        let opener = find_opener(Some(folder.path().into())).unwrap();
        for (target, told) in [
            (Target::Url("http://localhost:8000/a b".to_owned()), "http://localhost:8000/a b".to_owned()),
            (Target::Path(folder.path().join("absent/services.d")), folder.path().display().to_string()),
        ] {
            opener(&target);
            assert_eq!(std::fs::read_to_string(&pipe).unwrap(), told);
        }
    }

    #[test]
    fn an_opener_that_fails_at_once_is_told_and_one_that_stays_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = |script: &str, patience: Duration| {
            program(folder.path(), "xdg-open", script);
            let opener = Program::find(Some(folder.path().into())).unwrap();
            opener.open_and_see(&Target::Url("http://localhost/".to_owned()), patience)
        };
        let long = Duration::from_secs(60);
        let told = open("exit 3", long).unwrap_err().to_string();
        assert_eq!(told, "xdg-open has found nothing to open it with (exit status: 3)");
        open("exit 0", long).unwrap();
        let pipe = folder.path().join("stays");
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
        open(&format!("read line < '{}'; exit 3", pipe.display()), Duration::from_millis(20)).unwrap();
        std::fs::write(&pipe, "\n").unwrap();
    }
}
