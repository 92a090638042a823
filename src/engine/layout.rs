//! Where things lie in a state directory. Only paths: nothing is read or written here.

use std::path::{Path, PathBuf};

use crate::domain::ServiceId;

/// The paths of one state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state directory at `root`, an absolute path.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What belongs to one service.
    pub fn service(&self, id: &ServiceId) -> PathBuf {
        self.services().join(id.as_str())
    }

    /// The folder of all services' folders.
    pub fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    /// The running main pid as decimal text.
    pub fn pid(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("pid")
    }

    /// The record of the run.
    pub fn run(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("run.json")
    }

    /// The runs that are over and of which something was left running.
    pub fn spared(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("spared.json")
    }

    /// What the service writes.
    pub fn log(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("output.log")
    }

    /// What it wrote before that: of several such files the newest is number 1.
    pub fn log_piece(&self, id: &ServiceId, number: u32) -> PathBuf {
        self.service(id).join(format!("output.log.{number}"))
    }

    /// What is about to become number 1.
    pub fn log_copy(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("output.log.new")
    }

    /// How the log's bytes are counted.
    pub fn log_record(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("output.place")
    }

    /// Times and offsets of the log.
    pub fn log_index(&self, id: &ServiceId) -> PathBuf {
        self.service(id).join("output.index")
    }

    /// What the user has switched on or off.
    pub fn intent(&self) -> PathBuf {
        self.root.join("intent.json")
    }

    /// Who the running agent is.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent.json")
    }

    /// The agent's own log.
    pub fn agent_log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// What happened.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }
}
