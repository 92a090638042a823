//! The laws of the port `Files`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pilotlight::domain::{Event, FilePattern, ServiceId};
use pilotlight::engine::ports::Files;
use pilotlight::watch::FileWatch;
use tokio::sync::mpsc;

use crate::time::{DEADLINE, Made};

/// Files that are watched, below a folder of the world's own.
trait World {
    fn files(&mut self) -> &mut dyn Files;
    /// The folder.
    fn folder(&self) -> PathBuf;
    /// Writes the file at this path below the folder, with the folders on the way to it.
    fn write(&mut self, path: &str);
    fn read(&mut self, path: &str);
    /// Removes a folder with all that is in it.
    fn remove(&mut self, path: &str);
    /// The next that is told: whose file, and which.
    fn next(&mut self) -> (String, String);
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        a_change_is_told_to_all_who_watch_the_file_and_to_nobody_else,
        reading_is_no_change,
        files_in_folders_that_come_later_are_told,
        a_file_is_told_that_comes_with_the_way_to_it_while_that_is_being_looked_at,
        a_folder_that_is_made_anew_is_watched_as_before,
        folders_that_tools_make_are_left_alone_unless_they_are_named,
        who_watches_no_more_is_told_no_more_and_other_patterns_replace_the_first,
    ]
}

fn a_change_is_told_to_all_who_watch_the_file_and_to_nobody_else(world: &mut dyn World) {
    ["src/app.py", "src/deep/er.py", "web/index.ts"].iter().for_each(|path| world.write(path));
    watch(world, "api", &["src", "**", "*.py"]);
    watch(world, "worker", &["src", "app.*"]);
    watch(world, "web", &["web", "*.ts"]);
    world.write("src/app.py");
    assert_eq!(told(world), ["api src/app.py", "worker src/app.py"]);
    world.write("src/deep/er.py");
    world.write("src/app.txt");
    assert_eq!(told(world), ["api src/deep/er.py", "worker src/app.txt"]);
    world.write("web/index.ts");
    assert_eq!(told(world), ["web web/index.ts"]);
}

fn reading_is_no_change(world: &mut dyn World) {
    world.write("src/app.py");
    watch(world, "api", &["src", "*.py"]);
    (0..10).for_each(|_| world.read("src/app.py"));
    assert_eq!(told(world), [""; 0]);
}

fn files_in_folders_that_come_later_are_told(world: &mut dyn World) {
    watch(world, "api", &["not", "yet", "**", "*.py"]);
    world.write("not/yet/there/app.py");
    // A folder that is new has to be found first.
    let first = std::iter::repeat_with(|| told(world)).take(1000).find(|told| !told.is_empty());
    assert_eq!(first.unwrap_or_default(), ["api not/yet/there/app.py"]);
    world.write("not/yet/there/app.py");
    assert_eq!(told(world), ["api not/yet/there/app.py"]);
}

fn a_file_is_told_that_comes_with_the_way_to_it_while_that_is_being_looked_at(world: &mut dyn World) {
    world.write("src/app.py");
    watch(world, "api", &["src", "**", "*.py"]);
    for round in 0..100 {
        let path = format!("src/{round}/deep/er/still/deeper.py");
        world.write(&path);
        let file = world.folder().join(path);
        while world.next().1 != file.to_string_lossy() {}
    }
}

fn a_folder_that_is_made_anew_is_watched_as_before(world: &mut dyn World) {
    world.write("src/app.py");
    watch(world, "api", &["src", "*.py"]);
    for _ in 0..3 {
        world.remove("src");
        world.write("src/app.py");
        let told = std::iter::repeat_with(|| told(world)).take(1000).find(|told| !told.is_empty());
        assert_eq!(told.unwrap_or_default(), ["api src/app.py"]);
    }
}

