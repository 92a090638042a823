//! Puts all services together, in rounds: those that turn out to be wrong give way to their last good definition, or to
//! nothing, which may change what names come to and who can be needed.
//!
//! So it is done again until a round finds nothing wrong. Each round takes at least one service out, and the first one
//! is the last as a rule.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::dependencies::{self, Needs};
use super::draft::{Draft, Places};
use super::fields::Fields;
use super::in_use::{Held, InUse};
use super::memo::{Made, Memo};
use super::names::{Member, Names, Shared};
use super::read_service::{self, Context};
use super::report::Report;
use super::template::PortSlot;
use crate::domain::{Problem, ServiceId, Severity};

/// What came of all drafts.
pub(super) struct Outcome {
    /// For each draft the definition that is in use now; `None` for one that is not valid and never was.
    pub held: Vec<Option<Arc<Held>>>,
    /// The environment that all services get.
    pub shared: Shared,
    /// What is wrong with any of them.
    pub problems: Vec<Problem>,
    /// Whether the first round was the last, with each service as it is defined.
    pub is_first: bool,
}

/// Puts the services of `drafts` together, until nothing is wrong.
///
/// `memo` is that of the drafts; `defined` are all ids.
pub(super) fn put_together(
    (drafts, defined): (&[Arc<Draft>], &BTreeSet<&ServiceId>),
    places: Places<'_>,
    in_use: &InUse,
    memo: &mut Memo,
) -> Outcome {
    let mut rounds = Rounds { drafts, defined, places, in_use, memo, problems: Vec::new(), state: Vec::new() };
    let last = rounds.until_nothing_is_wrong();
    rounds.conclude(last)
}

/// The names of all services put together like this, and which of their members the draft number `at` is; `None` if
/// nothing of it is in use.
pub(super) fn names_for<'r>(
    (drafts, defined): (&'r [Arc<Draft>], &'r BTreeSet<&'r ServiceId>),
    places: Places<'r>,
    in_use: &'r InUse,
    at: usize,
) -> Option<(Names<'r>, usize)> {
    let memo = &mut Memo::default();
    let mut rounds = Rounds { drafts, defined, places, in_use, memo, problems: Vec::new(), state: Vec::new() };
    rounds.until_nothing_is_wrong();
    let (members, index) = rounds.members();
    Some((Names::of(members, places.surroundings), index[at]?))
}

/// What is in use of a service.
#[derive(Clone, Copy)]
enum State<'a> {
    Present,
    Held(&'a Arc<Held>),
    Gone,
}

struct Rounds<'r, 'm> {
    drafts: &'r [Arc<Draft>],
    defined: &'r BTreeSet<&'r ServiceId>,
    places: Places<'r>,
    in_use: &'r InUse,
    memo: &'m mut Memo,
    /// What is wrong with everything that will not be looked at again.
    problems: Vec<Problem>,
    state: Vec<State<'r>>,
}

/// What one round made of each service that is present.
struct Round {
    services: Vec<Option<Arc<Made>>>,
    problems: Vec<Vec<Problem>>,
    shared: Shared,
}

