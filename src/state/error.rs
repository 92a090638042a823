//! Why there is no state to work with.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a state directory or a meeting place can't be used.
#[derive(Debug)]
pub enum StateError {
    /// The state directory is another config's.
    OtherConfig {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        recorded: PathBuf,
        /// For whom it was to be used.
        config: PathBuf,
    },
    /// The directory holds something else.
    NotAStateDir {
        /// The directory.
        dir: PathBuf,
    },
    /// Another agent runs for the same config, or with the same state directory.
    Running {
        /// Its pid, if it has already said.
        pid: Option<u32>,
        /// What both want.
        what: PathBuf,
    },
    /// A folder could be read or changed by others.
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, as a fragment: "it belongs to another user".
        why: &'static str,
    },
    /// There is nowhere to put state: no home directory.
    NoHome,
    /// The system refused something.
    Io {
        /// What was tried, in the imperative: "create".
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StateError {
    /// Makes one of an error of the system.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherConfig { dir, recorded, config } => write!(
                f,
                "state directory {} belongs to {}, not to {}",
                dir.display(),
                recorded.display(),
                config.display()
            ),
            Self::NotAStateDir { dir } => {
                write!(f, "{} is no state directory: it holds other files (name an empty or a new one)", dir.display())
            }
            Self::Running { pid: Some(pid), what } => {
                write!(f, "an agent is already running for {} (pid {pid})", what.display())
            }
            Self::Running { pid: None, what } => write!(f, "an agent is already starting for {}", what.display()),
            Self::NotPrivate { path, why } => write!(f, "{} is not private: {why}", path.display()),
            Self::NoHome => f.write_str("no home directory is known (set HOME, or give --state-dir)"),
            Self::Io { doing, path, source: _ } => write!(f, "failed to {doing} {}", path.display()),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::OtherConfig { .. }
            | Self::NotAStateDir { .. }
            | Self::Running { .. }
            | Self::NotPrivate { .. }
            | Self::NoHome => None,
        }
    }
}
