//! `agent.log`: what the agent says of itself; bounded by one older file, `agent.log.1`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use super::file::{beside, private};

/// A file of this size (bytes) makes way for a new one.
const MOST_BYTES: u64 = 1 << 20;

/// The log file, as a subscriber of `tracing` writes to it.
#[derive(Debug)]
pub struct AgentLog {
    path: PathBuf,
    most: u64,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    size: u64,
}

impl AgentLog {
    /// Opens the log at `path` to go on behind what is there.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::bounded(path, MOST_BYTES)
    }

    fn bounded(path: &Path, most: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), most, current: Mutex::new(Current::open(path)?) })
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let file = private().append(true).create(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl<'a> MakeWriter<'a> for AgentLog {
    type Writer = &'a AgentLog;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &AgentLog {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // Whoever panicked while writing left nothing that a next line could not follow.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.size >= self.most {
            fs::rename(&self.path, beside(&self.path, ".1"))?;
            *current = Current::open(&self.path)?;
        }
        let written = current.file.write(text)?;
        current.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_behind_what_is_there_and_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        for round in 0..10 {
            let log = AgentLog::bounded(&path, 100).unwrap();
            for number in 0..10 {
                writeln!(log.make_writer(), "round {round} line {number}").unwrap();
            }
        }
        let current = fs::read_to_string(&path).unwrap();
        let older = fs::read_to_string(beside(&path, ".1")).unwrap();
        assert!(current.ends_with("round 9 line 9\n"));
        assert!(current.len() + older.len() < 300);
        let all = older + &current;
        let last: Vec<&str> = all.lines().rev().take(5).collect();
        assert_eq!(last[4], "round 9 line 5");
    }
}
