//! The way to a file: every folder in which a change can lead the same path to another file.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// What lies on the way to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// A real folder and the name in it that the way goes through: each symbolic link, the last name, or the first one
    /// that is missing (then its folder is the nearest that exists).
    pub spots: Vec<(PathBuf, OsString)>,
    /// The folder that the path leads to, real, if it leads to one.
    pub folder: Option<PathBuf>,
}

/// Walks to `path`, which is absolute.
pub fn trail(path: &Path) -> Trail {
    let mut spots = Vec::new();
    let mut real = PathBuf::new();
    let mut ahead: VecDeque<Step> = steps(path).collect();
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        let name = match step {
            Step::Root(root) => {
                real = root;
                continue;
            }
            Step::Up => {
                real.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        let next = real.join(&name);
        let Ok(metadata) = fs::symlink_metadata(&next) else {
            spots.push((real, name));
            return Trail { spots, folder: None };
        };
        if metadata.is_symlink() {
            links += 1;
            let target = fs::read_link(&next).ok().filter(|_| links <= MOST_LINKS);
            // Links right below the file system's root belong to the system, and nobody swaps them.
            if real.parent().is_some() || ahead.is_empty() {
                spots.push((real.clone(), name));
            }
            let Some(target) = target else { return Trail { spots, folder: None } };
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(step);
            }
        } else if metadata.is_dir() {
            if ahead.is_empty() {
                spots.push((real, name));
                return Trail { spots, folder: Some(next) };
            }
            real = next;
        } else {
            spots.push((real, name));
            return Trail { spots, folder: None };
        }
    }
    // The way ended in a step that has no name of its own: the root, or a link to "..".
    Trail { spots, folder: Some(real) }
}

enum Step {
    Root(PathBuf),
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = Step> + '_ {
    path.components().filter_map(|component| match component {
        Component::Prefix(prefix) => Some(Step::Root(PathBuf::from(prefix.as_os_str()))),
        Component::RootDir => Some(Step::Root(PathBuf::from(OsStr::new(std::path::MAIN_SEPARATOR_STR)))),
        Component::CurDir => None,
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
    })
}
