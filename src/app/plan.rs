//! `plan`: what the agent would make of other sources, or what one would do at its start.

use std::path::PathBuf;
use std::sync::Arc;

use super::project::Project;
use crate::api::Proposals;
use crate::cli::{self, Control, Exit, Global, Plan, refuse};
use crate::domain::{Event, Forecast, RunIds, Supervisor};
use crate::engine::Clock;
use crate::{process, state};

/// Tells what would happen.
pub(super) fn plan(project: &Project, global: &Global, plan: &Plan) -> Exit {
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let files: Vec<PathBuf> = plan.files.iter().map(absolute).collect();
    // The agent would say the same of a file that is no good, but in fewer words.
    let reading = match project.reader().propose(&files) {
        Ok(reading) => reading,
        Err(problem) => return cli::refuse_file(&problem),
    };
    let socket = match project.socket(global) {
        Ok(socket) => socket,
        Err(error) => return refuse(Exit::NotDone, &error, None),
    };
    let control = Control { socket, config: project.location.main.clone() };
    cli::plan(&files, plan.output.json, &control, || {
        let dir = project.state(global)?.dir;
        let clock = Clock::since_boot();
        let (runs, ends) = process::peek(&dir, clock)
            .map_err(|error| format!("failed to look for services that an earlier agent has left: {error}"))?;
        // The supervisor is what an agent would be; it is asked once, and does nothing.
        let mut supervisor = Supervisor::new(RunIds::new("plan"));
        let (intent, is_intent_lost) = state::peek_intent(&dir);
        supervisor.handle(clock.now(), Event::Found { runs, ends, spared: Vec::new(), intent, is_intent_lost });
        Ok::<Forecast, String>(supervisor.forecast(clock.now(), reading))
    })
}

/// Reads what is proposed with the environment of the agent, each time anew.
pub(super) fn proposals(project: &Project) -> Proposals {
    let project = project.clone();
    Arc::new(move |files| project.reader().propose(files))
}
