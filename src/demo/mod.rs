//! `pilotlight demo-service`: a stand-in for a database, an API, a frontend, a worker or a one-shot.
//!
//! It answers what a real service answers (`/health`, `/dev/info`, `/dev/architecture/map`, `/docs`, a page), and can
//! be told to misbehave while it runs. The shipped example is played by it, and so are tests. It knows nothing of the
//! agent and stores nothing; all that it says is made up.

mod bodies;
mod listen;
mod mood;
mod needs;
mod options;
mod page;
mod part;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod routes;
mod tell;
mod voice;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use options::{Action, Arguments};

/// Plays a service, or tells one how to behave, as the `args` after `demo-service` say; ends when that has ended.
///
/// The exit status of a service is 0 after SIGTERM or SIGINT, else what it was told to end with; 1 when it can't do
/// its work, for example because its port is taken; 2 when `args` make no sense. Telling gives 0, or 1 when nobody
/// listens.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let program = std::iter::once(OsString::from("pilotlight demo-service"));
    let arguments = match Arguments::try_parse_from(program.chain(args)) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: failed to start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match arguments.action {
            Some(Action::Tell(wish)) => tell::tell(&wish).await,
            None => match arguments.part.settled(std::env::var("PORT").ok().as_deref()) {
                Ok(part) => part::play(part).await,
                Err(error) => refuse_status(&error),
            },
        }
    });
    // Whoever still waits for an answer does not keep the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

fn refuse(error: &clap::Error) -> ExitCode {
    ExitCode::from(refuse_status(error))
}

fn refuse_status(error: &clap::Error) -> u8 {
    // Help that can't be printed has no other place to be reported.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(2)
}
