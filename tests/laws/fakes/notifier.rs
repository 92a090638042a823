//! The port `Notifier`: keeps all notices in their order, and a desktop that shows them as long as it is there.

use std::collections::BTreeMap;

use pilotlight::domain::{Notice, NoticeKey};
use pilotlight::engine::ports::Notifier;

use super::Machine;

/// Where notices are shown.
#[derive(Debug, Default)]
pub struct Desktop {
    /// Nobody shows notices at present.
    pub is_absent: bool,
    /// What stands there, by what it is about.
    pub standing: BTreeMap<NoticeKey, Notice>,
    /// All titles that came to stand there since the desktop came.
    pub shown: Vec<String>,
    waiting: Vec<Notice>,
}

impl Notifier for Machine {
    fn show(&mut self, notice: Notice) {
        self.notices.push(notice.clone());
        self.desktop.waiting.retain(|waiting| waiting.key != notice.key);
        self.desktop.waiting.push(notice);
        self.desktop.catch_up();
    }
}

impl Desktop {
    /// It goes, and what stood there with it; or it comes.
    pub fn is_there(&mut self, is_there: bool) {
        self.is_absent = !is_there;
        if !is_there {
            self.standing.clear();
            self.shown.clear();
        }
        self.catch_up();
    }

    fn catch_up(&mut self) {
        if self.is_absent {
            return;
        }
        for notice in std::mem::take(&mut self.waiting) {
            self.shown.push(notice.title.clone());
            self.standing.insert(notice.key.clone(), notice);
        }
    }
}
