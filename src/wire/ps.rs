//! `ps`: the process tree of each service.

use serde::{Deserialize, Serialize};

use super::Samples;
use crate::domain::ServiceId;
use crate::domain::secrets::Secrets;

/// Everything that `ps` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ps {
    /// The services that were asked for, in the order of their sources.
    pub services: Vec<ProcessTree>,
}

/// The processes of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessTree {
    /// The service.
    pub id: String,
    /// Its processes, the main one first; empty when nothing runs.
    pub processes: Vec<Process>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: Option<u32>,
    /// Of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub memory_bytes: Option<u64>,
    /// How long it has lived.
    pub age_seconds: Option<f64>,
    /// Its command line.
    pub command: String,
}

impl Ps {
    /// The trees of `ids`, without what is secret by `secrets`.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a ServiceId>, samples: &Samples, secrets: &Secrets) -> Self {
        let shown =
            |process: &Process| Process { command: secrets.hide(&process.command).into_owned(), ..process.clone() };
        let tree = |id: &ServiceId| ProcessTree {
            id: id.to_string(),
            processes: samples.get(id).into_iter().flatten().map(shown).collect(),
        };
        Self { services: ids.into_iter().map(tree).collect() }
    }
}
