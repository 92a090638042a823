//! One reading of everything that the catalog is made of, in an order that misses no change: first it is watched, then
//! it is read.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file;
use super::include::Walk;
use super::locate::Location;
use super::platform::{VENV_PYTHON, is_executable};
use crate::domain::catalog::{
    Content, Include, Reading, Resolver, Role, SourceFile, Surroundings, includes_of, is_drop_in, root_of,
};
use crate::domain::pattern::Entries;
use crate::domain::{Node, Place, Problem};
use crate::engine::ports::{Followed, Watches};

/// How often a folder is read again that changes while it is read.
const LISTINGS: usize = 3;

/// How often folders are walked again that were not yet watched when they were walked.
const WALKS: usize = 5;

/// Reads all sources, as often as asked.
pub struct Reader {
    location: Location,
    root: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    watches: Box<dyn Watches>,
    /// What is watched since this reading began.
    followed: Option<Followed>,
    before: Before,
    /// Drop-ins that are read from elsewhere, as if they lay in the folder already: where they would lie, and where they
    /// do.
    proposed: BTreeMap<PathBuf, PathBuf>,
}

/// What an earlier reading found, as far as the next one needs it.
#[derive(Default)]
struct Before {
    root: Option<PathBuf>,
    /// All sources, in their order.
    sources: Vec<Arc<SourceFile>>,
    /// What the main file says of the root, for as long as it says the same.
    root_of: Option<(Arc<SourceFile>, Option<PathBuf>)>,
    /// Each source as it was, and how it is known again.
    known: ByPath<(Arc<SourceFile>, file::Known)>,
    links: BTreeSet<PathBuf>,
    env_files: BTreeSet<PathBuf>,
    /// What each source included when it last could be read.
    includes: ByPath<(Arc<Node>, Vec<Include>)>,
    /// The files that were included.
    included: BTreeSet<PathBuf>,
    /// Those of them that are links.
    included_links: BTreeSet<PathBuf>,
    /// The folders on the way to them, and what matters in each.
    walked: BTreeMap<PathBuf, Entries>,
    /// What definitions come to, as far as it tells which files they name.
    resolver: Resolver,
}

/// What is known of each path. Its text is the key: to compare paths by their parts takes ten times as long.
type ByPath<T> = HashMap<OsString, T>;

/// Does not watch: for a single reading, of which nobody wants to know when it is out of date.
#[derive(Debug)]
pub struct Unwatched;

impl Watches for Unwatched {
    fn follow(&mut self, _followed: &Followed) {}
}

impl Reader {
    /// A reader of what is at `location`.
    ///
    /// `root` is the command line's, absolute; `environment` is what services inherit.
    pub fn new(
        location: Location,
        root: Option<PathBuf>,
        environment: BTreeMap<String, String>,
        watches: Box<dyn Watches>,
    ) -> Self {
        let (followed, before, proposed) = (None, Before::default(), BTreeMap::new());
        Self { location, root, environment, watches, followed, before, proposed }
    }

    /// Reads everything, because of `cause`. It blocks, as reading does.
    pub fn read(&mut self, cause: String) -> Reading {
        self.followed = None;
        let mut problems = Vec::new();
        let (files, unlisted) = self.sources(&mut problems);
        let surroundings = Arc::new(self.surroundings(&files));
        self.before.root = Some(surroundings.root.clone());
        self.before.sources.clone_from(&files);
        Reading { files, surroundings, unlisted, problems, cause, order: 0 }
    }

