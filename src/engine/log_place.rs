//! How the bytes of a service's log are counted: from the first that was ever written, whatever was removed since.
//!
//! A rotation moves the front of `output.log` to `output.log.1` and then takes it away, while the service writes on and
//! others read. So that a byte keeps its count all the time, a small record beside the log tells by how much the file
//! has become shorter, and which step of a rotation is under way. Whoever counts bytes asks here; only `logs` writes the
//! record, and only while it rotates. A log that was never rotated has none.

#[cfg(target_os = "linux")]
#[path = "log_place/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "log_place/other.rs"]
mod system;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::layout::StateDir;
use crate::domain::ServiceId;

/// Bytes of a record: three numbers, the step, and a checksum; all unsigned, 64 bits, little-endian.
const RECORD: usize = 40;

/// No log becomes so long, in bytes; and no sum of what a record says and a file's length is too large for 64 bits.
const MOST: u64 = 1 << 62;

/// Which step of a rotation is under way, for whoever finds it half done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogStep {
    /// None: what lies before the front is not in the file, or a hole in it.
    #[default]
    Rest,
    /// So many bytes from the front on have been copied, and the copy is about to become `output.log.1`; whether it has,
    /// is told by whether `output.log.new` is still there.
    Moving(u64),
    /// What lies before the front is about to become a hole.
    Clearing,
    /// It is a hole of so many bytes, which is about to be cut out of the file; whether it has been, is told by whether
    /// the file still begins with one. (A service appends, and so never leaves a hole.)
    Cutting(u64),
}

/// The record of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// The count of the file's first byte.
    pub base: u64,
    /// The count of the first byte that is in the file only. What came before has been moved or removed.
    pub front: u64,
    /// What is being done.
    pub step: LogStep,
}

