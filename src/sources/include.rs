//! Finds the files that sources include: walks no folder in which nothing can match, and tells which folders must be
//! watched so that nothing is missed.
//!
//! Folders behind symbolic links are entered where a pattern names them or has a `*` for them, never by `**`: no walk is
//! endless.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::file::reason;
use crate::domain::Problem;
use crate::domain::catalog::Include;
use crate::domain::pattern::{Entries, Pattern, Step};

/// So many files can be included.
pub const MOST_FILES: usize = 1000;

/// So many folders are looked into, and watched.
pub const MOST_FOLDERS: usize = 2000;

/// What a walk has come across; a second pattern goes on where the first has ended.
#[derive(Debug, Default)]
pub struct Walk {
    /// The files that match.
    pub files: BTreeSet<PathBuf>,
    /// Every folder on the way, and what matters in it.
    pub folders: BTreeMap<PathBuf, Entries>,
    /// What is wrong, or hardly as meant.
    pub problems: Vec<Problem>,
    listings: HashMap<PathBuf, Listing>,
    is_full: bool,
}

/// The entries of a folder by the bytes of their names, or why it can't be listed.
type Listing = Rc<Result<Vec<Entry>, String>>;

#[derive(Debug)]
struct Entry {
    name: String,
    is_link: bool,
    is_folder: bool,
}

impl Walk {
    /// Finds what `include` means, from `root` on, which is absolute. Where a folder can't be listed, what was in it
    /// `before` is taken to be there still.
    pub fn find(&mut self, root: &Path, include: &Include, before: &BTreeSet<PathBuf>) {
        let found = self.files.len();
        let mut is_any = false;
        for pattern in &include.patterns {
            is_any |= self.walk(&base(root, pattern), pattern, include, before);
        }
        // A second pattern for the same files has found them as well.
        if is_any || self.files.len() > found || self.is_full {
            return;
        }
        self.problems.push(match include.patterns.iter().all(Pattern::is_plain) {
            true => Problem::warning(&include.place, format!("there is no file {:?} to include", include.text))
                .hint(format!("it is looked for in {}; it is included as soon as it is there", root.display())),
            false => Problem::note(&include.place, format!("no file matches {:?} yet", include.text)),
        });
    }

    /// Looks anew at all folders from now on.
    pub fn forget_listings(&mut self) {
        self.listings.clear();
    }

    /// Walks along one pattern; whether a file was found.
    fn walk(&mut self, base: &Path, pattern: &Pattern, include: &Include, before: &BTreeSet<PathBuf>) -> bool {
        let mut is_any = false;
        let mut open = VecDeque::from([(base.to_path_buf(), BTreeSet::from([0]))]);
        while let Some((folder, at)) = open.pop_front() {
            if self.is_full {
                break;
            }
            let at = beyond_deep(pattern, at);
            let mut entries = Entries::default();
            for step in &at {
                let kind = if is_last(pattern, *step) { &mut entries.files } else { &mut entries.folders };
                kind.push(pattern.steps[*step].clone());
            }
            self.folders.entry(folder.clone()).or_default().extend(&entries);
            if self.folders.len() > MOST_FOLDERS {
                self.give_up(include, &format!("leads through more than {MOST_FOLDERS} folders"));
                break;
            }
            let listing = self.list(&folder, &at.iter().map(|step| &pattern.steps[*step]).collect::<Vec<_>>());
            let found = match &*listing {
                Ok(found) => found,
                Err(why) => {
                    let message = format!("{} can't be listed: {why}", folder.display());
                    let problem = Problem::error(&include.place, message);
                    self.problems.push(problem.hint("what was read from it before stays in use"));
                    let known: Vec<_> = before.iter().filter(|path| path.starts_with(&folder)).cloned().collect();
                    is_any |= !known.is_empty();
                    self.files.extend(known);
                    continue;
                }
            };
            for entry in found {
                let path = folder.join(&entry.name);
                let mut next = BTreeSet::new();
                for step in &at {
                    let what = &pattern.steps[*step];
                    if is_last(pattern, *step) {
                        if !entry.is_folder && what.takes_file(&entry.name) {
                            is_any = true;
                            self.files.insert(path.clone());
                        }
                    } else if entry.is_folder && what.takes_folder(&entry.name) {
                        match what {
                            Step::Deep if entry.is_link => {}
                            Step::Deep => {
                                next.insert(*step);
                            }
                            Step::Name(_) | Step::Glob(_) => {
                                next.insert(step + 1);
                            }
                        }
                    }
                }
                if !next.is_empty() {
                    open.push_back((path, next));
                }
            }
            if self.files.len() > MOST_FILES {
                self.give_up(include, &format!("makes it more than {MOST_FILES} files"));
                while self.files.len() > MOST_FILES {
                    self.files.pop_last();
                }
            }
        }
        is_any
    }

