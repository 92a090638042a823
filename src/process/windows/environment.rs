//! What a child's environment holds. Names of variables are the same in capitals and small letters here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::domain::SpawnOrder;
use crate::engine::StateDir;
use crate::process::marker::{RUN, SERVICE, STATE_DIR};

/// Variables with their values, each known by its name in capitals.
#[derive(Debug, Default)]
pub(super) struct Environment(BTreeMap<OsString, (OsString, OsString)>);

impl Environment {
    /// Inherited, then shared, then its own, then the marker: the later wins.
    pub fn of(order: &SpawnOrder, dir: &StateDir) -> Self {
        let mut environment = Self::default();
        std::env::vars_os().for_each(|(name, value)| environment.set(&name, &value));
        for (name, value) in order.spawn.shared_env.iter() {
            environment.set(name, value);
        }
        for (name, value) in &order.spawn.env {
            match value {
                Some(value) => environment.set(name, value),
                None => drop(environment.0.remove(&OsStr::new(name).to_ascii_uppercase())),
            }
        }
        environment.add_own_folder();
        environment.set(SERVICE, order.id.as_str());
        environment.set(RUN, order.run.as_str());
        environment.set(STATE_DIR, dir.root());
        environment
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(&OsStr::new(name).to_ascii_uppercase()).map(|(_, value)| value.as_os_str())
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.values().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.0.insert(name.to_ascii_uppercase(), (name.to_owned(), value.to_owned()));
    }

    /// Puts the folder of this program last on the `PATH`, so that a service may always be a command of it.
    fn add_own_folder(&mut self) {
        let Some(folder) = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned)) else {
            return;
        };
        let mut folders = std::env::split_paths(self.get("PATH").unwrap_or_default()).collect::<Vec<_>>();
        if folders.contains(&folder) {
            return;
        }
        folders.push(folder);
        // A folder whose name holds the separator can't be on any PATH.
        if let Ok(joined) = std::env::join_paths(folders) {
            self.set("PATH", joined);
        }
    }
}
