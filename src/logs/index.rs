//! The time index beside each log: when the log had which length.
//!
//! A file of records of 16 bytes: milliseconds since 1970 and how many bytes had been written to the log by then since
//! its beginning, both unsigned 64-bit little-endian; a rotation changes nothing of that. Records are appended, at most two for each second of growth: the last time at which the log had not
//! yet grown, if that is known, and the time at which it had. Above 64 KiB every other record is dropped. Whatever is
//! torn, lies beyond the log's end or does not fit its neighbours is not believed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::domain::ServiceId;
use crate::engine::{LogPlace, StateDir};

/// Bytes of a record.
const RECORD: usize = 16;
/// Bytes of an index, at most.
const LIMIT: usize = 64 * 1024;
/// Milliseconds between two marks, at least.
const PACE: u64 = 1000;

/// Writes the indexes of all services.
#[derive(Debug)]
pub(super) struct LogIndex {
    dir: StateDir,
    states: HashMap<ServiceId, State>,
    /// Whose index could not be written, which is told once.
    failing: HashSet<ServiceId>,
}

/// What is known of one service's index.
#[derive(Debug, Default)]
struct State {
    marks: usize,
    last: Option<Mark>,
    /// When the log was last seen not to have grown since `last`.
    quiet: Option<u64>,
    /// How the log looked when it was as long as `last` says: as long as it looks so, nothing has been written to it.
    look: Option<Look>,
}

/// What a file is known again by without opening it: its length, and when it was last written to.
type Look = (u64, SystemTime);

/// At `at` (milliseconds since 1970) the log was `offset` bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    at: u64,
    offset: u64,
}

impl LogIndex {
    /// Indexes of the logs in `dir`.
    pub fn new(dir: StateDir) -> Self {
        Self { dir, states: HashMap::new(), failing: HashSet::new() }
    }

    /// Notes how long the log of `id` is now, if it has grown. A failure is told once per service, and its end: without
    /// an index logs lack times, and nothing else.
    pub fn mark(&mut self, id: &ServiceId) {
        let result = self.mark_at(id, Some(millis(SystemTime::now())));
        self.tell(id, result);
    }

    /// Notes how long the log of `id` was when it was last written to.
    pub fn mark_written(&mut self, id: &ServiceId) {
        let result = self.mark_at(id, None);
        self.tell(id, result);
    }

    fn mark_at(&mut self, id: &ServiceId, at: Option<u64>) -> io::Result<()> {
        // Taken before the length is counted: what is written in between makes the next look another one.
        let look = look(&self.dir.log(id))?;
        if let (Some(at), Some(state)) = (at, self.states.get_mut(id).filter(|state| state.look == look))
            && look.is_some()
        {
            state.quiet = Some(at);
            return Ok(());
        }
        let log = match File::open(self.dir.log(id)) {
            Ok(log) => log,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let at = match at {
            Some(at) => at,
            // The clock of file systems lags behind by a tick.
            None => millis(log.metadata()?.modified()? + Duration::from_millis(10)),
        };
        let end = LogPlace::of(&self.dir, id, Some(&log))?.end;
        let path = self.dir.log_index(id);
        let state = match self.states.get_mut(id) {
            Some(state) => state,
            None => self.states.entry(id.clone()).or_insert(State::load(&path, end)?),
        };
        let marked = state.mark(&path, Mark { at, offset: end });
        state.look = look.filter(|_| state.last.is_some_and(|last| last.offset == end));
        if marked.is_err() {
            // What is half written is mended when it is read again.
            self.states.remove(id);
        }
        marked
    }

    fn tell(&mut self, id: &ServiceId, result: io::Result<()>) {
        match result {
            Ok(()) => {
                if self.failing.remove(id) {
                    tracing::info!(service = %id, "the time index of the log is written again");
                }
            }
            Err(error) => {
                if self.failing.insert(id.clone()) {
                    tracing::warn!(service = %id, %error, "the time index of the log can't be written, trying again");
                }
            }
        }
    }
}

/// How the log at `path` looks; `None` if there is none.
fn look(path: &Path) -> io::Result<Option<Look>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.len(), metadata.modified()?))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

