//! The shell on StatusNotifierItem: shows a [`TrayModel`], turns clicks into wishes, and outlives hosts and buses.
//!
//! Entries have no names on the bus, only numbers by position. While the set of entries is the same, so are their
//! numbers; when it changes, the shape of the menu is made to change as well, so that all old numbers expire.

use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::{Fuse, FusedFuture};
use futures_util::{FutureExt, StreamExt};
use ksni::menu::{CheckmarkItem, StandardItem, SubMenu};
use ksni::{MenuItem, OfflineReason, TrayMethods};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use zbus::fdo::DBusProxy;

use super::bus::{self, Arrival};
use super::icon::{self, Picture};
use super::model::{Item, ItemKind, TrayModel};
use super::stage::{Desk, PACE, Stage};
use crate::domain::{Light, Snapshot};
use crate::engine::Handle;

/// The name of whoever keeps the list of tray items.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
/// How long a bus or a host may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(5);
/// Why there can be no tray at present, if so.
pub fn obstacle() -> Option<String> {
    (!bus::is_there()).then(|| "there is no session bus".to_owned())
}

/// Runs `life`, the agent's, and beside it the tray if `life` shows one. With this shell both are on this thread.
///
/// # Errors
/// None with this shell.
pub fn host<T>(_wants_tray: bool, life: impl FnOnce(Stand) -> T) -> io::Result<T> {
    Ok(life(Stand))
}

/// Where the tray can be shown, once.
pub struct Stand;

impl Stand {
    /// Shows the tray until the engine ends, by a task of the set of local tasks that runs here.
    pub fn show(self, handle: Handle, desk: Desk) {
        tokio::task::spawn_local(run(handle, desk));
    }
}

