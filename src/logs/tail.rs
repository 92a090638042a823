//! The growing end of one log: gives whole lines, whatever is done to its files meanwhile.

use std::io;
use std::time::{Duration, Instant};

use super::files::{Chunk, LogFiles};
use super::lines::{Ending, MAX_LINE};
use crate::domain::ServiceId;
use crate::engine::StateDir;

/// Bytes that are taken at most before the lines among them are given.
const BUDGET: usize = 1 << 20;
/// Bytes that are read at a time.
const BLOCK: usize = 128 * 1024;
/// Bytes before the place that are remembered, to tell whether they are still there.
const PRINT: usize = 1024;

/// A line, or what there is of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// At most [`MAX_LINE`] bytes.
    pub bytes: Vec<u8>,
    /// Whether some of it was left out.
    pub cut: bool,
    /// How it ends.
    pub ending: Ending,
    /// Whether it continues the one before.
    pub continues: bool,
}

/// A place in a log, up to which everything has been given.
#[derive(Debug)]
pub(super) struct Tail {
    dir: StateDir,
    service: ServiceId,
    open: Option<Open>,
    half: Half,
}

#[derive(Debug)]
struct Open {
    files: LogFiles,
    offset: u64,
    /// The last bytes before `offset`: so many as there are, at most [`PRINT`].
    print: Vec<u8>,
}

/// A line that has not ended yet.
#[derive(Debug, Default)]
struct Half {
    bytes: Vec<u8>,
    cut: bool,
    /// When it last grew, if it has something to show.
    since: Option<Instant>,
    /// Whether its beginning has been given: then its end alone is no line.
    given: bool,
    /// Whether a long line is given in parts.
    in_parts: bool,
}

impl Tail {
    /// The log of `service`, which is open as `files` and known up to `offset`.
    pub fn of(dir: &StateDir, service: &ServiceId, files: LogFiles, offset: u64, in_parts: bool) -> io::Result<Self> {
        let open = Some(Open::at(files, offset)?);
        Ok(Self { open, ..Self::of_missing(dir, service, in_parts) })
    }

    /// The log of `service`, which is not there yet.
    pub fn of_missing(dir: &StateDir, service: &ServiceId, in_parts: bool) -> Self {
        let half = Half { in_parts, ..Half::default() };
        Self { dir: dir.clone(), service: service.clone(), open: None, half }
    }

    /// The log of `service` from its present end on; if it can't be opened, as if it were not there yet.
    pub fn at_end(dir: &StateDir, service: &ServiceId) -> Self {
        let end = |files: LogFiles| {
            let end = files.place()?.end;
            Open::at(files, end).map(Some)
        };
        let open = LogFiles::open(dir, service).and_then(|files| files.map_or(Ok(None), end)).ok().flatten();
        Self { open, ..Self::of_missing(dir, service, false) }
    }

    /// Since when a line lacks its end.
    pub fn half_since(&self) -> Option<Instant> {
        self.half.since
    }

    /// Adds the lines that have been written to `written`, and one without an end if it is older than `patience`.
    /// True if there is more.
    pub fn catch_up(&mut self, written: &mut Vec<Written>, patience: Duration) -> io::Result<bool> {
        loop {
            if let Some(open) = &mut self.open {
                if !open.settle()? {
                    self.half.lose(written);
                }
                if open.take(&mut self.half, written)? {
                    return Ok(true);
                }
            }
            if !self.reopen(written)? {
                break;
            }
        }
        if self.half.since.is_some_and(|since| since.elapsed() >= patience) {
            self.half.give(written);
        }
        Ok(false)
    }

    /// Goes over to the file that is at the path now; false if it is the same or none.
    fn reopen(&mut self, written: &mut Vec<Written>) -> io::Result<bool> {
        if self.open.as_ref().is_some_and(|open| open.files.is_current()) {
            return Ok(false);
        }
        let Some(files) = LogFiles::open(&self.dir, &self.service)?.filter(LogFiles::is_live) else { return Ok(false) };
        let place = files.place()?;
        match &self.open {
            // It was renamed, and the new one goes on where it ends.
            Some(open) if open.offset == place.front => {
                self.open = Some(Open { files, offset: open.offset, print: open.print.clone() });
            }
            Some(_) => {
                self.half.lose(written);
                self.open = Some(Open::at(files, place.front)?);
            }
            // It may have been rotated before anybody could look.
            None => {
                let first = files.first()?;
                self.open = Some(Open::at(files, first)?);
            }
        }
        Ok(true)
    }
}