impl State {
    fn load(path: &Path, length: u64) -> io::Result<Self> {
        let (marks, whole) = read_marks(path, length)?;
        if !whole {
            replace(path, &marks)?;
        }
        Ok(Self { marks: marks.len(), last: marks.last().copied(), quiet: None, look: None })
    }

    fn mark(&mut self, path: &Path, mark: Mark) -> io::Result<()> {
        let Some(last) = self.last else { return self.append(path, &[mark]) };
        if mark.offset < last.offset {
            // The log has been emptied: what is known belongs to lines that are gone.
            replace(path, &[mark])?;
            *self = Self { marks: 1, last: Some(mark), quiet: None, look: None };
            return Ok(());
        }
        if mark.offset == last.offset {
            self.quiet = Some(mark.at);
            return Ok(());
        }
        if mark.at.abs_diff(last.at) < PACE {
            return Ok(());
        }
        match self.quiet.filter(|quiet| (last.at + PACE..=mark.at).contains(quiet)) {
            Some(quiet) => self.append(path, &[Mark { at: quiet, offset: last.offset }, mark]),
            None => self.append(path, &[mark]),
        }
    }

    fn append(&mut self, path: &Path, marks: &[Mark]) -> io::Result<()> {
        private().append(true).create(true).open(path)?.write_all(&encode(marks))?;
        self.marks += marks.len();
        self.last = marks.last().copied();
        self.quiet = None;
        if self.marks * RECORD > LIMIT {
            let (all, _) = read_marks(path, u64::MAX)?;
            // Counted from the end, so that the last one stays.
            let mut thinned: Vec<Mark> = all.iter().rev().step_by(2).copied().collect();
            thinned.reverse();
            replace(path, &thinned)?;
            self.marks = thinned.len();
        }
        Ok(())
    }
}

/// Options that make new files for their owner only.
fn private() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there what is new inherits who may see it"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn encode(marks: &[Mark]) -> Vec<u8> {
    marks.iter().flat_map(|mark| [mark.at.to_le_bytes(), mark.offset.to_le_bytes()]).flatten().collect()
}

fn replace(path: &Path, marks: &[Mark]) -> io::Result<()> {
    let temporary = path.with_extension("index.tmp");
    private().write(true).create(true).truncate(true).open(&temporary)?.write_all(&encode(marks))?;
    fs::rename(temporary, path)
}

/// The marks in the index at `path` that can be believed of a log of `length` bytes, and whether those are all.
fn read_marks(path: &Path, length: u64) -> io::Result<(Vec<Mark>, bool)> {
    let mut bytes = Vec::new();
    match File::open(path) {
        // What is longer was not written here, and what is left over counts as torn.
        Ok(file) => file.take((LIMIT + 2 * RECORD) as u64 + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), true)),
        Err(error) => return Err(error),
    };
    let (records, torn) = bytes.as_chunks::<RECORD>();
    let mut marks: Vec<Mark> = Vec::with_capacity(records.len());
    for record in records {
        let (at, offset) = record.split_at(RECORD / 2);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mark = Mark { at: number(at), offset: number(offset) };
        if mark.offset > length || timestamp(mark.at).is_none() {
            continue;
        }
        // A length that shrinks is a new beginning.
        if marks.last().is_some_and(|last| mark.offset < last.offset) {
            marks.clear();
        }
        marks.push(mark);
    }
    let whole = torn.is_empty() && marks.len() == records.len();
    Ok((marks, whole))
}

fn timestamp(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

/// What the index of one log tells about times.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    marks: Vec<Mark>,
}

impl Timeline {
    /// The index at `path` of a log of `length` bytes that was last written to at `modified`. An index that can't be
    /// read is as good as none.
    pub fn load(path: &Path, length: u64, modified: Option<Timestamp>) -> Self {
        let mut marks = read_marks(path, length).map(|(marks, _)| marks).unwrap_or_default();
        if let Some(last) = marks.last()
            && let Some(modified) = modified.and_then(|modified| u64::try_from(modified.as_millisecond()).ok())
            && modified >= last.at
        {
            marks.push(Mark { at: modified, offset: length });
        }
        Self { marks }
    }

