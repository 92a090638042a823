//! The numbers of the older files: the newest is 1, and there are no more than are to be kept.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::domain::ServiceId;
use crate::engine::StateDir;

/// Gives the older files the next numbers, up to the first that is free, so that number 1 is. With the one that is about
/// to come there are at most `keep`.
pub(super) fn make_room(dir: &StateDir, id: &ServiceId, keep: u32) -> io::Result<()> {
    remove_above(dir, id, keep.saturating_sub(1))?;
    let mut free = 1;
    while dir.log_piece(id, free).exists() {
        free += 1;
    }
    for number in (1..free).rev() {
        fs::rename(dir.log_piece(id, number), dir.log_piece(id, number + 1))?;
    }
    Ok(())
}

/// Removes the older files with numbers above `keep`, the oldest first.
pub(super) fn remove_above(dir: &StateDir, id: &ServiceId, keep: u32) -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir.service(id))? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("output.log.")?.parse().ok());
        // Not those that somebody else has named in a like way.
        numbers.extend(number.filter(|number| *number > keep && dir.log_piece(id, *number).ends_with(&name)));
    }
    numbers.sort_unstable();
    numbers.into_iter().rev().try_for_each(|number| remove(&dir.log_piece(id, number)))
}

/// Removes a file; that there is none is as good.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
