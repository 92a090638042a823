//! A panel without pixels: the watcher that tray items register with, and a reader and clicker of such an item.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pilotlight::domain::Light;
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::fdo::RequestNameFlags;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedValue, Value};
use zbus::{Connection, Proxy, interface};

use super::bus::{DEADLINE, eventually};

/// Whether it is the native shell that is tested.
pub const GTK: bool = cfg!(feature = "gtk-tray");

const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const MENU: &str = "com.canonical.dbusmenu";

/// The watcher, as long as it lives.
pub struct Host {
    connection: Connection,
    items: watch::Receiver<Vec<Address>>,
    hangs: Arc<AtomicBool>,
}

/// Where an item is: the name of its connection, and its path.
type Address = (String, String);

impl Host {
    /// Takes the watcher's name on the bus of `connection`, which must be of nothing else.
    pub async fn appear(connection: Connection) -> Self {
        Self::forgetting(connection, 0).await
    }

    /// The same, but its list lacks the first `forgotten` items that register.
    pub async fn forgetting(connection: Connection, forgotten: usize) -> Self {
        let (registered, items) = watch::channel(Vec::new());
        let hangs = Arc::default();
        let watcher = Watcher { registered, forgotten, hangs: Arc::clone(&hangs) };
        connection.object_server().at("/StatusNotifierWatcher", watcher).await.unwrap();
        connection.request_name_with_flags(WATCHER, RequestNameFlags::ReplaceExisting.into()).await.unwrap();
        Self { connection, items, hangs }
    }

    /// The item that has registered last; waits for the first.
    pub async fn item(&self) -> TrayItem {
        self.item_after(0).await
    }

    /// The item that has registered last; waits until there were more than `count` registrations.
    pub async fn item_after(&self, count: usize) -> TrayItem {
        let mut items = self.items.clone();
        let registered = timeout(DEADLINE / 3, items.wait_for(|items| items.len() > count)).await;
        let address = registered.expect("an item registers").unwrap().last().unwrap().clone();
        TrayItem::of(&self.connection, address).await
    }

    /// From now on no item that registers is answered (or again each).
    pub fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How many times an item has registered.
    pub fn registrations(&self) -> usize {
        self.items.borrow().len()
    }

    /// Closes the connection, and so gives up the name.
    pub async fn leave(self) {
        self.connection.close().await.unwrap();
    }
}

struct Watcher {
    registered: watch::Sender<Vec<Address>>,
    forgotten: usize,
    hangs: Arc<AtomicBool>,
}

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    /// Items give the name of their connection, or the path at which they are on the one that they call by.
    async fn register_status_notifier_item(&self, service: String, #[zbus(header)] header: Header<'_>) {
        let address = if service.starts_with('/') {
            (header.sender().unwrap().to_string(), service)
        } else {
            (service, "/StatusNotifierItem".to_owned())
        };
        self.registered.send_modify(|items| items.push(address));
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.registered.borrow().iter().skip(self.forgotten).map(|(name, path)| format!("{name}{path}")).collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }

    #[zbus(signal)]
    async fn status_notifier_host_registered(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;
}

/// One tray item, read and clicked as a panel does.
pub struct TrayItem {
    /// The item itself: its properties and signals.
    pub item: Proxy<'static>,
    /// Its menu.
    pub menu: Proxy<'static>,
}

/// A picture of an item: width, height, ARGB in network byte order.
pub type Pixmap = (i32, i32, Vec<u8>);

