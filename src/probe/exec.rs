//! The exec probe: a program is run in the service's place, and its exit code is the answer.
//!
//! It has a process group of its own, no input, and none of the agent's files. What it leaves running in its group when
//! it ends, or runs too long, is killed. It does not carry the marks of a run: a probe is no part of what it probes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::words;
use crate::domain::text;
use crate::domain::{Exit, Outcome, Spawn};

/// So many bytes of the end of the output are kept, for the reason.
const TAIL: usize = 4096;

/// Runs `argv` and waits for its end; `turn` is given back once nothing of it lives.
pub(super) async fn probe(
    argv: &[String],
    place: Option<&Spawn>,
    patience: Duration,
    turn: OwnedSemaphorePermit,
) -> Outcome {
    let (mut running, output) = match start(argv, place, turn) {
        Ok(started) => started,
        Err(reason) => return Outcome::Fail(format!("exec probe could not be started: {reason}")),
    };
    let mut tail = Tail { output: Some(output), bytes: Vec::new() };
    let outcome = match timeout(patience, running.ended(&mut tail)).await {
        Ok(Ok(Exit::Code(0))) => return Outcome::Pass,
        Ok(Ok(exit)) => format!("exec probe {exit}"),
        Ok(Err(error)) => format!("exec probe could not be waited for: {}", words::io_error(&error)),
        Err(_elapsed) => {
            running.kill();
            // The answer need not wait for the kernel to clear it away.
            tokio::spawn(async move {
                if let Err(error) = running.cleared().await {
                    tracing::warn!(%error, "an exec probe could not be waited for");
                }
            });
            format!("exec probe did not end within {}", words::span(patience))
        }
    };
    let said = tail.last_line();
    Outcome::Fail(if said.is_empty() { outcome } else { format!("{outcome}: {said}") })
}

fn start(
    argv: &[String],
    place: Option<&Spawn>,
    turn: OwnedSemaphorePermit,
) -> Result<(Running, pipe::Receiver), String> {
    let (program, arguments) = argv.split_first().ok_or("no program is named")?;
    let words = |error: io::Error| words::io_error(&error);
    let (reader, writer) = io::pipe().map_err(words)?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(words)?;
    // Before the spawn, so that no end is missed.
    let ends = signal(SignalKind::child()).map_err(words)?;
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null());
    command.stdout(writer.try_clone().map_err(words)?).stderr(writer);
    if let Some(place) = place {
        command.current_dir(&place.cwd).envs(place.shared_env.iter());
        for (name, value) in &place.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    let child = command.spawn().map_err(|error| match place {
        Some(place) if !place.cwd.is_dir() => format!("no such directory: {}", place.cwd.display()),
        _ if error.kind() == io::ErrorKind::NotFound => format!("program not found: {program}"),
        _ => words::io_error(&error),
    })?;
    Ok((Running { pid: Pid::from_child(&child), ends, waited: false, _turn: turn }, output))
}

/// A probe's process, until it has been waited for.
///
/// Its end is looked for whenever some child has ended, and it is collected then at once: whoever else collects the
/// dead of this program must leave it some time. A pidfd would tell of this one alone, but on Linux only.
struct Running {
    pid: Pid,
    ends: tokio::signal::unix::Signal,
    waited: bool,
    _turn: OwnedSemaphorePermit,
}

impl Running {
    /// Waits for the end while keeping the tail of what is said, and clears away what is left of the group.
    async fn ended(&mut self, tail: &mut Tail) -> io::Result<Exit> {
        while self.status(WaitIdOptions::NOWAIT)?.is_none() {
            tokio::select! {
                () = tail.grown(), if tail.output.is_some() => {}
                _ = self.ends.recv() => {}
            }
        }
        tail.rest();
        // Before it is waited for: until then the group's number can't be anyone else's.
        self.kill();
        let status = self.wait()?.ok_or_else(|| io::Error::other("it ended without a status"))?;
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        })
    }

    /// Waits, after a kill, until the kernel has let go of it.
    async fn cleared(&mut self) -> io::Result<()> {
        while self.wait()?.is_none() {
            self.ends.recv().await;
        }
        Ok(())
    }

    fn kill(&self) {
        if !self.waited {
            // It fails only where nothing is left to be killed.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    fn wait(&mut self) -> io::Result<Option<WaitIdStatus>> {
        let status = self.status(WaitIdOptions::empty())?;
        self.waited = status.is_some();
        Ok(status)
    }

    /// How it ended, if it has; without `NOWAIT` that can be asked once.
    fn status(&mut self, how: WaitIdOptions) -> io::Result<Option<WaitIdStatus>> {
        let status = waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | how);
        // Whoever is no child of ours any more must not be killed: the number may be a stranger's by now.
        self.waited |= status.is_err();
        Ok(status?)
    }
}

/// Dropped unfinished only when the agent ends: then init clears away what is killed here.
impl Drop for Running {
    fn drop(&mut self) {
        if !self.waited {
            self.kill();
            let _ = self.wait();
        }
    }
}

/// The end of what a probe says.
struct Tail {
    output: Option<pipe::Receiver>,
    bytes: Vec<u8>,
}

impl Tail {
    /// Waits for more of it, or for its end.
    async fn grown(&mut self) {
        let Some(output) = &mut self.output else { return };
        let mut block = [0; 1024];
        match output.read(&mut block).await {
            Ok(read) if read > 0 => self.keep(&block[..read]),
            // Nobody can say more; a broken pipe of our own is as good as a closed one.
            Ok(_) | Err(_) => self.output = None,
        }
    }

    /// Takes what has been said but not yet been read: at most what a pipe holds, should someone go on talking. The
    /// pipe itself is asked, since the runtime may not have heard of it yet.
    fn rest(&mut self) {
        let Some(output) = self.output.take() else { return };
        let mut block = [0; 1024];
        for _ in 0..64 {
            match rustix::io::read(&output, &mut block) {
                Ok(read) if read > 0 => self.keep(&block[..read]),
                Ok(_) | Err(_) => break,
            }
        }
    }

    fn keep(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        if self.bytes.len() > 2 * TAIL {
            self.bytes.drain(..self.bytes.len() - TAIL);
        }
    }

    fn last_line(&self) -> String {
        text::last_line(&String::from_utf8_lossy(&self.bytes), words::SHOWN)
    }
}
