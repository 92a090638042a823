//! The growing end of one log: gives whole lines, whatever is done to the file meanwhile.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::lines::{self, MAX_LINE};
use super::platform::{FileExt, MetadataExt};

/// Bytes that are taken at most before the lines among them are given.
const BUDGET: usize = 1 << 20;
/// Bytes before the place that are remembered, to tell whether they are still there.
const PRINT: usize = 1024;
/// What is cut from the front of a file is cut in such blocks.
const CUT: u64 = 4096;

/// A line, or what there is of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// At most [`MAX_LINE`] bytes.
    pub bytes: Vec<u8>,
    /// Whether it was longer.
    pub cut: bool,
}

/// A place in a log, up to which everything has been given.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    half: Half,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Tells the file from a later one at the same path.
    identity: (u64, u64),
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
}

impl Tail {
    /// The log at `path`, which is open as `file` and known up to `offset`.
    pub fn of(path: PathBuf, file: File, offset: u64) -> io::Result<Self> {
        let open = Open::at(file, offset)?;
        Ok(Self { path, open: Some(open), half: Half::default() })
    }

    /// The log at `path`, which is not there yet.
    pub fn of_missing(path: PathBuf) -> Self {
        Self { path, open: None, half: Half::default() }
    }

    /// The log at `path` from its present end on; if it can't be opened, as if it were not there yet.
    pub fn at_end(path: PathBuf) -> Self {
        let end = |file: File| {
            let length = file.metadata()?.len();
            Open::at(file, length)
        };
        let open = File::open(&path).and_then(end).ok();
        Self { path, open, half: Half::default() }
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
                    self.half.give(written);
                    self.half.given = false;
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
        let there = match fs::metadata(&self.path) {
            Ok(there) => identity(&there),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if self.open.as_ref().is_some_and(|open| open.identity == there) {
            return Ok(false);
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        self.half.give(written);
        self.half.given = false;
        let start = lines::data_start(&file, file.metadata()?.len())?;
        self.open = Some(Open::at(file, start)?);
        Ok(true)
    }
}

impl Open {
    fn at(file: File, offset: u64) -> io::Result<Self> {
        let size = usize::try_from(offset).unwrap_or(PRINT).min(PRINT);
        let mut print = vec![0; size];
        file.read_exact_at(&mut print, offset - size as u64)?;
        Ok(Self { identity: identity(&file.metadata()?), file, offset, print })
    }

    /// Finds the place again if the file was emptied or lost its front; false if it begins anew.
    fn settle(&mut self) -> io::Result<bool> {
        let length = self.file.metadata()?.len();
        if self.is_at(self.offset, length)? {
            return Ok(true);
        }
        let mut candidate = self.offset;
        while candidate > CUT {
            candidate -= CUT;
            if self.is_at(candidate, length)? {
                self.offset = candidate;
                self.print = Self::at(self.file.try_clone()?, candidate)?.print;
                return Ok(true);
            }
        }
        self.offset = lines::data_start(&self.file, length)?;
        self.print = Self::at(self.file.try_clone()?, self.offset)?.print;
        Ok(false)
    }

    /// Whether what stands before `offset` is what stood before the place.
    fn is_at(&self, offset: u64, length: u64) -> io::Result<bool> {
        if offset > length {
            return Ok(false);
        }
        let known = usize::try_from(offset).unwrap_or(PRINT).min(self.print.len());
        let mut there = vec![0; known];
        match self.file.read_exact_at(&mut there, offset - known as u64) {
            Ok(()) => Ok(there == self.print[self.print.len() - known..]),
            // It has just become shorter.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes what is behind the place; true if there is more than was taken.
    fn take(&mut self, half: &mut Half, written: &mut Vec<Written>) -> io::Result<bool> {
        let mut block = vec![0; 64 * 1024];
        let mut taken = 0;
        while taken < BUDGET {
            let read = self.file.read_at(&mut block, self.offset)?;
            if read == 0 {
                return Ok(false);
            }
            half.take(&block[..read], written);
            self.offset += read as u64;
            taken += read;
            self.print.extend_from_slice(&block[read.saturating_sub(PRINT)..read]);
            self.print.drain(..self.print.len().saturating_sub(PRINT));
        }
        Ok(true)
    }
}

impl Half {
    fn take(&mut self, bytes: &[u8], written: &mut Vec<Written>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ended) = match part.strip_suffix(b"\n") {
                Some(content) => (content, true),
                None => (part, false),
            };
            // Zeros at the beginning of a line are a hole.
            let zeros = if self.bytes.is_empty() { content.iter().take_while(|byte| **byte == 0).count() } else { 0 };
            let content = &content[zeros..];
            let kept = content.len().min(MAX_LINE - self.bytes.len());
            self.bytes.extend_from_slice(&content[..kept]);
            self.cut |= kept < content.len();
            if ended {
                if !(self.given && self.bytes.is_empty()) {
                    written.push(Written { bytes: std::mem::take(&mut self.bytes), cut: self.cut });
                }
                *self = Self::default();
            } else if !self.bytes.is_empty() {
                self.since = Some(Instant::now());
            }
        }
    }

    /// Gives what there is of the line.
    fn give(&mut self, written: &mut Vec<Written>) {
        if !self.bytes.is_empty() {
            written.push(Written { bytes: std::mem::take(&mut self.bytes), cut: self.cut });
            *self = Self { given: true, ..Self::default() };
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    struct Bench {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { tail: Tail::of_missing(dir.path().join("output.log")), dir }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("output.log")
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
        fs::rename(bench.path(), bench.dir.path().join("output.log.1")).unwrap();
        bench.write("new\n");
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
    fn a_log_that_lost_its_front_goes_on_where_it_was() {
        let mut bench = Bench::new();
        let old: String = (0..2000).map(|i| format!("line {i}\n")).collect();
        bench.write(&old);
        assert_eq!(bench.lines().len(), 2000);
        bench.write("unseen 1\n");
        // As if whole blocks had been cut away at the front, with the service writing on.
        let all = fs::read(bench.path()).unwrap();
        fs::write(bench.path(), &all[2 * 4096..]).unwrap();
        bench.write("unseen 2\n");
        assert_eq!(bench.lines(), ["unseen 1", "unseen 2"]);
    }

    #[test]
    fn a_line_beyond_all_measure_is_cut() {
        let mut bench = Bench::new();
        bench.write(&"x".repeat(3 << 20));
        bench.write("\nnext\n");
        let mut written = Vec::new();
        while bench.tail.catch_up(&mut written, NEVER).unwrap() {}
        assert_eq!((written[0].bytes.len(), written[0].cut), (MAX_LINE, true));
        assert_eq!(written[1], Written { bytes: b"next".to_vec(), cut: false });
    }
}