    fn give_up(&mut self, include: &Include, why: &str) {
        self.is_full = true;
        let problem =
            Problem::warning(&include.place, format!("{:?} {why}; the others are not included", include.text));
        self.problems.push(problem.hint("write a pattern that leads to fewer places"));
    }

    /// What is in `folder`; where nothing but names can match, only those are looked at.
    fn list(&mut self, folder: &Path, steps: &[&Step]) -> Listing {
        if let Some(names) = steps.iter().map(|step| step.name()).collect::<Option<BTreeSet<_>>>() {
            let entries = names.into_iter().filter_map(|name| Entry::named(folder, name).transpose()).collect();
            return Rc::new(entries);
        }
        let listing = self.listings.entry(folder.to_path_buf()).or_insert_with(|| Rc::new(listed(folder)));
        Rc::clone(listing)
    }
}

impl Entry {
    /// What is called `name` in `folder`; `None` if nothing is.
    fn named(folder: &Path, name: &str) -> Result<Option<Self>, String> {
        match fs::symlink_metadata(folder.join(name)) {
            Ok(metadata) => Ok(Some(Self::of(folder, name.to_owned(), metadata.file_type()))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(reason(&error)),
        }
    }

    fn of(folder: &Path, name: String, kind: fs::FileType) -> Self {
        // A link that leads nowhere is read as a file, which says so.
        let is_folder = if kind.is_symlink() { folder.join(&name).is_dir() } else { kind.is_dir() };
        Self { name, is_link: kind.is_symlink(), is_folder }
    }
}

/// Where `pattern` begins: without `..`, so that one file has one name.
fn base(root: &Path, pattern: &Pattern) -> PathBuf {
    let base: PathBuf = root.join(&pattern.base).components().collect();
    let steps_up = base.components().any(|component| component == Component::ParentDir);
    if steps_up { base.canonicalize().unwrap_or(base) } else { base }
}

/// The steps that can come next: what follows after `**` may follow at once.
fn beyond_deep(pattern: &Pattern, mut at: BTreeSet<usize>) -> BTreeSet<usize> {
    for step in 0..pattern.steps.len() {
        if at.contains(&step) && pattern.steps[step] == Step::Deep {
            at.insert(step + 1);
        }
    }
    at
}

fn is_last(pattern: &Pattern, step: usize) -> bool {
    step + 1 == pattern.steps.len()
}

/// What a folder holds; nothing if it is not there.
fn listed(folder: &Path) -> Result<Vec<Entry>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(reason(&error)),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| reason(&error))?;
        // A name that is no text is in no pattern.
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.file_type() {
            Ok(kind) => listed.push(Entry::of(folder, name, kind)),
            // The file system does not say with the listing.
            Err(_) => listed.extend(Entry::named(folder, &name)?),
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::domain::Place;

    struct Tree {
        root: PathBuf,
        _guard: tempfile::TempDir,
    }

    impl Tree {
        fn of(files: &[&str]) -> Self {
            let guard = tempfile::tempdir().unwrap();
            let root = guard.path().canonicalize().unwrap();
            for file in files {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::write(root.join(file), "{}").unwrap();
            }
            Self { root, _guard: guard }
        }

        fn walk(&self, text: &str) -> Walk {
            let mut walk = Walk::default();
            walk.find(&self.root, &include(text), &BTreeSet::new());
            walk
        }

        fn relative<'a>(&self, paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
            let name = |path: &PathBuf| path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
            paths.into_iter().map(name).collect()
        }

        fn files(&self, text: &str) -> Vec<String> {
            self.relative(&self.walk(text).files)
        }

        fn folders(&self, text: &str) -> Vec<String> {
            self.relative(self.walk(text).folders.keys())
        }
    }

    fn include(text: &str) -> Include {
        let place = Place { file: "services.json".into(), line: 2, column: 3 };
        Include { text: text.to_owned(), place, patterns: Pattern::parse(text).unwrap() }
    }

    fn messages(walk: &Walk) -> Vec<&str> {
        walk.problems.iter().map(|problem| problem.message.as_str()).collect()
    }

    #[test]
    fn every_form_of_pattern_finds_its_files_and_no_others() {
        let tree = Tree::of(&[
            "a.json",
            "apps/one/package.json",
            "apps/two/package.json",
            "apps/two/other.json",
            "apps/two/deep/package.json",
            "apps/node_modules/x/package.json",
            "apps/one/node_modules/y/package.json",
            "apps/.hidden/package.json",
            "apps/two/.package.json",
            ".git/package.json",
            "libs/package.json",
            "x y/[z]/q.json",
        ]);
        for (pattern, files) in [
            ("a.json", &["a.json"][..]),
            ("*.json", &["a.json"]),
            ("apps/*/package.json", &["apps/one/package.json", "apps/two/package.json"]),
            ("apps/two/*.json", &["apps/two/other.json", "apps/two/package.json"]),
            ("apps/**/package.json", &["apps/one/package.json", "apps/two/deep/package.json", "apps/two/package.json"]),
            ("**/deep/**", &["apps/two/deep/package.json"]),
            ("{apps/one,libs}/package.json", &["apps/one/package.json", "libs/package.json"]),
            ("apps/t?o/[op]*.json", &["apps/two/other.json", "apps/two/package.json"]),
            ("apps/node_modules/*/package.json", &["apps/node_modules/x/package.json"]),
            ("apps/.*/package.json", &["apps/.hidden/package.json"]),
            (".git/*.json", &[".git/package.json"]),
            ("apps/two/.*.json", &["apps/two/.package.json"]),
            ("x y/\\[z]/q.json", &["x y/[z]/q.json"]),
            ("nowhere/*/x.json", &[]),
            ("a.json/*", &[]),
        ] {
            assert_eq!(tree.files(pattern), files, "{pattern}");
        }
        let above = Tree::of(&["inner/a.json", "shared/b.json"]);
        let mut walk = Walk::default();
        walk.find(&above.root.join("inner"), &include("../shared/*.json"), &BTreeSet::new());
        assert_eq!(above.relative(&walk.files), ["shared/b.json"]);
        let absolute = format!("{}/shared/*.json", above.root.display());
        assert_eq!(above.files(&absolute), ["shared/b.json"]);
    }

    #[test]
    fn no_folder_is_looked_into_in_which_nothing_can_match() {
        let tree = Tree::of(&["apps/a/package.json", "apps/a/src/x/y", "apps/a/node_modules/z/q", "docs/x/y"]);
        assert_eq!(tree.folders("apps/*/package.json"), ["", "apps", "apps/a"]);
        assert_eq!(tree.folders("apps/a/package.json"), ["", "apps", "apps/a"]);
        assert_eq!(tree.folders("apps/**/package.json"), ["", "apps", "apps/a", "apps/a/src", "apps/a/src/x"]);
        assert_eq!(tree.folders("later/on/*.json"), [""], "what is not there yet is waited for above it");
        let of_a = &tree.walk("apps/*/package.json").folders[&tree.root.join("apps/a")];
        assert_eq!((of_a.files.len(), of_a.folders.len()), (1, 0));
    }

    #[test]
    fn links_are_followed_where_they_are_named_and_loops_end() {
        let tree = Tree::of(&["apps/a/package.json", "store/b/package.json"]);
        symlink("../store/b", tree.root.join("apps/b")).unwrap();
        symlink("..", tree.root.join("apps/a/up")).unwrap();
        symlink("nowhere", tree.root.join("apps/a/lost.json")).unwrap();
        assert_eq!(tree.files("apps/*/package.json"), ["apps/a/package.json", "apps/b/package.json"]);
        assert_eq!(tree.files("apps/**/package.json"), ["apps/a/package.json"]);
        assert_eq!(tree.files("apps/a/up/b/package.json"), ["apps/a/up/b/package.json"]);
        assert_eq!(tree.files("apps/*/lost.json"), ["apps/a/lost.json"], "whoever reads it says that it leads nowhere");
    }

    #[test]
    fn what_finds_nothing_says_so_at_its_place() {
        let tree = Tree::of(&["a.json", "folder/x.json"]);
        for name in ["b.json", "folder"] {
            let walk = tree.walk(name);
            assert_eq!(messages(&walk), [format!("there is no file {name:?} to include")]);
            let problem = &walk.problems[0];
            let place = problem.place.as_ref().map(|place| (place.line, place.column));
            assert_eq!((problem.severity, place), (crate::domain::Severity::Warning, Some((2, 3))));
        }
        let walk = tree.walk("*.jsn");
        assert_eq!(
            (messages(&walk), walk.problems[0].severity.as_str()),
            (vec!["no file matches \"*.jsn\" yet"], "note")
        );
        let mut twice = tree.walk("*.json");
        twice.find(&tree.root, &include("a.json"), &BTreeSet::new());
        assert_eq!(messages(&twice), [""; 0], "what two patterns find is found by each");
    }

    #[test]
    fn there_is_an_end_to_files_and_to_folders() {
        let tree = Tree::of(&[]);
        for count in 0..MOST_FILES + 5 {
            fs::write(tree.root.join(format!("{count:04}.json")), "{}").unwrap();
        }
        let walk = tree.walk("*.json");
        assert_eq!(walk.files.len(), MOST_FILES);
        assert_eq!(messages(&walk), ["\"*.json\" makes it more than 1000 files; the others are not included"]);
        let tree = Tree::of(&[]);
        for count in 0..MOST_FOLDERS + 5 {
            fs::create_dir(tree.root.join(format!("{count:04}"))).unwrap();
        }
        let walk = tree.walk("*/x.json");
        assert!(walk.folders.len() <= MOST_FOLDERS + 1);
        assert_eq!(messages(&walk), ["\"*/x.json\" leads through more than 2000 folders; the others are not included"]);
    }

    #[test]
    fn what_cannot_be_listed_is_taken_to_be_as_it_was() {
        use std::os::unix::fs::PermissionsExt;
        let tree = Tree::of(&["apps/a/package.json"]);
        let before = tree.walk("apps/*/package.json").files;
        fs::set_permissions(tree.root.join("apps"), fs::Permissions::from_mode(0o000)).unwrap();
        let unlisted = fs::read_dir(tree.root.join("apps")).is_err();
        let mut walk = Walk::default();
        walk.find(&tree.root, &include("apps/*/package.json"), &before);
        fs::set_permissions(tree.root.join("apps"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(walk.files, before);
        assert_eq!(walk.problems.len(), usize::from(unlisted), "root may list everything");
    }
}
