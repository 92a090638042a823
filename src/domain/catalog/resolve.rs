//! Sources that are judged good become the catalog: pure and total.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::in_use::InUse;
use super::reading::{SourceFile, Surroundings};
use crate::domain::{Catalog, Place, Problem, ServiceId};

/// What came of all sources.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// All services that are valid, and the last good definition of those that are not.
    pub catalog: Catalog,
    /// Everything that is wrong, worst first.
    pub problems: Vec<Problem>,
    /// Files that definitions name as `env_file`, absolute, whether they are in [`Surroundings::env_files`] or not.
    pub env_files: Vec<PathBuf>,
    /// Ids that are defined, but are not valid and never were: absent from the catalog, yet not removed by anyone.
    pub invalid: BTreeSet<ServiceId>,
    /// To be handed to the next call of [`resolve`].
    pub in_use: InUse,
}

/// Merges and resolves `files`; whatever is wrong costs what it concerns and is reported.
///
/// - `files` are what is to be used, in the order in which they are merged: for a source that is broken or missing for
///   a moment, its last good content. One that holds nothing parsed only contributes its problem.
/// - A service that is not valid is replaced by its last good definition in `in_use`, and the problem is reported. So
///   is one whose `env_file` is not in [`Surroundings::env_files`] at all (nobody has looked yet); without a last good
///   definition it goes without that file.
/// - An id that stands twice belongs to the source that `in_use` names, else to the first.
pub fn resolve(files: &[SourceFile], surroundings: &Surroundings, in_use: &InUse) -> Resolution {
    let _ = (files, surroundings, in_use);
    Resolution::default()
}

/// The catalog's root: `over` (of the command line), else the main file's `root`, else `main_folder`.
///
/// `None` when the main file exists but can't be read now: what was the root goes on to be it.
pub fn root_of(files: &[SourceFile], main_folder: &Path, over: Option<&Path>) -> Option<PathBuf> {
    let _ = (files, main_folder, over);
    None
}

/// The ids that a source defines, each once, in order; empty unless it is parsed.
pub fn services_of(file: &SourceFile) -> Vec<ServiceId> {
    let _ = file;
    Vec::new()
}

/// The globs of a source's `include`, each with its place; not yet in use, so the key is reported as without effect.
pub fn includes_of(file: &SourceFile) -> Vec<(String, Place)> {
    let _ = file;
    Vec::new()
}