impl TrayItem {
    async fn of(connection: &Connection, (name, path): Address) -> Self {
        let uncached = |path: String, interface: &'static str| {
            zbus::proxy::Builder::<Proxy>::new(connection)
                .destination(name.clone())
                .unwrap()
                .path(path)
                .unwrap()
                .interface(interface)
                .unwrap()
                .cache_properties(zbus::proxy::CacheProperties::No)
                .build()
        };
        let item = uncached(path, "org.kde.StatusNotifierItem").await.unwrap();
        let path: zbus::zvariant::OwnedObjectPath = item.get_property("Menu").await.unwrap();
        let menu = uncached(path.to_string(), MENU).await.unwrap();
        // GTK registers an item before its menu is there.
        let first = async || menu.get_property::<u32>("Version").await.ok();
        eventually("the item's menu", first).await;
        Self { item, menu }
    }

    /// The name that it has on the bus.
    pub fn name(&self) -> String {
        self.item.destination().to_string()
    }

    /// Its pictures, which GTK gives as a file.
    pub async fn pixmaps(&self) -> Vec<Pixmap> {
        if !GTK {
            return self.item.get_property("IconPixmap").await.unwrap();
        }
        let path: String = self.item.get_property("IconName").await.unwrap();
        // It may have been replaced by another since.
        std::fs::read(path).ok().and_then(|png| pixmap(&png)).into_iter().collect()
    }

    /// Waits until all its pictures are those that were drawn for `light`.
    pub async fn shows(&self, light: Light) {
        eventually(light.as_str(), async || {
            let pixmaps = self.pixmaps().await;
            (!pixmaps.is_empty() && pixmaps.iter().all(|(size, _, argb)| *argb == drawn(light, *size))).then_some(())
        })
        .await;
    }

    /// Its tooltip: heading and text.
    pub async fn tooltip(&self) -> (String, String) {
        let (_, _, title, text): (String, Vec<Pixmap>, String, String) =
            self.item.get_property("ToolTip").await.unwrap();
        (title, text)
    }

    /// What it says beside its light: the tooltip's text or, as GTK shows none, the menu's lines.
    pub async fn words(&self) -> String {
        if !GTK {
            return self.tooltip().await.1;
        }
        let (_, entries) = self.layout().await;
        let labels: Vec<_> = entries.iter().flat_map(Entry::labels).map(|label| label.replace("__", "_")).collect();
        labels.join("\n")
    }

    /// Waits until it says `text` beside its light.
    pub async fn says(&self, text: &str) {
        eventually(text, async || self.words().await.contains(text).then_some(())).await;
    }

    /// The revision and the entries of the menu, those that nobody sees included.
    pub async fn layout(&self) -> (u32, Vec<Entry>) {
        let (revision, (_, _, children)): (u32, RawEntry) =
            self.menu.call("GetLayout", &(0, -1, Vec::<String>::new())).await.unwrap();
        (revision, children.into_iter().map(Entry::from).collect())
    }

    /// The first visible entry whose label begins with `label`, at any depth.
    pub async fn find(&self, label: &str) -> Option<Entry> {
        self.layout().await.1.iter().find_map(|entry| entry.find(label))
    }

    /// Waits for a visible entry whose label begins with `label`.
    pub async fn entry(&self, label: &str) -> Entry {
        eventually(label, async || self.find(label).await).await
    }

    /// Clicks the entry of this id.
    pub async fn click(&self, id: i32) -> zbus::Result<()> {
        self.menu.call("Event", &(id, "clicked", Value::from(0), 0_u32)).await
    }

    /// Opens the menu, and in it the details.
    pub async fn open(&self) {
        let _updated: bool = self.menu.call("AboutToShow", &0).await.unwrap();
        if let Some(details) = self.find("Details").await {
            let _updated: bool = self.menu.call("AboutToShow", &details.id).await.unwrap();
        }
    }

    /// Waits until its name has gone from the bus.
    pub async fn leaves(&self) {
        let bus = zbus::fdo::DBusProxy::new(self.item.connection()).await.unwrap();
        eventually("the item to leave the bus", async || {
            (!bus.name_has_owner(self.name().as_str().try_into().unwrap()).await.unwrap()).then_some(())
        })
        .await;
    }
}

/// What was drawn for `light` in this size, in the form of a [`Pixmap`].
pub fn drawn(light: Light, size: i32) -> Vec<u8> {
    let path = format!("{}/icons/rendered/{}-{size}.png", env!("CARGO_MANIFEST_DIR"), light.as_str());
    pixmap(&std::fs::read(path).unwrap()).unwrap().2
}

/// `None` for a file that is only half written.
fn pixmap(png: &[u8]) -> Option<Pixmap> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().ok()?;
    let mut data = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut data).ok()?;
    data.truncate(frame.buffer_size());
    data.chunks_exact_mut(4).for_each(|pixel| pixel.rotate_right(1));
    Some((frame.width.try_into().unwrap(), frame.height.try_into().unwrap(), data))
}

type RawEntry = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// One entry of a menu.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: i32,
    pub label: String,
    pub enabled: bool,
    pub visible: bool,
    pub separator: bool,
    pub checked: Option<bool>,
    pub children: Vec<Entry>,
}

impl Entry {
    /// This entry or the first below it that is visible and whose label begins with `label`.
    pub fn find(&self, label: &str) -> Option<Entry> {
        if !self.visible {
            return None;
        }
        if !self.separator && self.label.starts_with(label) {
            return Some(self.clone());
        }
        self.children.iter().find_map(|child| child.find(label))
    }

    /// All labels at and below it that are to be seen.
    pub fn labels(&self) -> Vec<&str> {
        if !self.visible {
            return Vec::new();
        }
        std::iter::once(self.label.as_str()).chain(self.children.iter().flat_map(Entry::labels)).collect()
    }

    /// All ids at and below it.
    pub fn ids(&self) -> Vec<i32> {
        std::iter::once(self.id).chain(self.children.iter().flat_map(Entry::ids)).collect()
    }
}

impl From<OwnedValue> for Entry {
    fn from(value: OwnedValue) -> Self {
        let (id, properties, children): RawEntry = value.try_into().unwrap();
        let text = |key: &str| properties.get(key).map(|value| String::try_from(value.clone()).unwrap());
        let flag = |key: &str| properties.get(key).is_none_or(|value| bool::try_from(value).unwrap());
        let state = properties.get("toggle-state").map(|value| i32::try_from(value).unwrap());
        Self {
            id,
            label: text("label").unwrap_or_default(),
            enabled: flag("enabled"),
            visible: flag("visible"),
            separator: text("type").as_deref() == Some("separator"),
            checked: text("toggle-type").map(|_| state == Some(1)),
            children: children.into_iter().map(Entry::from).collect(),
        }
    }
}