    /// Between which times the byte at `offset` was written.
    pub fn bracket(&self, offset: u64) -> Option<(Timestamp, Timestamp)> {
        let (before, after) = self.around(offset)?;
        Some((timestamp(before.at)?, timestamp(after.at)?))
    }

    /// When the byte at `offset` was written, if writing was steady between the marks around it.
    pub fn time_of(&self, offset: u64) -> Option<Timestamp> {
        let (before, after) = self.around(offset)?;
        let (span, length) = (after.at.saturating_sub(before.at), after.offset.saturating_sub(before.offset));
        let into = offset.saturating_sub(before.offset);
        let part = if length == 0 { 0 } else { u128::from(span) * u128::from(into) / u128::from(length) };
        timestamp(before.at.saturating_add(u64::try_from(part).ok()?))
    }

    /// An offset before which everything was written before `time`.
    pub fn offset_before(&self, time: Timestamp) -> u64 {
        let Ok(time) = u64::try_from(time.as_millisecond()) else { return 0 };
        let earlier = self.marks.iter().take_while(|mark| mark.at < time);
        earlier.last().map_or(0, |mark| mark.offset)
    }

    fn around(&self, offset: u64) -> Option<(Mark, Mark)> {
        let next = self.marks.partition_point(|mark| mark.offset <= offset);
        match (next.checked_sub(1).map(|before| self.marks[before]), self.marks.get(next)) {
            (Some(before), Some(after)) => Some((before, *after)),
            // Written before the first mark, or after the last: only that one's time is known.
            (None, Some(only)) => Some((*only, *only)),
            (Some(only), None) => Some((only, only)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 in milliseconds.
    const T: u64 = 1_767_225_600_000;

    struct Bench {
        _dir: tempfile::TempDir,
        state: StateDir,
        id: ServiceId,
        index: LogIndex,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let state = StateDir::new(dir.path());
            let id = ServiceId::new("api").unwrap();
            fs::create_dir_all(state.service(&id)).unwrap();
            Self { _dir: dir, index: LogIndex::new(state.clone()), state, id }
        }

        fn log(&self, length: u64) {
            let log =
                OpenOptions::new().write(true).create(true).truncate(false).open(self.state.log(&self.id)).unwrap();
            log.set_len(length).unwrap();
        }

        fn mark(&mut self, length: u64, seconds: f64) {
            self.log(length);
            self.index.mark_at(&self.id, Some(T + (seconds * 1000.0) as u64)).unwrap();
        }

        fn again(&mut self) {
            self.index = LogIndex::new(self.state.clone());
        }

        /// Seconds and offsets.
        fn marks(&self) -> Vec<(f64, u64)> {
            let (marks, whole) = read_marks(&self.state.log_index(&self.id), u64::MAX).unwrap();
            assert!(whole);
            marks.iter().map(|mark| ((mark.at - T) as f64 / 1000.0, mark.offset)).collect()
        }
    }

    #[test]
    fn a_mark_is_made_when_the_log_has_grown_at_most_once_a_second() {
        let mut bench = Bench::new();
        bench.mark(0, 0.0);
        bench.mark(10, 0.5);
        bench.mark(20, 1.0);
        bench.mark(20, 1.5);
        bench.mark(30, 1.9);
        bench.mark(40, 2.1);
        assert_eq!(bench.marks(), [(0.0, 0), (1.0, 20), (2.1, 40)]);
    }

    #[test]
    fn a_log_that_was_quiet_tells_until_when() {
        let mut bench = Bench::new();
        bench.mark(10, 0.0);
        bench.mark(10, 100.0);
        bench.mark(10, 200.0);
        bench.mark(20, 202.0);
        assert_eq!(bench.marks(), [(0.0, 10), (200.0, 10), (202.0, 20)]);
    }

    #[test]
    fn a_missing_log_leaves_no_index() {
        let mut bench = Bench::new();
        bench.index.mark_at(&bench.id.clone(), Some(T)).unwrap();
        assert!(!bench.state.log_index(&bench.id).exists());
    }

    #[test]
    fn the_next_agent_goes_on_where_the_last_one_ended() {
        let mut bench = Bench::new();
        bench.mark(10, 0.0);
        bench.again();
        bench.mark(10, 5.0);
        bench.mark(30, 6.0);
        assert_eq!(bench.marks(), [(0.0, 10), (5.0, 10), (6.0, 30)]);
    }

    #[test]
    fn an_emptied_log_begins_a_new_index() {
        let mut bench = Bench::new();
        bench.mark(10, 0.0);
        bench.mark(20, 2.0);
        bench.mark(5, 4.0);
        assert_eq!(bench.marks(), [(4.0, 5)]);
        bench.again();
        bench.mark(3, 5.0);
        bench.mark(9, 8.0);
        assert_eq!(bench.marks(), [(5.0, 3), (8.0, 9)]);
    }

    #[test]
    fn a_damaged_index_is_mended_and_what_is_believable_stays() {
        let mut bench = Bench::new();
        let path = bench.state.log_index(&bench.id);
        let good = [Mark { at: T, offset: 5 }, Mark { at: T + 1000, offset: 8 }];
        let beyond = Mark { at: T, offset: 1 << 40 };
        let never = Mark { at: u64::MAX, offset: 6 };
        let mut bytes = encode(&[good[0], beyond, never, good[1]]);
        bytes.extend_from_slice(&[7; 5]);
        fs::write(&path, bytes).unwrap();
        bench.mark(10, 5.0);
        assert_eq!(bench.marks(), [(0.0, 5), (1.0, 8), (5.0, 10)]);
    }

    #[test]
    fn an_index_of_any_length_does_not_fill_the_memory_and_becomes_small_again() {
        let mut bench = Bench::new();
        let path = bench.state.log_index(&bench.id);
        fs::write(&path, encode(&[Mark { at: T, offset: 5 }])).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        bench.mark(10, 5.0);
        assert!(fs::metadata(&path).unwrap().len() <= LIMIT as u64);
        let (marks, whole) = read_marks(&path, 10).unwrap();
        assert_eq!((marks.last(), whole), (Some(&Mark { at: T + 5000, offset: 10 }), true));
    }

    #[test]
    fn an_index_stays_small_and_keeps_its_ends() {
        let mut bench = Bench::new();
        for second in 0..10_000_u32 {
            bench.mark(u64::from(second) + 1, f64::from(second) * 2.0);
            assert!(fs::metadata(bench.state.log_index(&bench.id)).unwrap().len() <= LIMIT as u64);
        }
        let marks = bench.marks();
        assert!(marks.len() > 1500, "{}", marks.len());
        assert_eq!(marks.last(), Some(&(19_998.0, 10_000)));
        assert!(marks.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
    }

    #[test]
    fn times_lie_between_the_marks_around_them() {
        let mut bench = Bench::new();
        bench.mark(100, 0.0);
        bench.mark(200, 10.0);
        let modified = timestamp(T + 20_000);
        let line = Timeline::load(&bench.state.log_index(&bench.id), 300, modified);
        let seconds = |offset| (line.time_of(offset).unwrap().as_millisecond() as u64 - T) as f64 / 1000.0;
        assert_eq!([0, 100, 150, 200, 250, 300, 999].map(seconds), [0.0, 0.0, 5.0, 10.0, 15.0, 20.0, 20.0]);
        assert_eq!(line.bracket(150), Some((timestamp(T).unwrap(), timestamp(T + 10_000).unwrap())));
        let before = |second: u64| line.offset_before(timestamp(T + second * 1000).unwrap());
        assert_eq!([0, 1, 10, 11, 99].map(before), [0, 100, 100, 200, 300]);
        assert_eq!(Timeline::default().time_of(0), None);
    }
}
