//! One file: opened, judged by owner and mode, read, and taken apart. Every way of failing has a sentence.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::dotenv::variables;
use super::parse::{MAX_SOURCE, decode, is_blank, parse};
use super::platform::{self, Stamp};
use super::trust::Trust;
use crate::domain::catalog::{Content, EnvFile, is_drop_in};
use crate::domain::secrets::MASK;
use crate::domain::{Place, Problem};

/// What was read of a source.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it holds.
    pub content: Content,
    /// What is worth knowing beside that.
    pub problems: Vec<Problem>,
    /// What is true of the file as long as it has not changed; `None` where nothing is certain to tell of a change.
    pub stamp: Option<Stamp>,
}

impl From<Content> for Known {
    fn from(content: Content) -> Self {
        Self { content, problems: Vec::new(), stamp: None }
    }
}

/// Reads the source at `path`, which users know as `name`; `None` if there is no such file. If it is certain to be what
/// is `known` of it already, that is given back; and if it has to be read to tell, the same node stays for the same text.
pub fn source(name: &Arc<str>, path: &Path, mut known: Option<Known>) -> Option<Known> {
    let is_stamped = |stamp| std::fs::metadata(path).is_ok_and(|metadata| stamp == Stamp::of(&metadata));
    if let Some(known) = known.take_if(|known| known.stamp.is_some_and(is_stamped)) {
        return Some(known);
    }
    let place = Place::whole(name);
    let now = SystemTime::now();
    let (file, metadata) = match open(path) {
        Ok(opened) => opened?,
        Err(why) => return Some(Content::Broken(Problem::error(&place, why)).into()),
    };
    // Of before the reading: what changes meanwhile has another one then.
    let stamp = Stamp::of(&metadata);
    let stamp = stamp.is_lasting(&file, now).then_some(stamp);
    let mut problems = Vec::new();
    let content = match (judged((name, path), &file, &metadata, &mut problems), known.map(|known| known.content)) {
        (Ok(text), Some(Content::Parsed(node, before))) if *before == *text => Content::Parsed(node, before),
        (Ok(text), _) => parsed(name, text),
        (Err(content), _) => content,
    };
    // A failure may be the system's, and over the next time.
    let stamp = stamp.filter(|_| matches!(content, Content::Parsed(..)));
    Some(Known { content, problems, stamp })
}

/// The text of a file that may be used, else what there is instead.
fn judged(
    (name, path): (&Arc<str>, &Path),
    file: &File,
    metadata: &Metadata,
    problems: &mut Vec<Problem>,
) -> Result<String, Content> {
    let place = Place::whole(name);
    match platform::trust(file, metadata) {
        Trust::Full => {}
        Trust::GroupMayWrite => {
            let note = Problem::note(&place, "the file's group may write to it");
            problems.push(note.hint("if that is not meant, run chmod g-w on it"));
        }
        Trust::None { why, hint } => return Err(Content::Refused(Problem::error(&place, why).hint(hint))),
    }
    if let Some(open) = platform::open_way(path) {
        problems.push(Problem::note(&place, open).hint("if that is not meant, run chmod o-w on the folder"));
    }
    match bytes(file, metadata).map_err(|why| Problem::error(&place, why)).and_then(|bytes| decode(name, bytes)) {
        Ok(text) if is_blank(&text) => Err(Content::Empty),
        Ok(text) => Ok(text),
        Err(problem) => Err(Content::Broken(problem)),
    }
}

fn parsed(name: &Arc<str>, text: String) -> Content {
    match parse(name, &text) {
        Ok(node) => Content::Parsed(Arc::new(node), text.into()),
        Err(problem) => Content::Broken(problem),
    }
}

/// Reads the variables of the file at `path`, which users know as `name`; `None` if there is no such file. Lines that
/// say nothing go to `problems`.
pub fn environment(name: &Arc<str>, path: &Path, problems: &mut Vec<Problem>) -> Option<EnvFile> {
    let (file, metadata) = match open(path) {
        Ok(opened) => opened?,
        Err(why) => return Some(Err(why)),
    };
    // What it sets is as good as a command: think of PATH.
    if let Trust::None { why, .. } = platform::trust(&file, &metadata) {
        return Some(Err(why));
    }
    let read = bytes(&file, &metadata).and_then(|bytes| {
        decode(name, bytes).map_err(|problem| match problem.place {
            Some(place) if place.line > 0 => format!("{} in line {}", problem.message, place.line),
            Some(_) | None => problem.message,
        })
    });
    Some(read.map(|text| {
        let found = variables(&text);
        for (line, slip) in found.slips {
            let place = Place { file: Arc::clone(name), line, column: 1 };
            let problem = Problem::warning(&place, slip).hint("the line is passed over");
            // What stands behind the name, or in a line that has none, may be anything.
            let name = text.lines().nth(line as usize - 1).and_then(|line| Some(line.split_once('=')?.0));
            problems.push(match name {
                Some(name) => problem.excerpt(&format!("{name}={MASK}")),
                None => problem,
            });
        }
        found.set
    }))
}

