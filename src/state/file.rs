//! Files and folders that only their owner may see, and files that are replaced whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::platform;

/// Options that make new files for their owner only.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    platform::make_files_private(&mut options);
    options
}

/// Makes `path` and what is missing above it, for their owner only.
pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    platform::make_folders_private(&mut builder);
    builder.create(path)
}

/// Replaces `path` by `content`. Whoever reads it sees the old or the new content, also after a loss of power; on an
/// error the old stays.
pub(super) fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    let written = || -> io::Result<()> {
        let mut file = private().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    written().inspect_err(|_| {
        // What is half written is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    })?;
    match path.parent() {
        Some(folder) => platform::sync_folder(folder),
        None => Ok(()),
    }
}

/// What `path` holds, if that is no more than `most` bytes: what is longer is not ours, and must not fill the memory.
pub(super) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is longer than {most} bytes")));
    }
    Ok(content)
}

/// Takes the file at `path`, which is not understood, out of the way; tells where it is kept.
pub(super) fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = free_name(path);
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// A name beside `path` for what is not understood of it, that nothing has yet.
pub(super) fn free_name(path: &Path) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let first = beside(path, &format!(".bad-{now}"));
    let more = (2..100).map(|number| beside(path, &format!(".bad-{now}-{number}")));
    std::iter::once(first.clone()).chain(more).find(|name| !name.exists()).unwrap_or(first)
}

/// The path whose name is that of `path` with `suffix` behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
