//! What resolving has worked out, kept for the next time: each result together with everything that it was made of.
//!
//! A result is taken over only where all of that is the same, so that resolving with a memo and without one comes to
//! the same; what does not fit is made anew. There are three of each service:
//! - its draft is made of what its sources say and of what all services build on;
//! - what is made of the draft depends on what names come to as well: what it asks of them is noted while it is made;
//! - how the catalog shows that depends on its heading and the shared environment.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::draft::Draft;
use super::in_use::Held;
use super::names::{Answers, Names, Shared};
use super::reading::{SourceFile, Surroundings};
use crate::domain::{Entry, Kind, Node, Place, Problem, Service, ServiceId, Spawn};

/// All results of the last time.
#[derive(Clone, Debug, Default)]
pub(super) struct Memo {
    /// In the order of the drafts.
    services: IndexMap<ServiceId, Kept>,
    surroundings: Surroundings,
    /// The templates of types, in their order.
    types: Vec<Address>,
    /// Keeps everything alive that there are addresses of, so that no other node can get one of them.
    sources: Vec<Arc<SourceFile>>,
    shared: Shared,
}

/// What was made of a draft.
#[derive(Debug)]
pub(super) struct Made {
    /// The definition and what it exports.
    pub held: Arc<Held>,
    /// Whom it needs, with the places where that is written.
    pub needs: Vec<(ServiceId, Place)>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// What is wrong with those of its names that nobody else sees.
    pub problems_of_names: Vec<Problem>,
    /// What names came to when it was made.
    pub answers: Answers,
}

#[derive(Clone, Debug)]
struct Kept {
    node: Address,
    overrides: Vec<Address>,
    draft: Arc<Draft>,
    made: Option<Arc<Made>>,
    /// The definition that is shown, and how.
    shown: Option<(Arc<Service>, Arc<Service>)>,
}

