//! The client: asks the running agent, and says what it answered.

mod action;
mod connection;
mod stranger;

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(super) use self::connection::{Connection, PROMPT};
use jiff::Timestamp;
use serde_json::json;

use super::args::{Ask, GraphFormat, Ids, Output, Targets};
use super::exit::{Exit, Unmet};
use super::logs::point_in_time;
use super::offline::{show, to_json};
use super::render::{
    Look, problem_lines, render_config, render_critical, render_event, render_graph, render_ps, render_status,
    render_why,
};
use crate::domain::Severity;
use crate::domain::secrets::Secrets;
use crate::domain::text::shown_json;
use crate::open::{Program, Target};
use crate::wire::{
    Address, Config, Critical, Done, Event, Goal, Graph, Ps, Reached, Reloaded, ShutdownWish, Status, Wait, Why, Wish,
};

/// Where the agent is, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Control {
    /// The socket of the agent's control interface.
    pub socket: PathBuf,
    /// The main file that the agent would be running for.
    pub config: PathBuf,
}

/// Asks the agent behind `control`, prints what it answers, and tells the exit status.
pub fn client(ask: &Ask, control: &Control) -> Exit {
    client_on(ask, control, &mut anstream::stdout(), &mut anstream::stderr())
}

/// Like [`client`], with other streams than the process's own. Colours are in what is written.
pub fn client_on(ask: &Ask, control: &Control, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Unmet::new(Exit::NotDone, format!("failed to start: {error}")).tell(err),
    };
    match runtime.block_on(perform(ask, control, out, err)) {
        Ok(exit) => exit,
        Err(unmet) => unmet.tell(err),
    }
}

/// How long the agent may take to be gone after it has agreed to end.
const SHUTDOWN: Duration = Duration::from_secs(300);

/// How many past events come before those that are followed.
const PAST_EVENTS: usize = 10;

