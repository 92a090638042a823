//! What is worth a desktop notification.

use super::id::ServiceId;

/// One notification, or the replacement of an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A notice replaces the one that was shown last with the same key.
    pub key: NoticeKey,
    /// How loud it is.
    pub urgency: Urgency,
    /// One line of plain text.
    pub title: String,
    /// The cause, in plain text; faces escape it as their medium needs.
    pub body: String,
    /// The service that its buttons act on.
    pub service: Option<ServiceId>,
}

/// What a notice is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeKey {
    /// One service.
    Service(ServiceId),
    /// An action of a service, by its name.
    Action(ServiceId, String),
    /// Several services at once.
    Burst,
    /// The sources.
    Sources,
    /// What happened during the quiet hours.
    Digest,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Good news.
    Low,
    /// Something to look at.
    Normal,
    /// Something does not work.
    Critical,
}
