//! Notifications where the system has its own way: shown, without buttons and without replacement.

use std::future::pending;
use std::thread;

use notify_rust::Notification;
use tokio::sync::oneshot;

use super::message::{Answer, Message};

/// The system's own server, which is always there.
pub struct Server;

impl Server {
    /// There is nothing to watch.
    pub async fn watch() -> Option<Self> {
        None
    }

    /// It has no name.
    pub async fn owner(&self) -> Option<String> {
        None
    }

    /// Never returns: the server is never another.
    pub async fn changed(_watched: &mut Option<Self>) -> Option<String> {
        pending().await
    }
}

/// Shows `message`; an error is a fragment.
pub async fn show(message: &Message, _replaces: Option<u32>) -> Result<Posted, String> {
    let (told, shown) = oneshot::channel();
    // Plain text: what would be markup on Windows, the library escapes.
    let mut notification = Notification::new();
    notification.appname("Pilotlight").summary(&message.title).body(&message.body);
    // A thread, because the call blocks, and one of its own, because the end of the runtime waits for its threads.
    thread::spawn(move || {
        // Whoever asked may have run out of patience.
        let _ = told.send(notification.show().map(drop).map_err(|error| error.to_string()));
    });
    shown.await.unwrap_or_else(|_| Err("the notification was lost".to_owned())).map(|()| Posted)
}

/// A notification that nothing more is heard of.
pub struct Posted;

impl Posted {
    /// Ids are not known here.
    pub fn id(&self) -> u32 {
        0
    }

    /// Returns at once: no answer can come.
    pub async fn answer(self) -> Option<Answer> {
        None
    }
}
