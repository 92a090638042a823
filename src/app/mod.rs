//! The composition root: the only place that knows the concrete types of all sides.
//!
//! What can be done without an agent is done here at once; everything else is either the agent itself or a question to
//! it.

mod agent;
mod backstage;
mod complete;
mod console;
mod plan;
#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod platform;
mod project;
mod signals;
mod words;

use std::process::ExitCode;

use crate::cli::{self, Command, Control, Exit, Invocation, refuse};
use crate::demo;
use project::Project;

/// Does what the command line says.
pub fn main() -> ExitCode {
    crate::process::share_one_heap();
    if let Some(exit) = platform::errand().or_else(complete::complete) {
        return exit;
    }
    let Invocation { global, command } = cli::parse();
    let command = command.unwrap_or_else(|| Command::Run(cli::Run::default()));
    match command {
        Command::DemoService { arguments } => return demo::run(arguments.into_iter()),
        Command::Schema { .. } => return cli::schema().into(),
        Command::Completions { shell } => return cli::completions(shell).into(),
        Command::Run(_) | Command::Ask(_) | Command::Logs(_) | Command::Check(_) | Command::Plan(_) => {}
    }
    let project = match Project::find(&global) {
        Ok(project) => project,
        Err(error) => return refuse(Exit::NotDone, &error, None).into(),
    };
    match command {
        Command::Run(run) => agent::run(&project, &global, &run).into(),
        Command::Ask(ask) => match project.socket(&global) {
            Ok(socket) => cli::client(&ask, &Control { socket, config: project.location.main.clone() }).into(),
            Err(error) => refuse(Exit::NotDone, &error, None).into(),
        },
        Command::Logs(logs) => match project.state(&global) {
            Ok(place) => {
                let defined = project.defined();
                project::written_elsewhere(&logs.ids, &defined, &place.dir).iter().for_each(|text| cli::remark(text));
                cli::logs(&logs, &place.dir, &defined).into()
            }
            Err(error) => refuse(Exit::NotDone, &error, None).into(),
        },
        Command::Check(check) => project.check(&check).into(),
        Command::Plan(plan) => plan::plan(&project, &global, &plan).into(),
        Command::DemoService { .. } | Command::Completions { .. } | Command::Schema { .. } => ExitCode::SUCCESS,
    }
}
