//! When each line of a log was written: by its own word, by that of the line that it continues, or by the index.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::files::LogFiles;
use super::index::Timeline;
use super::lines::{self, Line, Lines};
use super::stamp::{self, Stamp};

/// Tells the times of one log's lines, which come in their order.
#[derive(Debug)]
pub(super) struct Times {
    timeline: Timeline,
    zone: TimeZone,
    /// The last time that a line had of its own.
    stamped: Option<Timestamp>,
}

impl Times {
    /// Times of a log of which `end` bytes have been written, the last ones at `modified`, and the index at `path`.
    pub fn load(path: &Path, end: u64, modified: Option<Timestamp>) -> Self {
        Self { timeline: Timeline::load(path, end, modified), zone: TimeZone::system(), stamped: None }
    }

    /// Where the first line begins that may have been written at `since` or later; all that follow count as later.
    pub fn skip_earlier(&mut self, files: &mut LogFiles, first: u64, end: u64, since: Timestamp) -> io::Result<u64> {
        let floor = self.timeline.offset_before(since).clamp(first, end.max(first));
        let begins_line = lines::begins_line(files, first, floor)?;
        let mut lines = Lines::new(files.clone(), floor, end, false);
        if !begins_line {
            lines.skip_line()?;
        }
        let mut begin = lines.offset();
        while let Some(line) = lines.next_line()? {
            let before = self.stamped;
            let latest = match self.stamped_time_of(&line) {
                Some(time) => Some(time),
                // What the index tells in between is an estimate, which must not hide a line.
                None => self.timeline.bracket(line.start).map(|(_, to)| to),
            };
            if latest.is_none_or(|latest| latest >= since) {
                self.stamped = before;
                break;
            }
            begin = lines.offset();
        }
        Ok(begin)
    }

    /// Its own time; else that of the stamped line that it continues, if the index does not gainsay; else the index's.
    pub fn time_of(&mut self, line: &Line) -> Option<Timestamp> {
        self.stamped_time_of(line).or_else(|| self.timeline.time_of(line.start))
    }

    fn stamped_time_of(&mut self, line: &Line) -> Option<Timestamp> {
        let bracket = self.timeline.bracket(line.start);
        let own = match stamp::stamp(&line.bytes) {
            Some(Stamp::Exact(time)) => Some(time),
            Some(Stamp::Civil(civil)) => stamp::settle(civil, &self.zone, bracket),
            None => None,
        };
        if own.is_some() {
            self.stamped = own;
            return own;
        }
        self.stamped.filter(|stamped| bracket.is_none_or(|(from, to)| (from..=to).contains(stamped)))
    }
}
