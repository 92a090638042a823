//! Real files in folders of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc as channel};
use std::time::Duration;

use super::*;
use crate::domain::catalog::{Content, Reading, Role};
use crate::domain::{Event, Severity};
use crate::engine::ports::{Followed, Sources, Watches};

type Seen = Arc<Mutex<Vec<Followed>>>;

/// Remembers what it was told to follow, and does `at_follow` each time.
struct Recorder {
    seen: Seen,
    at_follow: Box<dyn FnMut(usize) + Send>,
}

impl Watches for Recorder {
    fn follow(&mut self, followed: &Followed) {
        let mut seen = self.seen.lock().unwrap();
        seen.push(followed.clone());
        (self.at_follow)(seen.len());
    }
}

struct Folder {
    path: PathBuf,
    _guard: tempfile::TempDir,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let path = guard.path().canonicalize().unwrap();
        let folder = Self { path, _guard: guard };
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn location(&self) -> Location {
        let config = Some(self.path.join("services.json"));
        Location::find(&Asked { config, working_directory: self.path.clone(), user_folder: None })
    }

    fn reader(&self, watches: impl Watches + 'static) -> Reader {
        let environment = BTreeMap::from([("PATH".to_owned(), self.path.join("bin").display().to_string())]);
        Reader::new(self.location(), None, environment, Box::new(watches))
    }

    fn read(&self) -> Reading {
        self.reader(Unwatched).read("a test".to_owned())
    }
}

/// Name and content of each source, in words.
fn told(reading: &Reading) -> Vec<(String, String)> {
    let content = |content: &Content| match content {
        Content::Parsed(node, _) => node.kind().to_owned(),
        Content::Empty => "empty".to_owned(),
        Content::Broken(problem) => format!("broken: {}", problem.message),
        Content::Refused(problem) => format!("refused: {}", problem.message),
    };
    reading.files.iter().map(|file| (file.name.to_string(), content(&file.content))).collect()
}

