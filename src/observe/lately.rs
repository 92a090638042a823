//! Measurements that several may share: who asks soon after another is told what that one was.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sample::{Observer, ProcessUse, Root};
use crate::domain::{RunId, ServiceId};

/// An observer that remembers what it measured last, in the form `M`. It measures nothing by itself.
#[derive(Debug)]
pub struct Lately<M> {
    observer: Observer,
    last: Option<Look<M>>,
}

#[derive(Debug)]
struct Look<M> {
    began: Instant,
    /// Which run of each service was measured, and its main process.
    runs: HashMap<ServiceId, (RunId, Option<u32>)>,
    measured: Arc<M>,
}

impl<M> Default for Lately<M> {
    fn default() -> Self {
        Self { observer: Observer::default(), last: None }
    }
}

impl<M> Lately<M> {
    /// What was measured at most `age` ago, if all of these runs, with these main processes, were among it; others may have
    /// been, too.
    pub fn recent<'a>(
        &self,
        mut runs: impl Iterator<Item = (&'a ServiceId, &'a RunId, Option<u32>)>,
        age: Duration,
    ) -> Option<Arc<M>> {
        let last = self.last.as_ref().filter(|last| last.began.elapsed() < age)?;
        let was_measured = |(id, run, main): (&ServiceId, &RunId, Option<u32>)| {
            last.runs.get(id).is_some_and(|(known, pid)| known == run && *pid == main)
        };
        runs.all(was_measured).then(|| Arc::clone(&last.measured))
    }

    /// The processes of `roots` [now](Observer::sample), brought into form and remembered. Blocks for some milliseconds.
    ///
    /// # Errors
    /// When the system tells nothing of its processes.
    pub fn measure(
        &mut self,
        roots: Vec<Root>,
        form: impl FnOnce(BTreeMap<ServiceId, Vec<ProcessUse>>) -> M,
    ) -> io::Result<Arc<M>> {
        let began = Instant::now();
        let measured = Arc::new(form(self.observer.sample(&roots)?));
        let runs = roots.into_iter().map(|root| (root.id, (root.run, root.pid))).collect();
        self.last = Some(Look { began, runs, measured: Arc::clone(&measured) });
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn id(id: &str) -> ServiceId {
        ServiceId::new(id).unwrap()
    }

    #[test]
    fn who_asks_soon_after_is_told_the_same_of_the_same_runs_only() {
        let (main, run, other) = (std::process::id(), RunId::new("1"), RunId::new("2"));
        let (web, db, new) = (id("web"), id("db"), id("new"));
        let root = |id: &ServiceId| Root { id: id.clone(), pid: Some(main), run: run.clone() };
        let mut lately = Lately::default();
        let none = lately.recent(std::iter::empty(), LONG);
        assert_eq!(none, None, "nothing was measured");
        let measured = lately.measure(vec![root(&web), root(&db)], |trees| trees.len()).unwrap();
        assert_eq!(*measured, 2);
        let cases = [
            (vec![(&web, &run, Some(main)), (&db, &run, Some(main))], LONG, true),
            (vec![(&db, &run, Some(main))], LONG, true),
            (vec![], LONG, true),
            (vec![(&web, &run, Some(main))], Duration::ZERO, false),
            (vec![(&web, &other, Some(main))], LONG, false),
            (vec![(&web, &run, None)], LONG, false),
            (vec![(&web, &run, Some(main)), (&new, &run, Some(main))], LONG, false),
        ];
        for (runs, age, is_known) in cases {
            let recent = lately.recent(runs.iter().copied(), age);
            assert_eq!(recent.is_some(), is_known, "{runs:?} {age:?}");
            assert!(recent.is_none_or(|recent| Arc::ptr_eq(&recent, &measured)));
        }
    }
}
