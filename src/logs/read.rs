//! What has been written until now: the lines of several services, in the order of their times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;

use super::files::LogFiles;
use super::follow::Follower;
use super::lines::{self, Ending, Line, Lines};
use super::times::Times;
use crate::domain::ServiceId;
use crate::domain::text;
use crate::engine::StateDir;

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Of each service only so many, the last ones; with `grep`, of those that match.
    pub last: Option<usize>,
    /// Only those since then. A line without any known time counts as later.
    pub since: Option<Timestamp>,
    /// Only those that match, as they are shown.
    pub grep: Option<Regex>,
    /// Whether lines longer than [`MAX_LINE`](super::MAX_LINE) come in parts; otherwise the rest of them is left out.
    /// Only the first part is searched.
    pub in_parts: bool,
}

impl Query {
    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(&text::plain(&String::from_utf8_lossy(bytes))))
    }
}

/// One line that a service has written, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The service.
    pub service: ServiceId,
    /// When it was written, as far as the line or the index tells.
    pub at: Option<Timestamp>,
    /// The line as it was written, without its line feed; at most [`MAX_LINE`](super::MAX_LINE) bytes.
    pub bytes: Vec<u8>,
    /// Whether some of the line was left out.
    pub cut: bool,
    /// How it ends.
    pub ending: Ending,
}

impl LogLine {
    /// The line as it may be shown: no control sequences, no reordering marks, no invalid UTF-8; a cut one says so.
    pub fn text(&self) -> String {
        let mut shown = text::plain(&String::from_utf8_lossy(&self.bytes)).into_owned();
        if self.cut {
            shown.push_str("… (line cut)");
        }
        shown
    }
}

/// Reads what `services` have written until now; a service without a log has written nothing.
///
/// # Errors
/// When a log is there and can't be read.
pub fn read(dir: &StateDir, services: &[ServiceId], query: &Query) -> io::Result<Reading> {
    Reading::open(dir, services, query, false)
}

/// Like [`read`], and what follows: all lines that the reading does not have come from the follower, and none twice.
///
/// # Errors
/// When a log is there and can't be read.
pub fn follow(dir: &StateDir, services: &[ServiceId], query: &Query) -> io::Result<(Reading, Follower)> {
    let reading = Reading::open(dir, services, query, true)?;
    let follower = Follower::begin(dir, services, query, &reading)?;
    Ok((reading, follower))
}

/// The lines of all services by time; those of one service stay in their order.
#[derive(Debug)]
pub struct Reading {
    dir: StateDir,
    logs: Vec<Log>,
    /// The next line of each log, by its time.
    heads: BinaryHeap<Reverse<Head>>,
    /// The log of which a part of a line was given last: the next part comes before all else.
    open: Option<usize>,
    query: Query,
    failure: Option<io::Error>,
}

/// Ordered by time, then by the order of the services.
type Head = (Timestamp, usize, HeadLine);

/// A line that waits for its turn; never compared, for each log has at most one.
#[derive(Debug)]
struct HeadLine(LogLine);

impl PartialEq for HeadLine {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for HeadLine {}

impl PartialOrd for HeadLine {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HeadLine {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Reading {
    fn open(dir: &StateDir, services: &[ServiceId], query: &Query, whole_lines: bool) -> io::Result<Self> {
        let mut reading = Self {
            dir: dir.clone(),
            logs: Vec::new(),
            heads: BinaryHeap::new(),
            open: None,
            query: query.clone(),
            failure: None,
        };
        for service in services {
            let log = Log::open(dir, service, query, whole_lines);
            reading.logs.extend(log.map_err(|error| named(&dir.log(service), &error))?);
        }
        for number in 0..reading.logs.len() {
            reading.advance(number)?;
        }
        Ok(reading)
    }

    /// For each service that has a log: its files, and where reading them ends.
    pub(super) fn ends(&self) -> impl Iterator<Item = (&ServiceId, &LogFiles, u64)> {
        self.logs.iter().map(|log| (&log.service, log.lines.files(), log.end))
    }

    fn advance(&mut self, number: usize) -> io::Result<()> {
        if let Some(line) = self.next_of(number)? {
            self.heads.push(Reverse((self.logs[number].reached, number, HeadLine(line))));
        }
        Ok(())
    }

    fn next_of(&mut self, number: usize) -> io::Result<Option<LogLine>> {
        let log = &mut self.logs[number];
        let line = log.next_line(&self.query).map_err(|error| named(&self.dir.log(&log.service), &error))?;
        if let Some(line) = &line {
            log.reached = line.at.unwrap_or(log.reached).max(log.reached);
        }
        Ok(line)
    }

    fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        if let Some(number) = self.open.take()
            && let Some(line) = self.next_of(number)?
        {
            self.given(number, line.ending);
            return Ok(Some(line));
        }
        let Some(Reverse((_, number, HeadLine(line)))) = self.heads.pop() else { return Ok(None) };
        self.given(number, line.ending);
        Ok(Some(line))
    }