impl<'r> Rounds<'r, '_> {
    fn until_nothing_is_wrong(&mut self) -> Round {
        self.state = self.drafts.iter().map(|draft| self.before_the_first(draft)).collect();
        loop {
            let mut round = self.round();
            self.judge_needs(&mut round);
            let wrong: Vec<_> = (0..self.drafts.len()).filter(|at| failed(&round.problems[*at])).collect();
            if wrong.is_empty() {
                return round;
            }
            for at in wrong {
                self.problems.append(&mut round.problems[at]);
                self.state[at] = self.held(&self.drafts[at].id).map_or(State::Gone, State::Held);
            }
        }
    }

    /// A service whose `env_file` nobody has looked at stays what it was.
    fn before_the_first(&self, draft: &Draft) -> State<'r> {
        let unread = draft.env_files.iter().any(|path| !self.places.surroundings.env_files.contains_key(path));
        match unread.then(|| self.held(&draft.id)).flatten() {
            Some(held) => State::Held(held),
            None => State::Present,
        }
    }

    fn held(&self, id: &ServiceId) -> Option<&'r Arc<Held>> {
        self.in_use.services.get(id)
    }

    /// Whoever is in use, and for each draft which of them it is.
    fn members(&self) -> (Vec<(&'r ServiceId, Member<'r>)>, Vec<Option<usize>>) {
        let mut members = Vec::with_capacity(self.drafts.len());
        let mut index = vec![None; self.drafts.len()];
        for (at, draft) in self.drafts.iter().enumerate() {
            let member = match self.state[at] {
                State::Present => Member::Present(&draft.exposed),
                State::Held(held) => Member::Held(held),
                State::Gone => continue,
            };
            index[at] = Some(members.len());
            members.push((&draft.id, member));
        }
        (members, index)
    }

    fn round(&mut self) -> Round {
        let (drafts, places) = (self.drafts, self.places);
        let (members, index) = self.members();
        let mut names = Names::of(members, places.surroundings);
        let shared: Shared = Arc::new(names.shared());
        let mut services = Vec::with_capacity(drafts.len());
        let mut problems = Vec::with_capacity(drafts.len());
        for (at, draft) in drafts.iter().enumerate() {
            let Some(member) = index[at] else {
                services.push(None);
                problems.push(Vec::new());
                continue;
            };
            let mut of_exports = names.take_problems(member);
            let State::Present = self.state[at] else {
                services.push(None);
                problems.push(of_exports);
                continue;
            };
            let made = self.memo.made(at, (&mut names, member), |names| make(draft, (names, member), places, &shared));
            let mut found = made.problems.clone();
            found.append(&mut of_exports);
            found.extend_from_slice(&made.problems_of_names);
            problems.push(found);
            services.push(Some(made));
        }
        Round { services, problems, shared }
    }

    fn judge_needs(&self, round: &mut Round) {
        let mut needs = Vec::with_capacity(self.drafts.len());
        for (at, draft) in self.drafts.iter().enumerate() {
            let on = match (self.state[at], &round.services[at]) {
                (State::Gone, _) => continue,
                (State::Present, Some(made)) if !failed(&round.problems[at]) => {
                    made.needs.iter().map(|(id, place)| (id, Some(place))).collect()
                }
                (State::Present | State::Held(_), _) => match self.held(&draft.id) {
                    Some(held) => held.service.depends_on.iter().map(|need| (&need.id, None)).collect(),
                    None => continue,
                },
            };
            needs.push(Needs { id: &draft.id, on });
        }
        let mut wrong = dependencies::judge(&needs, self.defined, &|id| self.held(id).is_some());
        if wrong.is_empty() {
            return;
        }
        for (at, draft) in self.drafts.iter().enumerate() {
            round.problems[at].extend(wrong.remove(&draft.id).unwrap_or_default());
        }
    }

    fn conclude(mut self, round: Round) -> Outcome {
        self.problems.extend(round.problems.into_iter().flatten());
        let held =
            self.drafts.iter().zip(&self.state).zip(round.services).map(|((draft, state), made)| match (state, made) {
                (State::Present, Some(made)) => Some(Arc::clone(&made.held)),
                (State::Held(held), _) if held.source == draft.source => Some(Arc::clone(held)),
                (State::Held(held), _) => Some(Arc::new(Held { source: draft.source.clone(), ..Held::clone(held) })),
                (State::Present | State::Gone, _) => None,
            });
        let held = held.collect();
        let is_first = self.state.iter().all(|state| matches!(state, State::Present));
        Outcome { held, shared: round.shared, problems: self.problems, is_first }
    }
}

fn failed(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// What the service of `draft` is read against.
pub(super) fn context<'a>(draft: &'a Draft, places: Places<'a>, shared: &'a Shared) -> Context<'a> {
    Context {
        id: &draft.id,
        place: &draft.place,
        type_name: &draft.type_name,
        type_is_known: draft.type_is_known,
        folder: &draft.folder,
        root: &places.surroundings.root,
        env_files: &places.surroundings.env_files,
        shared,
    }
}

/// What comes of `draft`, which is `member` of `names`.
pub(super) fn make(
    draft: &Draft,
    (names, member): (&mut Names<'_>, usize),
    places: Places<'_>,
    shared: &Shared,
) -> Made {
    names.begin_answers();
    let mut report = Report::of(&draft.id);
    report.problems.clone_from(&draft.problems);
    let port = names.port(member);
    let whole = draft.whole(PortSlot::Known(port), places, &mut report);
    let context = context(draft, places, shared);
    let service = read_service::read(&context, (&whole, &draft.exposed), (&mut *names, member), &mut report);
    let needs = read_service::dependencies(&mut Fields::of(&whole.node), &mut Report::default());
    let needs = needs.into_iter().map(|(need, place)| (need.id, place.clone())).collect();
    let held = Held { source: draft.source.clone(), service: Arc::new(service), exports: names.exports(member) };
    Made {
        held: Arc::new(held),
        needs,
        problems: report.problems,
        problems_of_names: names.take_problems(member),
        answers: names.answers(member),
    }
}
