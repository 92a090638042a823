//! One life of the stand-in: it starts late or at once, serves or works, and ends as it was told to.

use std::convert::Infallible;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::mood::Mood;
use super::options::{Child, Kind, Part};
use super::routes::{Stage, router};
use super::voice::say;
use super::{listen, platform};

/// How long answers under way may take once it ends.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// Plays `part` until it ends, and returns its exit status.
pub async fn play(part: Part) -> u8 {
    match live(&part).await {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{}: {error}", part.name));
            1
        }
    }
}

async fn live(part: &Part) -> io::Result<u8> {
    if part.own_session {
        platform::leave_session()?;
    }
    let mut signals = platform::Signals::listen()?;
    say(format_args!("{} starting, pid {}", part.name, std::process::id()));
    if let Some(place) = part.spawn_child {
        spawn_child(part, place)?;
    }
    let (crash, mut crashes) = mpsc::channel(1);
    let (over, end) = watch::channel(());
    let mut servers = JoinSet::new();
    let code = tokio::select! {
        result = work(part, crash, end, &mut servers) => result?,
        Some(code) = crashes.recv() => {
            say(format_args!("{} crashing with code {code}", part.name));
            code
        }
        code = crash_on_time(part) => {
            say(format_args!("{} crashing with code {code}", part.name));
            code
        }
        name = asked_to_end(part, &mut signals) => {
            say(format_args!("{} stopping: got {name}", part.name));
            0
        }
    };
    // Dropping the sender ends the servers. Whoever hangs is not waited for.
    drop(over);
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while servers.join_next().await.is_some() {} }).await;
    say(format_args!("{} ended with code {code}", part.name));
    Ok(code)
}

/// What the part does all its life; only a job comes to an end.
async fn work(
    part: &Part,
    crash: mpsc::Sender<u8>,
    end: watch::Receiver<()>,
    servers: &mut JoinSet<io::Result<()>>,
) -> io::Result<u8> {
    tokio::time::sleep(part.startup_delay).await;
    if let Some(port) = part.port {
        serve(part, listen::listen(port).await?, crash, end, servers)?;
    }
    match part.kind() {
        Kind::Job => return job(part).await,
        Kind::Worker => beat(part).await,
        Kind::Api | Kind::Web | Kind::Database => {}
    }
    match std::future::pending::<Infallible>().await {}
}

fn serve(
    part: &Part,
    listeners: Vec<TcpListener>,
    crash: mpsc::Sender<u8>,
    end: watch::Receiver<()>,
    servers: &mut JoinSet<io::Result<()>>,
) -> io::Result<()> {
    let port = match listeners.first() {
        Some(listener) => listener.local_addr()?.port(),
        None => return Ok(()),
    };
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let mood = watch::Sender::new(Mood::default());
    let router = router(Arc::new(Stage { part: part.clone(), port, mood, crash, client, told: 0.into() }));
    for listener in listeners {
        say(format_args!("{} listening on http://{}", part.name, listener.local_addr()?));
        let mut end = end.clone();
        let server = axum::serve(listener, router.clone())
            .with_graceful_shutdown(async move { while end.changed().await.is_ok() {} });
        servers.spawn(server.into_future());
    }
    Ok(())
}

async fn job(part: &Part) -> io::Result<u8> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    for need in &part.needs {
        if let Some(trouble) = need.trouble(&client).await {
            return Err(io::Error::other(format!("{} is not there: {trouble}", need.name)));
        }
    }
    for step in 1..=part.job_steps {
        tokio::time::sleep(part.step_time).await;
        say(format_args!("{} step {step} of {}", part.name, part.job_steps));
    }
    Ok(part.exit_code.unwrap_or(0))
}

async fn beat(part: &Part) {
    // An interval of zero has no meaning; a thousand lines a second are enough.
    let mut beats = tokio::time::interval(part.heartbeat.max(Duration::from_millis(1)));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0_u64.. {
        beats.tick().await;
        say(format_args!("{} waiting for work, {count} jobs done", part.name));
    }
}

async fn crash_on_time(part: &Part) -> u8 {
    match part.crash_after {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
    part.exit_code.unwrap_or(1)
}

async fn asked_to_end(part: &Part, signals: &mut platform::Signals) -> &'static str {
    loop {
        let name = signals.next().await;
        if !part.ignore_term || name != platform::TERM {
            return name;
        }
        say(format_args!("{} ignoring {name}", part.name));
    }
}

/// Starts a worker that nobody waits for: it outlives its parent, which is what it is for.
fn spawn_child(part: &Part, place: Child) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["demo-service", "--kind", "worker", "--name"]).arg(format!("{}-child", part.name));
    if part.ignore_term {
        command.arg("--ignore-term");
    }
    match place {
        Child::Group => {}
        Child::Session => drop(command.arg("--own-session")),
    }
    let child = command.spawn()?;
    say(format_args!("{} started a child, pid {}", part.name, child.id()));
    Ok(())
}
