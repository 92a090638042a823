//! Services whose watched files change: when they are restarted, and when no longer.
//!
//! An editor or a checkout changes many files in a row, so a restart waits until they rest. A service that changes its
//! own files as it starts would restart for ever: that is noticed, said with the file's name, and ended.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{FilePattern, Moment, ServiceId};

/// So long nothing must change before the restart.
const REST: Duration = Duration::from_millis(200);

/// So long changes may go on before it comes all the same.
const LONGEST: Duration = Duration::from_secs(5);

/// A change so soon after a restart may be the restart's own doing.
const SOON: Duration = Duration::from_secs(5);

/// So many restarts in a row that each came soon after the last are a loop.
const LOOP: u32 = 5;

/// After so long without a change a loop is forgiven: whoever changes a file then is somebody else.
const CALM: Duration = Duration::from_secs(60);

/// What is watched, and what has changed.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    of: BTreeMap<ServiceId, Files>,
}

#[derive(Clone, Debug, Default)]
struct Files {
    /// The patterns that are followed.
    patterns: Vec<FilePattern>,
    pending: Option<Pending>,
    /// When a change last led to a restart.
    restarted: Option<Moment>,
    /// Restarts in a row that came soon after the one before.
    in_a_row: u32,
    /// When a file changed for which the service is not restarted any more.
    ignored: Option<Moment>,
}

#[derive(Clone, Debug)]
struct Pending {
    first: Moment,
    last: Moment,
    file: String,
}

/// What a change leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The service is restarted.
    Restart,
    /// It is not, for now: its own start seems to change the file.
    GiveUp,
}

impl Touched {
    /// From now on the files of `id` that match `patterns` count; true if that is new.
    pub fn follow(&mut self, id: &ServiceId, patterns: &[FilePattern]) -> bool {
        if patterns.is_empty() {
            return self.of.remove(id).is_some();
        }
        let files = self.of.entry(id.clone()).or_default();
        if files.patterns == patterns {
            return false;
        }
        *files = Files { patterns: patterns.to_vec(), ..Files::default() };
        true
    }

    /// `file` of `id` has changed.
    pub fn touch(&mut self, now: Moment, id: &ServiceId, file: String) {
        let Some(files) = self.of.get_mut(id) else { return };
        if let Some(last) = files.ignored.replace(now) {
            if now.since(last) < CALM {
                return;
            }
            files.in_a_row = 0;
        }
        files.ignored = None;
        match &mut files.pending {
            Some(pending) => pending.last = now,
            None => files.pending = Some(Pending { first: now, last: now, file }),
        }
    }

    /// Those whose files have come to rest, each with the file that changed first.
    pub fn take_due(&mut self, now: Moment) -> Vec<(ServiceId, String)> {
        let mut due = Vec::new();
        for (id, files) in &mut self.of {
            if let Some(pending) = files.pending.take_if(|pending| pending.due() <= now) {
                due.push((id.clone(), pending.file));
            }
        }
        due
    }

    /// What follows for `id` from changes that have come to rest.
    pub fn judge(&mut self, now: Moment, id: &ServiceId) -> Follows {
        let Some(files) = self.of.get_mut(id) else { return Follows::GiveUp };
        let is_soon = files.restarted.replace(now).is_some_and(|last| now.since(last) <= SOON);
        files.in_a_row = if is_soon { files.in_a_row + 1 } else { 0 };
        if files.in_a_row < LOOP {
            return Follows::Restart;
        }
        files.ignored = Some(now);
        Follows::GiveUp
    }

    /// The user or a changed definition begins anew with `id`.
    pub fn forgive(&mut self, id: &ServiceId) {
        if let Some(files) = self.of.get_mut(id) {
            *files = Files { patterns: std::mem::take(&mut files.patterns), ..Files::default() };
        }
    }

    /// Nobody has looked for a while: what has changed must come to rest anew.
    pub fn wait_anew(&mut self, now: Moment) {
        for pending in self.of.values_mut().filter_map(|files| files.pending.as_mut()) {
            (pending.first, pending.last) = (now, now);
        }
    }

    /// When the next files have come to rest.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.of.values().filter_map(|files| files.pending.as_ref()).map(Pending::due).min()
    }
}

impl Pending {
    fn due(&self) -> Moment {
        (self.last + REST).min(self.first + LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(millis))
    }

    fn pattern() -> FilePattern {
        FilePattern { place: "/p".into(), glob: "/p/*.py".to_owned() }
    }

    fn watching() -> (Touched, ServiceId) {
        let (mut touched, id) = (Touched::default(), ServiceId::new("web").expect("a valid id"));
        assert!(touched.follow(&id, &[pattern()]));
        (touched, id)
    }

    #[test]
    fn a_burst_of_changes_is_one_that_comes_when_they_rest_but_not_too_late() {
        let (mut touched, id) = watching();
        for millis in [0, 150, 300] {
            touched.touch(at(millis), &id, format!("{millis}.py"));
        }
        assert_eq!(touched.next_deadline(), Some(at(500)));
        assert_eq!(touched.take_due(at(499)), []);
        assert_eq!(touched.take_due(at(500)), [(id.clone(), "0.py".to_owned())]);
        assert_eq!((touched.take_due(at(501)), touched.next_deadline()), (vec![], None));
        (0..60).for_each(|n| touched.touch(at(1000 + n * 100), &id, "a.py".to_owned()));
        assert_eq!(touched.next_deadline(), Some(at(6000)));
    }

    /// Restarts, each after so many seconds, until it is given up.
    fn restarts(touched: &mut Touched, id: &ServiceId, from: u64, every: u64) -> usize {
        (0..20).take_while(|n| touched.judge(at(from + n * every * 1000), id) == Follows::Restart).count()
    }

    #[test]
    fn a_service_whose_start_changes_its_files_is_given_up_until_all_is_calm() {
        let (mut touched, id) = watching();
        assert_eq!(restarts(&mut touched, &id, 0, 6), 20, "somebody types");
        let then = 1_000_000;
        assert_eq!(restarts(&mut touched, &id, then, 2), 5);
        for millis in [10_000, 60_000, 119_000] {
            touched.touch(at(then + millis), &id, "gen.py".to_owned());
            assert_eq!(touched.next_deadline(), None);
        }
        touched.touch(at(then + 180_000), &id, "app.py".to_owned());
        assert_eq!(touched.take_due(at(then + 180_200)), [(id.clone(), "app.py".to_owned())]);
        assert_eq!(restarts(&mut touched, &id, then + 180_200, 2), 5);
        touched.forgive(&id);
        assert_eq!(restarts(&mut touched, &id, then + 200_000, 2), 5);
    }

    #[test]
    fn what_is_not_followed_is_nobodys() {
        let (mut touched, id) = watching();
        assert!(!touched.follow(&id, &[pattern()]));
        assert!(touched.follow(&id, &[]) && !touched.follow(&id, &[]));
        touched.touch(at(0), &id, "a.py".to_owned());
        assert_eq!(touched.next_deadline(), None);
    }
}
