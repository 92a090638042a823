//! A service on its way: its object, its type, and what others may see of it, before any name is known.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment;
use super::exposed::Exposed;
use super::fields::{Fields, duplicates, present};
use super::merge::{self, Whole};
use super::reading::Surroundings;
use super::report::{Report, quoted};
use super::shapes::List;
use super::template::{BUDGET, Filler, PortSlot};
use super::types::Types;
use crate::domain::{Node, Place, Problem, ServiceId, Value};

/// A service whose source has the say on its id.
#[derive(Debug)]
pub(super) struct Draft {
    /// Its id.
    pub id: ServiceId,
    /// The absolute path of its source.
    pub source: PathBuf,
    /// Where it begins.
    pub place: Place,
    /// Its own object, overrides included.
    pub node: Node,
    /// The name of its type.
    pub type_name: String,
    /// Whether there is a type of that name; without one, it is a process as it is written.
    pub type_is_known: bool,
    /// Where it runs unless it says so.
    pub folder: PathBuf,
    /// What others may see of it.
    pub exposed: Exposed,
    /// The files that it names as `env_file`.
    pub env_files: Vec<PathBuf>,
    /// What is known to be wrong so far.
    pub problems: Vec<Problem>,
}

/// What all definitions build on.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// What definitions refer to.
    pub surroundings: &'a Surroundings,
    /// The root as text.
    pub root: &'a str,
    /// The types that they may name.
    pub types: &'a Types<'a>,
}

impl Draft {
    /// Begins with the object `node` of service `id`, which stands in `list` of `source`.
    pub fn begin(
        (id, node, list): (ServiceId, Node, List),
        source: &Path,
        folder: Option<PathBuf>,
        places: Places<'_>,
    ) -> Self {
        let mut report = Report::of(&id);
        duplicates(&node, &mut report);
        let (type_name, type_is_known) = type_of(&node, list, places.types, &mut report);
        let mut draft = Self {
            place: node.place.clone(),
            folder: folder.unwrap_or_else(|| places.surroundings.root.clone()),
            exposed: Exposed::default(),
            env_files: Vec::new(),
            problems: Vec::new(),
            id,
            source: source.to_owned(),
            node,
            type_name,
            type_is_known,
        };
        let whole = draft.whole(PortSlot::Later, places, &mut Report::default());
        let mut fields = Fields::of(&whole.node);
        draft.exposed = Exposed::read(&mut fields, &mut report);
        // What is wrong with it is said when the environment is read.
        let files = environment::files_of(&mut fields, &places.surroundings.root, &mut Report::default());
        draft.env_files = files.into_iter().map(|(path, _)| path).collect();
        draft.problems = report.problems;
        draft
    }

    /// The service with the defaults of its type.
    pub fn whole(&self, port: PortSlot, places: Places<'_>, report: &mut Report) -> Whole {
        let filler = Filler {
            own: &self.node,
            layers: &places.types.layers(&self.type_name),
            id: &self.id,
            root: places.root,
            python: &places.surroundings.python,
            port,
            budget: Cell::new(BUDGET),
        };
        merge::whole(&filler, report)
    }
}

/// The name of the type, and whether there is one; in the lists of real projects the list decides.
fn type_of(node: &Node, list: List, types: &Types<'_>, report: &mut Report) -> (String, bool) {
    let written =
        present(node, "type").and_then(|node| Some((super::fields::text(node, "type", report)?, &node.place)));
    let has = |key| present(node, key).is_some();
    let name = match (list, written) {
        (List::Backend, _) => "python-web",
        (List::Frontend, _) => "node",
        (List::Plain | List::Infrastructure, Some((written, _))) => written,
        (List::Infrastructure, None) if has("module") => "python",
        (List::Infrastructure, None) if !has("command") => "docker-compose",
        (List::Plain | List::Infrastructure, None) => "process",
    };
    if !types.layers(name).is_empty() {
        return (name.to_owned(), true);
    }
    let place = written.map_or(&node.place, |(_, place)| place);
    let hint = types.suggestion(name);
    let mut problem = if has("command") {
        Problem::note(place, format!("the type {} is not known; the service is run as a process", quoted(name)))
    } else {
        Problem::error(place, format!("the type {} is not known, and there is no command", quoted(name)))
    };
    problem.hint = hint;
    report.push(problem);
    (name.to_owned(), false)
}

/// What `override`s make of a service's object.
pub(super) fn overridden(node: &Node, patches: &[&Node]) -> Node {
    let mut node = node.clone();
    for patch in patches {
        node = merge::patched(&node, patch);
    }
    node
}

/// The files of all drafts, each once.
pub(super) fn env_files(drafts: &[Arc<Draft>]) -> Vec<PathBuf> {
    let files: BTreeSet<_> = drafts.iter().flat_map(|draft| draft.env_files.iter().cloned()).collect();
    files.into_iter().collect()
}

/// Whether `node` is an object, as whatever is merged into a service must be.
pub(super) fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}
