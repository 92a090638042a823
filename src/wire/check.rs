//! `check`: what is wrong with sources, without an agent.

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::domain::{self, ServiceId};

/// Everything that `check` tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
    /// The ids of the services that are good.
    pub services: Vec<String>,
}

impl Check {
    /// The wire's form of what a check has found.
    pub fn of<'a>(problems: &[domain::Problem], services: impl IntoIterator<Item = &'a ServiceId>) -> Self {
        Self {
            problems: problems.iter().map(Problem::of).collect(),
            services: services.into_iter().map(ToString::to_string).collect(),
        }
    }
}
