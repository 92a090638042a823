//! Keeps the last good version of each source and each service, and knows how long to wait for the next.
//!
//! A source that parses is taken at once. One that is broken or empty keeps its last good version, and is reported when
//! it has stayed so for a second; one that is gone keeps it for two. Whether a source is good is decided elsewhere.

use std::sync::Arc;

use super::findings;
use super::held::HeldSurroundings;
use super::in_use::InUse;
use super::origins::Basis;
use super::reading::Reading;
use super::resolve::{Resolution, Resolver, services_of};
use super::standing::{Chosen, Standings};
use crate::domain::{Moment, Problem, Severity};

/// The memory of what was good.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    standings: Standings,
    surroundings: HeldSurroundings,
    resolver: Resolver,
    /// What was settled last, unless that was not taken into use.
    in_use: Arc<InUse>,
    /// What is wrong with the latest reading itself.
    problems: Vec<Problem>,
    has_read: bool,
    settled: Moment,
    deadline: Option<Moment>,
}

/// What is to be used after a reading or a deadline.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// The catalog and what is wrong.
    pub resolution: Resolution,
    /// Whether some source is at present not what is in use (broken, missing for a moment, never read), so that a
    /// service that is absent from the catalog may still be defined.
    pub unsettled: bool,
    /// What the catalog was made of.
    pub basis: Arc<Basis>,
}

impl Ledger {
    /// Takes note of what is on disk now.
    pub fn take(&mut self, now: Moment, reading: Reading) {
        self.standings.take(now, (reading.files, reading.unlisted), services_of);
        self.surroundings.take(now, &reading.surroundings, self.standings.main_is_held());
        self.problems = reading.problems;
        self.has_read = true;
        self.look_ahead();
    }

    /// Gives what is missing all of its time again: nobody has looked for a while.
    pub fn forgive(&mut self, now: Moment) {
        self.standings.forgive(now);
        self.surroundings.forgive(now);
        self.look_ahead();
    }

    /// When a source that is broken or missing has had its time; ask [`Self::settle`] again then.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.deadline
    }

    fn look_ahead(&mut self) {
        let deadlines = [self.standings.next_deadline(self.settled), self.surroundings.next_deadline(self.settled)];
        self.deadline = deadlines.into_iter().flatten().min();
    }

    /// What is to be used now. The catalog equals the one before if nothing has changed in meaning.
    pub fn settle(&mut self, now: Moment) -> Settled {
        self.settled = now;
        if !self.has_read {
            return Settled { unsettled: true, ..Settled::default() };
        }
        let chosen = self.standings.choose(now);
        let surroundings = self.surroundings.choose(now, self.standings.main_is_held());
        self.look_ahead();
        let mut resolution = self.resolver.resolve(&chosen.files, &surroundings, &self.in_use);
        self.in_use = Arc::new(std::mem::take(&mut resolution.in_use));
        resolution.problems.retain(|problem| !is_of_a_move(problem, &chosen));
        let unsettled = chosen.unsettled || !resolution.invalid.is_empty();
        // What the resolver says is in order.
        if !self.problems.is_empty() || !chosen.problems.is_empty() {
            resolution.problems.extend(self.problems.iter().cloned());
            resolution.problems.extend(chosen.problems);
            resolution.problems = findings::arranged(resolution.problems, &chosen.files);
        }
        let basis = Basis { files: chosen.files, surroundings, in_use: Arc::clone(&self.in_use) };
        Settled { resolution, unsettled, basis: Arc::new(basis) }
    }

    /// What was settled last is not taken into use: what is to be judged next is judged against `in_use`, as before.
    pub fn go_on_with(&mut self, in_use: &Arc<InUse>) {
        self.in_use = Arc::clone(in_use);
    }
}

