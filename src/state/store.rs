//! The port [`Store`] on disk. A disk that is full or read-only is told of once and survived.

use std::io;

use super::intent;
use super::journal::{self, EventLine};
use crate::domain::{Intent, Occurrence, RunId, ServiceId};
use crate::engine::ports::Store;
use crate::engine::{Clock, StateDir};

/// Writes the wishes and what happened to the state directory.
#[derive(Debug)]
pub struct DiskStore {
    dir: StateDir,
    clock: Clock,
    /// Whether wishes that were never understood may still lie where ours go.
    unread: bool,
    /// The wishes that could not be saved yet.
    unsaved: Option<Intent>,
    intent_fails: bool,
    journal_fails: bool,
}

/// What an earlier agent has left of the user's wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The wishes.
    pub intent: Intent,
    /// Whether some or all of them are lost.
    pub is_lost: bool,
    /// What was wrong with their file: a sentence for the user.
    pub remark: Option<String>,
}

impl DiskStore {
    /// Opens the store in `dir`, and reads what is there.
    pub fn open(dir: StateDir, clock: Clock) -> (Self, Kept) {
        let may_be_lost = intent::is_lost(&dir);
        let (intent, remark, unread) = match intent::load(&dir.intent()) {
            Ok((intent, remark)) => (intent, remark, false),
            Err(error) => {
                let remark = format!("{} can be neither read nor put aside: {error}", dir.intent().display());
                (Intent::new(), Some(remark), true)
            }
        };
        let is_lost = may_be_lost || remark.is_some();
        let is_new = !is_lost && !dir.intent().exists();
        let mut store = Self { dir, clock, unread, unsaved: None, intent_fails: false, journal_fails: false };
        if is_new {
            // From now on it is known whether there ever were wishes.
            store.save(Intent::new());
        }
        (store, Kept { intent, is_lost, remark })
    }

    fn try_intent(&mut self, intent: &Intent) -> io::Result<()> {
        if self.unread {
            // Puts the file aside now, if that has become possible.
            intent::load(&self.dir.intent())?;
            self.unread = false;
        }
        intent::save(&self.dir.intent(), intent)
    }

    fn save(&mut self, intent: Intent) {
        let result = self.try_intent(&intent);
        self.unsaved = result.is_err().then_some(intent);
        tell_once(&mut self.intent_fails, "what is switched on and off", result);
    }
}

impl Store for DiskStore {
    fn save_intent(&mut self, intent: &Intent) {
        self.save(intent.clone());
    }

    fn record(&mut self, occurrences: &[Occurrence]) {
        if let Some(unsaved) = self.unsaved.take() {
            self.save(unsaved);
        }
        let wall = self.clock.wall(self.clock.now());
        let at = jiff::Timestamp::try_from(wall).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let line = |occurrence: &Occurrence| EventLine {
            at: format!("{at:.3}"),
            generation: occurrence.generation,
            kind: occurrence.kind.to_owned(),
            service: occurrence.service.as_ref().map(ServiceId::to_string),
            run: occurrence.run.as_ref().map(RunId::to_string),
            text: occurrence.text.clone(),
        };
        let added = journal::append(&self.dir, occurrences.iter().map(line));
        tell_once(&mut self.journal_fails, "what happened", added);
    }
}

/// Warns of the first failure of several in a row.
fn tell_once(fails: &mut bool, what: &str, result: io::Result<()>) {
    match result {
        Ok(()) if *fails => {
            tracing::info!("{what} is stored again");
            *fails = false;
        }
        Ok(()) => {}
        Err(error) if !*fails => {
            tracing::warn!("{what} could not be stored, trying again later: {error}");
            *fails = true;
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::journal::read_events;
    use super::*;

    fn store(dir: &StateDir) -> (DiskStore, Kept) {
        DiskStore::open(dir.clone(), Clock::start(Duration::from_secs(1000)))
    }

    fn occurrence(text: &str) -> Occurrence {
        Occurrence {
            kind: "exited",
            generation: 3,
            service: Some(ServiceId::new("web").unwrap()),
            run: Some(RunId::new("r-1")),
            text: text.to_owned(),
        }
    }

    fn wishes() -> Intent {
        [(ServiceId::new("web").unwrap(), true)].into()
    }

    #[test]
    fn the_next_agent_finds_what_this_one_has_stored() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let (mut first, kept) = store(&dir);
        assert_eq!(kept, Kept::default());
        first.save_intent(&wishes());
        first.record(&[occurrence("exited with code 1")]);
        assert_eq!(store(&dir).1, Kept { intent: wishes(), ..Kept::default() });
        let lines = read_events(&dir, None).unwrap();
        let age = jiff::Timestamp::now().duration_since(lines[0].at.parse().unwrap());
        assert!(age.as_secs().abs() < 60, "{age:?}");
        assert_eq!((&*lines[0].kind, &*lines[0].text, lines[0].generation), ("exited", "exited with code 1", 3));
    }

    #[test]
    fn a_failing_disk_is_survived_and_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path().join("state"));
        let (mut store, _) = store(&dir);
        // Without its folder nothing can be written.
        store.save_intent(&wishes());
        store.record(&[occurrence("lost")]);
        assert!(store.intent_fails && store.journal_fails);
        fs::create_dir(dir.root()).unwrap();
        store.record(&[occurrence("kept")]);
        assert!(!store.intent_fails && !store.journal_fails);
        assert_eq!(self::store(&dir).1.intent, wishes());
        let lines = read_events(&dir, None).unwrap();
        assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["kept"]);
    }

    #[test]
    fn wishes_that_are_gone_or_broken_are_known_to_be_lost() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let is_lost = || (store(&dir).1.is_lost, intent::peek(&dir).1);
        assert_eq!(is_lost(), (false, false), "it is new");
        assert_eq!(is_lost(), (false, false), "nothing was ever wished");
        store(&dir).0.record(&[occurrence("something happened")]);
        fs::remove_file(dir.intent()).unwrap();
        assert_eq!(is_lost(), (true, true), "somebody has taken it away");
        store(&dir).0.save_intent(&wishes());
        assert_eq!(is_lost(), (false, false));
        fs::write(dir.intent(), "{").unwrap();
        assert_eq!(intent::peek(&dir), (Intent::new(), true));
        assert_eq!(is_lost(), (true, true), "it is put aside");
        store(&dir).0.save_intent(&wishes());
        let text = fs::read_to_string(dir.intent()).unwrap();
        fs::write(dir.intent(), text.replace("web", "wex")).unwrap();
        assert_eq!(is_lost(), (true, true), "somebody has changed it");
        fs::write(dir.intent(), r#"{"format": 1, "services": {"web": true}}"#).unwrap();
        assert_eq!(is_lost(), (false, false), "it is an older one");
    }

    #[test]
    fn a_failed_save_leaves_the_older_wishes() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StateDir::new(folder.path());
        let (mut store, _) = store(&dir);
        store.save_intent(&wishes());
        // A folder in the place of the temporary file.
        let temporary = folder.path().join("intent.json.tmp");
        fs::create_dir(&temporary).unwrap();
        store.save_intent(&Intent::new());
        assert_eq!(self::store(&dir).1.intent, wishes());
        fs::remove_dir(&temporary).unwrap();
        store.save_intent(&Intent::new());
        assert_eq!(self::store(&dir).1.intent, Intent::new());
    }
}