/// Shows the tray until the engine ends. Without a bus or a host it waits for one, and says so once.
pub async fn run(handle: Handle, desk: Desk) {
    let mut snapshots = handle.snapshots();
    let Desk { places, opener, sampler, is_there, pictures: _ } = desk;
    let stage = Stage::new(handle, places, opener, sampler);
    let board = Board(Arc::new(Mutex::new(Scene { stage, twisted: false, hostless: false })));
    let mut arrival = Arrival::new();
    let mut said = false;
    loop {
        let attempt = tokio::select! {
            attempt = Link::open(&board) => attempt,
            () = ended(&mut snapshots) => return,
        };
        match attempt {
            Ok(link) => {
                is_there.store(true, Ordering::Relaxed);
                arrival = Arrival::new();
                let ending = serve(&link, &board, &mut snapshots).await;
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
async fn serve(link: &Link, board: &Board, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Ending {
    let mut earliest = Instant::now();
    // Whatever happened while the link was being made is shown first.
    let mut due = true;
    // One at a time: on a bus that hangs, updates would pile up, and all of them show the same.
    let mut update = pin!(Fuse::terminated());
    loop {
        tokio::select! {
            changed = snapshots.changed() => match changed {
                Ok(()) => due = true,
                Err(_) => return Ending::Engine,
            },
            () = link.bus.closed() => return Ending::Bus,
            done = &mut update, if !update.is_terminated() => {
                let done: Option<()> = done;
                if done.is_none() {
                    return Ending::Bus;
                }
                earliest = Instant::now() + PACE;
            }
            () = sleep_until(earliest), if due && update.is_terminated() => {
                due = false;
                snapshots.mark_unchanged();
                if board.renew() {
                    update.set(link.tray.0.update(|_| ()).fuse());
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
    async fn open(board: &Board) -> Result<Self, String> {
        let open = async {
            let no_bus = |error| format!("no session bus: {error}");
            let bus = zbus::Connection::session().await.map_err(no_bus)?;
            let daemon = DBusProxy::new(&bus).await.map_err(no_bus)?;
            let mut hosts = daemon.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await.map_err(no_bus)?;
            board.scene().hostless = false;
            let view = View { board: board.clone() };
            let tray = view.assume_sni_available(true).spawn().await.map_err(|error| error.to_string())?;
            let tray = Shutdown(tray);
            // ksni looks for a host first and listens for one afterwards: who comes or goes in between would be missed.
            // The question is only there for its answer, behind which everything has arrived that happened before.
            daemon.get_id().await.map_err(|error| no_bus(error.into()))?;
            let last = std::iter::from_fn(|| hosts.next().now_or_never().flatten()).last();
            let is_there = last.and_then(|change| Some(change.args().ok()?.new_owner().is_some()));
            match is_there {
                // Who has registered already may do so again.
                Some(true) if board.is_hostless() && register(&bus, &daemon).await.is_some() => {
                    board.scene().hostless = false;
                }
                Some(false) => board.miss_host("it has gone"),
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
struct Board(Arc<Mutex<Scene>>);

struct Scene {
    stage: Stage,
    /// Whether the menu has one hidden entry more than the model: turned over to change the menu's shape.
    twisted: bool,
    /// Whether it has been said that nobody shows the tray.
    hostless: bool,
}

impl Board {
    /// Takes over the engine's latest snapshot; whether anything is to be shown anew.
    fn renew(&self) -> bool {
        let mut scene = self.scene();
        let before = scene.stage.renew();
        scene.turn(before)
    }

    /// The menu is being opened.
    fn sample(&self) {
        let mut scene = self.scene();
        let before = scene.stage.sample();
        scene.turn(before);
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scene {
    /// Lets old numbers expire if the model that was shown `before` had the shape of the present one and not its set.
    /// Whether there was another.
    fn turn(&mut self, before: Option<TrayModel>) -> bool {
        let model = self.stage.model();
        if before.as_ref().is_some_and(|before| before.is_same_shape(model) && !before.is_same_set(model)) {
            self.twisted = !self.twisted;
        }
        before.is_some()
    }

    fn model(&self) -> &TrayModel {
        self.stage.model()
    }
}

/// The tray as ksni asks for it.
struct View {
    board: Board,
}

impl ksni::Tray for View {
    const MENU_ON_ACTIVATE: bool = true;

    fn id(&self) -> String {
        "pilotlight".to_owned()
    }

    fn title(&self) -> String {
        self.board.scene().model().title.clone()
    }

    fn icon_pixmap(&self) -> Vec<ksni::Icon> {
        pixmaps(self.board.scene().model().light).to_vec()
    }

    fn tool_tip(&self) -> ksni::ToolTip {
        let scene = self.board.scene();
        ksni::ToolTip {
            title: scene.model().title.clone(),
            description: markup(&scene.model().text),
            ..ksni::ToolTip::default()
        }
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let scene = self.board.scene();
        let twist = scene.twisted.then(|| StandardItem { visible: false, ..StandardItem::default() }.into());
        scene.model().menu.iter().map(entry).chain(twist).collect()
    }

    fn menu_about_to_show(&mut self) {
        self.board.sample();
    }

    fn watcher_online(&self) {
        self.board.scene().hostless = false;
        tracing::info!("a tray host has appeared");
    }

    fn watcher_offline(&self, reason: OfflineReason) -> bool {
        match reason {
            OfflineReason::Error(error) => self.board.miss_host(&error.to_string()),
            // Whatever other reasons there may be one day, they come to the same.
            _ => self.board.miss_host("it has gone"),
        }
        true
    }
}

/// The light in every size: ARGB, big-endian.
fn pixmaps(light: Light) -> &'static [ksni::Icon] {
    static CONVERTED: [OnceLock<Vec<ksni::Icon>>; 4] = [const { OnceLock::new() }; 4];
    CONVERTED[light as usize].get_or_init(|| icon::pictures(light).filter_map(pixmap).collect())
}

fn pixmap(picture: Picture) -> Option<ksni::Icon> {
    let side = picture.side.try_into().ok()?;
    let mut data = picture.rgba;
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Some(ksni::Icon { width: side, height: side, data })
}

fn entry(item: &Item) -> MenuItem<View> {
    let label = mnemonic_free(&item.label);
    let visible = item.visible;
    let icon_data = item.light.map(|light| icon::files(light)[0].to_vec()).unwrap_or_default();
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
        Some(choice) => (true, Box::new(move |view| view.board.scene().stage.perform(&choice))),
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
