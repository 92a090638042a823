//! The client's way to a named pipe, and what it makes sure of before it trusts one, and how it tells files apart.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use interprocess::os::windows::named_pipe::{DuplexPipeStream, pipe_mode};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// The system's word for a pipe that nobody is waiting at for the moment (`ERROR_PIPE_BUSY`).
const BUSY: i32 = 231;

/// Whether the pipe at `path` is this user's: whoever listens there runs in this user's name.
///
/// # Errors
/// If that is somebody else or can't be told; with kind `NotFound` if nobody listens.
pub fn is_private(path: &Path) -> io::Result<()> {
    let stream = DuplexPipeStream::<pipe_mode::Bytes>::connect_by_path(path)?;
    let server = Pid::from_u32(stream.server_process_id()?);
    let own = Pid::from_u32(std::process::id());
    let mut system = System::new().map_err(io::Error::other)?;
    let kind = ProcessRefreshKind::nothing().with_user(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[server, own]), false, kind);
    let user = |pid: Pid| system.process(pid).and_then(sysinfo::Process::user_id);
    if user(own).is_some() && user(own) == user(server) {
        return Ok(());
    }
    let text = format!("{} is held by pid {server}, which is another user's", path.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

/// A client that asks whoever listens at `path`, whatever the URL says.
pub fn client(path: &Path) -> reqwest::ClientBuilder {
    let path: &OsStr = path.as_os_str();
    reqwest::Client::builder().no_proxy().windows_named_pipe(path)
}

/// Whether somebody listens at `path`.
pub async fn is_there(path: &Path) -> bool {
    match tokio::net::windows::named_pipe::ClientOptions::new().open(path) {
        Ok(_) => true,
        Err(error) => is_busy(&error),
    }
}

/// Whether `error` says that somebody listens, but not at this very moment.
pub fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(BUSY)
}

/// What tells a file apart from others that have had or will have its name, while it is there: its number on its volume.
/// The time of its making does not, because a new file of the same name inherits that.
pub type FileId = u64;

/// The identity of the file at `path`.
pub fn identity(path: &Path) -> Option<FileId> {
    identity_of(&File::open(path).ok()?).ok()
}

/// The same of an open file.
pub fn identity_of(file: &File) -> io::Result<FileId> {
    Ok(winapi_util::file::information(file)?.file_index())
}