impl Memo {
    /// To be called first of all: forgets everything if it was made with other `surroundings` or `types`.
    pub fn begin<'a>(
        &mut self,
        files: &[Arc<SourceFile>],
        surroundings: &Surroundings,
        types: impl Iterator<Item = &'a Entry>,
    ) {
        let types: Vec<_> = types.map(|entry| Address::of(&entry.node)).collect();
        if self.surroundings != *surroundings || self.types != types {
            *self = Self { surroundings: surroundings.clone(), types, ..Self::default() };
        }
        self.sources = files.to_vec();
    }

    /// Whether it was made with these `surroundings`.
    pub fn is_around(&self, surroundings: &Surroundings) -> bool {
        self.surroundings == *surroundings
    }

    /// What it was made of.
    pub fn sources(&self) -> &[Arc<SourceFile>] {
        &self.sources
    }

    /// The environment that all services got the last time.
    pub fn last_shared(&self) -> &Shared {
        &self.shared
    }

    /// The draft number `at` and what was made of it, unless something overrides it.
    pub fn plain(&self, at: usize) -> Option<(&Draft, &Made)> {
        let (_, kept) = self.services.get_index(at).filter(|(_, kept)| kept.overrides.is_empty())?;
        Some((&kept.draft, kept.made.as_deref()?))
    }

    /// Puts another draft in place of the one number `at`, which nobody else notices; gives how the catalog shows what is
    /// made of it. What it was made of is to be replaced as well.
    pub fn replace(&mut self, at: usize, node: &Node, draft: Arc<Draft>, made: Arc<Made>) -> Arc<Service> {
        let heading = self.services[at].shown.as_ref().and_then(|(_, shown)| shown.display.group.clone());
        let service = Arc::clone(&made.held.service);
        let shown = shown(&service, heading, &self.shared);
        self.services[at] = Kept {
            node: Address::of(node),
            overrides: Vec::new(),
            draft,
            made: Some(made),
            shown: Some((service, Arc::clone(&shown))),
        };
        shown
    }

    /// Puts `file` in place of the source number `at`, of which no draft is left.
    pub fn replace_source(&mut self, at: usize, file: &Arc<SourceFile>) {
        self.sources[at] = Arc::clone(file);
    }

    /// The draft of service `id`, which is made of `node` of `source` and its `overrides`, and the draft number `at`.
    pub fn draft(
        &mut self,
        at: usize,
        (id, source): (&ServiceId, &Path),
        (node, overrides): (&Node, &[&Node]),
        begin: impl FnOnce() -> Draft,
    ) -> Arc<Draft> {
        let (node, overrides) = (Address::of(node), overrides.iter().copied().map(Address::of));
        // A node stands in one place only, so that it tells its list and folder as well.
        let in_place = self.services.get_index(at).filter(|(kept, _)| *kept == id).map(|(_, kept)| kept);
        if let Some(kept) = in_place.or_else(|| self.services.get(id))
            && kept.node == node
            && kept.draft.source.as_os_str() == source.as_os_str()
            && kept.overrides.iter().copied().eq(overrides.clone())
        {
            return Arc::clone(&kept.draft);
        }
        let draft = Arc::new(begin());
        let kept = Kept { node, overrides: overrides.collect(), draft: Arc::clone(&draft), made: None, shown: None };
        self.services.insert(id.clone(), kept);
        draft
    }

    /// To be called once all drafts are there: forgets what belongs to none of them.
    pub fn keep_only(&mut self, drafts: &[Arc<Draft>]) {
        if !self.services.keys().eq(drafts.iter().map(|draft| &draft.id)) {
            let mut before = std::mem::take(&mut self.services);
            self.services.extend(drafts.iter().filter_map(|draft| before.swap_remove_entry(&draft.id)));
        }
    }

    /// What comes of the draft number `at`, which is `member` of `names`.
    pub fn made(
        &mut self,
        at: usize,
        (names, member): (&mut Names<'_>, usize),
        make: impl FnOnce(&mut Names<'_>) -> Made,
    ) -> Arc<Made> {
        let kept = self.services.get_index_mut(at).map(|(_, kept)| &mut kept.made);
        if let Some(Some(made)) = &kept
            && names.still_answer(member, &made.answers)
        {
            return Arc::clone(made);
        }
        let made = Arc::new(make(names));
        if let Some(kept) = kept {
            *kept = Some(Arc::clone(&made));
        }
        made
    }

    /// `shared`, or what was the same the last time.
    pub fn shared(&mut self, shared: Shared) -> Shared {
        if *self.shared != *shared {
            self.shared = shared;
        }
        Arc::clone(&self.shared)
    }

    /// What is in use of the draft number `at`, in the catalog of today: with today's `shared` environment, and under
    /// its heading.
    pub fn shown(
        &mut self,
        at: usize,
        service: &Arc<Service>,
        heading: Option<String>,
        shared: &Shared,
    ) -> Arc<Service> {
        let kept = self.services.get_index_mut(at).map(|(_, kept)| &mut kept.shown);
        if let Some(Some((of, shown))) = &kept
            && Arc::ptr_eq(of, service)
            && is_shown(shown, heading.as_deref(), shared)
        {
            return Arc::clone(shown);
        }
        let shown = shown(service, heading, shared);
        if let Some(kept) = kept {
            *kept = Some((Arc::clone(service), Arc::clone(&shown)));
        }
        shown
    }
}

fn shown(service: &Arc<Service>, heading: Option<String>, shared: &Shared) -> Arc<Service> {
    let mut shown = Arc::clone(service);
    if is_shown(&shown, heading.as_deref(), shared) {
        return shown;
    }
    let changed = Arc::make_mut(&mut shown);
    changed.display.group = heading;
    if let Kind::Process(spawn) = &mut changed.kind {
        *spawn = Arc::new(Spawn { shared_env: Arc::clone(shared), ..(**spawn).clone() });
    }
    shown
}

fn is_shown(service: &Service, heading: Option<&str>, shared: &Shared) -> bool {
    let is_shared = match &service.kind {
        Kind::Process(spawn) => Arc::ptr_eq(&spawn.shared_env, shared),
        Kind::External | Kind::Detached | Kind::Settings => true,
    };
    is_shared && service.display.group.as_deref() == heading
}

/// Which node it is: while a source lives, its nodes stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address(usize);

impl Address {
    fn of(node: &Node) -> Self {
        Self(std::ptr::from_ref(node).addr())
    }
}
