//! The port [`Logs`] on disk: the time index, and logs that are kept within their bounds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::rc::Rc;

use super::index::LogIndex;
use super::keeping::Keeping;
use crate::domain::{LogPolicy, ServiceId};
use crate::engine::StateDir;
use crate::engine::ports::{Inbox, Logs};

/// The logs of one state directory.
#[derive(Debug)]
pub struct DiskLogs {
    dir: StateDir,
    index: Rc<RefCell<LogIndex>>,
    keeping: Keeping,
}

impl DiskLogs {
    /// Must be made within a tokio `LocalSet` (or local runtime) with time and I/O. Dropping it ends the keeping; a
    /// rotation under way comes to its end all the same.
    pub fn start(dir: StateDir, inbox: Inbox) -> Self {
        let index = Rc::new(RefCell::new(LogIndex::new(dir.clone())));
        let keeping = Keeping::start(dir.clone(), inbox, Rc::clone(&index));
        Self { dir, index, keeping }
    }

    fn make_log(&self, id: &ServiceId) -> io::Result<()> {
        let (mut folder, mut log) = (DirBuilder::new(), OpenOptions::new());
        folder.recursive(true);
        log.append(true).create(true);
        #[cfg(unix)]
        {
            std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
            std::os::unix::fs::OpenOptionsExt::mode(&mut log, 0o600);
        }
        folder.create(self.dir.service(id))?;
        log.open(self.dir.log(id)).map(drop)
    }
}

impl Logs for DiskLogs {
    fn mark(&mut self, id: &ServiceId) {
        self.index.borrow_mut().mark(id);
    }

    fn begin(&mut self, id: &ServiceId) {
        self.keeping.prepare(id);
        // Otherwise the run that begins, which needs the log itself, fails for the same reason.
        if self.make_log(id).is_ok() {
            self.keeping.begun(id);
        }
        self.mark(id);
    }

    fn keep(&mut self, policies: &BTreeMap<ServiceId, LogPolicy>) {
        self.keeping.keep(policies);
    }
}
