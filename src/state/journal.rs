//! `events.jsonl`: what happened, one line of JSON each; bounded by one older file, `events.jsonl.1`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{beside, private};
use super::platform;
use crate::domain::Fnv1a;
use crate::engine::StateDir;

/// A file of this size (bytes) gets no further line.
const MOST_BYTES: u64 = 4 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// When (RFC 3339).
    pub at: String,
    /// The catalog's generation then.
    pub generation: u64,
    /// One word.
    pub kind: String,
    /// The service, if it is about one.
    pub service: Option<String>,
    /// The run, if it is about one.
    pub run: Option<String>,
    /// A sentence.
    pub text: String,
}

/// So many bytes are read at a time, and what is missing of the last line.
const PIECE: u64 = 64 << 10;

/// The beginning of a file by which it is told from others, in bytes.
const OPENING: u64 = 512;

/// How far somebody has read; survives the change to a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventPosition {
    /// Which file, by the sum of the system's number for it, which the next file may be given as well, and of its
    /// beginning; 0 before anything was read.
    file: u64,
    /// How many bytes of it.
    offset: u64,
}

impl EventPosition {
    /// The position as a number that others can keep for us; 0 is the default.
    pub fn to_bits(self) -> u128 {
        (u128::from(self.file) << 64) | u128::from(self.offset)
    }

    /// The position that [`Self::to_bits`] gave. One that is of no file that is kept counts as the default.
    pub fn from_bits(bits: u128) -> Self {
        Self { file: (bits >> 64) as u64, offset: bits as u64 }
    }
}

/// Some of what happened, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The lines; possibly none, also before the last page.
    pub lines: Vec<EventLine>,
    /// How far it has been read now.
    pub position: EventPosition,
    /// Whether there was no more at that time.
    pub is_last: bool,
    /// Whether what stood right behind the position is not kept any more, so that lines are missing before these.
    pub has_gap: bool,
}

/// The lines of both files that are not older than `since`, in their order. No file is no line.
pub fn read_events(dir: &StateDir, since: Option<jiff::Timestamp>) -> io::Result<Vec<EventLine>> {
    let (mut lines, _) = read_events_from(dir, EventPosition::default())?;
    if let Some(since) = since {
        lines.retain(|line| line.at.parse::<jiff::Timestamp>().is_ok_and(|at| at >= since));
    }
    Ok(lines)
}

/// All lines that follow `position` (the default: all), and the position behind them.
pub fn read_events_from(dir: &StateDir, position: EventPosition) -> io::Result<(Vec<EventLine>, EventPosition)> {
    let (mut lines, mut position) = (Vec::new(), position);
    loop {
        let page = read_event_page(dir, position)?;
        lines.extend(page.lines);
        position = page.position;
        if page.is_last {
            return Ok((lines, position));
        }
    }
}

/// Some of the lines that follow `position` (the default: the first ones). To follow the events, call this again until it
/// was the last page, and then whenever the file may have grown. A line that is not finished comes the next time; one
/// that can't be understood is passed over.
pub fn read_event_page(dir: &StateDir, position: EventPosition) -> io::Result<EventPage> {
    let current = open(&dir.events())?;
    let older = open(&older(&dir.events()))?;
    let is_within = |file: &Option<Opened>| file.as_ref().is_some_and(|file| file.has(position));
    let has_gap = position != EventPosition::default() && !is_within(&current) && !is_within(&older);
    let position = if has_gap { EventPosition::default() } else { position };
    let mut page = EventPage { position, is_last: true, has_gap, ..EventPage::default() };
    // Behind the change to a new file, or at the very beginning, the older file comes first.
    let is_in_older = position == EventPosition::default() || is_within(&older) && !is_within(&current);
    if let Some(older) = older.filter(|_| is_in_older) {
        let is_at_end = older.read(&mut page)?;
        page.is_last = is_at_end && current.is_none();
        if !is_at_end || !page.lines.is_empty() {
            // What the next file holds is read from its beginning.
            let goes_on = is_at_end.then_some(current.as_ref()).flatten();
            page.position = goes_on.map_or(page.position, |current| EventPosition { file: current.sum, offset: 0 });
            return Ok(page);
        }
    }
    if let Some(current) = current {
        page.is_last = current.read(&mut page)?;
    }
    Ok(page)
}

/// Adds lines; begins a new file where the old one is full.
pub(super) fn append(dir: &StateDir, lines: impl IntoIterator<Item = EventLine>) -> io::Result<()> {
    append_bounded(&dir.events(), lines, MOST_BYTES)
}