    /// Makes ready what follows a line that is about to be given.
    fn given(&mut self, number: usize, ending: Ending) {
        match ending {
            Ending::Continued => self.open = Some(number),
            // That its successor can't be read is told after this one.
            Ending::LineFeed | Ending::Missing => self.failure = self.advance(number).err(),
        }
    }
}

impl Iterator for Reading {
    type Item = io::Result<LogLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(failure) = self.failure.take() {
            return Some(Err(failure));
        }
        self.next_line().transpose()
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// One service's log while it is read.
#[derive(Debug)]
struct Log {
    service: ServiceId,
    lines: Lines,
    /// Where what is kept begins: amid a line, if something was before.
    first: u64,
    end: u64,
    times: Times,
    /// The latest time so far.
    reached: Timestamp,
    /// What the first part of a line was worth, while more of it comes.
    open: Option<Given>,
}

/// What became of the first part of a line.
#[derive(Clone, Copy, Debug)]
enum Given {
    Shown(Option<Timestamp>),
    PassedOver,
}

impl Log {
    fn open(dir: &StateDir, service: &ServiceId, query: &Query, whole_lines: bool) -> io::Result<Option<Self>> {
        let Some(mut files) = LogFiles::open(dir, service)? else { return Ok(None) };
        // The clock of file systems lags behind by a tick, of which there are at least 100 a second.
        let modified = files.newest()?.modified().ok().and_then(|time| time.checked_add(Duration::from_millis(10)));
        let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
        let (first, length) = (files.first()?, files.place()?.end);
        let mut times = Times::load(&dir.log_index(service), length, modified);
        // A half-written line is left to whoever follows.
        let end = if whole_lines && !lines::begins_line(&mut files, first, length)? {
            lines::start_of_last(&mut files, first, length, 1, None)?
        } else {
            length
        };
        let floor = match query.since {
            Some(since) if modified.is_some_and(|modified| modified < since) => end,
            Some(since) => times.skip_earlier(&mut files, first, end, since)?,
            None => first,
        };
        let start = match query.last {
            Some(last) => {
                let likes = |bytes: &[u8]| query.matches(bytes);
                lines::start_of_last(&mut files, floor, end, last, query.grep.is_some().then_some(&likes))?
            }
            None => floor,
        };
        let lines = Lines::new(files, start, end, query.in_parts);
        Ok(Some(Self { service: service.clone(), lines, first, end, times, reached: Timestamp::MIN, open: None }))
    }

