//! What only Unix knows of files and folders: owners, modes, locks that don't keep readers out, sockets with a path.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::StateError;

/// Makes files that are opened with `options` anew for their owner only.
pub fn make_files_private(options: &mut fs::OpenOptions) {
    options.mode(0o600);
}

/// Makes folders that are made with `builder` for their owner only.
pub fn make_folders_private(builder: &mut fs::DirBuilder) {
    builder.mode(0o700);
}

/// Makes the names in `folder` outlive a loss of power.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The number by which a file is known again.
pub fn file_number(metadata: &Metadata) -> io::Result<u64> {
    Ok(metadata.ino())
}

/// Sees to it that nobody but this user may enter `root`.
pub fn close_to_others(root: &Path) -> Result<(), StateError> {
    let metadata = fs::metadata(root).map_err(StateError::io("read", root))?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(StateError::NotPrivate { path: root.to_owned(), why: "it belongs to another user" });
    }
    if metadata.mode() & 0o077 != 0 {
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(root, closed).map_err(StateError::io("close to others", root))?;
    }
    Ok(())
}

/// Where the user's programs keep their state.
pub fn user_state() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()))
}

/// The folder where agents and those who look for them meet: in the directory `runtime` if that is this user's alone,
/// else below `temporary`. One that exists and is not private is an error.
pub fn meeting_folder(runtime: Option<&Path>, temporary: &Path) -> Result<PathBuf, StateError> {
    let folder = match runtime.filter(|runtime| is_closed_to_writers(runtime)) {
        Some(runtime) => runtime.join("pilotlight"),
        None => temporary.join(format!("pilotlight-{}", rustix::process::geteuid().as_raw())),
    };
    check_private(&folder)?;
    Ok(folder)
}

/// The address at which the agent listens whose lock has this `hash`.
pub fn address(folder: &Path, hash: &str) -> PathBuf {
    folder.join(format!("{hash}.sock"))
}

/// Whether somebody may be listening at `address`.
pub fn may_listen(address: &Path) -> bool {
    address.exists()
}

/// Locks `file`; `false` if somebody else has.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Leaves our pid in the lock itself, which can be read all the same.
pub fn tell_holder(mut file: &File, _lock: &Path) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Who holds the lock at `lock`, if it has already said.
pub fn holder(lock: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(lock).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Whether there is a process with this number.
pub fn lives(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Another user's may not be signalled, but is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}

/// Refuses a folder that somebody else has made, could read or could have put something into. A missing one is fine.
pub fn check_private(folder: &Path) -> Result<(), StateError> {
    let refuse = |why| Err(StateError::NotPrivate { path: folder.to_owned(), why });
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StateError::io("read", folder)(error)),
        Ok(metadata) if !metadata.is_dir() => refuse("it is not a folder"),
        Ok(metadata) if metadata.uid() != rustix::process::geteuid().as_raw() => refuse("it belongs to another user"),
        Ok(metadata) if metadata.mode() & 0o077 != 0 => refuse("others may enter it (chmod 700)"),
        Ok(_) => Ok(()),
    }
}

/// Whether `folder` is the user's and nobody else may put anything there.
fn is_closed_to_writers(folder: &Path) -> bool {
    let is_ours = |metadata: Metadata| {
        metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
    };
    folder.is_absolute() && fs::metadata(folder).is_ok_and(is_ours)
}
