//! Lines of a log in bounded memory, forwards and backwards.

use std::io;

use super::files::{Chunk, LogFiles};
use crate::domain::{ServiceId, text};
use crate::engine::StateDir;

/// The most bytes of a line that are held at a time.
pub const MAX_LINE: usize = 64 * 1024;

/// Bytes that are read at a time.
const BLOCK: usize = 64 * 1024;

/// The last `n` lines that `service` has written, cleaned for showing and cut to 400 characters; none if there is no log.
///
/// # Errors
/// When the log is there and can't be read.
pub fn last_lines(dir: &StateDir, service: &ServiceId, n: usize) -> io::Result<Vec<String>> {
    let Some(mut files) = LogFiles::open(dir, service)? else { return Ok(Vec::new()) };
    let (first, end) = (files.first()?, files.place()?.end);
    let start = start_of_last(&mut files, first, end, n, None)?;
    let mut lines = Lines::new(files, start, end, false);
    let mut last = Vec::new();
    while let Some(line) = lines.next_line()? {
        last.push(text::plain_line(&String::from_utf8_lossy(&line.bytes), 400));
    }
    Ok(last)
}

/// How a line, or a part of it, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With its line feed.
    LineFeed,
    /// Without one: it is not finished, or its end was lost.
    Missing,
    /// With more of the same line, which comes next.
    Continued,
}

/// One line, without its end; or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where the line begins.
    pub start: u64,
    /// Its bytes, at most [`MAX_LINE`].
    pub bytes: Vec<u8>,
    /// Whether some of the line was left out.
    pub cut: bool,
    /// How it ends.
    pub ending: Ending,
}

/// Reads the lines of a part of a log.
#[derive(Debug)]
pub(super) struct Lines {
    files: LogFiles,
    block: Vec<u8>,
    /// How much of the block has been used.
    used: usize,
    offset: u64,
    end: u64,
    /// Whether long lines come in parts; otherwise what does not fit is left out.
    in_parts: bool,
    /// Where the line begins of which a part has been given.
    open: Option<u64>,
}

impl Lines {
    /// The lines between two offsets, of which the first begins a line.
    pub fn new(files: LogFiles, start: u64, end: u64, in_parts: bool) -> Self {
        Self { files, block: Vec::new(), used: 0, offset: start, end, in_parts, open: None }
    }

    /// The files that are read.
    pub fn files(&self) -> &LogFiles {
        &self.files
    }

