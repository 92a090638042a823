//! Lines of a log file in bounded memory, forwards and backwards.

use std::fs::File;
use std::io::{self, BufRead, ErrorKind};
use std::path::Path;

use super::platform::FileExt;
pub(super) use super::platform::data_start;
use crate::domain::text;

/// The most bytes of a line that are kept; the rest of it is passed over.
pub const MAX_LINE: usize = 64 * 1024;

/// Bytes that are read at a time when going backwards.
const BLOCK: u64 = 64 * 1024;

/// The last `n` lines of the log at `path`, cleaned for showing and cut to 400 characters; none if there is no log.
///
/// # Errors
/// When the log is there and can't be read.
pub fn last_lines(path: &Path, n: usize) -> io::Result<Vec<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let end = file.metadata()?.len();
    let start = start_of_last(&file, data_start(&file, end)?, end, n, None)?;
    let mut lines = Lines::new(&file, start, end);
    let mut last = Vec::new();
    while let Some(line) = lines.next_line()? {
        last.push(text::plain_line(&String::from_utf8_lossy(&line.bytes), 400));
    }
    Ok(last)
}

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins in the file.
    pub start: u64,
    /// Its bytes, at most [`MAX_LINE`].
    pub bytes: Vec<u8>,
    /// Whether it was longer.
    pub cut: bool,
}

/// Reads the lines of a part of a file. Zeros at the beginning of a line are passed over: they are a hole.
#[derive(Debug)]
pub(super) struct Lines<F> {
    buffer: io::BufReader<Part<F>>,
    offset: u64,
}

impl<F: std::borrow::Borrow<File>> Lines<F> {
    /// The lines of `file` between two offsets, of which the first begins a line.
    pub fn new(file: F, start: u64, end: u64) -> Self {
        Self { buffer: io::BufReader::with_capacity(16 * 1024, Part { file, at: start, end }), offset: start }
    }

    /// The next line; the last one may lack an end.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.skip_zeros()?;
        let start = self.offset;
        let mut bytes = Vec::new();
        let mut cut = false;
        loop {
            let buffered = self.buffer.fill_buf()?;
            if buffered.is_empty() {
                return Ok((self.offset > start).then_some(Line { start, bytes, cut }));
            }
            let newline = buffered.iter().position(|byte| *byte == b'\n');
            let part = &buffered[..newline.unwrap_or(buffered.len())];
            let kept = part.len().min(MAX_LINE - bytes.len());
            bytes.extend_from_slice(&part[..kept]);
            cut |= kept < part.len();
            let used = part.len() + usize::from(newline.is_some());
            self.buffer.consume(used);
            self.offset += used as u64;
            if newline.is_some() {
                return Ok(Some(Line { start, bytes, cut }));
            }
        }
    }

    /// Where the next line begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes over what is left of the line in which reading began.
    pub fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffered = self.buffer.fill_buf()?;
            let newline = buffered.iter().position(|byte| *byte == b'\n');
            let used = newline.map_or(buffered.len(), |at| at + 1);
            self.buffer.consume(used);
            self.offset += used as u64;
            if newline.is_some() || used == 0 {
                return Ok(());
            }
        }
    }

    fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let buffered = self.buffer.fill_buf()?;
            let zeros = buffered.iter().take_while(|byte| **byte == 0).count();
            let all = zeros == buffered.len();
            self.buffer.consume(zeros);
            self.offset += zeros as u64;
            if !all || zeros == 0 {
                return Ok(());
            }
        }
    }
}

/// A part of a file, read without moving the file's own position.
#[derive(Debug)]
struct Part<F> {
    file: F,
    at: u64,
    end: u64,
}

impl<F: std::borrow::Borrow<File>> io::Read for Part<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.file.borrow().read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Whether a line begins at `offset`, where `floor` surely begins one.
pub(super) fn begins_line(file: &File, floor: u64, offset: u64) -> io::Result<bool> {
    if offset <= floor {
        return Ok(true);
    }
    let mut byte = [0];
    Ok(file.read_at(&mut byte, offset - 1)? == 1 && byte[0] == b'\n')
}

/// Judges a line's bytes.
pub(super) type Judge<'j> = &'j dyn Fn(&[u8]) -> bool;

/// Where the last `n` lines between `floor` and `end` begin: `floor` if there are no more than `n`, `end` if `n` is 0.
/// With a judge, only the lines that it likes are counted.
pub(super) fn start_of_last(file: &File, floor: u64, end: u64, n: usize, likes: Option<Judge<'_>>) -> io::Result<u64> {
    if n == 0 || end <= floor {
        return Ok(end);
    }
    let mut block = Vec::new();
    let mut block_start = end;
    let mut line_end = end;
    let mut left = n;
    while block_start > floor {
        let size = BLOCK.min(block_start - floor);
        block_start -= size;
        block.resize(usize::try_from(size).unwrap_or(0), 0);
        file.read_exact_at(&mut block, block_start)?;
        for at in (0..block.len()).rev() {
            let newline = block_start + at as u64;
            // The end of the last line begins none.
            if block[at] != b'\n' || newline + 1 == end {
                continue;
            }
            let begin = newline + 1;
            if counts(file, begin, line_end, likes)? {
                left -= 1;
                if left == 0 {
                    return Ok(begin);
                }
            }
            line_end = begin;
        }
    }
    Ok(floor)
}

