//! The port `Logs`: logs of whole lines, which become too long when somebody writes to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pilotlight::domain::{Event, LogPolicy, ServiceId};
use pilotlight::engine::ports::Logs;

use super::{Due, Machine};

/// How long it takes until a log that is too long has been rotated.
const SOON: Duration = Duration::from_millis(100);

/// When a rotation that has failed is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What one service has written.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The older files, the newest first.
    pub pieces: VecDeque<Vec<String>>,
    /// What is written to.
    pub current: Vec<String>,
    /// How many bytes were written at all.
    pub written: u64,
    /// How many those were when it was noted.
    pub marks: Vec<u64>,
    /// Whether it can't be rotated.
    pub obstructed: bool,
    /// Whether that has been told.
    told: bool,
}

impl Log {
    /// All lines that are kept.
    #[allow(dead_code, reason = "only the laws of the port read them")]
    pub fn lines(&self) -> Vec<String> {
        self.pieces.iter().rev().chain([&self.current]).flatten().cloned().collect()
    }

    /// Bytes of some lines, each with its end.
    pub fn length(lines: &[String]) -> u64 {
        lines.iter().map(|line| line.len() as u64 + 1).sum()
    }

    pub(super) fn forget_told(&mut self) {
        self.told = false;
    }

    /// Moves whole lines to older files until the rest is short enough.
    fn rotate(&mut self, policy: LogPolicy) {
        while Self::length(&self.current) > policy.max_size {
            let mut bytes = 0;
            let most = |line: &&String| {
                bytes += line.len() as u64 + 1;
                bytes <= policy.max_size
            };
            let count = self.current.iter().take_while(most).count().max(1);
            self.pieces.push_front(self.current.drain(..count).collect());
        }
        self.pieces.truncate(policy.keep as usize);
    }
}

impl Logs for Machine {
    fn mark(&mut self, id: &ServiceId) {
        if let Some(log) = self.logs.get_mut(id)
            && log.marks.last().is_none_or(|last| log.written > *last)
        {
            log.marks.push(log.written);
        }
    }

    fn begin(&mut self, id: &ServiceId) {
        self.logs.entry(id.clone()).or_default();
        self.mark(id);
    }

    fn keep(&mut self, policies: &BTreeMap<ServiceId, LogPolicy>) {
        self.policies.clone_from(policies);
        let dropped = self.logs.iter_mut().filter(|(id, _)| !policies.contains_key(*id));
        dropped.for_each(|(_, log)| log.forget_told());
        for id in policies.keys() {
            self.later(SOON, Due::Rotates(id.clone()));
        }
    }
}

impl Machine {
    /// A process of this service writes.
    pub fn write_log(&mut self, id: &ServiceId, lines: impl IntoIterator<Item = String>) {
        let log = self.logs.entry(id.clone()).or_default();
        for line in lines {
            log.written += line.len() as u64 + 1;
            log.current.push(line);
        }
        if self.policies.contains_key(id) {
            self.later(SOON, Due::Rotates(id.clone()));
        }
    }

    pub(super) fn rotate(&mut self, id: &ServiceId) {
        let (Some(log), Some(policy)) = (self.logs.get_mut(id), self.policies.get(id)) else { return };
        let fails = log.obstructed && Log::length(&log.current) > policy.max_size;
        if !fails {
            log.rotate(*policy);
        }
        let is_news = std::mem::replace(&mut log.told, fails) != fails;
        if is_news {
            let trouble = fails.then(|| format!("the log of {id} can't be rotated, trying again: no space"));
            self.tell(Event::LogTroubled { id: id.clone(), trouble });
        }
        if fails {
            self.later(RETRY, Due::Rotates(id.clone()));
        }
    }
}
