//! What only Unix knows of files: owners, modes, opening without waiting.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, OFlags, access};

use super::trust::Trust;

/// Where a virtual environment has its interpreter.
pub const VENV_PYTHON: &str = ".venv/bin/python";

/// Opens a file for reading; a pipe that nobody writes to does not hold it up.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Whether `path` is a program.
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Whether what `file` says may be run in this user's name.
pub fn trust(file: &File, metadata: &Metadata) -> Trust {
    match judge(metadata.uid(), metadata.mode(), rustix::process::geteuid().as_raw()) {
        Trust::Full => Trust::Full,
        Trust::GroupMayWrite | Trust::None { .. } if has_no_modes(file) => Trust::Full,
        judged @ (Trust::GroupMayWrite | Trust::None { .. }) => judged,
    }
}

/// The folder on the way to `path` that every user may write to, in words, if there is one: who may do that could put another
/// file of this user's in its place. By the name that it has and by where that leads, if it is a link.
pub fn open_way(path: &Path) -> Option<String> {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let real = path.canonicalize().ok().and_then(|real| Some(real.parent()?.to_owned()));
    let real = real.filter(|real| folder.as_ref() != Some(real));
    let mut ways = folder.iter().chain(&real).flat_map(|folder| folder.ancestors());
    let (folder, mode) = ways.find_map(open_to_all)?;
    Some(format!("every user may write to the folder {} (mode {mode:03o})", folder.display()))
}

/// `folder` and its mode, if everybody may put something in the place of what is there.
fn open_to_all(folder: &Path) -> Option<(&Path, u32)> {
    /// Only the owner of what is there may rename or remove it, as in /tmp.
    const STICKY: u32 = 0o1000;
    let mode = fs::metadata(folder).ok()?.mode();
    let is_open = mode & 0o002 != 0 && mode & STICKY == 0;
    (is_open && !File::open(folder).is_ok_and(|folder| has_no_modes(&folder))).then_some((folder, mode & 0o7777))
}

/// What tells one state of a file from every later one: which file it is, its size, and when it was last changed in any
/// way (the time can't be set by anyone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what `metadata` tells of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether every change of `file` from `now` on is certain to give it another stamp: what has changed just now may
    /// change again within the same tick of the file system's clock.
    pub fn is_lasting(&self, file: &File, now: SystemTime) -> bool {
        /// Ten times the longest tick of the clock that the file systems below go by.
        const LONG_AGO: Duration = Duration::from_millis(100);
        let (seconds, nanos) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        let changed = changed.map(|(seconds, nanos)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos));
        // Not known for what lies ahead of the clock.
        let age = changed.and_then(|changed| now.duration_since(changed).ok());
        age.is_some_and(|age| age > LONG_AGO) && keeps_stamps(file)
    }
}

/// Whether the file system is one of this machine's own, which stamps each change itself and at once.
#[cfg(target_os = "linux")]
pub(super) fn keeps_stamps(file: &File) -> bool {
    /// ext2 to ext4, XFS, Btrfs, tmpfs, ZFS, F2FS, bcachefs and overlayfs: numbers from statfs(2).
    const OWN: [u32; 8] =
        [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e, 0x794c_7630];
    // The number is 32 bits wide, whatever the width of the field.
    rustix::fs::fstatfs(file).is_ok_and(|system| OWN.contains(&(system.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn keeps_stamps(_file: &File) -> bool {
    false
}

fn judge(owner: u32, mode: u32, me: u32) -> Trust {
    if owner != me && owner != 0 {
        Trust::None {
            why: format!("the file belongs to another user (uid {owner})"),
            hint: "what it says would run in your name: check it, then make it yours with chown",
        }
    } else if mode & 0o002 != 0 {
        Trust::None {
            why: format!("every user may write to the file (mode {:03o})", mode & 0o777),
            hint: "check what it says, then run chmod o-w on it",
        }
    } else if mode & 0o020 != 0 {
        Trust::GroupMayWrite
    } else {
        Trust::Full
    }
}

/// Whether the file system makes modes up, because it stores none.
#[cfg(target_os = "linux")]
fn has_no_modes(file: &File) -> bool {
    /// FAT, exFAT, NTFS (two drivers), NTFS and others by FUSE's block driver, SMB (three drivers), VirtualBox' and
    /// VMware's shared folders, and 9p, by which WSL shows the drives of Windows: numbers from statfs(2).
    const WITHOUT: [u32; 11] = [
        0x4d44,
        0x2011_bab0,
        0x5346_544e,
        0x7366_746e,
        0x6573_5546,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x786f_4256,
        0xbacb_acbc,
        0x0102_1997,
    ];
    // The number is 32 bits wide, whatever the width of the field.
    rustix::fs::fstatfs(file).is_ok_and(|system| WITHOUT.contains(&(system.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn has_no_modes(_file: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_cannot_write_is_trusted() {
        for (owner, mode, me, trusted) in [
            (1000, 0o644, 1000, true),
            (1000, 0o600, 1000, true),
            (1000, 0o664, 1000, true),
            (0, 0o644, 1000, true),
            (0, 0o644, 0, true),
            (1000, 0o644, 0, false),
            (1001, 0o600, 1000, false),
            (1000, 0o646, 1000, false),
            (0, 0o666, 1000, false),
            (1001, 0o666, 1000, false),
        ] {
            let trust = judge(owner, mode, me);
            assert_eq!(!matches!(trust, Trust::None { .. }), trusted, "{owner} {mode:o} {me}: {trust:?}");
        }
        assert!(matches!(judge(1000, 0o664, 1000), Trust::GroupMayWrite));
        assert!(matches!(judge(1000, 0o644, 1000), Trust::Full));
    }
}