/// A drop-in as the folder lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The file's name; its bytes give the order.
    pub name: OsString,
    /// Whether it is a symbolic link.
    pub link: bool,
}

/// The drop-ins of `folder` in the order of their names' bytes; none if there is no such folder. Fails, in words, if
/// the folder is there but can't be listed.
pub fn list(folder: &Path) -> Result<Vec<Listed>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match dangling(folder) {
                Some(target) => Err(leads_nowhere(&target)),
                None => Ok(Vec::new()),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err("it is not a folder".to_owned());
        }
        Err(error) => return Err(format!("the folder can't be listed: {}", reason(&error))),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("the folder can't be listed: {}", reason(&error)))?;
        if is_drop_in(&entry.file_name()) {
            // Whose type can't be told may be a link.
            let link = entry.file_type().map_or(true, |kind| kind.is_symlink());
            listed.push(Listed { name: entry.file_name(), link });
        }
    }
    listed.sort();
    Ok(listed)
}

/// An error of the system as a fragment: "permission denied".
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn open(path: &Path) -> Result<Option<(File, Metadata)>, String> {
    let opened = platform::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    match opened {
        Ok((_, metadata)) if metadata.is_dir() => Err("it is a folder, not a file".to_owned()),
        Ok((_, metadata)) if !metadata.is_file() => Err("it is a device or pipe, not a file".to_owned()),
        Ok(opened) => Ok(Some(opened)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            dangling(path).map_or(Ok(None), |target| Err(leads_nowhere(&target)))
        }
        Err(error) => Err(format!("the file can't be read: {}", reason(&error))),
    }
}

fn bytes(file: &File, metadata: &Metadata) -> Result<Vec<u8>, String> {
    // One byte more than is allowed, to tell that it is too much.
    let most = MAX_SOURCE as u64 + 1;
    // One more than there is, so that the end is found without more room.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(most)).unwrap_or_default() + 1);
    match file.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("the file can't be read: {}", reason(&error))),
    }
}

fn dangling(path: &Path) -> Option<PathBuf> {
    std::fs::read_link(path).ok()
}

fn leads_nowhere(target: &Path) -> String {
    format!("the link leads to {}, which is not there", target.display())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What nobody could read from a file.
    fn known(path: &Path) -> Known {
        let stamp = Some(Stamp::of(&std::fs::metadata(path).unwrap()));
        Known { content: Content::Empty, problems: Vec::new(), stamp }
    }

    #[test]
    fn what_has_not_changed_is_not_read_again_and_what_has_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{}").unwrap();
        let name = Arc::from("a.json");
        let known = known(&path);
        let again = source(&name, &path, Some(known.clone())).unwrap();
        assert!(matches!(again.content, Content::Empty));
        let uncertain = Known { stamp: None, ..known.clone() };
        assert!(matches!(source(&name, &path, Some(uncertain)).unwrap().content, Content::Parsed(..)));

        std::fs::write(&path, "[1]").unwrap();
        assert!(matches!(source(&name, &path, Some(known.clone())).unwrap().content, Content::Parsed(..)));
        let other = folder.path().join("b.json");
        std::fs::write(&other, "{}").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(matches!(source(&name, &path, Some(known.clone())).unwrap().content, Content::Parsed(..)));
        std::fs::remove_file(&path).unwrap();
        assert!(source(&name, &path, Some(known)).is_none());
    }

    #[test]
    fn a_file_that_is_written_anew_and_says_the_same_is_not_parsed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let name = Arc::from("a.json");
        let read = |text: &str, known| {
            std::fs::write(&path, text).unwrap();
            let known = source(&name, &path, known).unwrap();
            let Content::Parsed(node, _) = &known.content else { panic!("{known:?}") };
            (Arc::clone(node), known)
        };
        let (first, known) = read("{}", None);
        let (same, known) = read("{}", Some(known));
        assert!(Arc::ptr_eq(&first, &same));
        let (other, _) = read("{ }", Some(known));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn what_has_changed_just_now_may_change_unseen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{}").unwrap();
        let (file, metadata) = open(&path).unwrap().unwrap();
        let stamp = Stamp::of(&metadata);
        let now = metadata.modified().unwrap();
        assert!(!stamp.is_lasting(&file, now));
        assert!(!stamp.is_lasting(&file, now + Duration::from_millis(20)));
        assert!(!stamp.is_lasting(&file, now - Duration::from_secs(100)), "the clock was set back");
        // False on a file system that is not one of this machine's own.
        assert_eq!(stamp.is_lasting(&file, now + Duration::from_secs(3)), platform::keeps_stamps(&file));
    }
}
