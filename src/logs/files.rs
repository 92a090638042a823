//! All that is kept of what one service has written, as one row of bytes: `output.log` and the older files before it.
//!
//! A byte is addressed by how many were written before it, ever; so a rotation moves none, and a reader goes on while
//! the files change below it.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use super::system::{identity, read_at};
use crate::domain::ServiceId;
use crate::engine::{LogPlace, StateDir};

/// The files of one service's log. At most two of them are open.
#[derive(Clone, Debug)]
pub(super) struct LogFiles {
    dir: StateDir,
    service: ServiceId,
    live: Option<Live>,
    piece: Option<Piece>,
}

/// `output.log`.
#[derive(Clone, Debug)]
struct Live {
    file: Arc<File>,
    identity: Identity,
    /// The count of its first byte when it was last the file at its path.
    base: u64,
}

/// An older file.
#[derive(Clone, Debug)]
struct Piece {
    file: Arc<File>,
    start: u64,
    end: u64,
}

/// Where an older file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    number: u32,
    identity: Identity,
    start: u64,
    end: u64,
}

/// Tells a file from a later one at the same path.
type Identity = (u64, u64);

/// Bytes that have been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where they are: later than asked for if what was there is kept no longer.
    pub at: u64,
    /// How many; 0 at the end.
    pub len: usize,
}

impl LogFiles {
    /// The log of `service`; `None` if there is none.
    pub fn open(dir: &StateDir, service: &ServiceId) -> io::Result<Option<Self>> {
        let mut files = Self { dir: dir.clone(), service: service.clone(), live: None, piece: None };
        files.live = files.open_live()?;
        Ok((files.live.is_some() || dir.log_piece(service, 1).exists()).then_some(files))
    }

    fn open_live(&self) -> io::Result<Option<Live>> {
        let file = match File::open(self.dir.log(&self.service)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let place = LogPlace::of(&self.dir, &self.service, Some(&file))?;
        let identity = identity(&file.metadata()?);
        Ok(Some(Live { file: Arc::new(file), identity, base: place.base }))
    }

    /// The newest file, which tells when something was last written.
    pub fn newest(&self) -> io::Result<Metadata> {
        match &self.live {
            Some(live) => live.file.metadata(),
            None => fs::metadata(self.dir.log_piece(&self.service, 1)),
        }
    }

    /// Where the file is that is written to.
    pub fn place(&self) -> io::Result<LogPlace> {
        if let Some(live) = self.live.as_ref().filter(|_| !self.is_current()) {
            let end = live.base + live.file.metadata()?.len();
            return Ok(LogPlace { base: live.base, front: live.base, end });
        }
        LogPlace::of(&self.dir, &self.service, self.live.as_ref().map(|live| &*live.file))
    }

    /// The count of the oldest byte that is kept.
    pub fn first(&self) -> io::Result<u64> {
        let place = self.place()?;
        Ok(self.slots()?.last().map_or(place.front, |oldest| oldest.start))
    }

    /// Reads what is kept from `at` on, up to what `buffer` holds; less at the seams between files.
    pub fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<Chunk> {
        let mut at = at;
        loop {
            if let Some(piece) = self.piece.as_ref().filter(|piece| (piece.start..piece.end).contains(&at)) {
                let most = usize::try_from(piece.end - at).unwrap_or(usize::MAX).min(buffer.len());
                let len = read_at(&piece.file, &mut buffer[..most], at - piece.start)?;
                if len > 0 || buffer.is_empty() {
                    return Ok(Chunk { at, len });
                }
                // Somebody has cut it short.
                at = piece.end;
                continue;
            }
            match self.read_live(buffer, at)? {
                Some(len) => return Ok(Chunk { at, len }),
                None => at = self.enter_piece(at)?,
            }
        }
    }

    /// Fills `buffer` with what is at `at`; false if some of it is not kept (any longer).
    pub fn read_whole(&mut self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            let from = at + filled as u64;
            let chunk = self.read_at(&mut buffer[filled..], from)?;
            if chunk.len == 0 || chunk.at != from {
                return Ok(false);
            }
            filled += chunk.len;
        }
        Ok(true)
    }

    /// Reads from the file that is written to; `None` if `at` lies before it.
    fn read_live(&mut self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        loop {
            let Some(live) = &self.live else {
                let front = LogPlace::of(&self.dir, &self.service, None)?.front;
                return Ok((at >= front).then_some(0));
            };
            if !self.is_current() {
                // What was put in its place is none of this one's business, nor is how that is counted.
                return match at.checked_sub(live.base) {
                    Some(offset) => read_at(&live.file, buffer, offset).map(Some),
                    None => Ok(None),
                };
            }
            let before = LogPlace::look(&self.dir, &self.service, Some(&live.file))?;
            let len = match at.checked_sub(before.base) {
                Some(offset) if at >= before.front => Some(read_at(&live.file, buffer, offset)?),
                Some(_) | None => None,
            };
            let after = LogPlace::look(&self.dir, &self.service, Some(&live.file))?;
            // The front may have been cut away while it was being read.
            if (before.base, before.front) == (after.base, after.front) && self.is_current() {
                let base = after.base;
                if let Some(live) = &mut self.live {
                    live.base = base;
                }
                return Ok(len);
            }
        }
    }

    /// Opens the older file that holds `at`, or the next one that is kept; tells where to go on.
    fn enter_piece(&mut self, at: u64) -> io::Result<u64> {
        loop {
            let slots = self.slots()?;
            // The newest comes first.
            let Some(slot) = slots.iter().rev().find(|slot| slot.end > at) else {
                return Ok(self.place()?.front.max(at));
            };
            let file = match File::open(self.dir.log_piece(&self.service, slot.number)) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if identity(&file.metadata()?) == slot.identity {
                self.piece = Some(Piece { file: Arc::new(file), start: slot.start, end: slot.end });
                return Ok(at.max(slot.start));
            }
        }
    }

    /// All older files that hold something, the newest first.
    fn slots(&self) -> io::Result<Vec<Slot>> {
        let mut slots = self.slots_once()?;
        loop {
            // Files only ever move up, so what two looks in a row agree on held between them.
            let again = self.slots_once()?;
            if again == slots {
                return Ok(slots);
            }
            slots = again;
        }
    }

    fn slots_once(&self) -> io::Result<Vec<Slot>> {
        let mut end = self.place()?.front;
        let mut slots = Vec::new();
        let mut missing = 0;
        // A rotation that was cut short may have left one number out.
        for number in 1.. {
            match fs::metadata(self.dir.log_piece(&self.service, number)) {
                Ok(metadata) => {
                    let start = end.saturating_sub(metadata.len());
                    if start < end {
                        slots.push(Slot { number, identity: identity(&metadata), start, end });
                    }
                    (end, missing) = (start, 0);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => missing += 1,
                Err(error) => return Err(error),
            }
            if missing > 1 {
                break;
            }
        }
        Ok(slots)
    }

    /// Whether there is a file that is written to, or was.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether the file that is open is the one at its path.
    pub fn is_current(&self) -> bool {
        let there = fs::metadata(self.dir.log(&self.service)).ok().map(|there| identity(&there));
        there == self.live.as_ref().map(|live| live.identity)
    }
}
