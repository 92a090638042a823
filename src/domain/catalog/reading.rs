//! What one reading of all sources found on disk; nothing is judged yet.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::{Node, Problem};

/// All sources at one time, in the order in which they are merged.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Main file, drop-ins in byte order of their names, includes by path, profile. What is one and the same as in the
    /// reading before has not changed.
    pub files: Vec<Arc<SourceFile>>,
    /// What definitions refer to beside the sources.
    pub surroundings: Arc<Surroundings>,
    /// Whether the folder of drop-ins exists but could not be listed: drop-ins that are not in `files` are then unknown,
    /// not gone.
    pub unlisted: bool,
    /// What is wrong beside the contents of sources: a folder that can't be listed, modes that are too open.
    pub problems: Vec<Problem>,
    /// Why it was read, in words.
    pub cause: String,
    /// Of all orders to read that it answers, the last one's number.
    pub order: u64,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As users see it: relative to the main file's folder, absolute outside it.
    pub name: Arc<str>,
    /// Absolute.
    pub path: PathBuf,
    /// What kind of source it is.
    pub role: Role,
    /// What it holds.
    pub content: Content,
}

/// What kind of source a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `services.json`.
    Main,
    /// A file of `services.d`.
    DropIn,
    /// A file that another source includes.
    Include,
    /// `profiles/NAME.json`.
    Profile,
}

/// What a source holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// JSON, in part perhaps with mistakes of meaning; with its text, for excerpts. What is one
    /// and the same node as before has not changed.
    Parsed(Arc<Node>, Arc<str>),
    /// Nothing but white space: about to be written, as a rule.
    Empty,
    /// No JSON, or unreadable; with the error. The last good version stays in use.
    Broken(Problem),
    /// Not to be trusted (owner, mode): nothing of it is used, whatever was in use before.
    Refused(Problem),
}

impl Content {
    /// Whether the two are one and the same.
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Parsed(node, _), Self::Parsed(its, _)) => Arc::ptr_eq(node, its),
            (Self::Parsed(..) | Self::Empty | Self::Broken(_) | Self::Refused(_), _) => false,
        }
    }
}

/// What definitions refer to beside the sources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// Where relative paths start: absolute.
    pub root: PathBuf,
    /// What `{python}` stands for.
    pub python: String,
    /// The variables of `.env` beside the main file, with the line of each.
    pub dotenv: Vec<(String, String, u32)>,
    /// The environment that is inherited.
    pub environment: BTreeMap<String, String>,
    /// Each file that an `env_file` names, by absolute path.
    pub env_files: BTreeMap<PathBuf, EnvFile>,
    /// What is wrong with all that.
    pub problems: Vec<Problem>,
}

/// Whether a file of this name in the folder of drop-ins is one: `*.json` without dotfiles. What editors leave beside a
/// file (`x.json~`, `.#x.json`, `.x.json.swp`, `x.json.tmp`) is none.
pub fn is_drop_in(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

/// What an `env_file` holds: its variables with the line of each, or why it can't be read.
pub type EnvFile = Result<Vec<(String, String, u32)>, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_leave_behind_is_no_drop_in() {
        for good in ["a.json", "10-a.b.json", "ä.json", "~a.json"] {
            assert!(is_drop_in(OsStr::new(good)), "{good}");
        }
        for bad in
            ["a.json~", ".#a.json", ".a.json", ".a.json.swp", "a.json.tmp", "a.json.swp", "#a.json#", "4913", "json"]
        {
            assert!(!is_drop_in(OsStr::new(bad)), "{bad}");
        }
    }
}
