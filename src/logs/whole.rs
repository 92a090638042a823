//! Rotates a log as a whole: where nothing can be taken from the front of a file, and only while nobody writes to it.

use std::fs;
use std::io::{self, ErrorKind};

use super::pieces;
use crate::domain::{LogPolicy, ServiceId};
use crate::engine::{LogPlace, LogRecord, LogStep, StateDir};

/// Makes the log of `id` the newest of its older files if it is longer than `policy` says. What comes next begins a new
/// file.
///
/// # Errors
/// When files can't be renamed or removed. Nothing is lost then.
pub(super) fn rotate_whole(dir: &StateDir, id: &ServiceId, policy: LogPolicy) -> io::Result<()> {
    let log = match fs::File::open(dir.log(id)) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let place = LogPlace::of(dir, id, Some(&log))?;
    pieces::remove_above(dir, id, policy.keep)?;
    if place.end - place.front <= policy.max_size {
        return Ok(());
    }
    pieces::make_room(dir, id, policy.keep)?;
    if policy.keep == 0 {
        fs::remove_file(dir.log(id))?;
    } else {
        fs::rename(dir.log(id), dir.log_piece(id, 1))?;
    }
    LogRecord { base: place.end, front: place.end, step: LogStep::Rest }.save(&dir.log_record(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Query, read};

    #[test]
    fn a_log_that_is_too_long_makes_way_as_a_whole_and_is_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, id) = (StateDir::new(folder.path()), ServiceId::new("web").unwrap());
        fs::create_dir_all(dir.service(&id)).unwrap();
        let policy = LogPolicy { max_size: 8, keep: 2 };
        rotate_whole(&dir, &id, policy).unwrap();
        for number in 0..5 {
            fs::write(dir.log(&id), format!("line {number} and")).unwrap();
            rotate_whole(&dir, &id, policy).unwrap();
            assert!(!dir.log(&id).exists());
        }
        fs::write(dir.log(&id), " so on\n").unwrap();
        rotate_whole(&dir, &id, policy).unwrap();
        assert!(dir.log(&id).exists(), "it is short");
        let lines = || read(&dir, std::slice::from_ref(&id), &Query::default()).unwrap();
        let text: Vec<String> = lines().map(|line| String::from_utf8(line.unwrap().bytes).unwrap()).collect();
        assert_eq!(text, ["line 3 andline 4 and so on"]);
        let log = fs::File::open(dir.log(&id)).unwrap();
        assert_eq!(LogPlace::of(&dir, &id, Some(&log)).unwrap().end, 5 * 10 + 7, "what was removed counts, too");
        fs::write(dir.log(&id), "too long again").unwrap();
        rotate_whole(&dir, &id, LogPolicy { keep: 0, ..policy }).unwrap();
        assert_eq!(lines().count(), 0);
    }
}