    /// Reads everything as if `files` had been dropped in, each in place of a drop-in that is called the same; what is a
    /// source already is read where it is. Fails if one of them would not be taken into use.
    pub fn propose(&mut self, files: &[PathBuf]) -> Result<Reading, Problem> {
        self.proposed.clear();
        let sources = self.read("a plan".to_owned()).files;
        for file in files {
            let place = Place::whole(&self.name(file));
            let Some(name) = file.file_name().filter(|name| is_drop_in(name)) else {
                let problem = Problem::error(&place, "under this name it would not be read");
                return Err(problem.hint("drop-ins are called *.json, and do not begin with a dot"));
            };
            let drop_in = self.location.drop_ins.join(name);
            let is = |path: &PathBuf| path.canonicalize().ok().is_some_and(|it| file.canonicalize().ok() == Some(it));
            if sources.iter().any(|source| is(&source.path)) {
                continue;
            }
            if let Some(other) = self.proposed.insert(drop_in, file.clone()).filter(|other| other != file) {
                let problem = Problem::error(&place, format!("{} is called the same", other.display()));
                return Err(problem.hint("only one of them can be dropped in"));
            }
        }
        let reading = self.read("a plan".to_owned());
        for (drop_in, file) in &self.proposed {
            let place = Place::whole(&self.name(file));
            match reading.files.iter().find(|source| source.path == *drop_in).map(|source| &source.content) {
                Some(Content::Parsed(..)) => {}
                Some(Content::Empty) => return Err(Problem::error(&place, "it is empty")),
                Some(Content::Broken(problem) | Content::Refused(problem)) => return Err(problem.clone()),
                None => return Err(Problem::error(&place, "there is no such file")),
            }
        }
        Ok(reading)
    }

    /// Reads the file at `path` as if nothing else were there; `None` if it is not there either. It is called `name`, as
    /// the user calls it.
    pub fn read_alone(&mut self, name: &str, path: &Path) -> Option<Reading> {
        let name = Arc::from(name);
        let file::Known { content, problems, .. } = file::source(&name, path, None)?;
        let role = match path.file_name() {
            Some(file) if Some(file) == self.location.main.file_name() => Role::Main,
            // Nobody drops one in.
            Some(file) if file == "package.json" => Role::Include,
            Some(_) | None => Role::DropIn,
        };
        let files = vec![Arc::new(SourceFile { name, path: path.to_owned(), role, content })];
        let surroundings = Arc::new(self.surroundings(&files));
        Some(Reading { files, surroundings, unlisted: false, problems, cause: "asked to".to_owned(), order: 0 })
    }

    fn sources(&mut self, problems: &mut Vec<Problem>) -> (Vec<Arc<SourceFile>>, bool) {
        for _ in 1..LISTINGS {
            let listed = self.list();
            let mut found = Vec::new();
            let files = self.read_listed(&listed, &mut found);
            // A file that is renamed meanwhile would be seen twice, or not at all.
            if self.list() == listed {
                problems.append(&mut found);
                return (files, self.note_unlisted(&listed, problems));
            }
        }
        // What goes on changing is told by the watch, and read again then.
        let listed = self.list();
        (self.read_listed(&listed, problems), self.note_unlisted(&listed, problems))
    }

    fn list(&mut self) -> Result<Vec<file::Listed>, String> {
        self.follow();
        let listed = file::list(&self.location.drop_ins);
        let links = listed.iter().flatten().filter(|entry| entry.link);
        let links = links.map(|entry| self.location.drop_ins.join(&entry.name)).collect();
        if links != self.before.links {
            self.before.links = links;
            self.follow();
        }
        listed
    }

    fn note_unlisted(&self, listed: &Result<Vec<file::Listed>, String>, problems: &mut Vec<Problem>) -> bool {
        if let Err(why) = listed {
            let place = Place::whole(&self.name(&self.location.drop_ins));
            problems.push(Problem::error(&place, why).hint("what was read from it before stays in use"));
        }
        listed.is_err()
    }

