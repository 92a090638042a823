//! Real files, real events. Every wait is for an event; that none came is proven by the next one that was provoked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Config, EventHandler, RecursiveMode, Watcher, WatcherKind};
use tokio::sync::mpsc;

use super::folders::FolderWatch;
use super::touches::Touches;
use crate::domain::Event;
use crate::engine::ports::{Followed, Watches};

struct Scene {
    base: PathBuf,
    /// For what is prepared out of sight and then renamed into place.
    aside: PathBuf,
    watch: FolderWatch,
    events: mpsc::UnboundedReceiver<Event>,
    followed: Followed,
    _guard: tempfile::TempDir,
}

impl Scene {
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        Self::with(prepare, FolderWatch::start)
    }

    fn with(
        prepare: impl FnOnce(&Path),
        start: impl FnOnce(&Path, mpsc::UnboundedSender<Event>) -> FolderWatch,
    ) -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap();
        let (base, aside) = (root.join("home/config"), root.join("aside"));
        fs::create_dir(&aside).unwrap();
        fs::create_dir(root.join("home")).unwrap();
        prepare(&base);
        let (inbox, events) = mpsc::unbounded_channel();
        let watch = start(&base, inbox);
        let files = [base.join("services.json"), base.join(".env")].into();
        let followed = Followed { files, folders: [base.join("services.d")].into(), ..Followed::default() };
        let mut scene = Self { base, aside, watch, events, followed, _guard: guard };
        scene.follow();
        scene
    }

    fn usual() -> Self {
        Self::new(|base| {
            fs::create_dir_all(base.join("services.d")).unwrap();
            fs::write(base.join("services.json"), "old").unwrap();
            fs::write(base.join("services.d/x.json"), "old").unwrap();
        })
    }

    fn follow(&mut self) {
        self.watch.follow(&self.followed);
    }

    fn also(&mut self, file: &Path) {
        self.followed.files.insert(file.to_owned());
        self.follow();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    fn rename_into(&self, name: &str, text: &str) {
        let temporary = self.aside.join("temporary");
        fs::write(&temporary, text).unwrap();
        fs::rename(&temporary, self.path(name)).unwrap();
    }

    async fn touched(&mut self) -> String {
        match tokio::time::timeout(Duration::from_secs(30), self.events.recv()).await {
            Ok(Some(Event::SourcesTouched { cause })) => cause,
            other => panic!("expected a touch: {other:?}"),
        }
    }

    /// Lives as the engine does, reading after each touch, until `name` reads as `text`; at least one touch.
    async fn until_reads(&mut self, name: &str, text: &str) {
        loop {
            self.touched().await;
            self.follow();
            if fs::read_to_string(self.path(name)).is_ok_and(|found| found == text) {
                return;
            }
        }
    }

    async fn until_gone(&mut self, name: &str) {
        loop {
            self.touched().await;
            self.follow();
            if !self.path(name).exists() {
                return;
            }
        }
    }

    /// The touches so far: all that come before one that is provoked now, by a single event.
    async fn told_so_far(&mut self) -> Vec<String> {
        self.rename_into(".env", "A=1");
        let mut causes = Vec::new();
        loop {
            let cause = self.touched().await;
            if cause == ".env changed" {
                return causes;
            }
            causes.push(cause.clone());
            if cause.contains(".env") {
                return causes;
            }
        }
    }

    async fn expect_quiet(&mut self) {
        assert_eq!(self.told_so_far().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn saving_by_rename_twice_in_a_row_is_told_twice() {
    let mut scene = Scene::usual();
    for (name, text) in
        [("services.json", "a"), ("services.json", "b"), ("services.d/x.json", "a"), ("services.d/x.json", "b")]
    {
        scene.rename_into(name, text);
        assert_eq!(scene.touched().await, format!("{name} changed"));
        scene.follow();
    }
    scene.expect_quiet().await;
}

#[tokio::test]
async fn truncating_and_writing_is_told_until_it_is_complete() {
    let mut scene = Scene::usual();
    fs::write(scene.path("services.d/x.json"), "new").unwrap();
    scene.until_reads("services.d/x.json", "new").await;
}

#[tokio::test]
async fn a_new_a_deleted_and_a_recreated_file_are_told() {
    let mut scene = Scene::usual();
    fs::write(scene.path("services.d/y.json"), "new").unwrap();
    scene.until_reads("services.d/y.json", "new").await;
    fs::remove_file(scene.path("services.d/y.json")).unwrap();
    scene.until_gone("services.d/y.json").await;
    fs::write(scene.path("services.d/y.json"), "again").unwrap();
    scene.until_reads("services.d/y.json", "again").await;
    fs::rename(scene.path("services.d/y.json"), scene.path("services.d/z.json")).unwrap();
    scene.until_gone("services.d/y.json").await;
    scene.told_so_far().await;
}

#[tokio::test]
async fn reading_causes_no_reading() {
    let mut scene = Scene::usual();
    for _ in 0..3 {
        scene.follow();
        for entry in fs::read_dir(scene.path("services.d")).unwrap() {
            fs::read_to_string(entry.unwrap().path()).unwrap();
        }
        fs::read_to_string(scene.path("services.json")).unwrap();
        let _ = fs::read_to_string(scene.path(".env"));
        fs::read_dir(&scene.base).unwrap().count();
    }
    scene.expect_quiet().await;
}

#[tokio::test]
async fn a_temporary_file_that_is_renamed_into_place_is_told_once_or_twice() {
    let mut scene = Scene::usual();
    for temporary in ["services.d/x.json.tmp", "services.d/.x.json.swp", "services.d/x.json~"] {
        fs::write(scene.path(temporary), "new").unwrap();
        fs::rename(scene.path(temporary), scene.path("services.d/x.json")).unwrap();
        let told = scene.told_so_far().await;
        assert!((1..=2).contains(&told.len()), "{told:?}");
    }
}

#[tokio::test]
async fn what_is_no_source_is_not_told() {
    let mut scene = Scene::usual();
    for name in
        ["services.d/.x.json.swp", "services.d/notes.txt", "services.d/.#x.json", "other.json", "services.json~"]
    {
        fs::write(scene.path(name), "x").unwrap();
        fs::remove_file(scene.path(name)).unwrap();
    }
    fs::create_dir(scene.path("services.d/folder")).unwrap();
    scene.expect_quiet().await;
}

#[tokio::test]
async fn a_drop_in_folder_that_appears_later_is_seen_with_what_it_holds() {
    let mut scene = Scene::new(|base| fs::create_dir(base).unwrap());
    fs::create_dir(scene.path("services.d")).unwrap();
    fs::write(scene.path("services.d/x.json"), "new").unwrap();
    scene.until_reads("services.d/x.json", "new").await;
    scene.told_so_far().await;
    scene.follow();
    fs::write(scene.path("services.d/x.json"), "newer").unwrap();
    scene.until_reads("services.d/x.json", "newer").await;
}

#[tokio::test]
async fn where_there_is_nothing_at_all_the_first_file_is_seen() {
    let mut scene = Scene::new(|_| {});
    fs::create_dir_all(scene.path("services.d")).unwrap();
    fs::write(scene.path("services.json"), "new").unwrap();
    scene.until_reads("services.json", "new").await;
    fs::write(scene.path("services.d/x.json"), "new").unwrap();
    scene.until_reads("services.d/x.json", "new").await;
}

#[tokio::test]
async fn a_drop_in_folder_that_is_made_anew_is_followed() {
    let mut scene = Scene::usual();
    for round in 0..5 {
        let text = format!("round {round}");
        fs::remove_dir_all(scene.path("services.d")).unwrap();
        // Sometimes the removal is noticed first, sometimes both come at once.
        if round % 2 == 0 {
            scene.until_gone("services.d").await;
        }
        fs::create_dir(scene.path("services.d")).unwrap();
        fs::write(scene.path("services.d/x.json"), &text).unwrap();
        scene.until_reads("services.d/x.json", &text).await;
        scene.told_so_far().await;
        scene.follow();
        let text = format!("round {round}, again");
        fs::write(scene.path("services.d/x.json"), &text).unwrap();
        scene.until_reads("services.d/x.json", &text).await;
    }
}

#[tokio::test]
async fn a_folder_that_takes_the_place_of_another_is_followed() {
    let mut scene = Scene::usual();
    fs::create_dir(scene.aside.join("new")).unwrap();
    fs::write(scene.aside.join("new/x.json"), "new").unwrap();
    fs::rename(scene.path("services.d"), scene.aside.join("old")).unwrap();
    fs::rename(scene.aside.join("new"), scene.path("services.d")).unwrap();
    scene.until_reads("services.d/x.json", "new").await;
    scene.told_so_far().await;
    scene.follow();
    fs::write(scene.aside.join("old/x.json"), "nobody minds").unwrap();
    scene.expect_quiet().await;
    fs::write(scene.path("services.d/x.json"), "newer").unwrap();
    scene.until_reads("services.d/x.json", "newer").await;
}

#[tokio::test]
async fn the_whole_configuration_folder_may_go_and_come_back() {
    let mut scene = Scene::usual();
    fs::rename(&scene.base, scene.aside.join("away")).unwrap();
    scene.until_gone("services.json").await;
    fs::rename(scene.aside.join("away"), &scene.base).unwrap();
    scene.until_reads("services.json", "old").await;
    scene.told_so_far().await;
    scene.follow();
    fs::write(scene.path("services.d/x.json"), "new").unwrap();
    scene.until_reads("services.d/x.json", "new").await;
}

#[tokio::test]
async fn a_link_that_is_swapped_is_told_and_followed() {
    let mut scene = Scene::new(|base| {
        fs::create_dir_all(base.join("v1")).unwrap();
        fs::create_dir_all(base.join("v2")).unwrap();
        fs::write(base.join("v1/x.json"), "one").unwrap();
        fs::write(base.join("v2/x.json"), "two").unwrap();
        symlink("v1", base.join("services.d")).unwrap();
    });
    fs::write(scene.path("v1/x.json"), "one, edited").unwrap();
    scene.until_reads("services.d/x.json", "one, edited").await;
    symlink("v2", scene.aside.join("link")).unwrap();
    fs::rename(scene.aside.join("link"), scene.path("services.d")).unwrap();
    scene.until_reads("services.d/x.json", "two").await;
    scene.told_so_far().await;
    scene.follow();
    fs::write(scene.path("v1/x.json"), "nobody minds").unwrap();
    scene.expect_quiet().await;
    fs::write(scene.path("v2/x.json"), "two, edited").unwrap();
    scene.until_reads("services.d/x.json", "two, edited").await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_swaps() {
    let mut scene = Scene::new(|base| {
        fs::create_dir_all(base.join("services.d/..1")).unwrap();
        fs::write(base.join("services.d/..1/x.json"), "one").unwrap();
        symlink("..1", base.join("services.d/..data")).unwrap();
        symlink("..data/x.json", base.join("services.d/x.json")).unwrap();
    });
    scene.also(&scene.path("services.d/x.json"));
    for (version, text) in [("..2", "two"), ("..3", "three")] {
        let folder = scene.path("services.d").join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x.json"), text).unwrap();
        symlink(version, scene.path("services.d/..data_tmp")).unwrap();
        fs::rename(scene.path("services.d/..data_tmp"), scene.path("services.d/..data")).unwrap();
        scene.until_reads("services.d/x.json", text).await;
    }
    scene.told_so_far().await;
    scene.follow();
    fs::write(scene.path("services.d/..3/x.json"), "three, edited").unwrap();
    scene.until_reads("services.d/x.json", "three, edited").await;
}

#[tokio::test]
async fn a_linked_file_elsewhere_and_an_environment_file_are_followed() {
    let mut scene = Scene::usual();
    let (elsewhere, env) = (scene.aside.join("store/y.json"), scene.aside.join("not/yet/there.env"));
    fs::create_dir(scene.aside.join("store")).unwrap();
    fs::write(&elsewhere, "old").unwrap();
    symlink(&elsewhere, scene.path("services.d/y.json")).unwrap();
    scene.also(&scene.path("services.d/y.json"));
    scene.also(&env);
    scene.told_so_far().await;
    fs::write(&elsewhere, "new").unwrap();
    scene.until_reads("services.d/y.json", "new").await;
    fs::create_dir_all(env.parent().unwrap()).unwrap();
    fs::write(&env, "A=1").unwrap();
    scene.until_reads(env.to_str().unwrap(), "A=1").await;
}

#[tokio::test]
async fn a_changed_mode_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::usual();
    fs::set_permissions(scene.path("services.d/x.json"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(scene.touched().await, "services.d/x.json changed");
}

/// A watcher whose limits are reached.
#[derive(Debug)]
struct Exhausted;

impl Watcher for Exhausted {
    fn new<F: EventHandler>(_handler: F, _config: Config) -> notify::Result<Self> {
        Ok(Self)
    }
    fn watch(&mut self, _path: &Path, _mode: RecursiveMode) -> notify::Result<()> {
        Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch))
    }
    fn unwatch(&mut self, _path: &Path) -> notify::Result<()> {
        Err(notify::Error::watch_not_found())
    }
    fn kind() -> WatcherKind {
        WatcherKind::NullWatcher
    }
}

#[tokio::test]
async fn what_cannot_be_watched_is_looked_at_instead() {
    for watcher in [None, Some(Box::new(Exhausted) as Box<dyn Watcher + Send>)] {
        let mut scene = Scene::with(
            |base| fs::create_dir_all(base).unwrap(),
            |base, inbox| {
                FolderWatch::with(base, inbox, Arc::new(Touches::default()), watcher, Duration::from_millis(5))
            },
        );
        fs::write(scene.path("services.json"), "new").unwrap();
        scene.until_reads("services.json", "new").await;
        fs::create_dir(scene.path("services.d")).unwrap();
        fs::write(scene.path("services.d/x.json"), "new").unwrap();
        scene.until_reads("services.d/x.json", "new").await;
        scene.rename_into("services.d/x.json", "other");
        scene.until_reads("services.d/x.json", "other").await;
        // A look that was under way may tell the same once more.
        scene.told_so_far().await;
        fs::write(scene.path("services.d/x.json~"), "no source").unwrap();
        scene.expect_quiet().await;
    }
}

#[tokio::test]
async fn several_changes_at_once_are_one_touch() {
    let touches = Touches::default();
    for name in ["c", "a", "b", "a"] {
        touches.changed(name.to_owned());
    }
    assert_eq!(touches.next().await, "a and 2 others changed");
    touches.changed("a".to_owned());
    touches.changed("b".to_owned());
    assert_eq!(touches.next().await, "a and b changed");
}

#[tokio::test]
async fn a_lost_event_and_a_failing_watcher_lead_to_a_reading_each() {
    use notify::event::Flag;
    let touches = Touches::default();
    touches.take_in(Ok(notify::Event::new(notify::EventKind::Other).set_flag(Flag::Rescan)));
    assert_eq!(touches.next().await, "the system has lost track of changes");
    touches.take_in(Err(notify::Error::generic("out of memory")));
    assert_eq!(touches.next().await, "watching files failed (out of memory)");
}