fn counts(file: &File, begin: u64, end: u64, likes: Option<Judge<'_>>) -> io::Result<bool> {
    let Some(likes) = likes else { return Ok(true) };
    let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX).min(MAX_LINE)];
    file.read_exact_at(&mut bytes, begin)?;
    Ok(likes(bytes.strip_suffix(b"\n").unwrap_or(&bytes)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn lines(file: &File, start: u64) -> Vec<Line> {
        let mut lines = Lines::new(file, start, file.metadata().unwrap().len());
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    fn texts(file: &File, start: u64) -> Vec<String> {
        lines(file, start).into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect()
    }

    #[test]
    fn lines_are_told_with_their_beginnings() {
        let file = file(b"one\n\nthree\nhalf");
        let starts: Vec<u64> = lines(&file, 0).iter().map(|line| line.start).collect();
        assert_eq!(starts, [0, 4, 5, 11]);
        assert_eq!(texts(&file, 0), ["one", "", "three", "half"]);
        assert_eq!(texts(&file, 4), ["", "three", "half"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut content = vec![b'x'; 3 * MAX_LINE];
        content.extend_from_slice(b"\nnext\n");
        let lines = lines(&file(&content), 0);
        assert_eq!((lines[0].bytes.len(), lines[0].cut), (MAX_LINE, true));
        assert_eq!((&lines[1].bytes[..], lines[1].cut), (&b"next"[..], false));
        let exact = [vec![b'x'; MAX_LINE], b"\n".to_vec()].concat();
        assert!(!super::tests::lines(&file(&exact), 0)[0].cut);
    }

    #[test]
    fn a_hole_at_the_beginning_is_hidden() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 33).unwrap();
        file.write_all_at(b"\0\0first\nsecond\n", (1 << 33) - 2).unwrap();
        let end = file.metadata().unwrap().len();
        let start = data_start(&file, end).unwrap();
        assert_eq!(texts(&file, start), ["first", "second"]);
        assert_eq!(texts(&file, start_of_last(&file, start, end, 5, None).unwrap()), ["first", "second"]);
    }

    #[test]
    fn a_file_that_is_only_a_hole_has_no_lines() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(data_start(&file, 1 << 20).unwrap(), 1 << 20);
        assert!(lines(&file, 0).is_empty());
    }

    #[test]
    fn only_liked_lines_are_counted() {
        let content: String =
            (0..20_000).map(|i| format!("line {i} {}\n", if i % 1000 == 0 { "hit" } else { "" })).collect();
        let file = file(content.as_bytes());
        let end = content.len() as u64;
        let hit = |line: &[u8]| line.ends_with(b"hit");
        let start = start_of_last(&file, 0, end, 3, Some(&hit)).unwrap();
        assert_eq!(texts(&file, start)[0], "line 17000 hit");
        assert_eq!(start_of_last(&file, 0, end, 99, Some(&hit)).unwrap(), 0);
    }

    #[test]
    fn last_lines_are_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("output.log");
        assert_eq!(last_lines(&log, 3).unwrap(), Vec::<String>::new());
        std::fs::write(&log, b"a\n  \x1b[31mred\x1b[0m\r\n\xff\x9b2Jend").unwrap();
        assert_eq!(last_lines(&log, 2).unwrap(), ["  red", "\u{fffd}\u{fffd}2Jend"]);
    }

    proptest! {
        #[test]
        fn going_backwards_finds_the_same_lines_as_going_forwards(
            lengths in proptest::collection::vec(prop_oneof![0_usize..5, 60_000_usize..70_000], 0..12),
            ended in any::<bool>(),
            n in 0_usize..14,
        ) {
            let mut content: Vec<u8> = lengths.iter().flat_map(|length| [vec![b'x'; *length], vec![b'\n']]).flatten().collect();
            if !ended {
                content.extend_from_slice(b"half");
            }
            let file = file(&content);
            let starts: Vec<u64> = lines(&file, 0).iter().map(|line| line.start).collect();
            let end = content.len() as u64;
            let expected = if n == 0 { end } else { starts.get(starts.len().saturating_sub(n)).copied().unwrap_or(end) };
            prop_assert_eq!(start_of_last(&file, 0, end, n, None).unwrap(), expected);
        }
    }
}