    fn read_listed(
        &mut self,
        listed: &Result<Vec<file::Listed>, String>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Arc<SourceFile>> {
        let mut known = std::mem::take(&mut self.before.known);
        let drop_ins = listed.iter().flatten().map(|entry| self.location.drop_ins.join(&entry.name));
        let mut drop_ins: Vec<_> = drop_ins.collect();
        if !self.proposed.is_empty() {
            drop_ins.extend(self.proposed.keys().cloned());
            drop_ins.sort();
            drop_ins.dedup();
        }
        let mut files = Vec::with_capacity(drop_ins.len() + 1);
        self.before.known.reserve(known.len());
        files.extend(self.read_one(self.location.main.clone(), Role::Main, &mut known, problems));
        for path in drop_ins {
            files.extend(self.read_one(path, Role::DropIn, &mut known, problems));
        }
        if let Some(profile) = self.location.profile.clone() {
            let read = self.read_one(profile.clone(), Role::Profile, &mut known, problems);
            if read.is_none() {
                let problem = Problem::error(&Place::whole(&self.name(&profile)), "there is no such profile");
                problems.push(problem.hint(format!("it is looked for at {}", profile.display())));
            }
            files.extend(read);
        }
        self.include(&mut files, listed.is_err(), &mut known, problems);
        files
    }

    /// Reads one source; `None` if it is gone since it was listed.
    fn read_one(
        &mut self,
        path: PathBuf,
        role: Role,
        known: &mut ByPath<(Arc<SourceFile>, file::Known)>,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<SourceFile>> {
        if let Some(lies) = self.proposed.get(&path) {
            let name = self.name(lies);
            let file::Known { content, problems: found, .. } = file::source(&name, lies, None)?;
            problems.extend(found);
            return Some(Arc::new(SourceFile { name, path, role, content }));
        }
        let (before, known) = known.remove(path.as_os_str()).unzip();
        let name = before.as_ref().map_or_else(|| self.name(&path), |before| Arc::clone(&before.name));
        let found = file::source(&name, &path, known)?;
        problems.extend(found.problems.iter().cloned());
        // What says the same as before is one and the same.
        let is_same = |before: &Arc<SourceFile>| before.role == role && before.content.is(&found.content);
        let source = before.filter(is_same).unwrap_or_else(|| {
            let (path, content) = (path.clone(), found.content.clone());
            Arc::new(SourceFile { name, path, role, content })
        });
        self.before.known.insert(path.into_os_string(), (Arc::clone(&source), found));
        Some(source)
    }

    /// Reads what `files` include, and what those include in turn, each once.
    fn include(
        &mut self,
        files: &mut Vec<Arc<SourceFile>>,
        is_unlisted: bool,
        known: &mut ByPath<(Arc<SourceFile>, file::Known)>,
        problems: &mut Vec<Problem>,
    ) {
        let root = self.root(files);
        // A source that nobody knows of now may go on being used as it was.
        let unseen = self.before.sources.iter().map(|file| &file.path);
        let unseen = unseen.filter(|path| is_unlisted && path.starts_with(&self.location.drop_ins));
        let unseen = unseen.filter_map(|path| self.before.includes.get(path.as_os_str()));
        let mut pending: Vec<_> = unseen.flat_map(|(_, includes)| includes.clone()).collect();
        let mut named = std::mem::take(&mut self.before.includes);
        self.before.includes.reserve(named.len());
        let mut walk = Walk::default();
        let (mut asked, mut seen, mut links, mut identities) = (0, BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        loop {
            for file in &files[asked..] {
                let (path, includes) = named.remove_entry(file.path.as_os_str()).unzip();
                let includes = includes_now(file, includes);
                pending.extend(includes.iter().flat_map(|(_, includes)| includes.iter().cloned()));
                let path = || path.unwrap_or_else(|| file.path.clone().into_os_string());
                self.before.includes.extend(includes.map(|includes| (path(), includes)));
            }
            asked = files.len();
            if pending.is_empty() {
                break;
            }
            self.walk(&mut walk, &root, &std::mem::take(&mut pending));
            let identity = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            if identities.is_empty() {
                identities.extend(files.iter().map(|file| identity(&file.path)));
            }
            let fresh: Vec<_> = walk.files.difference(&seen).cloned().collect();
            let new_links: BTreeSet<_> = fresh.iter().filter(|path| path.is_symlink()).cloned().collect();
            if !new_links.is_subset(&self.before.included_links) {
                self.before.included_links.extend(new_links.iter().cloned());
                self.follow();
            }
            links.extend(new_links);
            for path in fresh {
                if identities.insert(identity(&path)) {
                    files.extend(self.read_one(path.clone(), Role::Include, known, problems));
                }
                seen.insert(path);
            }
        }
        problems.append(&mut walk.problems);
        (self.before.included, self.before.included_links, self.before.walked) = (seen, links, walk.folders);
        // Included files come by their paths, whoever includes them.
        files.sort_by_cached_key(|file| (file.role, (file.role == Role::Include).then(|| file.path.clone())));
    }

    /// Walks on along `includes`, until all folders were watched before they were looked into.
    fn walk(&mut self, walk: &mut Walk, root: &Path, includes: &[Include]) {
        let (folders, problems) = (walk.folders.clone(), walk.problems.len());
        for _ in 0..WALKS {
            walk.problems.truncate(problems);
            walk.forget_listings();
            includes.iter().for_each(|include| walk.find(root, include, &self.before.included));
            let is_watched = |(folder, entries): (&PathBuf, &Entries)| {
                self.before.walked.get(folder).is_some_and(|watched| watched.covers(entries))
            };
            if walk.folders.iter().all(is_watched) {
                return;
            }
            for (folder, entries) in &walk.folders {
                self.before.walked.entry(folder.clone()).or_default().extend(entries);
            }
            self.follow();
            walk.folders.clone_from(&folders);
        }
    }

    fn surroundings(&mut self, files: &[Arc<SourceFile>]) -> Surroundings {
        let root = self.root(files);
        let mut surroundings = Surroundings {
            python: python(&root, self.environment.get("PATH").map(String::as_str)),
            root,
            environment: self.environment.clone(),
            ..Surroundings::default()
        };
        surroundings.dotenv = self.dotenv(&mut surroundings.problems);
        let mut named: BTreeSet<_> = self.before.resolver.env_files(files, &surroundings).into_iter().collect();
        if self.may_be_held(files) {
            named.append(&mut self.before.env_files);
        }
        self.before.env_files = named;
        self.follow();
        for path in &self.before.env_files {
            let contents = file::environment(&self.name(path), path, &mut surroundings.problems);
            surroundings
                .env_files
                .insert(path.clone(), contents.unwrap_or_else(|| Err("there is no such file".to_owned())));
        }
        surroundings
    }

    /// Where relative paths start.
    fn root(&mut self, files: &[Arc<SourceFile>]) -> PathBuf {
        let folder = &self.location.folder;
        let main = files.first().filter(|file| file.role == Role::Main);
        let root = match (main, &self.before.root_of) {
            (Some(main), Some((of, root))) if Arc::ptr_eq(main, of) => root.clone(),
            (Some(_) | None, _) => root_of(files, folder, self.root.as_deref()),
        };
        self.before.root_of = main.map(|main| (Arc::clone(main), root.clone()));
        root.or_else(|| self.before.root.clone()).unwrap_or_else(|| folder.clone())
    }

    /// Whether a source may go on being used as it was before, so that the files that it names are still needed.
    fn may_be_held(&self, files: &[Arc<SourceFile>]) -> bool {
        let before = &self.before.sources;
        let is_parsed = |file: &&Arc<SourceFile>| matches!(file.content, Content::Parsed(..));
        let is_in_place = |(file, before): (&Arc<SourceFile>, &Arc<SourceFile>)| {
            is_parsed(&file) && (Arc::ptr_eq(file, before) || file.path.as_os_str() == before.path.as_os_str())
        };
        // As a rule what was there is there, and says something.
        if files.len() == before.len() && files.iter().zip(before).all(is_in_place) {
            return false;
        }
        let parsed = files.iter().filter(is_parsed);
        let parsed: HashSet<&OsStr> = parsed.map(|file| file.path.as_os_str()).collect();
        files.len() > parsed.len() || before.iter().any(|file| !parsed.contains(file.path.as_os_str()))
    }

    fn dotenv(&self, problems: &mut Vec<Problem>) -> Vec<(String, String, u32)> {
        let path = self.dotenv_path();
        let name = self.name(&path);
        match file::environment(&name, &path, problems) {
            Some(Ok(set)) => set,
            Some(Err(why)) => {
                problems.push(Problem::warning(&Place::whole(&name), why).hint("its variables are not in use"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Watches what is known now to be needed. Within one reading that has to be said once: whatever changes from then on
    /// is told, and leads to another reading.
    fn follow(&mut self) {
        let before = &self.before;
        let mut files = &(&before.links | &before.env_files) | &before.included_links;
        files.extend([self.location.main.clone(), self.dotenv_path()]);
        files.extend(self.location.profile.clone());
        let folders = BTreeSet::from([self.location.drop_ins.clone()]);
        let followed = Followed { files, folders, matched: self.before.walked.clone() };
        if self.followed.as_ref() != Some(&followed) {
            self.watches.follow(&followed);
            self.followed = Some(followed);
        }
    }

    fn dotenv_path(&self) -> PathBuf {
        self.location.folder.join(".env")
    }

    fn name(&self, path: &Path) -> Arc<str> {
        self.location.name(path).into()
    }
}

/// What `file` includes now: what it says, or what it said `before` it was broken. With the node that says so.
fn includes_now(file: &SourceFile, before: Option<(Arc<Node>, Vec<Include>)>) -> Option<(Arc<Node>, Vec<Include>)> {
    match &file.content {
        Content::Parsed(node, _) => match before {
            Some(before) if Arc::ptr_eq(&before.0, node) => Some(before),
            Some(_) | None => Some((Arc::clone(node), includes_of(file))),
        },
        Content::Empty | Content::Broken(_) => before,
        Content::Refused(_) => None,
    }
}

/// What `{python}` stands for: the virtual environment's under `root`, else the first name that is on the path.
fn python(root: &Path, search: Option<&str>) -> String {
    let of_root = root.join(VENV_PYTHON);
    if is_executable(&of_root) {
        return of_root.to_string_lossy().into_owned();
    }
    let is_on_path = |name: &&str| {
        search.is_some_and(|search| std::env::split_paths(search).any(|folder| is_executable(&folder.join(name))))
    };
    // With neither, the name that its absence is best reported by.
    ["python3", "python"].into_iter().find(is_on_path).unwrap_or("python3").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::locate::Asked;
    use std::fs;

    fn reader(folder: &Path) -> Reader {
        let config = Some(folder.join("services.json"));
        let asked = Asked { config, working_directory: folder.to_owned(), user_folder: None };
        Reader::new(Location::find(&asked), None, BTreeMap::new(), Box::new(Unwatched))
    }

    /// A source of an earlier reading.
    fn was(path: &Path) -> Arc<SourceFile> {
        let (name, path) = ("a source".into(), path.to_owned());
        Arc::new(SourceFile { name, path, role: Role::Main, content: Content::Empty })
    }

    #[test]
    fn files_that_a_source_named_are_still_read_while_it_may_be_held() {
        let folder = tempfile::tempdir().unwrap();
        let (main, env) = (folder.path().join("services.json"), folder.path().join("x.env"));
        fs::write(&env, "A=1").unwrap();
        let mut reader = reader(folder.path());
        for (text, still_read) in [(Some("{\"a\": "), true), (Some(" "), true), (None, true), (Some("{}"), false)] {
            reader.before =
                Before { sources: [was(&main)].into(), env_files: [env.clone()].into(), ..Before::default() };
            match text {
                Some(text) => fs::write(&main, text).unwrap(),
                None => fs::remove_file(&main).unwrap(),
            }
            let reading = reader.read("a test".to_owned());
            let expected = still_read.then(|| Ok(vec![("A".to_owned(), "1".to_owned(), 1)]));
            assert_eq!(reading.surroundings.env_files.get(&env), expected.as_ref(), "{text:?}");
            assert_eq!(reader.before.env_files.contains(&env), still_read, "{text:?}");
        }
    }

    #[test]
    fn a_proposed_file_stands_in_for_the_drop_in_of_its_name_and_a_source_is_proposed_in_vain() {
        let folder = tempfile::tempdir().unwrap();
        let (drop_ins, drafts) = (folder.path().join("services.d"), folder.path().join("drafts"));
        for (folder, text) in [(&drop_ins, "{}"), (&drafts, "[]")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("b.json"), text).unwrap();
        }
        fs::write(drafts.join("a.json"), "{\"include\": 1}").unwrap();
        fs::write(folder.path().join("services.json"), "{}").unwrap();
        let mut reader = reader(folder.path());
        let names = |reading: &Reading| reading.files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
        let proposed = [drafts.join("b.json"), drafts.join("a.json")];
        let reading = reader.propose(&proposed).unwrap();
        assert_eq!(names(&reading), ["services.json", "drafts/a.json", "drafts/b.json"]);
        assert_eq!(reading.files[2].path, drop_ins.join("b.json"));
        let sources = [drop_ins.join("b.json"), folder.path().join("services.json")];
        let reading = reader.propose(&sources).unwrap();
        assert_eq!(names(&reading), ["services.json", "services.d/b.json"]);
        for (name, why) in [("none.json", "there is no such file"), (".a.json", "under this name it would not be read")]
        {
            let problem = reader.propose(&[drafts.join(name)]).unwrap_err();
            assert_eq!(problem.message, why);
            assert_eq!(problem.place.unwrap().file.as_ref(), format!("drafts/{name}"));
        }
        let problem = reader.propose(&[drafts.join("b.json"), folder.path().join("elsewhere/b.json")]).unwrap_err();
        assert!(problem.message.ends_with("drafts/b.json is called the same"), "{}", problem.message);
    }

    #[test]
    fn what_is_a_source_already_is_read_where_it_is_and_what_is_proposed_as_if_it_lay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        for name in ["services.d", "profiles", "apps", "drafts"] {
            fs::create_dir(here(name)).unwrap();
        }
        fs::write(here("services.json"), r#"{"include": ["apps/*.json"]}"#).unwrap();
        for name in ["services.d/web.json", "profiles/ci.json", "apps/api.json", "drafts/web.json", "drafts/a.json"] {
            fs::write(here(name), r#"{"services": {}}"#).unwrap();
        }
        fs::write(here("drafts/b.json"), r#"{"include": ["drafts/more/*.json"]}"#).unwrap();
        fs::create_dir(here("drafts/more")).unwrap();
        fs::write(here("drafts/more/c.json"), r#"{"services": {}}"#).unwrap();
        let config = Some(here("services.json"));
        let asked = Asked { config, working_directory: folder.path().to_owned(), user_folder: None };
        let location = Location::find(&asked).with_profile("ci").unwrap();
        let mut reader = Reader::new(location, None, BTreeMap::new(), Box::new(Unwatched));
        let mut sources = |proposed: &[&str]| {
            let files: Vec<_> = proposed.iter().map(|name| here(name)).collect();
            let files = reader.propose(&files).unwrap().files;
            files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>()
        };
        let on_disk = ["services.json", "services.d/web.json", "apps/api.json", "profiles/ci.json"];
        let mut before = sources(&[]);
        before.sort();
        let mut expected = on_disk;
        expected.sort_unstable();
        assert_eq!(before, expected);
        let mut same = sources(&on_disk);
        same.sort();
        assert_eq!(same, before);
        let with_drafts = sources(&["drafts/web.json", "drafts/a.json", "drafts/b.json"]);
        let drop_ins: Vec<_> = with_drafts.iter().filter(|name| !before.contains(name)).collect();
        assert_eq!(drop_ins, ["drafts/a.json", "drafts/b.json", "drafts/web.json", "drafts/more/c.json"]);
        assert!(!with_drafts.contains(&"services.d/web.json".to_owned()), "another is proposed in its place");
    }

    #[test]
    fn a_file_of_variables_that_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut reader = reader(folder.path());
        let missing = folder.path().join("missing.env");
        let binary = folder.path().join("binary.env");
        fs::write(&binary, b"A=1\nB=\xff").unwrap();
        reader.before.env_files = [missing.clone(), binary.clone(), folder.path().to_owned()].into();
        reader.before.sources = [was(&missing)].into();
        let read = reader.read("a test".to_owned()).surroundings.env_files.clone();
        assert_eq!(read[&missing], Err("there is no such file".to_owned()));
        assert_eq!(read[&binary], Err("the byte 0xff is not valid UTF-8 in line 2".to_owned()));
        assert_eq!(read[folder.path()], Err("it is a folder, not a file".to_owned()));
    }
}
