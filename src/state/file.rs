//! Files and folders that only their owner may see, and files that are replaced whole or not at all.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
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

/// The path whose name is that of `path` with `suffix` behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
