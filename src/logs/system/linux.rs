//! What Linux can do for a log that is being written: take its front away, and tell that it grows.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::domain::ServiceId;
use crate::logs::rotate::Way;

const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);

/// Tells a file from a later one at the same path.
pub(in crate::logs) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Reads at an offset.
pub(in crate::logs) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// What the file system of `log` can do. It is asked about bytes far behind the end, so that nothing comes of it.
pub(in crate::logs) fn way(log: &File) -> io::Result<Way> {
    const BLOCK: u64 = 1 << 20;
    let beyond = (log.metadata()?.len() / BLOCK + 4096) * BLOCK;
    let can = |result| match result {
        // One that can cut refuses to cut there.
        Ok(()) | Err(Errno::INVAL) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV) => Ok(false),
        Err(error) => Err(io::Error::from(error)),
    };
    if !can(fallocate(log, PUNCH, beyond, BLOCK))? {
        return Ok(Way::Empty);
    }
    let cuts = can(fallocate(log, FallocateFlags::COLLAPSE_RANGE, beyond, BLOCK))?;
    Ok(if cuts { Way::Collapse } else { Way::Punch })
}

/// Makes the first `bytes` of a file a hole.
pub(in crate::logs) fn punch(log: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    Ok(fallocate(log, PUNCH, 0, bytes)?)
}

/// Cuts the first `bytes` out of a file, whole blocks of which it has more.
pub(in crate::logs) fn collapse(log: &File, bytes: u64) -> io::Result<()> {
    Ok(fallocate(log, FallocateFlags::COLLAPSE_RANGE, 0, bytes)?)
}

/// Tells of each log that is waited for, once, that something was written to it.
#[derive(Debug)]
pub(in crate::logs) struct Growth {
    inotify: AsyncFd<std::os::fd::OwnedFd>,
    watched: HashMap<i32, ServiceId>,
}

impl Growth {
    /// Must be made within a runtime.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // What is asked for is a descriptor that stays what it is as long as its owner lives, as this one does.
        #[allow(deprecated, reason = "its successor is unsafe, for owners that are not to be trusted")]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self { inotify, watched: HashMap::new() })
    }

    /// Waits for the next write to the log of `id` at `path`. The watch goes with that write: a log that is written to
    /// all the time wakes nobody.
    pub fn wait_for(&mut self, id: &ServiceId, path: &Path) -> io::Result<()> {
        let watch = inotify::add_watch(&self.inotify, path, WatchFlags::MODIFY | WatchFlags::ONESHOT)?;
        self.watched.insert(watch, id.clone());
        Ok(())
    }

    /// Waits no longer for the log of `id`.
    pub fn forget(&mut self, id: &ServiceId) {
        let inotify = &self.inotify;
        self.watched.retain(|watch, of| {
            if of == id {
                // It may have gone by itself at this very moment.
                let _ = inotify::remove_watch(inotify, *watch);
            }
            of != id
        });
    }

    /// Waits until some have been written to. May be dropped while it waits.
    pub async fn grown(&mut self) -> io::Result<Vec<ServiceId>> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
            let mut grown = Vec::new();
            loop {
                match reader.next() {
                    Ok(event) => {
                        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                            grown.extend(self.watched.drain().map(|(_, id)| id));
                        }
                        grown.extend(self.watched.remove(&event.wd()));
                    }
                    Err(Errno::WOULDBLOCK) => break,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if !grown.is_empty() {
                return Ok(grown);
            }
        }
    }
}