impl LogRecord {
    /// Reads the record at `path`; `None` if there is none, or none that can be believed.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        // What is being written at this moment reads torn, and whole at the next.
        for _ in 0..100 {
            let mut bytes = Vec::with_capacity(RECORD + 1);
            match File::open(path) {
                Ok(file) => file.take(RECORD as u64 + 1).read_to_end(&mut bytes)?,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            if let Some(record) = Self::decode(&bytes) {
                return Ok(Some(record));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// Stores it at `path`, in place: a disk without any space takes it, too, but for the first time.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(&self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let (step, bytes) = match self.step {
            LogStep::Rest => (0, 0),
            LogStep::Moving(bytes) => (1, bytes),
            LogStep::Clearing => (2, 0),
            LogStep::Cutting(bytes) => (3, bytes),
        };
        let numbers = [self.base, self.front, step, bytes];
        numbers.iter().chain([&checksum(&numbers)]).flat_map(|number| number.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
        let [base, front, step, bytes, sum] = numbers[..] else { return None };
        let step = match step {
            0 => LogStep::Rest,
            1 => LogStep::Moving(bytes),
            2 => LogStep::Clearing,
            3 => LogStep::Cutting(bytes),
            4.. => return None,
        };
        let is_sound = rest.is_empty() && sum == checksum(&numbers[..4]);
        let is_sound = is_sound && base <= front && front <= MOST && bytes <= MOST;
        is_sound.then_some(Self { base, front, step })
    }
}

/// Tells a record that is torn or foreign from a whole one; zeros are none.
fn checksum(numbers: &[u64]) -> u64 {
    let mix = |sum: u64, number: &u64| (sum ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    numbers.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// A log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The count of the first byte of `output.log`.
    pub base: u64,
    /// The count of the first byte that is to be read there: what comes before is in the older files, or nowhere.
    pub front: u64,
    /// The count of the byte that is written next.
    pub end: u64,
}

impl LogPlace {
    /// Where the log of `id` is, which is open as `log`; without it, where it will go on.
    ///
    /// # Errors
    /// When the log or its record can't be read.
    pub fn of(dir: &StateDir, id: &ServiceId, log: Option<&File>) -> io::Result<Self> {
        // What two looks in a row agree on held between them. Each step of a rotation takes longer than a look.
        let mut place = Self::look(dir, id, log)?;
        loop {
            let again = Self::look(dir, id, log)?;
            if (place.base, place.front) == (again.base, again.front) {
                return Ok(again);
            }
            place = again;
        }
    }

    /// One look: base and front were true at some moment of it, if a second look tells the same.
    ///
    /// # Errors
    /// When the log or its record can't be read.
    pub fn look(dir: &StateDir, id: &ServiceId, log: Option<&File>) -> io::Result<Self> {
        loop {
            let told = LogRecord::load(&dir.log_record(id))?;
            let mut record = match told {
                Some(record) => record,
                None => unrecorded(dir, id)?,
            };
            let (hole, length) = match log {
                Some(log) => {
                    let length = log.metadata()?.len();
                    (system::hole(log, length)?, length)
                }
                None => (0, 0),
            };
            match record.step {
                LogStep::Moving(bytes) if !dir.log_copy(id).exists() => record.front += bytes,
                LogStep::Cutting(bytes) if hole < bytes && log.is_some() => record.base += bytes,
                LogStep::Rest | LogStep::Moving(_) | LogStep::Clearing | LogStep::Cutting(_) => {}
            }
            // The step must not have passed while it was being looked at.
            if record.step != LogStep::Rest && LogRecord::load(&dir.log_record(id))? != told {
                continue;
            }
            let Some(log) = log else { return Ok(Self { base: record.front, ..record.at(record.front) }) };
            let gone = record.front.saturating_sub(record.base);
            let is_anew = record.step == LogStep::Rest && hole < gone && !is_zero(log, hole)?;
            if length < gone || is_anew {
                // Somebody has emptied or replaced the file.
                record.base = record.front;
            }
            record.front = record.front.max(record.base + hole);
            return Ok(record.at(record.base + length));
        }
    }
}

impl LogRecord {
    fn at(&self, end: u64) -> LogPlace {
        LogPlace { base: self.base, front: self.front, end }
    }
}

/// The record of a log without one: it begins behind its older files, of which there are none if it was never rotated.
fn unrecorded(dir: &StateDir, id: &ServiceId) -> io::Result<LogRecord> {
    let mut bytes = 0;
    for number in 1.. {
        match fs::metadata(dir.log_piece(id, number)) {
            Ok(piece) => bytes += piece.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(LogRecord { base: bytes, front: bytes, step: LogStep::Rest })
}

/// Whether the file goes on with zeros at `offset`: then it is a hole, of which the file system does not tell.
fn is_zero(log: &File, offset: u64) -> io::Result<bool> {
    let mut bytes = [0; 512];
    let read = system::read_at(log, &mut bytes, offset)?;
    Ok(bytes[..read].iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, StateDir, ServiceId) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let id = ServiceId::new("web").unwrap();
        fs::create_dir_all(dir.service(&id)).unwrap();
        (folder, dir, id)
    }

    #[test]
    fn a_record_reads_back_as_it_was_written_and_a_damaged_one_is_none() {
        let (_folder, dir, id) = place();
        let path = dir.log_record(&id);
        assert_eq!(LogRecord::load(&path).unwrap(), None);
        for step in [LogStep::Rest, LogStep::Moving(7), LogStep::Clearing, LogStep::Cutting(4096)] {
            let record = LogRecord { base: 1 << 40, front: (1 << 40) + 5, step };
            record.save(&path).unwrap();
            assert_eq!(LogRecord::load(&path).unwrap(), Some(record));
        }
        let good = fs::read(&path).unwrap();
        for damaged in [&good[..39], &[0; RECORD], &[&good[..], &[0]].concat(), b""] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(LogRecord::load(&path).unwrap(), None);
        }
    }

    #[test]
    fn a_record_of_more_than_any_log_can_hold_is_not_believed() {
        let (_folder, dir, id) = place();
        fs::write(dir.log(&id), "12345").unwrap();
        let log = File::open(dir.log(&id)).unwrap();
        for (base, front, step) in [
            (u64::MAX - 1, u64::MAX, LogStep::Rest),
            (5, u64::MAX, LogStep::Rest),
            (0, 1, LogStep::Moving(u64::MAX)),
            (1, 1, LogStep::Cutting(u64::MAX)),
        ] {
            LogRecord { base, front, step }.save(&dir.log_record(&id)).unwrap();
            let place = LogPlace::of(&dir, &id, Some(&log)).unwrap();
            assert_eq!(place, LogPlace { base: 0, front: 0, end: 5 }, "{base} {front} {step:?}");
        }
    }

    #[test]
    fn a_log_that_was_never_rotated_begins_with_its_file() {
        let (_folder, dir, id) = place();
        fs::write(dir.log(&id), "12345").unwrap();
        let log = File::open(dir.log(&id)).unwrap();
        assert_eq!(LogPlace::of(&dir, &id, Some(&log)).unwrap(), LogPlace { base: 0, front: 0, end: 5 });
        assert_eq!(LogPlace::of(&dir, &id, None).unwrap().end, 0);
    }

    #[test]
    fn a_log_that_somebody_has_emptied_goes_on_counting_where_it_was_cut() {
        let (_folder, dir, id) = place();
        LogRecord { base: 0, front: 8192, step: LogStep::Rest }.save(&dir.log_record(&id)).unwrap();
        fs::write(dir.log(&id), "12345").unwrap();
        let log = File::open(dir.log(&id)).unwrap();
        let anew = LogPlace { base: 8192, front: 8192, end: 8197 };
        assert_eq!(LogPlace::of(&dir, &id, Some(&log)).unwrap(), anew);
        fs::write(dir.log(&id), "x".repeat(9000)).unwrap();
        let anew = LogPlace { end: 8192 + 9000, ..anew };
        assert_eq!(LogPlace::of(&dir, &id, Some(&log)).unwrap(), anew);
    }

    #[test]
    fn a_lost_record_is_made_up_for_by_the_older_files() {
        let (_folder, dir, id) = place();
        fs::write(dir.log_piece(&id, 1), "123").unwrap();
        fs::write(dir.log_piece(&id, 2), "1234").unwrap();
        fs::write(dir.log(&id), "12345").unwrap();
        let log = File::open(dir.log(&id)).unwrap();
        assert_eq!(LogPlace::of(&dir, &id, Some(&log)).unwrap(), LogPlace { base: 7, front: 7, end: 12 });
    }
}
