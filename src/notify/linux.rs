//! Notifications over the session bus: the freedesktop.org protocol.

use futures_util::StreamExt;
use notify_rust::{Hint, Notification, NotificationHandle, NotificationResponse};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};

use super::message::{Answer, Message};
use crate::domain::Urgency;

const SERVER: &str = "org.freedesktop.Notifications";

/// Tells when the notification server is another, or none.
pub struct Server {
    bus: DBusProxy<'static>,
    changes: NameOwnerChangedStream,
}

impl Server {
    /// Starts to watch; `None` if there is no bus at present.
    pub async fn watch() -> Option<Self> {
        let bus = DBusProxy::new(&zbus::Connection::session().await.ok()?).await.ok()?;
        let changes = bus.receive_name_owner_changed_with_args(&[(0, SERVER)]).await.ok()?;
        Some(Self { bus, changes })
    }

    /// Who the server is at present, as the bus names it.
    pub async fn owner(&self) -> Option<String> {
        let name = SERVER.try_into().ok()?;
        Some(self.bus.get_name_owner(name).await.ok()?.to_string())
    }

    /// Returns when the server is another, or when there is none any more; who it is. Waits for ever if nothing is
    /// watched; a watch whose bus has gone ends.
    pub async fn changed(watched: &mut Option<Self>) -> Option<String> {
        let Some(server) = watched else {
            return std::future::pending().await;
        };
        match server.changes.next().await {
            Some(change) => change.args().ok()?.new_owner().as_ref().map(|owner| owner.to_string()),
            None => {
                *watched = None;
                None
            }
        }
    }
}

/// Shows `message`, in place of the notification `replaces`; an error is a fragment.
pub async fn show(message: &Message, replaces: Option<u32>) -> Result<Posted, String> {
    let (urgency, icon) = match message.urgency {
        Urgency::Low => (notify_rust::Urgency::Low, "dialog-information"),
        Urgency::Normal => (notify_rust::Urgency::Normal, "dialog-warning"),
        Urgency::Critical => (notify_rust::Urgency::Critical, "dialog-error"),
    };
    let mut notification = Notification::new();
    notification
        .appname("Pilotlight")
        .summary(&message.title)
        .body(&markup(&message.body))
        .icon(icon)
        .urgency(urgency)
        .hint(Hint::DesktopEntry("pilotlight".to_owned()))
        // Some servers replace by this, others by the id.
        .hint(Hint::Custom("x-canonical-private-synchronous".to_owned(), message.tag.clone()));
    if let Some(id) = replaces {
        notification.id(id);
    }
    for (key, label) in &message.buttons {
        notification.action(key, label);
    }
    let handle = notification.show_async().await.map_err(|error| error.to_string())?;
    Ok(Posted { handle })
}

/// A notification on the desktop, and the connection by which its answer comes.
pub struct Posted {
    handle: NotificationHandle,
}

impl Posted {
    /// Its id with the server.
    pub fn id(&self) -> u32 {
        self.handle.id()
    }

    /// Waits for the button that is pressed; `None` if it is closed without one.
    pub async fn answer(self) -> Option<Answer> {
        let mut answer = None;
        self.handle
            .wait_for_action_async(|response| {
                answer = match response {
                    NotificationResponse::Default => Answer::of_button("default"),
                    NotificationResponse::Action(key) => Answer::of_button(key),
                    NotificationResponse::Reply(_) | NotificationResponse::Closed(_) => None,
                };
            })
            .await;
        answer
    }
}

/// `text` for a body that may hold markup.
pub fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
