//! `agent.json`: who the running agent is and where it listens, for programs that look for it.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::file::{read_bounded, replace_durably};
use crate::engine::StateDir;

/// No file of ours is longer than this, in bytes.
const LONGEST: u64 = 64 << 10;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The path of its config.
    pub config: String,
    /// The path of its control socket.
    pub control: String,
    /// The address of its dashboard.
    pub dashboard: Option<String>,
}

impl AgentRecord {
    /// Reads it; `None` if there is none or it can't be understood. An agent that was killed leaves one behind, so
    /// only the lock or an answer proves that the agent lives.
    pub fn load(dir: &StateDir) -> Option<Self> {
        serde_json::from_slice(&read_bounded(&dir.agent(), LONGEST).ok()?).ok()
    }
}

/// The published file; taken away when this is dropped.
#[derive(Debug)]
pub struct AgentFile {
    dir: StateDir,
    pid: u32,
}

impl AgentFile {
    /// Writes the file.
    pub fn publish(dir: &StateDir, record: &AgentRecord) -> io::Result<Self> {
        replace_durably(&dir.agent(), &serde_json::to_vec(record)?)?;
        Ok(Self { dir: dir.clone(), pid: record.pid })
    }
}

impl Drop for AgentFile {
    fn drop(&mut self) {
        // A later agent's is not ours to take away.
        if AgentRecord::load(&self.dir).is_some_and(|record| record.pid == self.pid)
            && let Err(error) = fs::remove_file(self.dir.agent())
        {
            tracing::warn!("{} could not be removed: {error}", self.dir.agent().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_while_the_agent_is_and_no_later_agents_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let record = |pid| AgentRecord {
            pid,
            version: "1.2.3".to_owned(),
            config: "/x/services.json".to_owned(),
            control: "/run/x.sock".to_owned(),
            dashboard: None,
        };
        let file = AgentFile::publish(&dir, &record(5)).unwrap();
        assert_eq!(AgentRecord::load(&dir), Some(record(5)));
        assert!(fs::read_to_string(dir.agent()).unwrap().contains("\"dashboard\":null"));
        let later = AgentFile::publish(&dir, &record(6)).unwrap();
        drop(file);
        assert_eq!(AgentRecord::load(&dir), Some(record(6)));
        drop(later);
        assert_eq!(AgentRecord::load(&dir), None);
        fs::write(dir.agent(), "{").unwrap();
        assert_eq!(AgentRecord::load(&dir), None);
        fs::File::create(dir.agent()).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(AgentRecord::load(&dir), None, "and it is not read to its end");
    }
}