async fn perform(ask: &Ask, control: &Control, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Unmet> {
    let agent = Connection::to(control)?;
    match ask {
        Ask::Status { ids, output } => {
            let status: Status = agent.get(&with_ids("/v1/status", ids)?).await?;
            print(out, *output, &status, |look| render_status(&status, look))
        }
        Ask::Ps { ids, output } => {
            let ps: Ps = agent.get(&with_ids("/v1/ps", ids)?).await?;
            print(out, *output, &ps, |look| render_ps(&ps, look))
        }
        Ask::Why { id, origins: true, output } => {
            let config: Config = agent.get(&format!("/v1/why/{}/config", plain_id(id)?)).await?;
            print(out, *output, &config, |look| render_config(&config, look))
        }
        Ask::Why { id, origins: false, output } => {
            let why: Why = agent.get(&format!("/v1/why/{}", plain_id(id)?)).await?;
            print(out, *output, &why, |look| render_why(&why, look))
        }
        Ask::Graph { ids, critical: true, format, json } => {
            let critical: Critical = agent.get(&with_ids("/v1/critical", ids)?).await?;
            let output = Output { json: *json || *format == GraphFormat::Json };
            print(out, output, &critical, |look| render_critical(&critical, !ids.is_empty(), look))
        }
        Ask::Graph { critical: false, format, json, .. } => {
            let graph: Graph = agent.get("/v1/graph").await?;
            show(out, &render_graph(&graph, if *json { GraphFormat::Json } else { *format }))?;
            Ok(Exit::Done)
        }
        Ask::Start(targets) => wish(out, &agent, "/v1/start", targets).await,
        Ask::Stop(stop) if stop.foreign => stranger::stop(out, err, &agent, stop).await,
        Ask::Stop(stop) => wish(out, &agent, "/v1/stop", &stop.targets).await,
        Ask::Adopt(adopt) => stranger::adopt(out, err, &agent, adopt).await,
        Ask::Restart(targets) => wish(out, &agent, "/v1/restart", targets).await,
        Ask::Open { id, output } => {
            let address: Address = agent.get(&format!("/v1/address/{}", plain_id(id)?)).await?;
            let shown = open(id, address.url.as_deref())?;
            print(out, *output, &json!({"id": id, "url": shown}), |_| String::new())
        }
        Ask::RunAction(asked) => action::run(out, err, &agent, asked).await,
        Ask::Enable(ids) => wish_only(out, &agent, "/v1/enable", ids, "is switched on").await,
        Ask::Disable(ids) => wish_only(out, &agent, "/v1/disable", ids, "is switched off").await,
        Ask::Reset(ids) => wish_only(out, &agent, "/v1/reset", ids, "follows its definition again").await,
        Ask::Wait { ids, goal, timeout, output } => {
            let timeout = timeout.map(|span| span.as_secs_f64());
            let wait = Wait { ids: ids.clone(), goal: Goal::from(*goal), timeout };
            let answer = agent.post("/v1/wait", &wait, None).await?;
            settled(out, answer, *output)
        }
        Ask::Reload { output } => reload(out, &agent, *output).await,
        Ask::Events { follow, since, output } => events(out, &agent, *follow, since.as_deref(), *output).await,
        Ask::Shutdown { keep_services, output } => shutdown(out, &agent, *keep_services, *output).await,
    }
}

async fn wish(out: &mut dyn Write, agent: &Connection, path: &str, targets: &Targets) -> Result<Exit, Unmet> {
    let Targets { ids, all, group, no_wait, timeout, output } = targets;
    let timeout = timeout.map(|span| span.as_secs_f64());
    let wish = Wish { ids: ids.clone(), all: *all, group: group.clone(), wait: !no_wait, timeout };
    let answer = agent.post(path, &wish, None).await?;
    settled(out, answer, *output)
}

async fn wish_only(out: &mut dyn Write, agent: &Connection, path: &str, ids: &Ids, done: &str) -> Result<Exit, Unmet> {
    let wish = json!({"ids": ids.ids});
    let answer: Done = agent.post(path, &wish, Some(connection::PROMPT)).await?.map_err(|failure| failure.unmet())?;
    let lines = ids.ids.iter().map(|id| format!("{id} {done}\n"));
    print(out, ids.output, &answer, |_| lines.collect::<String>() + &remarks(&answer.remarks))
}

/// Shows how far a wish that was waited for has come.
fn settled(out: &mut dyn Write, answer: Result<Done, connection::Failed>, output: Output) -> Result<Exit, Unmet> {
    let (services, noted) = match &answer {
        Ok(done) => (&done.services, &done.remarks),
        Err(failed) => match &failed.0.services {
            Some(services) => (services, &failed.0.remarks),
            None => return Err(failed.clone().unmet()),
        },
    };
    if output.json {
        show(
            out,
            &match &answer {
                Ok(done) => to_json(done),
                Err(failed) => to_json(&failed.0),
            },
        )?;
    } else {
        let reached = services.iter().filter(|service| service.reached);
        let lines: String = reached.map(|service| format!("{} {}\n", service.id, became(service.goal))).collect();
        show(out, &(remarks(noted) + &lines))?;
    }
    let missed: Vec<&Reached> = services.iter().filter(|service| !service.reached).collect();
    let Some(first) = missed.first() else { return Ok(Exit::Done) };
    let line = |service: &&Reached| format!("{}: {}", service.id, service.reason.as_deref().unwrap_or("unknown"));
    let errors = missed.iter().map(line).collect();
    Err(Unmet { exit: Exit::NotDone, errors, hint: Some(format!("`pilotlight why {}` explains it", first.id)) })
}

/// How long the user's opener is watched for a failure: without a desktop it fails within this time.
const OPENER_PATIENCE: Duration = Duration::from_secs(1);

/// Opens the page of the service `id` with whatever the user has chosen for pages, and tells which that is, as it
/// may be shown.
fn open(id: &str, url: Option<&str>) -> Result<String, Unmet> {
    let not_done = |error: String| Unmet::new(Exit::NotDone, error);
    let url =
        url.ok_or_else(|| not_done(format!("{id} has no address")).hint("base_url or default_port gives it one"))?;
    let shown = Secrets::default().hide(url);
    let page =
        Target::page(url).ok_or_else(|| not_done(format!("{shown} is no page: only http and https are opened")))?;
    let program = Program::find(std::env::var_os("PATH"));
    let program = program.ok_or_else(|| not_done(Program::MISSING.to_owned()).hint(&*shown))?;
    program.open_and_see(&page, OPENER_PATIENCE).map_err(|error| not_done(error.to_string()).hint(&*shown))?;
    Ok(shown.into_owned())
}

async fn reload(out: &mut dyn Write, agent: &Connection, output: Output) -> Result<Exit, Unmet> {
    let answer = agent.post("/v1/reload", &json!({}), Some(connection::PROMPT)).await?;
    let answer: Reloaded = answer.map_err(|failure| failure.unmet())?;
    print(out, output, &answer, |_| {
        let mut text = remarks(&answer.remarks);
        let told = answer.problems.iter().filter(|problem| problem.severity != Severity::Note);
        told.for_each(|problem| text.push_str(&(problem_lines(problem) + "\n")));
        text + &format!("generation {} is in use\n", answer.generation)
    })?;
    let broken = answer.problems.iter().any(|problem| problem.severity == Severity::Error);
    if broken {
        let unmet = Unmet::new(Exit::NotDone, "not all of the configuration is in use");
        return Err(unmet.hint("`pilotlight check` shows what is wrong"));
    }
    Ok(Exit::Done)
}

async fn events(
    out: &mut dyn Write,
    agent: &Connection,
    follow: bool,
    since: Option<&str>,
    output: Output,
) -> Result<Exit, Unmet> {
    let since = since.map(point_in_time).transpose()?;
    let mut path = format!("/v1/events?follow={follow}");
    match since {
        Some(since) => path.push_str(&format!("&since={since}")),
        None if follow => path.push_str(&format!("&last={PAST_EVENTS}")),
        None => {}
    }
    let mut lines = agent.lines(&path).await?;
    let mut look = Look::of_stdout();
    while let Some(line) = lines.next().await? {
        if output.json {
            show(out, &(shown_json(&line) + "\n"))?;
        } else {
            let event: Event = connection::read(line.as_bytes())?;
            look.now = Timestamp::now();
            show(out, &(render_event(&event, &look) + "\n"))?;
        }
    }
    Ok(Exit::Done)
}

async fn shutdown(out: &mut dyn Write, agent: &Connection, keep_services: bool, output: Output) -> Result<Exit, Unmet> {
    let wish = ShutdownWish { keep_services };
    let answer = agent.post("/v1/shutdown", &wish, Some(connection::PROMPT)).await?;
    let answer: Done = answer.map_err(|failure| failure.unmet())?;
    let deadline = Instant::now() + SHUTDOWN;
    while agent.is_there().await {
        if Instant::now() > deadline {
            let error = format!("the agent has not ended after {} s", SHUTDOWN.as_secs());
            return Err(Unmet::new(Exit::NotDone, error).hint("`pilotlight status` shows what it waits for"));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    print(out, output, &answer, |_| remarks(&answer.remarks) + "the agent has ended\n")
}

/// Prints `value` as JSON or as `text`.
fn print<T: serde::Serialize>(
    out: &mut dyn Write,
    output: Output,
    value: &T,
    text: impl FnOnce(&Look) -> String,
) -> Result<Exit, Unmet> {
    show(out, &if output.json { to_json(value) } else { text(&Look::of_stdout()) })?;
    Ok(Exit::Done)
}

fn remarks(remarks: &[String]) -> String {
    remarks.iter().map(|remark| format!("note: {}\n", crate::domain::text::plain(remark))).collect()
}

fn became(goal: Goal) -> &'static str {
    match goal {
        Goal::Healthy => "is healthy",
        Goal::Running => "is running",
        Goal::Stopped => "is stopped",
        Goal::Completed => "has completed",
    }
}

fn with_ids(path: &str, ids: &[String]) -> Result<String, Unmet> {
    let ids: Vec<&str> = ids.iter().map(|id| plain_id(id)).collect::<Result<_, _>>()?;
    Ok(if ids.is_empty() { path.to_owned() } else { format!("{path}?ids={}", ids.join(",")) })
}

/// An id that can stand in a URL as it is. What can't is no service's.
fn plain_id(id: &str) -> Result<&str, Unmet> {
    match crate::domain::ServiceId::new(id) {
        // These mean something else in a path.
        Ok(_) if id != "." && id != ".." => Ok(id),
        Ok(_) | Err(_) => Err(Unmet::new(Exit::NoSuchService, format!("there is no service {id:?}"))
            .hint("see `pilotlight status` for all services")),
    }
}
