//! The private pipe: only its owner gets through.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::os::windows::named_pipe::tokio::{DuplexPipeStream, PipeListener};
use interprocess::os::windows::named_pipe::{PipeListenerOptions, pipe_mode};
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
use widestring::U16CString;

/// One client's connection.
type Stream = DuplexPipeStream<pipe_mode::Bytes>;

/// A pipe that clients can connect to; it goes away with the listener and its connections.
#[derive(Debug)]
pub struct Listener {
    inner: PipeListener<pipe_mode::Bytes, pipe_mode::Bytes>,
    name: PathBuf,
}

impl Listener {
    /// Listens at the pipe called `name` (`\\.\pipe\…`), which only this user may open, and only on this machine. To be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// If somebody else has a pipe of that name, or the system refuses.
    pub fn bind(name: &Path) -> io::Result<Self> {
        let access = U16CString::from_str(owner_only()?).map_err(io::Error::other)?;
        let options = PipeListenerOptions::new()
            .path(name)
            .input_buffer_size_hint(64 * 1024)
            .output_buffer_size_hint(64 * 1024)
            .security_descriptor(Some(SecurityDescriptor::deserialize(&access)?));
        Ok(Self { inner: options.create_tokio_duplex()?, name: name.to_owned() })
    }

    /// The next client: nobody but this user could open the pipe.
    pub async fn accept(&self) -> Stream {
        loop {
            match self.inner.accept().await {
                Ok(stream) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a client at {}", self.name.display());
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Closes the connection of a client that is one too many, which is all that a pipe can say without waiting.
pub fn turn_away(stream: Stream, _answer: &[u8]) {
    drop(stream);
}

/// Access for this user and nobody else, in the system's own notation: protected from what would be inherited, and with
/// one entry that allows everything.
fn owner_only() -> io::Result<String> {
    let pid = Pid::from_u32(std::process::id());
    let mut system = System::new().map_err(io::Error::other)?;
    let kind = ProcessRefreshKind::nothing().with_user(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    let user = system.process(pid).and_then(sysinfo::Process::user_id);
    let user = user.ok_or_else(|| io::Error::other("the user of this process is not known"))?;
    Ok(format!("D:P(A;;GA;;;{})", user.to_string()))
}
