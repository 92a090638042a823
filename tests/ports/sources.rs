//! The laws of the port `Sources`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pilotlight::domain::Event;
use pilotlight::domain::catalog::{Content, Reading, Role};
use pilotlight::engine::ports::{Followed, Sources, Watches};
use pilotlight::sources::{Asked, DiskSources, Location, Reader};
use tokio::sync::mpsc;

use crate::time::{DEADLINE, Made};

const SERVICE: &str = r#"{"type": "process", "command": "x"}"#;

/// Files and who reads them. What waits, waits with a generous deadline and then panics.
trait World {
    /// Writes a source.
    fn write(&mut self, name: &str, text: &str);
    /// Removes a source.
    fn remove(&mut self, name: &str);
    /// Orders a reading.
    fn read(&mut self, cause: &str, order: u64);
    /// Orders one, and returns while it is under way: it ends with the next answer.
    fn begin_reading(&mut self, cause: &str, order: u64);
    /// Waits for the next answer.
    fn next(&mut self) -> Reading;
}

held_by! {
    made_up: Made::new(), real: Real::new();
    [
        what_is_there_is_read_the_main_file_first_and_then_by_name,
        what_was_written_before_the_order_is_read,
        orders_during_a_reading_lead_to_exactly_one_more,
        a_change_during_a_reading_is_in_that_of_the_next_order,
        a_source_that_cannot_be_used_costs_only_itself,
        what_editors_leave_behind_is_no_source,
    ]
}

fn what_is_there_is_read_the_main_file_first_and_then_by_name(world: &mut dyn World) {
    assert_eq!(names(&reading(world, 1)), [""; 0]);
    for name in ["services.d/b.json", "services.json", "services.d/a.json", "services.d/B.json"] {
        world.write(name, SERVICE);
    }
    let reading = reading(world, 2);
    assert_eq!(names(&reading), ["services.json", "services.d/B.json", "services.d/a.json", "services.d/b.json"]);
    let roles = reading.files.iter().map(|file| file.role).collect::<Vec<_>>();
    assert_eq!(roles, [Role::Main, Role::DropIn, Role::DropIn, Role::DropIn]);
    for file in &reading.files {
        assert!(file.path.is_absolute() && file.path.ends_with(&*file.name), "{}", file.path.display());
        assert!(matches!(&file.content, Content::Parsed(_, text) if &**text == SERVICE), "{:?}", file.content);
    }
    assert!(reading.surroundings.root.is_absolute());
    assert_eq!((reading.unlisted, reading.problems.len()), (false, 0));
}

fn what_was_written_before_the_order_is_read(world: &mut dyn World) {
    world.write("services.d/a.json", SERVICE);
    assert_eq!(names(&reading(world, 1)), ["services.d/a.json"]);
    world.write("services.d/b.json", SERVICE);
    assert_eq!(names(&reading(world, 2)), ["services.d/a.json", "services.d/b.json"]);
    world.remove("services.d/a.json");
    assert_eq!(names(&reading(world, 3)), ["services.d/b.json"]);
}

fn orders_during_a_reading_lead_to_exactly_one_more(world: &mut dyn World) {
    world.begin_reading("first", 1);
    for order in 2..=9 {
        world.read(&format!("cause {order}"), order);
    }
    let told = [world.next(), world.next()].map(|reading| (reading.cause, reading.order));
    assert_eq!(told, [("first".to_owned(), 1), ("cause 9".to_owned(), 9)]);
    assert_eq!(reading(world, 10).order, 10, "and to no other");
}

fn a_change_during_a_reading_is_in_that_of_the_next_order(world: &mut dyn World) {
    world.begin_reading("first", 1);
    world.write("services.d/a.json", SERVICE);
    world.read("it changed", 2);
    assert_eq!(world.next().order, 1);
    let reading = world.next();
    assert_eq!((reading.order, names(&reading)), (2, vec!["services.d/a.json".to_owned()]));
}

fn a_source_that_cannot_be_used_costs_only_itself(world: &mut dyn World) {
    world.write("services.d/a.json", SERVICE);
    world.write("services.d/broken.json", "{\"type\": \"process\",\n  \"command\": }");
    world.write("services.d/empty.json", " \n");
    let reading = reading(world, 1);
    assert_eq!(names(&reading), ["services.d/a.json", "services.d/broken.json", "services.d/empty.json"]);
    let [good, broken, empty] = &reading.files[..] else { panic!("{reading:?}") };
    assert!(matches!(good.content, Content::Parsed(..)));
    let Content::Broken(problem) = &broken.content else { panic!("{:?}", broken.content) };
    let place = problem.place.as_ref().unwrap();
    assert_eq!((&*place.file, place.line, place.column), ("services.d/broken.json", 2, 14));
    assert!(matches!(empty.content, Content::Empty));
}