impl Open {
    fn at(files: LogFiles, offset: u64) -> io::Result<Self> {
        let mut open = Self { files, offset, print: Vec::new() };
        open.remember()?;
        Ok(open)
    }

    fn remember(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.offset).unwrap_or(PRINT).min(PRINT);
        self.print = vec![0; size];
        if !self.files.read_whole(&mut self.print, self.offset - size as u64)? {
            self.print.clear();
        }
        Ok(())
    }

    /// Begins anew if the file was emptied or written over; false then.
    fn settle(&mut self) -> io::Result<bool> {
        let place = self.files.place()?;
        let mut there = vec![0; self.print.len()];
        let is_there = self.offset <= place.end && {
            let is_kept = self.files.read_whole(&mut there, self.offset - self.print.len() as u64)?;
            !is_kept || there == self.print
        };
        if !is_there {
            self.offset = place.front;
            self.remember()?;
        }
        Ok(is_there)
    }

    /// Takes what is behind the place; true if there is more than was taken.
    fn take(&mut self, half: &mut Half, written: &mut Vec<Written>) -> io::Result<bool> {
        let mut block = vec![0; BLOCK];
        let mut taken = 0;
        while taken < BUDGET {
            let Chunk { at, len } = self.files.read_at(&mut block, self.offset)?;
            if len == 0 {
                return Ok(false);
            }
            if at != self.offset {
                // What comes between was removed before it could be read.
                half.cut = !half.bytes.is_empty();
                half.lose(written);
                self.print.clear();
            }
            half.take(&block[..len], written);
            self.offset = at + len as u64;
            taken += len;
            self.print.extend_from_slice(&block[len.saturating_sub(PRINT)..len]);
            self.print.drain(..self.print.len().saturating_sub(PRINT));
        }
        Ok(true)
    }
}

