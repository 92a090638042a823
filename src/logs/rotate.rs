//! Takes the front away from a log that has grown too long, while its service writes on: once, whenever it is called.
//!
//! The first whole blocks are copied to `output.log.new`, which then becomes `output.log.1`; the same bytes become a
//! hole in `output.log`, and the hole is cut out of it. The service's own descriptor stays good all the while, and what
//! it appends lands behind. Each step is written down before it is done (see [`LogRecord`]), so that a reader, or the
//! next agent after a death in the middle, knows which bytes are where.
//!
//! It does not notice when a log is too long (that is `keeper`'s part), and blocks: it is called off the engine's thread.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::{pieces, system};
use crate::domain::{LogPolicy, ServiceId};
use crate::engine::{LogPlace, LogRecord, LogStep, StateDir};

/// How a log becomes shorter at its front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// The file system cuts the front out of the file.
    Collapse,
    /// It can only make it a hole.
    Punch,
    /// It can do neither. What is written between the last copying and the emptying is lost.
    Empty,
}

impl Way {
    /// What happens, in words.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Collapse => "the front is cut out of the file",
            Self::Punch => "the front becomes a hole, for this file system can't cut it out",
            Self::Empty => {
                "it is copied and emptied, for this file system can do nothing else; what is written in between is lost"
            }
        }
    }
}

/// A step on the way, before which the agent may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Nothing has been done yet.
    Copy,
    /// `output.log.new` is whole.
    Announce,
    /// The record says that it becomes `output.log.1`.
    MakeRoom,
    /// The older ones have their new numbers.
    Rename,
    /// The copy is `output.log.1`.
    Commit,
    /// The record says that it is.
    Clear,
    /// The front is a hole.
    Prepare,
    /// The record says that it is to be cut out.
    Cut,
    /// It is cut out.
    Finish,
}

/// Is told each step before it is done; an error ends the rotation there.
pub(super) type Witness<'w> = &'w mut dyn FnMut(Point) -> io::Result<()>;

/// What a rotation has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rotated {
    /// Bytes that have left `output.log`; what an earlier agent had left half done is not among them.
    pub moved: u64,
    /// How.
    pub way: Way,
}

/// Rotates the log of `id` until it is no longer than `policy` says, and finishes what a dead agent has begun. `None`
/// if there is no log.
///
/// # Errors
/// When something can't be read or written. Nothing is lost then, and the next call goes on where this one ended.
pub(super) fn rotate(dir: &StateDir, id: &ServiceId, policy: LogPolicy) -> io::Result<Option<Rotated>> {
    rotate_by(dir, id, policy, None, &mut |_| Ok(()))
}

/// The same in a way that is given, with a witness.
pub(super) fn rotate_by(
    dir: &StateDir,
    id: &ServiceId,
    policy: LogPolicy,
    way: Option<Way>,
    witness: Witness<'_>,
) -> io::Result<Option<Rotated>> {
    let log = match OpenOptions::new().read(true).write(true).open(dir.log(id)) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let way = match way {
        Some(way) => way,
        None => system::way(&log)?,
    };
    let block = log.metadata()?.blksize().clamp(4096, 1 << 20);
    let mut rotation = Rotation { dir, id, policy, way, block, log, witness };
    rotation.recover()?;
    let moved = rotation.run()?;
    Ok(Some(Rotated { moved, way }))
}

/// How long a log is that is read from its front on.
pub(super) fn length(place: &LogPlace) -> u64 {
    place.end.saturating_sub(place.front)
}

struct Rotation<'a> {
    dir: &'a StateDir,
    id: &'a ServiceId,
    policy: LogPolicy,
    way: Way,
    block: u64,
    log: File,
    witness: Witness<'a>,
}