    fn next_line(&mut self, query: &Query) -> io::Result<Option<LogLine>> {
        while let Some(line) = self.lines.next_line()? {
            let given = match self.open.take() {
                Some(given) => given,
                None => {
                    let at = self.times.time_of(&line);
                    if query.matches(&line.bytes) { Given::Shown(at) } else { Given::PassedOver }
                }
            };
            self.open = (line.ending == Ending::Continued).then_some(given);
            if let Given::Shown(at) = given {
                let Line { start, bytes, cut, ending } = line;
                let cut = cut || (start == self.first && start > 0);
                return Ok(Some(LogLine { service: self.service.clone(), at, bytes, cut, ending }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::logs::index::LogIndex;

    struct Bench {
        _dir: tempfile::TempDir,
        state: StateDir,
    }

    impl Bench {
        fn new(logs: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let bench = Self { state: StateDir::new(dir.path()), _dir: dir };
            for (service, content) in logs {
                fs::create_dir_all(bench.state.service(&id(service))).unwrap();
                fs::write(bench.state.log(&id(service)), content).unwrap();
            }
            bench
        }

        fn read(&self, services: &[&str], query: &Query) -> Vec<String> {
            let services: Vec<ServiceId> = services.iter().map(|service| id(service)).collect();
            let reading = read(&self.state, &services, query).unwrap();
            reading.map(|line| line.unwrap()).map(|line| format!("{} {}", line.service, line.text())).collect()
        }
    }

    fn id(text: &str) -> ServiceId {
        ServiceId::new(text).unwrap()
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn lines_of_several_services_come_by_time_and_keep_their_own_order() {
        let bench = Bench::new(&[
            ("api", "2026-01-02T00:00:01Z one\n2026-01-02T00:00:05Z five\n  at frame\n2026-01-02T00:00:04Z late\n"),
            ("db", "2026-01-02T00:00:02Z two\n2026-01-02T00:00:06Z six\n"),
        ]);
        let lines = bench.read(&["db", "api", "nobody"], &Query::default());
        let tails: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(tails, ["one", "two", "five", "frame", "late", "six"]);
        assert!(lines[0].starts_with("api ") && lines[1].starts_with("db "));
    }

    #[test]
    fn the_last_lines_are_counted_per_service_and_after_the_search() {
        let bench = Bench::new(&[("a", "hit 1\nhit 2\nmiss\nhit 3\nmiss\n"), ("b", "hit 4\n")]);
        let last = |n| Query { last: Some(n), ..Query::default() };
        assert_eq!(bench.read(&["a", "b"], &last(2)), ["a hit 3", "a miss", "b hit 4"]);
        let grep = Query { last: Some(2), grep: Some(Regex::new("^hit").unwrap()), ..Query::default() };
        assert_eq!(bench.read(&["a", "b"], &grep), ["a hit 2", "a hit 3", "b hit 4"]);
        assert_eq!(bench.read(&["a", "b"], &last(0)), Vec::<String>::new());
    }

    #[test]
    fn a_search_sees_what_is_shown() {
        let bench = Bench::new(&[("a", "\u{1b}[31mER\u{1b}[0mROR x\nfine\n")]);
        let query = Query { grep: Some(Regex::new("^ERROR").unwrap()), ..Query::default() };
        assert_eq!(bench.read(&["a"], &query), ["a ERROR x"]);
    }

    #[test]
    fn since_goes_by_the_lines_own_times_and_keeps_what_continues_them() {
        let content = "2026-01-02T00:00:01Z old\n  old frame\n2026-01-02T00:00:05Z new\n  new frame\n";
        let bench = Bench::new(&[("a", content)]);
        let query = Query { since: at("2026-01-02T00:00:03Z"), ..Query::default() };
        assert_eq!(bench.read(&["a"], &query), ["a 2026-01-02T00:00:05Z new", "a   new frame"]);
        let one = Query { last: Some(3), ..query };
        assert_eq!(bench.read(&["a"], &one).len(), 2);
    }

    #[test]
    fn since_goes_by_the_index_where_lines_tell_no_time() {
        let bench = Bench::new(&[("a", "old 1\nold 2\nol")]);
        let service = id("a");
        let began = Timestamp::now();
        LogIndex::new(bench.state.clone()).mark(&service);
        let marked = Timestamp::now();
        // The wall clock must move on before anything counts as later.
        while Timestamp::now().as_millisecond() <= marked.as_millisecond() {
            std::thread::yield_now();
        }
        let since = Timestamp::now();
        let mut content = fs::read(bench.state.log(&service)).unwrap();
        content.extend_from_slice(b"d 3\nnew 1\nnew 2\n");
        fs::write(bench.state.log(&service), content).unwrap();
        let query = Query { since: Some(since), ..Query::default() };
        let mut reading = read(&bench.state, std::slice::from_ref(&service), &query).unwrap();
        let lines: Vec<LogLine> = reading.by_ref().map(Result::unwrap).collect();
        let times: Vec<Option<Timestamp>> = lines.iter().map(|line| line.at).collect();
        let texts: Vec<String> = lines.iter().map(LogLine::text).collect();
        assert!(texts.ends_with(&["new 2".to_owned()]) && !texts.iter().any(|text| text.contains("ld")), "{texts:?}");
        // What follows the mark is not older than the mark, which was made at some moment since it began.
        let first = times[0].expect("the index tells its time").as_millisecond();
        assert!(times.is_sorted() && first >= began.as_millisecond(), "{times:?}, began at {began}");
    }

    #[test]
    fn a_log_not_written_to_since_then_has_nothing_to_say() {
        let bench = Bench::new(&[("a", "no time\n")]);
        let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        assert!(bench.read(&["a"], &Query { since: Some(later), ..Query::default() }).is_empty());
        assert_eq!(bench.read(&["a"], &Query { since: at("2001-01-01T00:00:00Z"), ..Query::default() }), ["a no time"]);
    }

    #[test]
    fn a_line_is_shown_harmless_and_kept_as_it_was() {
        let bench = Bench::new(&[("a", "")]);
        let raw = b"\x1b]0;owned\x07a\tb\xff\x1b[2J\xe2\x80\xaec\r\n";
        fs::write(bench.state.log(&id("a")), raw).unwrap();
        let line = read(&bench.state, &[id("a")], &Query::default()).unwrap().next().unwrap().unwrap();
        assert_eq!(line.text(), "a\tb\u{fffd}c");
        assert_eq!(line.bytes, raw[..raw.len() - 1]);
    }

    #[test]
    fn a_line_beyond_all_measure_is_cut_and_says_so() {
        let bench = Bench::new(&[("a", &"x".repeat(1 << 20))]);
        let line = read(&bench.state, &[id("a")], &Query::default()).unwrap().next().unwrap().unwrap();
        assert_eq!(line.bytes.len(), crate::logs::MAX_LINE);
        assert!(line.text().ends_with("x… (line cut)"));
    }

    #[test]
    fn a_log_that_cannot_be_read_is_named() {
        let bench = Bench::new(&[]);
        fs::create_dir_all(bench.state.log(&id("a"))).unwrap();
        let error = match read(&bench.state, &[id("a")], &Query::default()) {
            Ok(mut reading) => reading.next().unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert!(error.to_string().contains("output.log"), "{error}");
    }
}
