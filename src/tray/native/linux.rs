//! What the tray needs of a Linux desktop: a session bus, a display, GTK 3 and libayatana-appindicator.
//!
//! GTK takes a session bus for something that is there as long as the program is: it can neither begin without one nor
//! take up another. So nothing of GTK is touched before there is a bus, and when that has gone there is no tray any more
//! until the agent is started again. The agent itself and its services go on. A display that goes takes the agent with
//! it, because Xlib ends the program; its services go on, as after every end of an agent that was not asked for.

use std::fs;
use std::io::ErrorKind;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use gtk::gio::{BusType, Cancellable, DBusConnection, bus_get_sync};
use gtk::prelude::*;
use tao::event_loop::{EventLoop, EventLoopBuilder, EventLoopProxy};
use tao::platform::unix::EventLoopBuilderExtUnix;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tray_icon::TrayIconBuilder;
use tray_icon::menu::{ContextMenu, Menu};
use zbus::fdo::DBusProxy;

use super::Word;
use super::menu::{Hiding, Seen};
use crate::tray::bus::{self, Arrival};

/// The size of the icon in pixels; panels make it smaller where they need to.
pub(super) const SIDE: u32 = 48;
/// The longest tooltip: this kind of tray has none.
pub(super) const TOOLTIP: usize = 0;

/// Hosts close an open menu when an entry comes or goes, but not when it is hidden or shown.
pub(super) const HIDING: Hiding = Hiding::Hidden;

/// The name of whoever keeps the list of tray items.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
/// How long a bus may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a host and the library may take to know of each other.
const REGISTRATION: Duration = Duration::from_secs(2);
/// How often the icon is offered again to a host that does not list it.
const OFFERS: usize = 5;
/// The first pause after a display that should be there did not answer; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why there can be no tray at present, if so. To be called on the thread that the tray will be on.
pub fn obstacle() -> Option<String> {
    if !bus::is_there() {
        return Some("there is no session bus".to_owned());
    }
    let shared = match shared_bus() {
        Ok(shared) => shared,
        Err(error) => return Some(error),
    };
    let obstacle = display().and_then(|()| library()).err();
    drop(shared);
    obstacle
}

/// What is held while the tray is shown.
pub(super) struct Ground {
    /// GTK's own connection: held so that it stays the one that was told to survive the bus.
    shared: DBusConnection,
    /// A connection of ours, which tells when the bus goes, and who shows the tray.
    bus: zbus::Connection,
    pictures: PathBuf,
}

impl Ground {
    /// Waits until there is all that a tray needs; `None` if there never will be, or the `runtime` ends before. Says
    /// once what is missing.
    pub fn reach(runtime: &tokio::runtime::Handle, pictures: PathBuf) -> Option<Self> {
        let bus = wait(runtime, arrive())?;
        let give_up = |error| tracing::warn!("no tray: {error}");
        let shared = shared_bus().map_err(give_up).ok()?;
        let mut pause = FIRST_PAUSE;
        while let Err(error) = display() {
            if pause == FIRST_PAUSE {
                tracing::warn!("no tray for now: {error}");
            }
            // The environment of a process does not change: one that names no display never will.
            if ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) {
                return None;
            }
            // The clock of the runtime is only there for what is on it.
            wait(runtime, async move { sleep(pause).await })?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        library().map_err(give_up).ok()?;
        // What hosts show for want of a tooltip.
        gtk::glib::set_application_name("Pilotlight");
        // What an agent that was killed has left; GTK makes the folder.
        clear(&pictures);
        Some(Self { shared, bus, pictures })
    }

    /// Tells when the bus has gone, and when the tray is to be opened anew; says when nobody shows it.
    pub fn watch(&self, runtime: &tokio::runtime::Handle, proxy: EventLoopProxy<Word>) {
        let bus = self.bus.clone();
        let item = self.shared.unique_name().map(String::from).unwrap_or_default();
        runtime.spawn(async move {
            tokio::select! {
                () = bus.closed() => {}
                Err(error) = hosts(&bus, &item, &proxy) => {
                    tracing::debug!("nobody tells whether there is a tray host: {error}");
                    bus.closed().await;
                }
            }
            // A loop that has ended needs no telling.
            let _ = proxy.send_event(Word::Lost("the session bus has gone"));
        });
    }

    /// Icons go through files.
    pub fn dress(&self, builder: TrayIconBuilder) -> TrayIconBuilder {
        builder.with_temp_dir_path(&self.pictures)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        clear(&self.pictures);
    }
}

/// The event loop of a program without windows.
pub(super) fn event_loop() -> EventLoop<Word> {
    // GTK's thread is the one that has initialised it, whichever that is.
    EventLoopBuilder::with_user_event().with_any_thread(true).build()
}

/// Tells when the menu, or a submenu of it, is being opened.
pub(super) fn tell_openings(menu: &Menu, proxy: &EventLoopProxy<Word>) {
    for entry in menu.gtk_context_menu().children() {
        let Ok(entry) = entry.downcast::<gtk::MenuItem>() else { continue };
        if entry.submenu().is_some() {
            let proxy = proxy.clone();
            entry.connect_activate(move |_| drop(proxy.send_event(Word::Opened)));
        }
    }
}

/// Hides and shows entries, of which `seen` tells in the same order.
pub(super) fn hide(menu: &Menu, seen: &[Seen]) {
    hide_widgets(&menu.gtk_context_menu(), seen);
}

