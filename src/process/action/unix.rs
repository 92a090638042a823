//! One action on Unix: a session of its own, of which the main process stays uncollected as long as it may be signalled.

use std::ffi::OsStr;
use std::io::PipeWriter;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::domain::{Exit, SpawnOrder};
use crate::engine::StateDir;
use crate::process::brand::Brand;
use crate::process::detach::detach;
use crate::process::failure;
use crate::process::spawn::environment;

pub(super) use crate::process::spawn::open_log;

/// An action's main process, not collected yet: so its group is its own.
pub(super) type Reach = Pid;

/// An action that has begun.
#[derive(Debug)]
pub(super) struct Begun {
    child: Child,
}

impl Begun {
    /// Starts it; all that it says goes into `input`. An error is a fragment.
    pub fn begin(order: &SpawnOrder, dir: &StateDir, input: PipeWriter) -> Result<Self, String> {
        let environment = environment(order, dir);
        let path = environment.get(OsStr::new("PATH")).cloned();
        let (program, arguments) = order.spawn.argv.split_first().ok_or("its command is empty")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&order.spawn.cwd).env_clear().envs(environment).stdin(Stdio::null());
        let second = input.try_clone().map_err(|error| format!("it can't be listened to: {error}"))?;
        command.stdout(input).stderr(second);
        detach(&mut command, Brand::of(dir.root().as_os_str(), order.run.as_str()));
        let child = command.spawn().map_err(|error| failure::explain(&order.spawn, path.as_deref(), &error))?;
        Ok(Self { child })
    }

    /// By what it is reached until it is collected.
    pub fn reach(&self) -> Reach {
        Pid::from_child(&self.child)
    }

    /// Waits for the end of its main process, tells how it ended, and does not collect it.
    pub fn ended(&self) -> Exit {
        let status = loop {
            match waitid(WaitId::Pid(self.reach()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                ended => break ended,
            }
        };
        match status {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unknown,
            },
            Ok(None) | Err(_) => Exit::Unknown,
        }
    }

    /// Collects it.
    pub fn collect(mut self) {
        // Somebody who collects all the dead may have been faster: how it ended is known already.
        let _ = self.child.wait();
    }
}

/// Asks an action to end.
pub(super) fn ask(action: &Reach) {
    // Who has ended meanwhile needs no request.
    let _ = kill_process_group(*action, Signal::TERM);
}
