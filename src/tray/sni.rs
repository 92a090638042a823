//! The shell on StatusNotifierItem: shows a [`TrayModel`], turns clicks into wishes, and outlives hosts and buses.
//!
//! Entries have no names on the bus, only numbers by position. While the set of entries is the same, so are their
//! numbers; when it changes, the shape of the menu is made to change as well, so that all old numbers expire.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use ksni::menu::{CheckmarkItem, StandardItem, SubMenu};
use ksni::{MenuItem, OfflineReason, TrayMethods};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use zbus::fdo::DBusProxy;

use super::bus::Arrival;
use super::icon;
use super::model::{Choice, Costs, Item, ItemKind, Places, TrayModel};
use crate::domain::Snapshot;
use crate::engine::Handle;
use crate::open::Opener;

/// The name of whoever keeps the list of tray items.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
/// The least time between two updates of what is shown.
const PACE: Duration = Duration::from_millis(250);
/// How long a bus or a host may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(5);
/// A sample that is younger is not taken anew, however often the menu opens.
const SAMPLE_AGE: Duration = Duration::from_secs(1);

/// Tells what the services cost now; called when the menu opens, and has to answer within some milliseconds.
pub type Sampler = Box<dyn FnMut(&Snapshot) -> Costs + Send>;

/// What the tray needs of the world beside the engine.
pub struct Desk {
    /// Where things lie that the menu opens.
    pub places: Places,
    /// Opens them, if [`Places::opener`] says so.
    pub opener: Option<Opener>,
    /// Tells costs; without one the menu shows none.
    pub sampler: Option<Sampler>,
    /// Kept true while the tray is on a bus, and false while it is on none.
    pub is_there: Arc<AtomicBool>,
}

/// Shows the tray until the engine ends. Without a bus or a host it waits for one, and says so once.
pub async fn run(handle: Handle, desk: Desk) {
    let mut snapshots = handle.snapshots();
    let is_there = Arc::clone(&desk.is_there);
    let stage = Stage::new(handle, desk);
    let mut arrival = Arrival::new();
    let mut said = false;
    loop {
        let attempt = tokio::select! {
            attempt = Link::open(&stage) => attempt,
            () = ended(&mut snapshots) => return,
        };
        match attempt {
            Ok(link) => {
                is_there.store(true, Ordering::Relaxed);
                arrival = Arrival::new();
                let ending = serve(&link, &stage, &mut snapshots).await;
                is_there.store(false, Ordering::Relaxed);
                link.close().await;
                // The end is said here, so that the attempts that follow need not.
                said = true;
                match ending {
                    Ending::Engine => return,
                    Ending::Bus => tracing::warn!("no tray for now: the session bus has gone"),
                }
            }
            Err(error) => {
                is_there.store(false, Ordering::Relaxed);
                if !said {
                    tracing::warn!("no tray for now: {error}");
                    said = true;
                }
                tokio::select! {
                    () = arrival.wait() => {}
                    () = ended(&mut snapshots) => return,
                }
            }
        }
    }
}

/// Why [`serve`] has come to its end.
enum Ending {
    Engine,
    Bus,
}

