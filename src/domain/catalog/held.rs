//! What surrounds the sources, kept as it was while it is empty or missing for a moment, or while the main file is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::reading::{EnvFile, Surroundings};
use super::standing::TO_COME_BACK;
use crate::domain::Moment;

type Lines = Vec<(String, String, u32)>;

/// The surroundings in use.
#[derive(Clone, Debug, Default)]
pub(super) struct HeldSurroundings {
    latest: Arc<Surroundings>,
    with_main: Option<(PathBuf, String)>,
    dotenv: Held<Lines>,
    env_files: BTreeMap<PathBuf, Held<Lines>>,
}

impl HeldSurroundings {
    /// Takes note of what was read; `main_is_held` says that the main file in use is not the one on disk.
    pub fn take(&mut self, now: Moment, latest: &Arc<Surroundings>, main_is_held: bool) {
        self.latest = Arc::clone(latest);
        if !main_is_held {
            self.with_main = Some((latest.root.clone(), latest.python.clone()));
        }
        self.dotenv.take(now, Some(&latest.dotenv).filter(|variables| !variables.is_empty()));
        self.env_files.retain(|path, _| latest.env_files.contains_key(path));
        for (path, contents) in &latest.env_files {
            self.env_files.entry(path.clone()).or_default().take(now, filled(contents));
        }
    }

    /// What is to be used at `now`.
    pub fn choose(&mut self, now: Moment, main_is_held: bool) -> Arc<Surroundings> {
        self.dotenv.expire(now);
        self.env_files.values_mut().for_each(|held| held.expire(now));
        let mut chosen = Arc::clone(&self.latest);
        if let Some((root, python)) = self.with_main.as_ref().filter(|_| main_is_held) {
            let chosen = Arc::make_mut(&mut chosen);
            chosen.root.clone_from(root);
            chosen.python.clone_from(python);
        }
        if let Some(variables) = self.dotenv.instead() {
            Arc::make_mut(&mut chosen).dotenv.clone_from(variables);
        }
        for (path, held) in &self.env_files {
            if let Some(lines) = held.instead() {
                Arc::make_mut(&mut chosen).env_files.insert(path.clone(), Ok(lines.clone()));
            }
        }
        chosen
    }

    /// Gives what is missing all of its time again.
    pub fn forgive(&mut self, now: Moment) {
        for since in self.env_files.values_mut().map(|held| &mut held.since).chain([&mut self.dotenv.since]) {
            *since = since.map(|_| now);
        }
    }

    /// When [`Self::choose`] will next say something else than at `last`, if nothing is read until then.
    pub fn next_deadline(&self, last: Moment) -> Option<Moment> {
        let env_files = self.env_files.values().filter_map(|held| held.since);
        let deadlines = self.dotenv.since.into_iter().chain(env_files).map(|since| since + TO_COME_BACK);
        deadlines.filter(|deadline| *deadline > last).min()
    }
}

/// A file of variables: what it last said, and since when it has said nothing.
#[derive(Clone, Debug)]
struct Held<T> {
    good: Option<T>,
    since: Option<Moment>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { good: None, since: None }
    }
}

impl<T: Clone> Held<T> {
    fn take(&mut self, now: Moment, said: Option<&T>) {
        match said {
            Some(said) => *self = Self { good: Some(said.clone()), since: None },
            None if self.good.is_some() => self.since = self.since.or(Some(now)),
            None => {}
        }
    }

    fn expire(&mut self, now: Moment) {
        if self.since.is_some_and(|since| now >= since + TO_COME_BACK) {
            *self = Self::default();
        }
    }

    fn instead(&self) -> Option<&T> {
        self.good.as_ref().filter(|_| self.since.is_some())
    }
}

fn filled(contents: &EnvFile) -> Option<&Lines> {
    contents.as_ref().ok().filter(|lines| !lines.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(1_000_000 + millis))
    }

    fn surroundings(root: &str, dotenv: &[&str], env_file: Option<EnvFile>) -> Arc<Surroundings> {
        Arc::new(Surroundings {
            root: PathBuf::from(root),
            python: format!("{root}/python"),
            dotenv: dotenv.iter().map(|name| ((*name).to_owned(), "1".to_owned(), 1)).collect(),
            env_files: env_file.into_iter().map(|contents| (PathBuf::from("/x.env"), contents)).collect(),
            ..Surroundings::default()
        })
    }

    fn lines(value: &str) -> EnvFile {
        Ok(vec![("A".to_owned(), value.to_owned(), 1)])
    }

    fn gone() -> EnvFile {
        Err("there is no such file".to_owned())
    }

    #[test]
    fn variables_that_are_gone_for_a_moment_stay_and_then_go() {
        for (nothing, expected) in [(gone(), gone()), (Ok(Vec::new()), Ok(Vec::new()))] {
            let mut held = HeldSurroundings::default();
            let good = surroundings("/r", &["B"], Some(lines("1")));
            held.take(at(0), &good, false);
            assert_eq!(held.choose(at(0), false), good);
            held.take(at(10), &surroundings("/r", &[], Some(nothing.clone())), false);
            assert_eq!(held.choose(at(10), false), good);
            held.take(at(20), &surroundings("/r", &[], Some(nothing.clone())), false);
            assert_eq!(held.next_deadline(at(20)), Some(at(2010)));
            assert_eq!(held.choose(at(2009), false), good);
            assert_eq!(held.choose(at(2010), false), surroundings("/r", &[], Some(expected)));
            assert_eq!(held.next_deadline(at(2010)), None);
        }
    }

    #[test]
    fn variables_that_come_back_or_change_count_at_once() {
        let mut held = HeldSurroundings::default();
        held.take(at(0), &surroundings("/r", &["B"], Some(lines("1"))), false);
        held.take(at(10), &surroundings("/r", &[], Some(gone())), false);
        let changed = surroundings("/r", &["C"], Some(lines("2")));
        held.take(at(20), &changed, false);
        assert_eq!(held.choose(at(20), false), changed);
        assert_eq!(held.next_deadline(at(20)), None);
    }

    #[test]
    fn a_file_that_never_was_there_is_not_waited_for() {
        let mut held = HeldSurroundings::default();
        let nothing = surroundings("/r", &[], Some(gone()));
        held.take(at(0), &nothing, false);
        assert_eq!((held.choose(at(0), false), held.next_deadline(at(0))), (nothing, None));
    }

    #[test]
    fn the_root_stays_while_the_main_file_in_use_is_not_the_one_on_disk() {
        let mut held = HeldSurroundings::default();
        held.take(at(0), &surroundings("/main", &[], None), false);
        held.take(at(10), &surroundings("/default", &["B"], None), true);
        let chosen = held.choose(at(10), true);
        assert_eq!((chosen.root.as_path(), chosen.python.as_str()), (std::path::Path::new("/main"), "/main/python"));
        assert_eq!(chosen.dotenv.len(), 1);
        assert_eq!(held.choose(at(2010), false).root, PathBuf::from("/default"));
    }
}
