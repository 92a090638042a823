//! How `plan` asks the agent, or goes without one, and shows what would happen.

use std::path::PathBuf;

use super::client::{Connection, Control, PROMPT};
use super::exit::{Exit, Unmet};
use super::offline::{show, to_json};
use super::render::{problem_lines, render_plan};
use crate::domain::{Forecast, Problem, Severity};
use crate::wire;

/// Shows what would happen if `files`, of absolute paths, were dropped in; without any, what the sources on disk would
/// bring about. The agent behind `control` tells; if there is none, `alone` does.
pub fn plan(
    files: &[PathBuf],
    json: bool,
    control: &Control,
    alone: impl FnOnce() -> Result<Forecast, String>,
) -> Exit {
    let plan = match ask(files, control) {
        Ok(plan) => plan,
        Err(unmet) if unmet.exit == Exit::NoAgent => match alone() {
            Ok(forecast) => {
                anstream::eprintln!("note: no agent is running; this is what one would do at its start");
                wire::Plan::of(&forecast)
            }
            Err(error) => return Unmet::new(Exit::NotDone, error).tell(&mut anstream::stderr()),
        },
        Err(unmet) => return unmet.tell(&mut anstream::stderr()),
    };
    for problem in plan.problems.iter().filter(|problem| problem.severity != Severity::Note) {
        anstream::eprintln!("{}", problem_lines(problem));
    }
    match show(&mut anstream::stdout(), &if json { to_json(&plan) } else { render_plan(&plan) }) {
        Ok(()) => Exit::Done,
        Err(unmet) => unmet.tell(&mut anstream::stderr()),
    }
}

/// Shows what is wrong with a file that no plan can be made with.
pub fn refuse_file(problem: &Problem) -> Exit {
    anstream::eprint!("{}", problem_lines(&wire::Problem::of(problem)));
    Exit::NotDone
}

fn ask(files: &[PathBuf], control: &Control) -> Result<wire::Plan, Unmet> {
    let name = |file: &PathBuf| {
        let not_text = || Unmet::new(Exit::NotDone, format!("{} is not called in Unicode", file.display()));
        file.to_str().map(str::to_owned).ok_or_else(not_text)
    };
    let files = files.iter().map(name).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Unmet::new(Exit::NotDone, format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let agent = Connection::to(control)?;
        let answer = agent.post("/v1/plan", &wire::Proposal { files }, Some(PROMPT)).await?;
        answer.map_err(|failed| failed.unmet())
    })
}