fn folders_that_tools_make_are_left_alone_unless_they_are_named(world: &mut dyn World) {
    for path in ["node_modules/x/a.js", ".git/a.js", "src/a.js"] {
        world.write(path);
    }
    watch(world, "web", &["**", "*.js"]);
    watch(world, "vendor", &["node_modules", "**", "*.js"]);
    for path in [".git/a.js", "node_modules/x/a.js", "src/a.js"] {
        world.write(path);
    }
    assert_eq!(told(world), ["vendor node_modules/x/a.js", "web src/a.js"]);
}

fn who_watches_no_more_is_told_no_more_and_other_patterns_replace_the_first(world: &mut dyn World) {
    for path in ["a.py", "b.py"] {
        world.write(path);
    }
    watch(world, "api", &["a.py"]);
    watch(world, "worker", &["a.py"]);
    watch(world, "api", &["b.py"]);
    world.files().watch(&id("worker"), &[]);
    world.write("a.py");
    world.write("b.py");
    assert_eq!(told(world), ["api b.py"]);
}

fn id(text: &str) -> ServiceId {
    ServiceId::new(text).unwrap()
}

/// Watches for `service` what this pattern, in its parts, means below the world's folder.
fn watch(world: &mut dyn World, service: &str, parts: &[&str]) {
    let plain = parts.iter().take_while(|part| !part.contains('*'));
    let place = plain.fold(world.folder(), |place, part| place.join(part));
    let glob = format!("{}/{}", globset::escape(world.folder().to_str().unwrap()), parts.join("/"));
    world.files().watch(&id(service), &[FilePattern { place, glob }]);
    // Only what comes after this counts.
    told(world);
}

/// All that has been told by now, each once, as "service file".
fn told(world: &mut dyn World) -> Vec<String> {
    // Once the first of two marks has been told they are watched, and the second is told after all that was before it. A
    // change may be told twice, so each mark is another.
    static MARKS: AtomicUsize = AtomicUsize::new(0);
    let count = MARKS.fetch_add(1, Ordering::Relaxed);
    let folder = world.folder();
    let glob = format!("{}/mark-{count}-*", globset::escape(folder.to_str().unwrap()));
    world.files().watch(&id("mark"), &[FilePattern { place: folder.clone(), glob }]);
    let mut told = Vec::new();
    for mark in ["first", "second"].map(|which| folder.join(format!("mark-{count}-{which}"))) {
        world.write(mark.file_name().unwrap().to_str().unwrap());
        loop {
            let (service, file) = world.next();
            let file = PathBuf::from(file);
            if file == mark {
                break;
            }
            if service != "mark" {
                told.push(format!("{service} {}", file.strip_prefix(&folder).unwrap().display()));
            }
        }
    }
    world.files().watch(&id("mark"), &[]);
    told.sort();
    told.dedup();
    told
}

impl World for Made {
    fn files(&mut self) -> &mut dyn Files {
        &mut self.machine
    }

    fn folder(&self) -> PathBuf {
        "/p".into()
    }

    fn write(&mut self, path: &str) {
        self.machine.touch_file(&format!("/p/{path}"));
    }

    fn read(&mut self, _path: &str) {}

    fn remove(&mut self, _path: &str) {}

    fn next(&mut self) -> (String, String) {
        match Made::next(self) {
            Event::FilesTouched { id, file } => (id.to_string(), file),
            other => panic!("{other:?}"),
        }
    }
}

struct Real {
    files: FileWatch,
    facts: mpsc::UnboundedReceiver<Event>,
    folder: tempfile::TempDir,
}

impl Real {
    fn new() -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        Self { files: FileWatch::new(inbox), facts, folder: tempfile::tempdir().unwrap() }
    }
}

impl World for Real {
    fn files(&mut self) -> &mut dyn Files {
        &mut self.files
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn write(&mut self, path: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    fn read(&mut self, path: &str) {
        fs::read(self.folder.path().join(path)).unwrap();
    }

    fn remove(&mut self, path: &str) {
        fs::remove_dir_all(self.folder.path().join(path)).unwrap();
    }

    fn next(&mut self) -> (String, String) {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.facts.try_recv() {
                Ok(Event::FilesTouched { id, file }) => return (id.to_string(), file),
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert!(Instant::now() < end, "nothing is told"),
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
