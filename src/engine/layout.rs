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

    /// What an action of the service wrote when it was run last. The file's name is made of what of the action's name any
    /// file system takes, and told apart from others' if that is not all of it.
    pub fn action_log(&self, id: &ServiceId, action: &str) -> PathBuf {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let plain = action.chars().take(40).map(|c| if is_plain(c) { c } else { '_' }).collect::<String>();
        let mark = if plain == action { String::new() } else { format!("-{:08x}", mark(action)) };
        self.service(id).join(format!("action-{plain}{mark}.log"))
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

/// A number that hardly two names share, the same on every machine (FNV-1a).
fn mark(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |mark, byte| (mark ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_action_is_in_the_folder_of_its_service_whatever_it_is_called() {
        let (dir, id) = (StateDir::new("/state"), ServiceId::new("web").unwrap());
        let name = |action: &str| dir.action_log(&id, action).file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name("seed"), "action-seed.log");
        for hostile in ["../../etc/passwd", "a/b", "Seed", "SEED", "ä", "", "x\0", &"long".repeat(500)] {
            let path = dir.action_log(&id, hostile);
            assert_eq!(path.parent(), Some(dir.service(&id).as_path()), "{hostile:?}");
            assert!(name(hostile).len() < 80 && name(hostile).is_ascii(), "{hostile:?}");
        }
        assert_ne!(name("a/b").to_lowercase(), name("a_b").to_lowercase());
        assert_ne!(name("Seed").to_lowercase(), name("SEED").to_lowercase());
    }
}