    /// The next line (or part); the last one may lack an end.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let start = self.open.take();
        let mut line =
            Line { start: start.unwrap_or(self.offset), bytes: Vec::new(), cut: false, ending: Ending::Missing };
        loop {
            let at = self.offset;
            if !self.fill()? {
                let is_there = start.is_some() || self.offset > line.start;
                return Ok(is_there.then_some(line));
            }
            if self.offset != at {
                // Older lines have been removed while they were being read.
                if start.is_some() || !line.bytes.is_empty() {
                    line.cut = true;
                    return Ok(Some(line));
                }
                line.start = self.offset;
            }
            let rest = &self.block[self.used..];
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let part = &rest[..newline.unwrap_or(rest.len())];
            let kept = part.len().min(MAX_LINE - line.bytes.len());
            line.bytes.extend_from_slice(&part[..kept]);
            if kept < part.len() && self.in_parts {
                self.consume(kept);
                self.open = Some(line.start);
                return Ok(Some(Line { ending: Ending::Continued, ..line }));
            }
            line.cut |= kept < part.len();
            let used = part.len() + usize::from(newline.is_some());
            self.consume(used);
            if newline.is_some() {
                return Ok(Some(Line { ending: Ending::LineFeed, ..line }));
            }
        }
    }

    /// Where the next line begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes over what is left of the line in which reading began.
    pub fn skip_line(&mut self) -> io::Result<()> {
        while self.fill()? {
            let rest = &self.block[self.used..];
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let used = newline.map_or(rest.len(), |at| at + 1);
            self.consume(used);
            if newline.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn consume(&mut self, used: usize) {
        self.used += used;
        self.offset += used as u64;
    }

    /// Reads more if there is none left; false at the end. What is not kept any longer is passed over.
    fn fill(&mut self) -> io::Result<bool> {
        if self.used < self.block.len() {
            return Ok(true);
        }
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.block.resize(BLOCK.min(left), 0);
        self.used = 0;
        let Chunk { at, len } = self.files.read_at(&mut self.block, self.offset)?;
        if len > 0 {
            self.offset = at;
        }
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        self.block.truncate(len.min(left));
        Ok(!self.block.is_empty())
    }
}

/// Whether a line begins at `offset`, where `floor` surely begins one.
pub(super) fn begins_line(files: &mut LogFiles, floor: u64, offset: u64) -> io::Result<bool> {
    if offset <= floor {
        return Ok(true);
    }
    let mut byte = [0];
    Ok(files.read_whole(&mut byte, offset - 1)? && byte[0] == b'\n')
}

/// Judges a line's bytes.
pub(super) type Judge<'j> = &'j dyn Fn(&[u8]) -> bool;

/// Where the last `n` lines between `floor` and `end` begin: `floor` if there are no more than `n`, `end` if `n` is 0.
/// With a judge, only the lines that it likes are counted.
pub(super) fn start_of_last(
    files: &mut LogFiles,
    floor: u64,
    end: u64,
    n: usize,
    likes: Option<Judge<'_>>,
) -> io::Result<u64> {
    if n == 0 || end <= floor {
        return Ok(end);
    }
    let mut block = Vec::new();
    let mut block_start = end;
    let mut line_end = end;
    let mut left = n;
    while block_start > floor {
        let size = (BLOCK as u64).min(block_start - floor);
        block_start -= size;
        block.resize(usize::try_from(size).unwrap_or(0), 0);
        if !files.read_whole(&mut block, block_start)? {
            // The oldest lines have just been removed.
            return Ok(files.first()?.clamp(floor, line_end));
        }
        for at in (0..block.len()).rev() {
            let newline = block_start + at as u64;
            // The end of the last line begins none.
            if block[at] != b'\n' || newline + 1 == end {
                continue;
            }
            let begin = newline + 1;
            if counts(files, begin, line_end, likes)? {
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

fn counts(files: &mut LogFiles, begin: u64, end: u64, likes: Option<Judge<'_>>) -> io::Result<bool> {
    let Some(likes) = likes else { return Ok(true) };
    let mut bytes = vec![0; usize::try_from(end - begin).unwrap_or(usize::MAX).min(MAX_LINE)];
    let is_kept = files.read_whole(&mut bytes, begin)?;
    Ok(is_kept && likes(bytes.strip_suffix(b"\n").unwrap_or(&bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;

    /// A log with this content.
    struct Bench {
        _folder: tempfile::TempDir,
        dir: StateDir,
        id: ServiceId,
    }

    impl Bench {
        fn new(content: &[u8]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let dir = StateDir::new(folder.path());
            let id = ServiceId::new("web").unwrap();
            fs::create_dir_all(dir.service(&id)).unwrap();
            fs::write(dir.log(&id), content).unwrap();
            Self { _folder: folder, dir, id }
        }

        fn files(&self) -> LogFiles {
            LogFiles::open(&self.dir, &self.id).unwrap().unwrap()
        }

        fn lines_from(&self, start: u64, in_parts: bool) -> Vec<Line> {
            let files = self.files();
            let end = files.place().unwrap().end;
            let mut lines = Lines::new(files, start, end, in_parts);
            std::iter::from_fn(|| lines.next_line().unwrap()).collect()
        }

        fn texts(&self, start: u64) -> Vec<String> {
            let text = |line: Line| String::from_utf8(line.bytes).unwrap();
            self.lines_from(start, false).into_iter().map(text).collect()
        }

        fn start_of_last(&self, n: usize, likes: Option<Judge<'_>>) -> u64 {
            let mut files = self.files();
            let (first, end) = (files.first().unwrap(), files.place().unwrap().end);
            start_of_last(&mut files, first, end, n, likes).unwrap()
        }
    }

    #[test]
    fn lines_are_told_with_their_beginnings() {
        let bench = Bench::new(b"one\n\nthree\nhalf");
        let starts: Vec<u64> = bench.lines_from(0, false).iter().map(|line| line.start).collect();
        assert_eq!(starts, [0, 4, 5, 11]);
        assert_eq!(bench.texts(0), ["one", "", "three", "half"]);
        assert_eq!(bench.texts(4), ["", "three", "half"]);
        let endings: Vec<Ending> = bench.lines_from(5, true).iter().map(|line| line.ending).collect();
        assert_eq!(endings, [Ending::LineFeed, Ending::Missing]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut content = vec![b'x'; 3 * MAX_LINE];
        content.extend_from_slice(b"\nnext\n");
        let lines = Bench::new(&content).lines_from(0, false);
        assert_eq!((lines[0].bytes.len(), lines[0].cut), (MAX_LINE, true));
        assert_eq!((&lines[1].bytes[..], lines[1].cut), (&b"next"[..], false));
        let exact = [vec![b'x'; MAX_LINE], b"\n".to_vec()].concat();
        assert!(!Bench::new(&exact).lines_from(0, false)[0].cut);
    }

    #[test]
    fn in_parts_nothing_of_a_long_line_is_left_out() {
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE, 3 * MAX_LINE + 5] {
            let content = [vec![b'x'; length], b"\nnext".to_vec()].concat();
            let lines = Bench::new(&content).lines_from(0, true);
            let (next, parts) = lines.split_last().unwrap();
            let (last, before) = parts.split_last().unwrap();
            assert_eq!(parts.iter().map(|part| part.bytes.len()).sum::<usize>(), length);
            assert!(parts.iter().all(|part| part.start == 0 && !part.cut && part.bytes.len() <= MAX_LINE));
            assert!(before.iter().all(|part| part.ending == Ending::Continued) && last.ending == Ending::LineFeed);
            assert_eq!((&next.bytes[..], next.start), (&b"next"[..], length as u64 + 1));
        }
    }

    #[test]
    fn a_hole_at_the_beginning_is_hidden() {
        let bench = Bench::new(b"");
        let file = fs::File::options().write(true).open(bench.dir.log(&bench.id)).unwrap();
        file.set_len(1 << 33).unwrap();
        file.write_all_at(b"first\nsecond\n", 1 << 33).unwrap();
        assert_eq!(bench.files().first().unwrap(), 1 << 33);
        assert_eq!(bench.texts(1 << 33), ["first", "second"]);
        assert_eq!(bench.start_of_last(5, None), 1 << 33);
        assert_eq!(last_lines(&bench.dir, &bench.id, 5).unwrap(), ["first", "second"]);
    }

    #[test]
    fn a_file_that_is_only_a_hole_has_no_lines() {
        let bench = Bench::new(b"");
        fs::File::options().write(true).open(bench.dir.log(&bench.id)).unwrap().set_len(1 << 20).unwrap();
        assert_eq!(last_lines(&bench.dir, &bench.id, 5).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn only_liked_lines_are_counted() {
        let content: String =
            (0..20_000).map(|i| format!("line {i} {}\n", if i % 1000 == 0 { "hit" } else { "" })).collect();
        let bench = Bench::new(content.as_bytes());
        let hit = |line: &[u8]| line.ends_with(b"hit");
        assert_eq!(bench.texts(bench.start_of_last(3, Some(&hit)))[0], "line 17000 hit");
        assert_eq!(bench.start_of_last(99, Some(&hit)), 0);
    }

    #[test]
    fn last_lines_are_cleaned() {
        let bench = Bench::new(b"a\n  \x1b[31mred\x1b[0m\r\n\xff\x9b2Jend");
        assert_eq!(last_lines(&bench.dir, &bench.id, 2).unwrap(), ["  red", "\u{fffd}\u{fffd}2Jend"]);
        let nobody = ServiceId::new("nobody").unwrap();
        assert_eq!(last_lines(&bench.dir, &nobody, 3).unwrap(), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn going_backwards_finds_the_same_lines_as_going_forwards(
            lengths in proptest::collection::vec(prop_oneof![0_usize..5, 60_000_usize..70_000], 0..12),
            ended in any::<bool>(),
            n in 0_usize..14,
            seams in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let line = |length: &usize| [vec![b'x'; *length], vec![b'\n']].concat();
            let mut content: Vec<u8> = lengths.iter().flat_map(line).collect();
            if !ended {
                content.extend_from_slice(b"half");
            }
            let bench = Bench::new(b"");
            // The same bytes, in one file or in several.
            let mut seams: Vec<usize> = seams.iter().map(|seam| seam.index(content.len() + 1)).collect();
            seams.sort_unstable();
            let mut rest = &content[..];
            for (number, seam) in seams.iter().enumerate().rev() {
                let (before, file) = rest.split_at(*seam);
                let number = u32::try_from(seams.len() - 1 - number).unwrap();
                let path = if number == 0 { bench.dir.log(&bench.id) } else { bench.dir.log_piece(&bench.id, number) };
                fs::write(path, file).unwrap();
                rest = before;
            }
            let oldest = u32::try_from(seams.len()).unwrap();
            let path = if oldest == 0 { bench.dir.log(&bench.id) } else { bench.dir.log_piece(&bench.id, oldest) };
            fs::write(path, rest).unwrap();

            let lines = bench.lines_from(0, false);
            prop_assert_eq!(lines.len(), lengths.len() + usize::from(!ended));
            let starts: Vec<u64> = lines.iter().map(|line| line.start).collect();
            let end = content.len() as u64;
            let expected = if n == 0 { end } else { starts.get(starts.len().saturating_sub(n)).copied().unwrap_or(end) };
            prop_assert_eq!(bench.start_of_last(n, None), expected);
        }
    }
}
