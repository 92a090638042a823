//! What a notification says and which buttons it has: pure, in plain text.

use crate::domain::text::{plain_line, plain_lines};
use crate::domain::{Notice, NoticeKey, Urgency};

/// The longest heading, in characters.
const MAX_TITLE: usize = 120;
/// The longest line of the body, in characters.
const MAX_LINE: usize = 200;
/// The most lines of the body.
const MAX_LINES: usize = 8;

/// A notification, before it is escaped for its medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub title: String,
    /// A few lines.
    pub body: String,
    /// How loud.
    pub urgency: Urgency,
    /// The same for all that replace each other.
    pub tag: String,
    /// The buttons: key and label. The one without a label is the click beside them.
    pub buttons: Vec<(&'static str, &'static str)>,
}

/// A button that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Give the service a new run.
    Restart,
    /// Open what it wrote.
    Logs,
    /// Say nothing of it for a while.
    Mute,
}

impl Message {
    /// The message of `notice`. Without a service there is nothing that a button could act on.
    pub fn of(notice: &Notice, has_logs: bool) -> Self {
        let mut buttons = Vec::new();
        if notice.service.is_some() {
            // A click beside the buttons; some servers show no buttons at all. Those that would draw it as a button
            // leave one without a label out.
            buttons.extend(has_logs.then_some(("default", "")));
            buttons.push(("restart", "Restart"));
            buttons.extend(has_logs.then_some(("logs", "Logs")));
            buttons.push(("mute", "Mute for 1 h"));
        }
        let lines = plain_lines(&notice.body);
        let lines: Vec<String> = lines.lines().take(MAX_LINES).map(|line| plain_line(line, MAX_LINE)).collect();
        let about = match &notice.key {
            NoticeKey::Service(id) => format!("service-{id}"),
            NoticeKey::Action(id, name) => format!("action-{id}-{name}"),
            NoticeKey::Burst => "burst".to_owned(),
            NoticeKey::Sources => "sources".to_owned(),
            NoticeKey::Digest => "digest".to_owned(),
        };
        Self {
            title: plain_line(&notice.title, MAX_TITLE),
            body: lines.join("\n").trim_end().to_owned(),
            urgency: notice.urgency,
            tag: format!("pilotlight-{about}"),
            buttons,
        }
    }
}

impl Answer {
    /// The answer of the button with this key.
    pub fn of_button(key: &str) -> Option<Self> {
        match key {
            "restart" => Some(Self::Restart),
            "logs" | "default" => Some(Self::Logs),
            "mute" => Some(Self::Mute),
            // A server's own idea of a button.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ServiceId;

    fn notice(body: &str, service: Option<&str>) -> Notice {
        Notice {
            key: NoticeKey::Sources,
            urgency: Urgency::Normal,
            title: "A\u{1b}[31m title\n".to_owned(),
            body: body.to_owned(),
            service: service.map(|id| ServiceId::new(id).unwrap()),
        }
    }

    #[test]
    fn every_button_has_an_answer_and_nothing_else_has() {
        let message = Message::of(&notice("", Some("web")), true);
        let answers: Vec<_> = message.buttons.iter().map(|(key, _)| Answer::of_button(key)).collect();
        let expected = [Answer::Logs, Answer::Restart, Answer::Logs, Answer::Mute].map(Some);
        assert_eq!(answers, expected);
        assert_eq!(Answer::of_button("settings"), None);
    }

    #[test]
    fn where_the_click_beside_the_buttons_is_drawn_as_well_no_button_is_there_twice() {
        let message = Message::of(&notice("", Some("web")), true);
        let labels: Vec<_> = message.buttons.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels, ["", "Restart", "Logs", "Mute for 1 h"]);
    }

    #[test]
    fn without_a_service_there_are_no_buttons_and_without_an_opener_none_for_logs() {
        assert_eq!(Message::of(&notice("", None), true).buttons, []);
        let keys: Vec<_> = Message::of(&notice("", Some("web")), false).buttons.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["restart", "mute"]);
    }

    #[test]
    fn foreign_text_is_bounded_and_steers_nothing() {
        let message = Message::of(&notice(&"x\u{7}".repeat(100_000), None), true);
        assert_eq!((message.title.as_str(), message.body.chars().count()), ("A title", MAX_LINE));
        let message = Message::of(&notice(&"line\n".repeat(1000), None), true);
        assert_eq!(message.body.lines().count(), MAX_LINES);
    }
}