/// Keeps what is shown up to date, at once after a rest and else at [`PACE`].
async fn serve(link: &Link, stage: &Stage, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Ending {
    let mut earliest = Instant::now();
    // Whatever happened while the link was being made is shown first.
    let mut due = true;
    loop {
        tokio::select! {
            changed = snapshots.changed() => match changed {
                Ok(()) => due = true,
                Err(_) => return Ending::Engine,
            },
            () = link.bus.closed() => return Ending::Bus,
            () = sleep_until(earliest), if due => {
                due = false;
                snapshots.mark_unchanged();
                if stage.renew() {
                    earliest = Instant::now() + PACE;
                    match timeout(PATIENCE, link.tray.0.update(|_| ())).await {
                        Ok(Some(())) => {}
                        Ok(None) => return Ending::Bus,
                        Err(_) => tracing::debug!("the tray's host does not answer"),
                    }
                }
            }
        }
    }
}

/// Returns when the engine has ended.
async fn ended(snapshots: &mut watch::Receiver<Arc<Snapshot>>) {
    while snapshots.changed().await.is_ok() {}
}

/// The tray on one bus.
struct Link {
    tray: Shutdown,
    /// A connection of our own, which does nothing but tell when the bus goes.
    bus: zbus::Connection,
}

/// Ends the tray's task when dropped; without its handle it would stay on the bus for ever.
struct Shutdown(ksni::Handle<View>);

impl Drop for Shutdown {
    fn drop(&mut self) {
        // The order is given by the call; waiting for the end is for those who can wait.
        let _ended = self.0.shutdown();
    }
}

impl Link {
    async fn open(stage: &Stage) -> Result<Self, String> {
        let open = async {
            let no_bus = |error| format!("no session bus: {error}");
            let bus = zbus::Connection::session().await.map_err(no_bus)?;
            let daemon = DBusProxy::new(&bus).await.map_err(no_bus)?;
            let mut hosts = daemon.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await.map_err(no_bus)?;
            stage.scene().hostless = false;
            let view = View { stage: stage.clone() };
            let tray = view.assume_sni_available(true).spawn().await.map_err(|error| error.to_string())?;
            let tray = Shutdown(tray);
            // ksni looks for a host first and listens for one afterwards: who comes or goes in between would be missed.
            // The question is only there for its answer, behind which everything has arrived that happened before.
            daemon.get_id().await.map_err(|error| no_bus(error.into()))?;
            let last = std::iter::from_fn(|| hosts.next().now_or_never().flatten()).last();
            let is_there = last.and_then(|change| Some(change.args().ok()?.new_owner().is_some()));
            match is_there {
                // Who has registered already may do so again.
                Some(true) if stage.is_hostless() && register(&bus, &daemon).await.is_some() => {
                    stage.scene().hostless = false;
                }
                Some(false) => stage.miss_host("it has gone"),
                Some(true) | None => {}
            }
            Ok(Self { tray, bus })
        };
        timeout(PATIENCE, open).await.unwrap_or_else(|_| Err("the session bus does not answer".to_owned()))
    }

    async fn close(self) {
        // On a dead bus there may be nobody to say goodbye to.
        let _ = timeout(PATIENCE, self.tray.0.shutdown()).await;
    }
}

/// Tells the host, over `bus`, of the item that ksni has there; `None` if nobody listens to that.
async fn register(bus: &zbus::Connection, daemon: &DBusProxy<'_>) -> Option<()> {
    let prefix = format!("org.kde.StatusNotifierItem-{}-", std::process::id());
    let names = daemon.list_names().await.ok()?;
    let item = names.iter().find(|name| name.starts_with(&prefix))?;
    let method = "RegisterStatusNotifierItem";
    let told = bus.call_method(Some(WATCHER), "/StatusNotifierWatcher", Some(WATCHER), method, &item.as_str()).await;
    told.ok().map(|_| ())
}

/// What is shown at present, shared by the loop that renews it and the objects on the bus that show it.
#[derive(Clone)]
struct Stage {
    handle: Handle,
    opener: Option<Opener>,
    places: Arc<Places>,
    scene: Arc<Mutex<Scene>>,
}

struct Scene {
    model: TrayModel,
    costs: Costs,
    sampled: Option<Instant>,
    sampler: Option<Sampler>,
    /// Whether the menu has one hidden entry more than the model: turned over to change the menu's shape.
    twisted: bool,
    /// Whether it has been said that nobody shows the tray.
    hostless: bool,
}

impl Stage {
    fn new(handle: Handle, desk: Desk) -> Self {
        let Desk { places, opener, sampler, is_there: _ } = desk;
        let costs = Costs::new();
        let model = TrayModel::of(&handle.snapshot(), &places, &costs);
        let scene = Scene { model, costs, sampled: None, sampler, twisted: false, hostless: false };
        Self { handle, opener, places: Arc::new(places), scene: Arc::new(Mutex::new(scene)) }
    }

    /// Takes over the engine's latest snapshot; whether anything is to be shown anew.
    fn renew(&self) -> bool {
        self.scene().renew(&self.handle.snapshot(), &self.places)
    }

    /// The menu is being opened: its costs are of now.
    fn sample(&self) {
        let snapshot = self.handle.snapshot();
        let mut scene = self.scene();
        if scene.sampled.is_some_and(|sampled| sampled.elapsed() < SAMPLE_AGE) {
            return;
        }
        if let Some(costs) = scene.sampler.as_mut().map(|sampler| sampler(&snapshot)) {
            scene.costs = costs;
            scene.sampled = Some(Instant::now());
            scene.renew(&snapshot, &self.places);
        }
    }

    fn perform(&self, choice: &Choice) {
        match choice {
            Choice::Wish(command) => self.handle.send(command.clone()),
            Choice::Open(target) => {
                if let Some(opener) = &self.opener {
                    opener(target);
                }
            }
        }
    }

    fn is_hostless(&self) -> bool {
        self.scene().hostless
    }

    /// Nobody shows the tray, because of `reason`: says so once.
    fn miss_host(&self, reason: &str) {
        if !std::mem::replace(&mut self.scene().hostless, true) {
            tracing::warn!("no tray host for now: {reason}");
        }
    }

    fn scene(&self) -> MutexGuard<'_, Scene> {
        // Nothing in a scene is ever half changed.
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scene {
    fn renew(&mut self, snapshot: &Snapshot, places: &Places) -> bool {
        let model = TrayModel::of(snapshot, places, &self.costs);
        if model == self.model {
            return false;
        }
        if self.model.is_same_shape(&model) && !self.model.is_same_set(&model) {
            self.twisted = !self.twisted;
        }
        self.model = model;
        true
    }
}

/// The tray as ksni asks for it.
struct View {
    stage: Stage,
}

impl ksni::Tray for View {
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "pilotlight".to_owned()
    }

    fn title(&self) -> String {
        self.stage.scene().model.title.clone()
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        icon::pixmaps(self.stage.scene().model.light).to_vec()
    }

    fn tool_tip(&self) -> ksni::ToolTip {
        let scene = self.stage.scene();
        ksni::ToolTip {
            title: scene.model.title.clone(),
            description: markup(&scene.model.text),
            ..ksni::ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let scene = self.stage.scene();
        let twist = scene.twisted.then(|| StandardItem { visible: false, ..StandardItem::default() }.into());
        scene.model.menu.iter().map(entry).chain(twist).collect()
    }

    fn menu_about_to_show(&mut self) {
        self.stage.sample();
    }

    fn watcher_online(&self) {
        self.stage.scene().hostless = false;
        tracing::info!("a tray host has appeared");
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        match reason {
            OfflineReason::Error(error) => self.stage.miss_host(&error.to_string()),
            // Whatever other reasons there may be one day, they come to the same.
            _ => self.stage.miss_host("it has gone"),
        }
        true
    }
}

fn entry(item: &Item) -> MenuItem<View> {
    let label = mnemonic_free(&item.label);
    let visible = item.visible;
    let icon_data = item.light.map(|light| icon::small_png(light).to_vec()).unwrap_or_default();
    match &item.kind {
        ItemKind::Separator => MenuItem::Separator,
        ItemKind::Submenu(children) => {
            let submenu = children.iter().map(entry).collect();
            SubMenu { label, visible, icon_data, submenu, ..SubMenu::default() }.into()
        }
        ItemKind::Plain => {
            let (enabled, activate) = click(item);
            StandardItem { label, visible, icon_data, enabled, activate, ..StandardItem::default() }.into()
        }
        ItemKind::Check(checked) => {
            let (enabled, activate) = click(item);
            let checked = *checked;
            CheckmarkItem { label, visible, icon_data, enabled, checked, activate, ..CheckmarkItem::default() }.into()
        }
    }
}

type OnClick = Box<dyn Fn(&mut View) + Send>;

/// Whether an entry can be clicked, and what that does.
fn click(item: &Item) -> (bool, OnClick) {
    // What is not seen has no effect either, whoever claims to have clicked it.
    match item.choice.clone().filter(|_| item.visible) {
        Some(choice) => (true, Box::new(move |view| view.stage.perform(&choice))),
        None => (false, Box::new(|_| ())),
    }
}

/// `label` as dbusmenu wants it, where a single underscore marks a key.
fn mnemonic_free(label: &str) -> String {
    label.replace('_', "__")
}

/// `text` for a place that takes markup.
fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