fn append_bounded(path: &Path, lines: impl IntoIterator<Item = EventLine>, most: u64) -> io::Result<()> {
    let open = || private().read(true).append(true).create(true).open(path);
    let mut file = open()?;
    let mut size = file.metadata()?.len();
    let mut text = Vec::new();
    if !ends_whole(&mut file, size)? {
        // A full disk has cut the last line short: it must not take the next one along.
        text.push(b'\n');
    }
    for line in lines {
        if size + text.len() as u64 >= most {
            file.write_all(&text)?;
            fs::rename(path, older(path))?;
            (file, size) = (open()?, 0);
            text.clear();
        }
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    file.write_all(&text)
}

fn ends_whole(file: &mut File, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn older(path: &Path) -> PathBuf {
    beside(path, ".1")
}

/// A file that has a line at least.
struct Opened {
    file: File,
    length: u64,
    sum: u64,
}

/// The file, and what it is known again by. One without a whole line has nothing to be read.
fn open(path: &Path) -> io::Result<Option<Opened>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut opening = Vec::new();
    (&mut file).take(OPENING).read_to_end(&mut opening)?;
    let first = opening.iter().position(|byte| *byte == b'\n');
    if first.is_none() && (opening.len() as u64) < OPENING {
        return Ok(None);
    }
    opening.truncate(first.unwrap_or(opening.len()));
    let metadata = file.metadata()?;
    let mut sum = Fnv1a::default();
    sum.write(&platform::file_number(&metadata)?.to_le_bytes());
    sum.write(&opening);
    Ok(Some(Opened { file, length: metadata.len(), sum: sum.sum().max(1) }))
}

impl Opened {
    /// A file that is shorter than what was read of it is another one with the same beginning.
    fn has(&self, position: EventPosition) -> bool {
        self.sum == position.file && position.offset <= self.length
    }

    /// Adds the whole lines of the next piece to `page`; true if there was no more.
    fn read(mut self, page: &mut EventPage) -> io::Result<bool> {
        let offset = if self.has(page.position) { page.position.offset } else { 0 };
        self.file.seek(SeekFrom::Start(offset))?;
        let mut text = Vec::new();
        let mut whole = 0;
        let mut is_at_end = false;
        while whole == 0 && !is_at_end {
            let read = (&mut self.file).take(PIECE).read_to_end(&mut text)?;
            is_at_end = (read as u64) < PIECE;
            whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        }
        let parsed = text[..whole].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        page.lines.extend(parsed);
        page.position = EventPosition { file: self.sum, offset: offset + whole as u64 };
        Ok(is_at_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> EventLine {
        EventLine {
            at: format!("2026-01-01T00:00:{number:02}.000Z"),
            generation: number,
            kind: "starting".to_owned(),
            service: Some("web".to_owned()),
            run: None,
            text: format!("line {number}"),
        }
    }

    fn numbers(lines: &[EventLine]) -> Vec<u64> {
        lines.iter().map(|line| line.generation).collect()
    }

    fn place() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        (folder, dir)
    }

    #[test]
    fn lines_read_back_as_they_were_added() {
        let (_folder, dir) = place();
        assert_eq!(read_events(&dir, None).unwrap(), []);
        append(&dir, [line(1)]).unwrap();
        append(&dir, [line(2)]).unwrap();
        assert_eq!(read_events(&dir, None).unwrap(), [line(1), line(2)]);
        let since = "2026-01-01T00:00:02Z".parse().unwrap();
        assert_eq!(read_events(&dir, Some(since)).unwrap(), [line(2)]);
        let text = fs::read_to_string(dir.events()).unwrap();
        assert!(text.starts_with(
            r#"{"at":"2026-01-01T00:00:01.000Z","generation":1,"kind":"starting","service":"web","run":null,"text":"#
        ));
    }

    #[test]
    fn a_full_file_makes_way_for_a_new_one() {
        for at_once in [1, 2, 25, 50] {
            let (folder, dir) = place();
            for first in (0..50).step_by(at_once) {
                append_bounded(&dir.events(), (first..first + at_once as u64).map(line), 1000).unwrap();
            }
            let lines = read_events(&dir, None).unwrap();
            assert_eq!(lines.last(), Some(&line(49)), "{at_once}");
            assert!(lines.len() >= 7 && numbers(&lines).windows(2).all(|pair| pair[1] == pair[0] + 1), "{at_once}");
            let sizes = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
            assert!(sizes.sum::<u64>() < 2 * (1000 + 200), "{at_once}");
        }
    }

    #[test]
    fn a_follower_gets_each_line_once_also_over_the_change_to_a_new_file() {
        let (_folder, dir) = place();
        let mut position = EventPosition::default();
        let mut followed = Vec::new();
        for number in 0..100 {
            append_bounded(&dir.events(), [line(number)], 1000).unwrap();
            // Not after every line: several lines and the change may lie between two looks.
            if number % 3 == 0 {
                let (lines, next) = read_events_from(&dir, position).unwrap();
                followed.extend(numbers(&lines));
                position = next;
            }
        }
        assert_eq!(followed, (0..100).collect::<Vec<u64>>());
        assert_eq!(read_events_from(&dir, position).unwrap(), (vec![], position));
    }

    #[test]
    fn an_unfinished_line_waits_and_a_broken_one_costs_only_itself() {
        let (_folder, dir) = place();
        append(&dir, [line(1)]).unwrap();
        let mut file = private().append(true).open(dir.events()).unwrap();
        file.write_all(b"{\"at\": \"2026").unwrap();
        let (lines, position) = read_events_from(&dir, EventPosition::default()).unwrap();
        assert_eq!(lines, [line(1)]);
        append(&dir, [line(2)]).unwrap();
        assert_eq!(read_events_from(&dir, position).unwrap().0, [line(2)]);
    }

    #[test]
    fn a_file_that_was_taken_away_begins_anew() {
        let (_folder, dir) = place();
        append(&dir, [line(1)]).unwrap();
        let (_, position) = read_events_from(&dir, EventPosition::default()).unwrap();
        let kept = File::open(dir.events()).unwrap();
        fs::remove_file(dir.events()).unwrap();
        append(&dir, [line(2)]).unwrap();
        assert_eq!(read_events_from(&dir, position).unwrap().0, [line(2)]);
        drop(kept);
        // The same file, emptied: also what a new file with the old one's number looks like.
        File::create(dir.events()).unwrap();
        assert_eq!(read_events_from(&dir, position).unwrap().0, []);
        append(&dir, [EventLine { text: String::new(), ..line(3) }]).unwrap();
        assert_eq!(numbers(&read_events_from(&dir, position).unwrap().0), [3]);
    }

    #[test]
    fn a_reader_that_comes_too_late_is_told_and_goes_on_with_what_is_left() {
        let (_folder, dir) = place();
        let add = |numbers: std::ops::Range<u64>| {
            numbers.for_each(|number| append_bounded(&dir.events(), [line(number)], 1000).unwrap());
        };
        add(0..3);
        let read = read_event_page(&dir, EventPosition::default()).unwrap();
        assert_eq!((numbers(&read.lines), read.is_last, read.has_gap), (vec![0, 1, 2], true, false));
        add(3..10);
        let page = read_event_page(&dir, read.position).unwrap();
        assert_eq!((page.lines[0].generation, page.has_gap), (3, false));
        add(10..60);
        let page = read_event_page(&dir, read.position).unwrap();
        assert!(page.has_gap && page.lines[0].generation > 3, "{page:?}");
        // From then on it is one like all others.
        let (rest, end) = read_events_from(&dir, page.position).unwrap();
        assert_eq!(rest.last(), Some(&line(59)));
        add(60..61);
        let page = read_event_page(&dir, end).unwrap();
        assert_eq!((numbers(&page.lines), page.has_gap), (vec![60], false));
    }

    #[test]
    fn a_file_that_was_given_the_number_of_an_earlier_one_is_not_taken_for_it() {
        let (_folder, dir) = place();
        append(&dir, [line(1)]).unwrap();
        let (_, position) = read_events_from(&dir, EventPosition::default()).unwrap();
        // The same file for the system, with another beginning, and longer than what was read.
        File::create(dir.events()).unwrap();
        (2..5).for_each(|number| append(&dir, [line(number)]).unwrap());
        let page = read_event_page(&dir, position).unwrap();
        assert_eq!((numbers(&page.lines), page.has_gap), (vec![2, 3, 4], true));
    }

    #[test]
    fn much_is_read_in_pieces_and_a_long_line_in_one() {
        let (_folder, dir) = place();
        let long = EventLine { text: "x".repeat(3 * PIECE as usize), ..line(500) };
        for number in 0..1000 {
            append(&dir, [if number == 500 { long.clone() } else { line(number) }]).unwrap();
        }
        let (mut position, mut followed, mut pages) = (EventPosition::default(), Vec::new(), 0);
        loop {
            let page = read_event_page(&dir, position).unwrap();
            let text = page.lines.iter().map(|line| line.text.len()).sum::<usize>();
            assert!(text < 2 * PIECE as usize || page.lines.contains(&long));
            followed.extend(numbers(&page.lines));
            (position, pages) = (page.position, pages + 1);
            if page.is_last {
                break;
            }
        }
        assert_eq!(followed, (0..1000).collect::<Vec<u64>>());
        assert!(pages > 1, "{pages}");
    }

    #[test]
    fn between_two_files_nothing_is_read_twice() {
        let (_folder, dir) = place();
        append(&dir, [line(1)]).unwrap();
        fs::rename(dir.events(), older(&dir.events())).unwrap();
        let (lines, position) = read_events_from(&dir, EventPosition::default()).unwrap();
        assert_eq!(numbers(&lines), [1]);
        assert_eq!(read_events_from(&dir, position).unwrap(), (vec![], position));
        append(&dir, [line(2)]).unwrap();
        assert_eq!(numbers(&read_events_from(&dir, position).unwrap().0), [2]);
    }
}
