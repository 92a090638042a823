//! What of the catalog in use outlives a new reading: who holds each id, and what to fall back to.
//!
//! It is handed in and handed out again; whoever keeps it between two readings keeps the memory of what was good.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::{AgentSettings, Listed, Roll, Service, ServiceId};

/// The catalog in use, as far as the next one needs it. Empty at the agent's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InUse {
    /// Every service of the catalog in use.
    pub services: Roll<Held>,
    /// The last good settings of the agent.
    pub agent: AgentSettings,
}

/// A service in use and the source that holds its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The absolute path of the source; another source that defines the id is a duplicate until this one loses it.
    pub source: PathBuf,
    /// The last good definition, put together.
    pub service: Arc<Service>,
    /// What it exports to all services.
    pub exports: Vec<Export>,
}

impl Listed for Held {
    fn id(&self) -> &ServiceId {
        &self.service.id
    }
}

/// A variable that a service gives to all services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The variable.
    pub name: Arc<str>,
    /// How strong a claim it is.
    pub rank: Rank,
    /// Its value, never empty.
    pub value: String,
}

/// How strong the claim of an export is; the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The service's own `port_env` or `base_url_env`.
    Own,
    /// One of `ports`, or a setting.
    Named,
}