impl Rotation<'_> {
    /// Brings to its end what was begun, and the record in line with the file.
    fn recover(&mut self) -> io::Result<()> {
        let place = LogPlace::of(self.dir, self.id, Some(&self.log))?;
        let told = LogRecord::load(&self.dir.log_record(self.id))?;
        match told.map_or(LogStep::Rest, |record| record.step) {
            LogStep::Moving(bytes) => {
                let copy = self.dir.log_copy(self.id);
                if fs::metadata(&copy).is_ok_and(|copy| copy.len() == bytes) {
                    self.install(place, bytes)?;
                } else {
                    // It had become the newest of the older files, as the place tells; or somebody has touched it.
                    self.save(place.base, place.front, LogStep::Clearing)?;
                }
            }
            LogStep::Cutting(_) => self.save(place.base, place.front, LogStep::Clearing)?,
            LogStep::Rest if (place.base, place.front) != told.map_or((0, 0), |told| (told.base, told.front)) => {
                self.save(place.base, place.front, LogStep::Rest)?;
            }
            LogStep::Rest | LogStep::Clearing => {}
        }
        pieces::remove(&self.dir.log_copy(self.id))?;
        pieces::remove_above(self.dir, self.id, self.policy.keep)?;
        let record = LogRecord::load(&self.dir.log_record(self.id))?;
        if record.is_some_and(|record| record.step == LogStep::Clearing) { self.take_front_away() } else { Ok(()) }
    }

    /// Moves the front away piece by piece; bytes moved.
    fn run(&mut self) -> io::Result<u64> {
        let begin = LogPlace::of(self.dir, self.id, Some(&self.log))?;
        let plan = Plan::of(length(&begin), self.policy, self.block);
        if plan.is_empty() {
            return Ok(0);
        }
        if plan.dropped > 0 {
            self.drop_front(begin, plan.dropped)?;
        }
        for _ in 0..plan.pieces {
            self.move_piece(plan.piece)?;
        }
        self.take_front_away()?;
        Ok(plan.dropped + plan.piece * u64::from(plan.pieces))
    }

    /// Removes the front and all that is older without keeping it.
    fn drop_front(&mut self, place: LogPlace, bytes: u64) -> io::Result<()> {
        pieces::remove_above(self.dir, self.id, 0)?;
        self.save(place.base, place.front + bytes, LogStep::Clearing)?;
        self.clear(place.base, place.front + bytes)
    }

    fn move_piece(&mut self, bytes: u64) -> io::Result<()> {
        let place = LogPlace::of(self.dir, self.id, Some(&self.log))?;
        (self.witness)(Point::Copy)?;
        if let Err(error) = self.copy(place.front - place.base, bytes) {
            // Half a copy is of no use, and takes the space that is missing. The first error is the one to tell.
            let _ = fs::remove_file(self.dir.log_copy(self.id));
            let oldest = self.dir.log_piece(self.id, self.policy.keep);
            let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            if !is_full || !oldest.exists() {
                return Err(error);
            }
            // It goes anyhow; without it there may be space enough.
            pieces::remove_above(self.dir, self.id, self.policy.keep - 1)?;
            self.copy(place.front - place.base, bytes).inspect_err(|_| {
                let _ = fs::remove_file(self.dir.log_copy(self.id));
            })?;
        }
        (self.witness)(Point::Announce)?;
        self.save(place.base, place.front, LogStep::Moving(bytes))?;
        self.install(place, bytes)?;
        self.clear(place.base, place.front + bytes)
    }

    /// Copies `bytes` of the file, so that not even a loss of power costs more than it would have cost the original.
    fn copy(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut copy = options.open(self.dir.log_copy(self.id))?;
        let mut log = File::open(self.dir.log(self.id))?;
        log.seek(SeekFrom::Start(offset))?;
        if io::copy(&mut log.by_ref().take(bytes), &mut copy)? != bytes {
            return Err(io::Error::other("the log has become shorter while it was copied"));
        }
        copy.sync_data()
    }

    /// Makes the announced copy the newest of the older files.
    fn install(&mut self, place: LogPlace, bytes: u64) -> io::Result<()> {
        (self.witness)(Point::MakeRoom)?;
        pieces::make_room(self.dir, self.id, self.policy.keep)?;
        (self.witness)(Point::Rename)?;
        fs::rename(self.dir.log_copy(self.id), self.dir.log_piece(self.id, 1))?;
        (self.witness)(Point::Commit)?;
        self.save(place.base, place.front + bytes, LogStep::Clearing)
    }

    /// Gives the space of what lies before `front` back.
    fn clear(&mut self, base: u64, front: u64) -> io::Result<()> {
        (self.witness)(Point::Clear)?;
        match self.way {
            Way::Collapse | Way::Punch => system::punch(&self.log, front - base),
            Way::Empty => Ok(()),
        }
    }

    /// Makes the file begin with its front, as far as that can be done.
    fn take_front_away(&mut self) -> io::Result<()> {
        let place = LogPlace::of(self.dir, self.id, Some(&self.log))?;
        let (base, front, bytes) = (place.base, place.front, place.front - place.base);
        match self.way {
            Way::Collapse | Way::Punch if bytes == 0 => self.save(base, front, LogStep::Rest),
            // The last byte must stay, or there would be nothing to cut it from.
            Way::Collapse if bytes.is_multiple_of(self.block) && place.end > front => {
                system::punch(&self.log, bytes)?;
                (self.witness)(Point::Prepare)?;
                self.save(base, front, LogStep::Cutting(bytes))?;
                (self.witness)(Point::Cut)?;
                match system::collapse(&self.log, bytes) {
                    Ok(()) => {}
                    // It knows of cutting, but not of such pieces: then the hole stays.
                    Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
                        return self.save(base, front, LogStep::Rest);
                    }
                    Err(error) => return Err(error),
                }
                (self.witness)(Point::Finish)?;
                self.save(base + bytes, front, LogStep::Rest)
            }
            Way::Collapse | Way::Punch => {
                system::punch(&self.log, bytes)?;
                self.save(base, front, LogStep::Rest)
            }
            Way::Empty => self.empty(place),
        }
    }

    /// Appends what has come since to the newest of the older files until nothing comes, and empties the file.
    fn empty(&mut self, place: LogPlace) -> io::Result<()> {
        let mut front = place.front;
        if self.policy.keep > 0 {
            let mut piece =
                OpenOptions::new().append(true).create(true).mode(0o600).open(self.dir.log_piece(self.id, 1))?;
            let mut log = File::open(self.dir.log(self.id))?;
            log.seek(SeekFrom::Start(front - place.base))?;
            loop {
                let copied = io::copy(&mut log, &mut piece)?;
                front += copied;
                self.save(place.base, front, LogStep::Clearing)?;
                if copied == 0 {
                    break;
                }
            }
        }
        self.log.set_len(0)?;
        self.save(front, front, LogStep::Rest)
    }

    fn save(&self, base: u64, front: u64, step: LogStep) -> io::Result<()> {
        LogRecord { base, front, step }.save(&self.dir.log_record(self.id))
    }
}

/// What is to be done with a log: first drop so many bytes, then move so many pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Plan {
    dropped: u64,
    pieces: u32,
    /// The bytes of each.
    piece: u64,
}

impl Plan {
    /// A plan for a log of `length` bytes. A log that is much too long is moved in pieces of the usual length, so that
    /// what is kept stays bounded; those that would be pushed out by later ones are not moved at all.
    fn of(length: u64, policy: LogPolicy, block: u64) -> Self {
        if length <= policy.max_size {
            return Self::default();
        }
        let piece = (policy.max_size / block).max(1) * block;
        // The last byte stays, so that there is a file to go on with.
        let whole = (length - 1) / piece;
        let needed = (length - policy.max_size).div_ceil(piece).min(whole);
        let pieces = needed.min(u64::from(policy.keep));
        let (dropped, pieces) = ((needed - pieces) * piece, u32::try_from(pieces).unwrap_or(policy.keep));
        Self { dropped, pieces, piece }
    }

    fn is_empty(&self) -> bool {
        self.dropped == 0 && self.pieces == 0
    }
}

#[cfg(test)]
#[path = "rotate/tests.rs"]
mod tests;