/// Whether it comes only from a source being on its way to another name, when both define what moves.
fn is_of_a_move(problem: &Problem, chosen: &Chosen) -> bool {
    let (Some(place), Some(service)) = (&problem.place, &problem.service) else { return false };
    problem.severity == Severity::Error && chosen.moving.contains(&(Arc::clone(&place.file), service.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::{Content, Role, SourceFile, Surroundings};
    use crate::domain::{Node, Place, ServiceId, Value};
    use std::path::PathBuf;
    use std::time::Duration;

    fn at(millis: u64) -> Moment {
        Moment::at(Duration::from_millis(1_000_000 + millis))
    }

    fn place(line: u32) -> Place {
        Place { file: "services.json".into(), line, column: 1 }
    }

    fn main_file(content: Content) -> Arc<SourceFile> {
        let (name, path) = ("services.json".into(), PathBuf::from("/c/services.json"));
        Arc::new(SourceFile { name, path, role: Role::Main, content })
    }

    fn parsed(text: &str) -> Arc<SourceFile> {
        let node = Node { place: place(1), value: Value::Map(Vec::new()) };
        main_file(Content::Parsed(Arc::new(node), text.into()))
    }

    fn reading(files: Vec<Arc<SourceFile>>) -> Reading {
        let surroundings = Surroundings { root: PathBuf::from("/c"), ..Surroundings::default() };
        let (surroundings, problems) = (Arc::new(surroundings), Vec::new());
        Reading { files, surroundings, unlisted: false, problems, cause: "a test".to_owned(), order: 0 }
    }

    fn messages(settled: &Settled) -> Vec<&str> {
        settled.resolution.problems.iter().map(|problem| problem.message.as_str()).collect()
    }

    #[test]
    fn before_the_first_reading_anything_may_be_defined() {
        let mut ledger = Ledger::default();
        assert!(ledger.settle(at(0)).unsettled);
        assert_eq!(ledger.next_deadline(), None);
        ledger.take(at(1), reading(Vec::new()));
        assert!(!ledger.settle(at(1)).unsettled);
    }

    #[test]
    fn problems_are_told_once_and_the_worst_first() {
        let mut ledger = Ledger::default();
        let whole = Place::whole(&"services.json".into());
        let (note, warning) = (Problem::note(&whole, "its group"), Problem::warning(&whole, "a slip"));
        let mut reading =
            reading(vec![main_file(Content::Broken(Problem::error(&place(3), "a comma is missing here")))]);
        reading.problems = vec![note.clone(), warning.clone(), note];
        Arc::make_mut(&mut reading.surroundings).problems = vec![warning];
        ledger.take(at(0), reading);
        let settled = ledger.settle(at(0));
        assert_eq!(messages(&settled), ["a comma is missing here", "a slip", "its group"]);
        assert!(settled.unsettled);
    }

    #[test]
    fn problems_of_the_reading_before_are_forgotten() {
        let mut ledger = Ledger::default();
        let problem = Problem::note(&Place::whole(&"services.json".into()), "its group");
        ledger.take(at(0), Reading { problems: vec![problem], ..reading(vec![parsed("{}")]) });
        assert_eq!(messages(&ledger.settle(at(0))), ["its group"]);
        ledger.take(at(1), reading(vec![parsed("{}")]));
        assert_eq!(messages(&ledger.settle(at(1))), Vec::<&str>::new());
    }

    #[test]
    fn the_next_deadline_is_the_earliest_of_sources_and_what_surrounds_them() {
        let mut ledger = Ledger::default();
        let mut first = reading(vec![parsed("{}")]);
        Arc::make_mut(&mut first.surroundings).dotenv = vec![("A".to_owned(), "1".to_owned(), 1)];
        ledger.take(at(0), first);
        ledger.settle(at(0));
        ledger.take(at(500), reading(vec![parsed("{}")]));
        ledger.settle(at(500));
        assert_eq!(ledger.next_deadline(), Some(at(2500)));
        ledger.take(at(600), reading(vec![main_file(Content::Empty)]));
        ledger.settle(at(600));
        assert_eq!(ledger.next_deadline(), Some(at(1600)));
        ledger.settle(at(1600));
        assert_eq!(ledger.next_deadline(), Some(at(2500)));
        ledger.settle(at(2500));
        assert_eq!(ledger.next_deadline(), None);
    }

    #[test]
    fn only_errors_of_what_moves_are_kept_back() {
        let id = |text| ServiceId::new(text).unwrap();
        let chosen = Chosen { moving: [("services.json".into(), id("x"))].into(), ..Chosen::default() };
        assert!(is_of_a_move(&Problem::error(&place(2), "twice").of(&id("x")), &chosen));
        assert!(!is_of_a_move(&Problem::error(&place(2), "twice").of(&id("y")), &chosen));
        assert!(!is_of_a_move(&Problem::note(&place(2), "a note").of(&id("x")), &chosen));
        assert!(!is_of_a_move(&Problem::error(&place(2), "no service"), &chosen));
    }
}
