//! A notification server without pixels: it notes what it is told, presses buttons, and can be made to hang.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use zbus::fdo::RequestNameFlags;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedValue;
use zbus::{Connection, interface};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// What a notification was shown with.
#[derive(Clone, Debug)]
pub struct Shown {
    pub id: u32,
    pub app: String,
    pub replaces: u32,
    pub icon: String,
    pub title: String,
    pub body: String,
    /// Keys and labels in turn.
    pub actions: Vec<String>,
    pub hints: HashMap<String, OwnedValue>,
}

impl Shown {
    /// A hint that is text.
    pub fn text(&self, hint: &str) -> String {
        self.hints[hint].try_clone().unwrap().try_into().unwrap()
    }
}

/// The server, as long as it lives.
pub struct Server {
    connection: Connection,
    desk: Desk,
}

#[derive(Clone, Default)]
struct Desk {
    shown: Arc<Mutex<Vec<Shown>>>,
    last: Arc<AtomicU32>,
    hangs: Arc<AtomicBool>,
    asked: Arc<Notify>,
}

impl Server {
    /// Takes the server's name on the bus of `connection`, which must be of nothing else.
    pub async fn appear(connection: Connection) -> Self {
        let desk = Desk::default();
        connection.object_server().at(PATH, desk.clone()).await.unwrap();
        connection.request_name_with_flags(NAME, RequestNameFlags::ReplaceExisting.into()).await.unwrap();
        Self { connection, desk }
    }

    /// Waits until a notification with this title has been shown last, and gives it.
    pub async fn shows(&self, title: &str) -> Shown {
        loop {
            let asked = self.desk.asked.notified();
            if let Some(shown) = self.all().pop().filter(|shown| shown.title == title) {
                return shown;
            }
            asked.await;
        }
    }

    /// All that has been shown.
    pub fn all(&self) -> Vec<Shown> {
        self.desk.shown.lock().unwrap().clone()
    }

    /// From now on no answer is given (or again one).
    pub fn hang(&self, hangs: bool) {
        self.desk.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Waits until it is asked to show something.
    pub async fn asked(&self) {
        self.desk.asked.notified().await;
    }

    /// Presses a button of a notification. One that has just been shown may not be listened to yet.
    pub async fn press(&self, id: u32, button: &str) {
        let emitter = SignalEmitter::new(&self.connection, PATH).unwrap();
        Desk::action_invoked(&emitter, id, button).await.unwrap();
    }

    /// Closes a notification as a user does. One that has just been shown may not be listened to yet.
    pub async fn close(&self, id: u32) {
        let emitter = SignalEmitter::new(&self.connection, PATH).unwrap();
        Desk::notification_closed(&emitter, id, 2).await.unwrap();
    }

    /// Closes the connection, and so gives up the name.
    pub async fn leave(self) {
        self.connection.close().await.unwrap();
    }
}

#[interface(name = "org.freedesktop.Notifications")]
impl Desk {
    #[allow(clippy::too_many_arguments, reason = "the protocol has eight")]
    async fn notify(
        &self,
        app: String,
        replaces: u32,
        icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        if self.hangs.load(Ordering::SeqCst) {
            self.asked.notify_waiters();
            std::future::pending::<()>().await;
        }
        let id = if replaces == 0 { self.last.fetch_add(1, Ordering::SeqCst) + 1 } else { replaces };
        self.shown.lock().unwrap().push(Shown { id, app, replaces, icon, title, body, actions, hints });
        self.asked.notify_waiters();
        id
    }

    fn close_notification(&self, _id: u32) {}

    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).into()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("test".to_owned(), "pilotlight".to_owned(), "1".to_owned(), "1.2".to_owned())
    }

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, id: u32, action_key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn notification_closed(emitter: &SignalEmitter<'_>, id: u32, reason: u32) -> zbus::Result<()>;
}
