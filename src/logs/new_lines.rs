//! What a run writes, from a place in its log on, as it grows.

use std::io;
use std::time::Duration;

use super::files::LogFiles;
use super::tail::{Tail, Written};
use crate::domain::ServiceId;
use crate::engine::StateDir;

/// How long a line may lack its end before it is given without.
const PATIENCE: Duration = Duration::from_millis(200);

/// The lines of one log from a place on, whatever is done to its files meanwhile.
#[derive(Debug)]
pub struct NewLines {
    tail: Tail,
    is_whole: bool,
}

impl NewLines {
    /// The lines of the log of `id` from `offset` on, which counts the bytes that were ever written.
    ///
    /// # Errors
    /// When the log is there and can't be read.
    pub fn since(dir: &StateDir, id: &ServiceId, offset: u64) -> io::Result<Self> {
        let Some(files) = LogFiles::open(dir, id)? else {
            return Ok(Self { tail: Tail::of_missing(dir, id, false), is_whole: offset == 0 });
        };
        let (first, end) = (files.first()?, files.place()?.end);
        let is_whole = (first..=end).contains(&offset);
        let offset = if is_whole { offset } else { first };
        Ok(Self { tail: Tail::of(dir, id, files, offset, false)?, is_whole })
    }

    /// Whether all that was written from the place on was still there at first.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The lines that are new since it was last asked, each at most [`MAX_LINE`](super::MAX_LINE) bytes; none if there
    /// are none. Of very many, it gives some, and the rest when it is asked again.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn next_lines(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut written = Vec::<Written>::new();
        while self.tail.catch_up(&mut written, PATIENCE)? && written.is_empty() {}
        Ok(written.into_iter().map(|line| line.bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn place() -> (tempfile::TempDir, StateDir, ServiceId) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let id = ServiceId::new("web").unwrap();
        fs::create_dir_all(dir.service(&id)).unwrap();
        (folder, dir, id)
    }

    fn all(lines: &mut NewLines) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let new = lines.next_lines().unwrap();
            if new.is_empty() {
                return all;
            }
            all.extend(new.into_iter().map(|line| String::from_utf8(line).unwrap()));
        }
    }

    #[test]
    fn lines_are_given_once_from_the_place_on() {
        let (_folder, dir, id) = place();
        fs::write(dir.log(&id), "earlier\nready\n").unwrap();
        let mut lines = NewLines::since(&dir, &id, 8).unwrap();
        assert!(lines.is_whole());
        assert_eq!(all(&mut lines), ["ready"]);
        assert_eq!(all(&mut lines), [] as [&str; 0]);
        let mut log = fs::OpenOptions::new().append(true).open(dir.log(&id)).unwrap();
        log.write_all(b"more\n").unwrap();
        assert_eq!(all(&mut lines), ["more"]);
    }

    #[test]
    fn a_log_that_lost_the_place_is_given_from_what_is_left_and_is_not_whole() {
        let (_folder, dir, id) = place();
        fs::write(dir.log(&id), "left\n").unwrap();
        let mut lines = NewLines::since(&dir, &id, 1000).unwrap();
        assert!(!lines.is_whole());
        assert_eq!(all(&mut lines), ["left"]);
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_awaited() {
        let (_folder, dir, id) = place();
        let mut lines = NewLines::since(&dir, &id, 0).unwrap();
        assert!(lines.is_whole());
        assert_eq!(all(&mut lines), [] as [&str; 0]);
        fs::write(dir.log(&id), "first\n").unwrap();
        assert_eq!(all(&mut lines), ["first"]);
    }
}