fn what_editors_leave_behind_is_no_source(world: &mut dyn World) {
    for name in ["a.json", "a.json~", ".a.json.swp", ".#a.json", "a.json.tmp", "README"] {
        world.write(&format!("services.d/{name}"), SERVICE);
    }
    world.write("other.json", SERVICE);
    assert_eq!(names(&reading(world, 1)), ["services.d/a.json"]);
}

/// The answer to this order, which is the next one.
fn reading(world: &mut dyn World, order: u64) -> Reading {
    world.read("a law", order);
    let reading = world.next();
    assert_eq!((reading.order, &*reading.cause), (order, "a law"));
    reading
}

fn names(reading: &Reading) -> Vec<String> {
    reading.files.iter().map(|file| file.name.to_string()).collect()
}

fn answer(event: Event) -> Reading {
    match event {
        Event::SourcesRead(reading) => reading,
        other => panic!("{other:?}"),
    }
}

impl World for Made {
    fn write(&mut self, name: &str, text: &str) {
        self.machine.disk.insert(name.to_owned(), text.to_owned());
    }

    fn remove(&mut self, name: &str) {
        self.machine.disk.remove(name);
    }

    fn read(&mut self, cause: &str, order: u64) {
        self.machine.read(cause.to_owned(), order);
    }

    fn begin_reading(&mut self, cause: &str, order: u64) {
        // Virtual time stands still until the answer is waited for.
        self.machine.read(cause.to_owned(), order);
    }

    fn next(&mut self) -> Reading {
        answer(Made::next(self))
    }
}

/// Files in a folder of their own.
struct Real {
    sources: DiskSources,
    answers: mpsc::UnboundedReceiver<Event>,
    hold: Arc<AtomicBool>,
    held: mpsc::UnboundedReceiver<()>,
    is_held: bool,
    /// What a held reading waits for.
    go_on: std::sync::mpsc::Sender<()>,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// Whoever reads must pass by here first.
struct Gate {
    hold: Arc<AtomicBool>,
    held: mpsc::UnboundedSender<()>,
    go_on: std::sync::mpsc::Receiver<()>,
}

impl Watches for Gate {
    fn follow(&mut self, _followed: &Followed) {
        if self.hold.swap(false, Ordering::SeqCst) {
            self.held.send(()).unwrap();
            // Without a world that could let it go on, it goes on.
            let _ = self.go_on.recv();
        }
    }
}

impl Real {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let asked = Asked { config: Some(root.join("services.json")), working_directory: root, user_folder: None };
        let hold = Arc::new(AtomicBool::new(false));
        let (held_sender, held) = mpsc::unbounded_channel();
        let (go_on, go_on_receiver) = std::sync::mpsc::channel();
        let gate = Gate { hold: Arc::clone(&hold), held: held_sender, go_on: go_on_receiver };
        let reader = Reader::new(Location::find(&asked), None, BTreeMap::new(), Box::new(gate));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (inbox, answers) = mpsc::unbounded_channel();
        let within = runtime.enter();
        let sources = DiskSources::start(reader, inbox);
        drop(within);
        Self { sources, answers, hold, held, is_held: false, go_on, folder, runtime }
    }

    fn wait<T>(runtime: &tokio::runtime::Runtime, receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
        let next = async { tokio::time::timeout(DEADLINE, receiver.recv()).await };
        runtime.block_on(next).expect("nothing came").unwrap()
    }
}

impl World for Real {
    fn write(&mut self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&mut self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn read(&mut self, cause: &str, order: u64) {
        self.sources.read(cause.to_owned(), order);
    }

    fn begin_reading(&mut self, cause: &str, order: u64) {
        self.hold.store(true, Ordering::SeqCst);
        self.sources.read(cause.to_owned(), order);
        Self::wait(&self.runtime, &mut self.held);
        self.is_held = true;
    }

    fn next(&mut self) -> Reading {
        if std::mem::take(&mut self.is_held) {
            self.go_on.send(()).unwrap();
        }
        answer(Self::wait(&self.runtime, &mut self.answers))
    }
}
