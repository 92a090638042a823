//! The counterpart of `unix.rs` on Windows. What lies in the user's profile is closed to others by what it inherits, so
//! nothing is made or found private here; an agent's address is a pipe's name.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::error::StateError;
use super::place::hash;

/// Leaves them as they are.
pub fn make_files_private(_options: &mut fs::OpenOptions) {}

/// Leaves them as they are.
pub fn make_folders_private(_builder: &mut fs::DirBuilder) {}

/// The file system keeps a journal of its names.
pub fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The time when it was made stands for the number of a file.
pub fn file_number(metadata: &Metadata) -> io::Result<u64> {
    Ok(metadata.creation_time())
}

/// Leaves it as it is.
pub fn close_to_others(_root: &Path) -> Result<(), StateError> {
    Ok(())
}

/// Where the user's programs keep what belongs to this machine.
pub fn user_state() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.cache_dir())
}

/// The folder of this user's locks, whose name makes the pipes of two users different.
pub fn meeting_folder(_runtime: Option<&Path>, temporary: &Path) -> Result<PathBuf, StateError> {
    Ok(user_state().unwrap_or_else(|| temporary.to_owned()).join("pilotlight"))
}

/// The name of the pipe at which the agent listens whose lock has this `hash`.
pub fn address(folder: &Path, hash_of_config: &str) -> PathBuf {
    PathBuf::from(format!(r"\\.\pipe\pilotlight-{}-{hash_of_config}", hash(folder)))
}

/// Whether somebody may be listening at `address`: only connecting to a pipe tells.
pub fn may_listen(_address: &Path) -> bool {
    true
}

/// Locks `file`; `false` if somebody else has.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Leaves our pid beside the lock, which nobody else can read.
pub fn tell_holder(_file: &File, lock: &Path) -> io::Result<()> {
    fs::write(lock.with_extension("pid"), format!("{}\n", std::process::id()))
}

/// Who holds the lock at `lock`, if it has already said.
pub fn holder(lock: &Path) -> Option<u32> {
    fs::read_to_string(lock.with_extension("pid")).ok()?.trim().parse().ok()
}

/// Whether the holder of a lock may still be there: here nobody else can hold what it held.
pub fn lives(_pid: u32) -> bool {
    true
}

/// Takes it as it is.
pub fn check_private(_folder: &Path) -> Result<(), StateError> {
    Ok(())
}
