//! The exec probe on Windows: a program is run in the service's place, and its exit code is the answer.
//!
//! It has no window and no input. If it runs too long it is killed; what it has itself started is left alone. It does not
//! carry the marks of a run: a probe is no part of what it probes.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::words;
use crate::domain::text;
use crate::domain::{Exit, Outcome, Spawn};

/// So many bytes of the end of each output are kept, for the reason.
const TAIL: usize = 4096;
/// `CREATE_NO_WINDOW` of winbase.h.
const NO_WINDOW: u32 = 0x0800_0000;

/// Runs `argv` and waits for its end; `turn` is given back then.
pub(in crate::probe) async fn probe(
    argv: &[String],
    place: Option<&Spawn>,
    patience: Duration,
    turn: OwnedSemaphorePermit,
) -> Outcome {
    let _turn = turn;
    let mut child = match start(argv, place) {
        Ok(child) => child,
        Err(reason) => return Outcome::Fail(format!("exec probe could not be started: {reason}")),
    };
    let (mut said, mut complained) = (Tail::default(), Tail::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = timeout(patience, async { tokio::join!(child.wait(), said.read(stdout), complained.read(stderr)).0 });
    let outcome = match ended.await {
        Ok(Ok(status)) if status.success() => return Outcome::Pass,
        Ok(Ok(status)) => format!("exec probe {}", status.code().map_or(Exit::Unknown, Exit::Code)),
        Ok(Err(error)) => format!("exec probe could not be waited for: {}", words::io_error(&error)),
        // It is killed as it is dropped.
        Err(_elapsed) => format!("exec probe did not end within {}", words::span(patience)),
    };
    let last = [complained, said].map(|tail| tail.last_line()).into_iter().find(|line| !line.is_empty());
    Outcome::Fail(last.map_or(outcome.clone(), |last| format!("{outcome}: {last}")))
}

fn start(argv: &[String], place: Option<&Spawn>) -> Result<Child, String> {
    let (program, arguments) = argv.split_first().ok_or("no program is named")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.creation_flags(NO_WINDOW).kill_on_drop(true);
    if let Some(place) = place {
        command.current_dir(&place.cwd).envs(place.shared_env.iter());
        for (name, value) in &place.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }
    command.spawn().map_err(|error| match place {
        Some(place) if !place.cwd.is_dir() => format!("no such directory: {}", place.cwd.display()),
        _ if error.kind() == io::ErrorKind::NotFound => format!("program not found: {program}"),
        _ => words::io_error(&error),
    })
}

/// The end of what a probe says.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Takes all that comes, until nobody can say more.
    async fn read(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut block = [0; 1024];
        while let Ok(read @ 1..) = output.read(&mut block).await {
            self.0.extend_from_slice(&block[..read]);
            if self.0.len() > 2 * TAIL {
                self.0.drain(..self.0.len() - TAIL);
            }
        }
    }

    fn last_line(&self) -> String {
        text::last_line(&String::from_utf8_lossy(&self.0), words::SHOWN)
    }
}