fn hide_widgets(menu: &gtk::Menu, seen: &[Seen]) {
    for (entry, seen) in menu.children().into_iter().zip(seen) {
        if entry.get_visible() != seen.visible {
            entry.set_visible(seen.visible);
        }
        let submenu = entry.downcast_ref::<gtk::MenuItem>().and_then(gtk::MenuItem::submenu);
        if let Some(submenu) = submenu.and_downcast::<gtk::Menu>() {
            hide_widgets(&submenu, &seen.children);
        }
    }
}

/// Waits for something that needs the `runtime`, which is at work on another thread; `None` if that ends before.
fn wait<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    event: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (done, outcome) = oneshot::channel();
    runtime.spawn(async move {
        // Whoever waits waits to the end.
        let _ = done.send(event.await);
    });
    outcome.blocking_recv().ok()
}

/// Waits for a bus, and says once that there is none.
async fn arrive() -> zbus::Connection {
    let mut arrival = Arrival::new();
    let mut said = false;
    loop {
        let error = match timeout(PATIENCE, zbus::Connection::session()).await {
            Ok(Ok(bus)) => return bus,
            Ok(Err(error)) => format!("no session bus: {error}"),
            Err(_) => "the session bus does not answer".to_owned(),
        };
        if !std::mem::replace(&mut said, true) {
            tracing::warn!("no tray for now: {error}");
        }
        arrival.wait().await;
    }
}

/// Says each time when nobody shows the tray, and when somebody does again; only ends if that can't be told. `item` is
/// the name on the bus of what is to be shown.
async fn hosts(bus: &zbus::Connection, item: &str, proxy: &EventLoopProxy<Word>) -> zbus::Result<()> {
    let daemon = DBusProxy::new(bus).await?;
    let mut changes = daemon.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?;
    let mut is_there = daemon.name_has_owner(WATCHER.try_into()?).await?;
    if !is_there {
        tracing::warn!("no tray host for now: there is none on the session bus");
    }
    let mut is_sure = false;
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = offer(bus, item, proxy), if is_there && !is_sure => {
                is_sure = true;
                continue;
            }
        };
        let Some(change) = change else { return Ok(()) };
        let was_there = std::mem::replace(&mut is_there, change.args()?.new_owner().is_some());
        is_sure = false;
        match (was_there, is_there) {
            (true, false) => tracing::warn!("no tray host for now: it has gone"),
            (false, true) => tracing::info!("a tray host has appeared"),
            (true, true) | (false, false) => {}
        }
    }
}

/// Sees to it that the host that is there knows of `item`. The library forgets to tell it if it learns of the host before
/// it has its own connection at hand, which happens now and then (0.5.92; it
/// complains of a `g_dbus_proxy_new` without a connection); then only another icon helps.
async fn offer(bus: &zbus::Connection, item: &str, proxy: &EventLoopProxy<Word>) {
    for _ in 0..OFFERS {
        sleep(REGISTRATION).await;
        match timeout(PATIENCE, is_listed(bus, item)).await {
            Ok(Ok(true)) => return,
            Ok(Ok(false)) => {
                tracing::debug!("the tray host does not know of the icon: it is offered again");
                // A loop that has ended needs no telling.
                let _ = proxy.send_event(Word::Open);
            }
            // A host that does not say what it shows shows it nonetheless.
            Ok(Err(error)) => return tracing::debug!("the tray host does not list what it shows: {error}"),
            Err(_) => return tracing::debug!("the tray host does not answer"),
        }
    }
    tracing::warn!("the tray host does not list the icon");
}

/// Whether the host's list has something of `item`: its entries are the name of a connection and, mostly, a path.
async fn is_listed(bus: &zbus::Connection, item: &str) -> zbus::Result<bool> {
    let host = zbus::Proxy::new(bus, WATCHER, "/StatusNotifierWatcher", WATCHER).await?;
    let entries: Vec<String> = host.get_property("RegisteredStatusNotifierItems").await?;
    let is_of = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
    Ok(entries.iter().any(|entry| entry.strip_prefix(item).is_some_and(is_of)))
}

/// The connection that all of GTK in this process has in common, which would else end the process by a signal when its
/// bus goes.
fn shared_bus() -> Result<DBusConnection, String> {
    let shared = bus_get_sync(BusType::Session, None::<&Cancellable>);
    let shared = shared.map_err(|error| format!("no session bus: {}", error.message()))?;
    shared.set_exit_on_close(false);
    Ok(shared)
}

fn display() -> Result<(), String> {
    gtk::init().map_err(|_| "there is no display".to_owned())
}

/// Loads the library that shows the icon: it is not linked, so that the program runs without it as well.
fn library() -> Result<(), String> {
    // It is told by a panic that it is missing, which is none of whoever looks at panics.
    let told = Arc::new(take_hook());
    let (this, others) = (thread::current().id(), Arc::clone(&told));
    set_hook(Box::new(move |panic| {
        if thread::current().id() != this {
            others(panic);
        }
    }));
    let loaded = catch_unwind(|| {
        let _library = &*libappindicator_sys::LIB;
    });
    set_hook(Box::new(move |panic| told(panic)));
    loaded.map_err(|_| "libayatana-appindicator3.so.1 is not installed".to_owned())
}

/// Removes the folder of pictures.
fn clear(pictures: &PathBuf) {
    if let Err(error) = fs::remove_dir_all(pictures)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!("failed to remove {}: {error}", pictures.display());
    }
}
