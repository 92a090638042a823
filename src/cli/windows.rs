//! The client's way to a named pipe, and what it makes sure of before it trusts one.

use std::ffi::OsStr;
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
