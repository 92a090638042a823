//! HTTP over the agent's socket, and what its failures mean.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Control;
use crate::cli::exit::{Exit, Unmet};
use crate::cli::platform::{self, is_private};
use crate::wire::{Failure, FailureKind};

/// How long an answer may take that needs no waiting for services.
pub const PROMPT: Duration = Duration::from_secs(30);

/// How often an agent is tried that is just receiving another client.
const TRIES: u32 = 300;
/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// The way to one agent.
pub struct Connection {
    client: reqwest::Client,
    socket: PathBuf,
    config: PathBuf,
}

/// What the agent said instead of doing what it was asked.
#[derive(Clone, Debug)]
pub struct Failed(pub Failure);

impl Connection {
    /// Finds the agent's socket, and makes sure that it is nobody else's.
    pub fn to(control: &Control) -> Result<Self, Unmet> {
        match is_private(&control.socket) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_agent(control)),
            Err(error) => {
                return Err(Unmet::new(Exit::NotDone, format!("failed to trust the agent's socket: {error}")));
            }
        }
        let client = platform::client(&control.socket)
            .build()
            .map_err(|error| Unmet::new(Exit::NotDone, format!("failed to start: {error}")))?;
        Ok(Self { client, socket: control.socket.clone(), config: control.config.clone() })
    }

    /// Gets `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unmet> {
        let request = self.client.get(url(path)).timeout(PROMPT);
        let response = self.send(request).await?;
        self.answer(response).await?.map_err(|failed| failed.unmet())
    }

    /// Posts `body` to `path`; the answer may take `patience`, or as long as the agent finds right.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        patience: Option<Duration>,
    ) -> Result<Result<T, Failed>, Unmet> {
        let body = serde_json::to_vec(body).map_err(|error| Unmet::new(Exit::NotDone, error.to_string()))?;
        let request = self.client.post(url(path)).header("content-type", "application/json").body(body);
        let request = match patience {
            Some(patience) => request.timeout(patience),
            None => request,
        };
        let response = self.send(request).await?;
        self.answer(response).await
    }

    /// Gets the lines of `path`, as they come.
    pub async fn lines(&self, path: &str) -> Result<Lines, Unmet> {
        let request = self.client.get(url(path));
        let response = self.send(request).await?;
        if response.status().is_success() {
            return Ok(Lines { response, pending: Vec::new() });
        }
        // Never anything but a failure.
        let failed: Result<serde_json::Value, Failed> = self.answer(response).await?;
        Err(failed.err().map_or_else(|| Unmet::new(Exit::NotDone, "the agent gave no answer"), Failed::unmet))
    }

    /// Whether somebody listens.
    pub async fn is_there(&self) -> bool {
        platform::is_there(&self.socket).await
    }

    /// Sends `request`, again and again for a moment where the agent is just receiving another, or has too many clients.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Unmet> {
        for _ in 0..TRIES {
            // Only a body that is a stream could not be sent twice.
            let Some(once) = request.try_clone() else { break };
            match once.send().await {
                Err(error) if error.is_connect() && is_busy(&error) || is_turned_away(&error) => {}
                Ok(answer) if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE => {}
                answered => return answered.map_err(|error| self.unreachable(&error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let answered = request.send().await;
        if answered.as_ref().is_err_and(is_turned_away) {
            return Err(Unmet::new(Exit::NotDone, "the agent has too many clients"));
        }
        answered.map_err(|error| self.unreachable(&error))
    }

    async fn answer<T: DeserializeOwned>(&self, response: reqwest::Response) -> Result<Result<T, Failed>, Unmet> {
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return read(&body).map(Ok);
        }
        match serde_json::from_slice(&body) {
            Ok(failure) => Ok(Err(Failed(failure))),
            Err(_) if status == reqwest::StatusCode::SERVICE_UNAVAILABLE => {
                Err(Unmet::new(Exit::NotDone, "the agent has too many clients"))
            }
            Err(_) => Err(Unmet::new(Exit::NotDone, format!("the agent answered {status}"))),
        }
    }

    /// What an error below HTTP means.
    fn unreachable(&self, error: &reqwest::Error) -> Unmet {
        let mut cause: Option<&dyn std::error::Error> = Some(error);
        let mut words = String::new();
        while let Some(at) = cause {
            let kind = at.downcast_ref::<io::Error>().map(io::Error::kind);
            let nobody = matches!(kind, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound));
            if error.is_connect() && nobody {
                return no_agent_for(&self.config);
            }
            words = at.to_string();
            cause = at.source();
        }
        if error.is_timeout() {
            return Unmet::new(Exit::NotDone, format!("the agent has not answered for {} s", PROMPT.as_secs()));
        }
        Unmet::new(Exit::NotDone, format!("the agent did not finish its answer: {words}"))
            .hint("it may have ended meanwhile: see `pilotlight status`")
    }
}

/// Lines of an answer, as they come.
pub struct Lines {
    response: reqwest::Response,
    pending: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` behind the last. An agent that ends cuts its answer off: that is an end
    /// as well.
    pub async fn next(&mut self) -> Result<Option<String>, Unmet> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.pending.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

impl Failed {
    /// For people, with the exit status that belongs to it.
    pub fn unmet(self) -> Unmet {
        let exit = match self.0.kind {
            FailureKind::NoSuchService | FailureKind::NoSuchGroup => Exit::NoSuchService,
            FailureKind::BadRequest
            | FailureKind::NoSuchPath
            | FailureKind::NoSuchMethod
            | FailureKind::Refused
            | FailureKind::NotReached
            | FailureKind::Internal => Exit::NotDone,
        };
        Unmet { exit, errors: vec![self.0.error], hint: self.0.hint }
    }
}

/// Reads what the agent said.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unmet> {
    serde_json::from_slice(bytes).map_err(|error| {
        Unmet::new(Exit::NotDone, format!("failed to understand the agent's answer: {error}"))
            .hint("the agent may be of another version: restart it")
    })
}

fn no_agent(control: &Control) -> Unmet {
    no_agent_for(&control.config)
}

fn no_agent_for(config: &std::path::Path) -> Unmet {
    Unmet::new(Exit::NoAgent, format!("no agent is running for {}", config.display()))
        .hint("`pilotlight run` starts one")
}

/// Whether the agent has hung up before it could be asked: with an answer to nothing, or without reading.
fn is_turned_away(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(at) = cause {
        // hyper has a name for the first only; what it says of the second is held to by a test.
        let is_unasked = |error: &hyper::Error| {
            error.is_canceled() || error.to_string() == "received unexpected message from connection"
        };
        let is_unread = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if at.downcast_ref().is_some_and(is_unasked) || at.downcast_ref().is_some_and(is_unread) {
            return true;
        }
        cause = at.source();
    }
    false
}

fn is_busy(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(at) = cause {
        if at.downcast_ref::<io::Error>().is_some_and(platform::is_busy) {
            return true;
        }
        cause = at.source();
    }
    false
}

/// The host is of no importance on a socket, but must be there.
fn url(path: &str) -> String {
    format!("http://pilotlight{path}")
}