fn names(reading: &Reading) -> Vec<String> {
    told(reading).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_main_file_comes_first_and_drop_ins_by_the_bytes_of_their_names() {
    let folder = Folder::with(&[
        ("services.d/b.json", "{}"),
        ("services.d/B.json", "{}"),
        ("services.d/10.json", "[]"),
        ("services.d/9.json", "{}"),
        ("services.json", "{}"),
        ("services.d/.hidden.json", "{}"),
        ("services.d/a.json~", "{}"),
        ("services.d/.#a.json", "{}"),
        ("services.d/a.json.swp", "{}"),
        ("services.d/a.json.tmp", "{}"),
        ("services.d/README.md", "hello"),
    ]);
    let reading = folder.read();
    let expected =
        ["services.json", "services.d/10.json", "services.d/9.json", "services.d/B.json", "services.d/b.json"];
    assert_eq!(names(&reading), expected);
    assert_eq!(reading.files[0].role, Role::Main);
    assert!(reading.files[1..].iter().all(|file| file.role == Role::DropIn && file.path.is_absolute()));
    assert_eq!((reading.unlisted, reading.problems.len(), reading.cause), (false, 0, "a test".to_owned()));
}

#[test]
fn a_folder_of_drop_ins_alone_and_nothing_at_all_are_enough() {
    let folder = Folder::with(&[("services.d/a.json", "{}")]);
    assert_eq!(names(&folder.read()), ["services.d/a.json"]);
    let reading = Folder::with(&[]).read();
    assert_eq!((reading.files.len(), reading.unlisted, reading.problems.len()), (0, false, 0));
}

#[test]
fn every_kind_of_file_that_is_no_json_is_told_apart_and_harms_no_other() {
    let folder = Folder::with(&[
        ("services.d/blank.json", " \n"),
        ("services.d/cut.json", "{\"a\": "),
        ("services.d/good.json", "\u{feff}{}"),
        ("services.d/inner.json/x", ""),
    ]);
    folder.write("services.d/latin1.json", b"{\"name\": \"Gr\xfc\xdfe\"}");
    folder.write("services.d/large.json", vec![b' '; 10_000_000]);
    symlink("nowhere", folder.path.join("services.d/link.json")).unwrap();
    symlink("loop.json", folder.path.join("services.d/loop.json")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(folder.path.join("services.d/pipe.json")).status().unwrap();
    assert!(pipe.success());
    let expected = [
        ("services.d/blank.json", "empty"),
        ("services.d/cut.json", "broken: the file ends where a value is expected"),
        ("services.d/good.json", "an object"),
        ("services.d/inner.json", "broken: it is a folder, not a file"),
        ("services.d/large.json", "broken: the file is larger than 4 MiB"),
        ("services.d/latin1.json", "broken: the byte 0xfc is not valid UTF-8"),
        ("services.d/link.json", "broken: the link leads to nowhere, which is not there"),
        ("services.d/loop.json", "broken: the file can't be read: too many levels of symbolic links"),
        ("services.d/pipe.json", "broken: it is a device or pipe, not a file"),
    ];
    assert_eq!(told(&folder.read()), expected.map(|(name, what)| (name.to_owned(), what.to_owned())));
}

#[test]
fn a_name_that_is_not_utf8_is_read_all_the_same() {
    let folder = Folder::with(&[("services.d/a.json", "{}")]);
    fs::write(folder.path.join("services.d").join(OsString::from_vec(b"\xff.json".to_vec())), "{}").unwrap();
    assert_eq!(names(&folder.read()), ["services.d/a.json", "services.d/\u{fffd}.json"]);
}

#[test]
fn a_file_that_every_user_may_write_is_refused_and_one_of_the_group_is_noted() {
    let folder = Folder::with(&[("services.json", "{}"), ("services.d/a.json", "{}"), ("services.d/b.json", "{}")]);
    folder.mode("services.d/a.json", 0o666);
    folder.mode("services.d/b.json", 0o664);
    let reading = folder.read();
    assert_eq!(told(&reading)[1].1, "refused: every user may write to the file (mode 666)");
    assert_eq!(told(&reading)[2].1, "an object");
    let [note] = reading.problems.as_slice() else { panic!("one note: {:?}", reading.problems) };
    assert_eq!((note.severity, note.message.as_str()), (Severity::Note, "the file's group may write to it"));
}

#[test]
fn what_every_user_may_write_to_is_refused_and_a_folder_of_that_kind_is_noted() {
    let folder = Folder::with(&[
        ("up/project/services.json", r#"{"include": ["apps/*.json"], "services": {"a": {"command": ["x"]}}}"#),
        ("up/project/services.d/b.json", "{}"),
        ("up/project/apps/c.json", "{}"),
        ("up/project/.env", "A=1"),
        ("up/elsewhere/linked.json", "{}"),
    ]);
    symlink("../../elsewhere/linked.json", folder.path.join("up/project/services.d/d.json")).unwrap();
    let config = Some(folder.path.join("up/project/services.json"));
    let asked = Asked { config, working_directory: folder.path.clone(), user_folder: None };
    let read = || {
        let mut reader = Reader::new(Location::find(&asked), None, BTreeMap::new(), Box::new(Unwatched));
        reader.read("a test".to_owned())
    };
    // What is refused, what is noted, and how many files of variables are in use.
    let judged = || {
        let reading = read();
        let refused = |content: &Content| matches!(content, Content::Refused(_));
        let refused = reading.files.iter().filter(|file| refused(&file.content)).map(|file| file.name.to_string());
        let noted = reading.problems.iter().filter_map(|note| Some(note.place.as_ref()?.file.to_string()));
        (refused.collect::<Vec<_>>(), noted.collect::<Vec<_>>(), reading.surroundings.dotenv.len())
    };
    assert_eq!(judged(), (vec![], vec![], 1));
    let everything = ["services.json", "services.d/b.json", "services.d/d.json", "apps/c.json"];
    let [main, b, d, c] = everything;
    for (open, refused, noted, variables) in [
        ("up/project/services.json", &[main][..], &[][..], 1),
        ("up/project/services.d/b.json", &[b], &[], 1),
        ("up/project/apps/c.json", &[c], &[], 1),
        ("up/elsewhere/linked.json", &[d], &[], 1),
        ("up/project/.env", &[], &[], 0),
        ("up/project/services.d", &[], &[b, d], 1),
        ("up/project/apps", &[], &[c], 1),
        ("up/elsewhere", &[], &[d], 1),
        ("up", &[], &everything, 1),
    ] {
        let before = fs::metadata(folder.path.join(open)).unwrap().mode();
        folder.mode(open, before | 0o002);
        let sorted = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let (now_refused, now_noted, now_variables) = judged();
        let set = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
        assert_eq!(
            (set(now_refused), set(now_noted), now_variables),
            (sorted(refused), sorted(noted), variables),
            "{open}"
        );
        if folder.path.join(open).is_dir() {
            // Where only owners may rename and remove, what is there is as safe as elsewhere.
            folder.mode(open, before | 0o1002);
            assert_eq!(judged(), (vec![], vec![], 1), "{open}");
        }
        folder.mode(open, before);
    }
    folder.mode("up", 0o777);
    let note = &read().problems[0];
    let up = folder.path.join("up");
    assert_eq!(note.message, format!("every user may write to the folder {} (mode 777)", up.display()));
    assert!(note.hint.as_deref().is_some_and(|hint| hint.contains("chmod o-w")));
}

#[test]
fn a_folder_that_cannot_be_listed_is_a_problem_and_not_an_empty_one() {
    let folder = Folder::with(&[("services.json", "{}"), ("services.d", "a file")]);
    let reading = folder.read();
    assert!(reading.unlisted);
    assert_eq!(reading.problems[0].message, "it is not a folder");
    assert_eq!(reading.problems[0].place.as_ref().map(ToString::to_string).as_deref(), Some("services.d"));
    let folder = Folder::with(&[]);
    symlink("nowhere", folder.path.join("services.d")).unwrap();
    assert!(folder.read().unlisted);
}

#[test]
fn what_is_watched_is_watched_before_it_is_read() {
    let folder = Folder::with(&[("services.json", "[1]"), ("store/x.json", "[1]"), ("services.d/a.json", "[1]")]);
    symlink("../store/x.json", folder.path.join("services.d/x.json")).unwrap();
    let (root, seen) = (folder.path.clone(), Seen::default());
    // Whatever changes up to the moment that following has returned must be in the reading.
    let at_follow = Box::new(move |count: usize| match count {
        1 => fs::write(root.join("services.json"), "{}").unwrap(),
        2 => fs::write(root.join("store/x.json"), "{}").unwrap(),
        _ => {}
    });
    let reading = folder.reader(Recorder { seen: Arc::clone(&seen), at_follow }).read("a test".to_owned());
    assert_eq!(
        told(&reading).iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(),
        ["an object", "a list", "an object"]
    );
    let seen = seen.lock().unwrap();
    assert!(seen[0].files.contains(&folder.path.join("services.json")));
    assert!(seen[0].files.contains(&folder.path.join(".env")));
    assert_eq!(seen[0].folders, [folder.path.join("services.d")].into());
    assert!(seen[1].files.contains(&folder.path.join("services.d/x.json")));
    assert!(!seen[1].files.contains(&folder.path.join("services.d/a.json")));
}

#[test]
fn a_file_that_is_renamed_during_a_reading_is_seen_once() {
    let folder = Folder::with(&[("services.d/a.json", "{}"), ("store/m.json", "{}")]);
    let root = folder.path.join("services.d");
    symlink("../store/m.json", root.join("m.json")).unwrap();
    // The second call comes for the link, when the folder has been listed and nothing has been read of it.
    let at_follow = Box::new(move |count: usize| {
        if count == 2 {
            fs::rename(root.join("a.json"), root.join("z.json")).unwrap();
        }
    });
    let reading = folder.reader(Recorder { seen: Seen::default(), at_follow }).read("a test".to_owned());
    assert_eq!(names(&reading), ["services.d/m.json", "services.d/z.json"]);
}

#[test]
fn the_variables_beside_the_main_file_are_read_and_wrong_lines_told() {
    let folder = Folder::with(&[(".env", "A=1\nnonsense\nexport B='two'\n")]);
    let reading = folder.read();
    let expected =
        [("A", "1", 1), ("B", "two", 3)].map(|(name, value, line)| (name.to_owned(), value.to_owned(), line));
    assert_eq!(reading.surroundings.dotenv, expected);
    let [problem] = reading.surroundings.problems.as_slice() else { panic!("one problem") };
    assert_eq!(problem.place.as_ref().map(ToString::to_string).as_deref(), Some(".env:2:1"));
    assert_eq!(problem.excerpt, None, "it may be a part of a secret");
}

#[test]
fn python_is_the_virtual_environments_else_the_first_name_on_the_path() {
    let folder = Folder::with(&[("bin/python", "")]);
    let python = |folder: &Folder| folder.read().surroundings.python.clone();
    assert_eq!(python(&folder), "python3", "what is not executable does not count");
    folder.mode("bin/python", 0o755);
    assert_eq!(python(&folder), "python");
    folder.write("bin/python3", "");
    folder.mode("bin/python3", 0o755);
    assert_eq!(python(&folder), "python3");
    folder.write(".venv/bin/python", "");
    folder.mode(".venv/bin/python", 0o755);
    assert_eq!(python(&folder), folder.path.join(".venv/bin/python").display().to_string());
}

/// Holds each reading up until it is let go.
struct Gate {
    entered: tokio::sync::mpsc::UnboundedSender<()>,
    go: channel::Receiver<()>,
    path: PathBuf,
}

impl Watches for Gate {
    fn follow(&mut self, followed: &Followed) {
        assert!(followed.folders.contains(&self.path));
        self.entered.send(()).unwrap();
        self.go.recv().unwrap();
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("in time")
}

#[tokio::test]
async fn orders_that_come_during_a_reading_lead_to_one_more_with_the_newest_cause() {
    let folder = Folder::with(&[("services.json", "{}")]);
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let (let_go, go) = channel::channel();
    let (inbox, mut events) = tokio::sync::mpsc::unbounded_channel();
    let gate = Gate { entered, go, path: folder.path.join("services.d") };
    let mut sources = DiskSources::start(folder.reader(gate), inbox);
    sources.read("first".to_owned(), 1);
    in_time(entries.recv()).await.unwrap();
    for cause in ["second", "third", "fourth"] {
        sources.read(cause.to_owned(), 2);
    }
    folder.write("services.d/a.json", "{}");
    // The gate opens as often as it is asked, from now on.
    (0..100).for_each(|_| let_go.send(()).unwrap());
    let mut causes = Vec::new();
    for _ in 0..2 {
        let Some(Event::SourcesRead(reading)) = in_time(events.recv()).await else { panic!("a reading") };
        causes.push(reading.cause.clone());
        assert_eq!(names(&reading).len(), 2);
    }
    assert_eq!(causes, ["first", "fourth"]);
    drop(sources);
    assert!(in_time(events.recv()).await.is_none(), "no third reading");
}

#[tokio::test]
async fn a_reading_that_panics_does_not_end_reading() {
    struct Faulty(bool);
    impl Watches for Faulty {
        fn follow(&mut self, _followed: &Followed) {
            assert!(std::mem::replace(&mut self.0, true), "a fault");
        }
    }
    let folder = Folder::with(&[("services.json", "{}")]);
    let (inbox, mut events) = tokio::sync::mpsc::unbounded_channel();
    let mut sources = DiskSources::start(folder.reader(Faulty(false)), inbox);
    sources.read("first".to_owned(), 1);
    tokio::task::yield_now().await;
    sources.read("second".to_owned(), 2);
    let Some(Event::SourcesRead(reading)) = in_time(events.recv()).await else { panic!("a reading") };
    assert_eq!(reading.cause, "second");
}

#[test]
fn a_path_to_a_source_is_absolute_and_its_name_relative() {
    let folder = Folder::with(&[("services.d/a.json", "{}")]);
    let file = &folder.read().files[0];
    assert_eq!(file.path, Path::new(&folder.path).join("services.d/a.json"));
    let Content::Parsed(node, text) = &file.content else { panic!("parsed") };
    assert_eq!((&*node.place.file, &**text), ("services.d/a.json", "{}"));
}