impl Half {
    fn take(&mut self, bytes: &[u8], written: &mut Vec<Written>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut content, ended) = match part.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (part, false),
            };
            while self.in_parts && content.len() > MAX_LINE - self.bytes.len() {
                let (fits, rest) = content.split_at(MAX_LINE - self.bytes.len());
                self.bytes.extend_from_slice(fits);
                self.push(Ending::Continued, written);
                self.given = true;
                content = rest;
            }
            let kept = content.len().min(MAX_LINE - self.bytes.len());
            self.bytes.extend_from_slice(&content[..kept]);
            self.cut |= kept < content.len();
            if ended {
                if self.in_parts || !(self.given && self.bytes.is_empty()) {
                    self.push(Ending::LineFeed, written);
                }
                *self = Self { in_parts: self.in_parts, ..Self::default() };
            } else if !self.bytes.is_empty() {
                self.since = Some(Instant::now());
            }
        }
    }

    /// Gives what there is of the line.
    fn give(&mut self, written: &mut Vec<Written>) {
        if !self.bytes.is_empty() {
            self.push(Ending::Missing, written);
            *self = Self { given: true, in_parts: self.in_parts, ..Self::default() };
        }
    }

    /// Gives what there is of a line whose end will not come.
    fn lose(&mut self, written: &mut Vec<Written>) {
        self.give(written);
        self.given = false;
    }

    fn push(&mut self, ending: Ending, written: &mut Vec<Written>) {
        let bytes = std::mem::take(&mut self.bytes);
        written.push(Written { bytes, cut: self.cut, ending, continues: self.given });
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;
    use crate::engine::{LogRecord, LogStep};

    const NEVER: Duration = Duration::from_secs(3600);

    struct Bench {
        _folder: tempfile::TempDir,
        dir: StateDir,
        id: ServiceId,
        tail: Tail,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (dir, id) = (StateDir::new(folder.path()), ServiceId::new("web").unwrap());
            fs::create_dir_all(dir.service(&id)).unwrap();
            Self { tail: Tail::of_missing(&dir, &id, false), dir, id, _folder: folder }
        }

        fn path(&self) -> PathBuf {
            self.dir.log(&self.id)
        }

        fn write(&self, content: &str) {
            let mut options = OpenOptions::new();
            options.append(true).create(true).open(self.path()).unwrap().write_all(content.as_bytes()).unwrap();
        }

        fn within(&mut self, patience: Duration) -> Vec<String> {
            let mut written = Vec::new();
            while self.tail.catch_up(&mut written, patience).unwrap() {}
            written.into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect()
        }

        fn lines(&mut self) -> Vec<String> {
            self.within(NEVER)
        }
    }

    #[test]
    fn only_whole_new_lines_are_given_until_the_patience_ends() {
        let mut bench = Bench::new();
        assert!(bench.lines().is_empty());
        bench.write("one\ntw");
        assert_eq!(bench.lines(), ["one"]);
        bench.write("o\nPassword: ");
        assert_eq!(bench.lines(), ["two"]);
        assert_eq!(bench.within(Duration::ZERO), ["Password: "]);
        assert!(bench.tail.half_since().is_none());
        bench.write("\nnext\n\n");
        assert_eq!(bench.lines(), ["next", ""]);
        bench.write("half");
        assert_eq!(bench.within(Duration::ZERO), ["half"]);
        bench.write(" and half\n");
        assert_eq!(bench.lines(), [" and half"]);
    }

    #[test]
    fn an_emptied_log_is_read_from_its_beginning() {
        let mut bench = Bench::new();
        bench.write("one\ntwo\nhal");
        assert_eq!(bench.lines(), ["one", "two"]);
        fs::write(bench.path(), "new\n").unwrap();
        assert_eq!(bench.lines(), ["hal", "new"]);
        fs::write(bench.path(), "emptied and grown beyond where it was\n").unwrap();
        assert_eq!(bench.lines(), ["emptied and grown beyond where it was"]);
    }

    #[test]
    fn a_replaced_log_is_read_to_its_end_and_then_the_new_one() {
        let mut bench = Bench::new();
        bench.write("one\n");
        assert_eq!(bench.lines(), ["one"]);
        bench.write("last words\nunfinished");
        fs::rename(bench.path(), bench.dir.root().join("elsewhere")).unwrap();
        bench.write("new\n");
        assert_eq!(bench.lines(), ["last words", "unfinished", "new"]);
    }

    #[test]
    fn a_log_that_became_the_older_file_as_a_whole_goes_on_in_the_new_one() {
        let mut bench = Bench::new();
        bench.write("one\n");
        assert_eq!(bench.lines(), ["one"]);
        bench.write("last words\nunfin");
        fs::rename(bench.path(), bench.dir.log_piece(&bench.id, 1)).unwrap();
        bench.write("ished\nnew\n");
        assert_eq!(bench.lines(), ["last words", "unfinished", "new"]);
    }

    #[test]
    fn a_deleted_log_is_awaited() {
        let mut bench = Bench::new();
        bench.write("one\n");
        assert_eq!(bench.lines(), ["one"]);
        fs::remove_file(bench.path()).unwrap();
        assert!(bench.lines().is_empty());
        bench.write("one\n");
        assert_eq!(bench.lines(), ["one"]);
    }

    #[test]
    fn an_older_file_that_is_gone_before_it_was_read_leaves_a_gap_and_nothing_else() {
        let mut bench = Bench::new();
        bench.write("one\nha");
        assert_eq!(bench.lines(), ["one"]);
        fs::write(bench.path(), "").unwrap();
        LogRecord { base: 100, front: 100, step: LogStep::Rest }.save(&bench.dir.log_record(&bench.id)).unwrap();
        bench.write("two\n");
        assert_eq!(bench.lines(), ["ha", "two"]);
    }

    #[test]
    fn a_line_beyond_all_measure_is_cut() {
        let mut bench = Bench::new();
        bench.write(&"x".repeat(3 << 20));
        bench.write("\nnext\n");
        let mut written = Vec::new();
        while bench.tail.catch_up(&mut written, NEVER).unwrap() {}
        assert_eq!((written[0].bytes.len(), written[0].cut), (MAX_LINE, true));
        assert_eq!((&written[1].bytes[..], written[1].cut), (&b"next"[..], false));
    }

    #[test]
    fn in_parts_nothing_of_a_long_line_is_left_out() {
        let mut bench = Bench::new();
        bench.tail.half.in_parts = true;
        bench.write(&"x".repeat(3 << 20));
        let mut written = Vec::new();
        while bench.tail.catch_up(&mut written, NEVER).unwrap() {}
        assert!(written.iter().all(|part| part.ending == Ending::Continued && part.bytes.len() == MAX_LINE));
        bench.write("end\nnext\n");
        while bench.tail.catch_up(&mut written, NEVER).unwrap() {}
        let next = written.pop().unwrap();
        assert_eq!((&next.bytes[..], next.ending, next.continues), (&b"next"[..], Ending::LineFeed, false));
        assert_eq!(written.iter().map(|part| part.bytes.len()).sum::<usize>(), (3 << 20) + 3);
        assert_eq!(written.iter().filter(|part| !part.continues).count(), 1);
        assert_eq!(written.last().unwrap().ending, Ending::LineFeed);
    }
}
