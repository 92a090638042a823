//! `events.jsonl`: what happened, one line of JSON each; bounded by one older file, `events.jsonl.1`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{beside, private};
use super::platform;
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

/// How far somebody has read; survives the change to a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventPosition {
    /// Which file, as the system numbers it; 0 before anything was read.
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

/// The lines of both files that are not older than `since`, in their order. No file is no line.
pub fn read_events(dir: &StateDir, since: Option<jiff::Timestamp>) -> io::Result<Vec<EventLine>> {
    let (mut lines, _) = read_events_from(dir, EventPosition::default())?;
    if let Some(since) = since {
        lines.retain(|line| line.at.parse::<jiff::Timestamp>().is_ok_and(|at| at >= since));
    }
    Ok(lines)
}

/// The lines that follow `position` (the default: all), and the position behind them. To follow the events, call this
/// again whenever the file may have grown. A line that is not finished comes the next time; one that can't be
/// understood is passed over.
pub fn read_events_from(dir: &StateDir, position: EventPosition) -> io::Result<(Vec<EventLine>, EventPosition)> {
    let mut lines = Vec::new();
    let mut position = position;
    let current = open(&dir.events())?;
    if current.as_ref().is_none_or(|(_, number)| *number != position.file) {
        // Behind the change to a new file, or at the very beginning: the older file comes first.
        if let Some(older) = open(&older(&dir.events()))? {
            position = read_lines(older, position, &mut lines)?;
        }
    }
    if let Some(current) = current {
        position = read_lines(current, position, &mut lines)?;
    }
    Ok((lines, position))
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

/// The file and the number by which it is known again.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let number = platform::file_number(&file.metadata()?)?;
            Ok(Some((file, number)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads whole lines, from `position` if that is in this file, and tells where the last one ends.
fn read_lines(
    (mut file, number): (File, u64),
    position: EventPosition,
    lines: &mut Vec<EventLine>,
) -> io::Result<EventPosition> {
    // A file that is shorter than what was read of it is another one that was given the same number.
    let is_same = position.file == number && position.offset <= file.metadata()?.len();
    let offset = if is_same { position.offset } else { 0 };
    file.seek(SeekFrom::Start(offset))?;
    let mut text = Vec::new();
    file.take(MOST_BYTES * 2).read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let parsed = text[..whole].split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.extend(parsed);
    Ok(EventPosition { file: number, offset: offset + whole as u64 })
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
