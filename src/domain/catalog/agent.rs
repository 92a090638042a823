//! The top-level key `agent` of the main file.

use super::fields::Fields;
use super::report::Report;
use crate::domain::{AgentSettings, Node};

/// Reads `agent`; what is wrong stays as it was.
pub(super) fn read(node: &Node, was: &AgentSettings, report: &mut Report) -> AgentSettings {
    let Some(mut fields) = Fields::object(node, "agent", report) else { return was.clone() };
    let unset = AgentSettings::default();
    let stop_on_exit = flag(&mut fields, "stop_on_exit", (was.stop_on_exit, unset.stop_on_exit), report);
    fields.unsupported(&[("dashboard", "agent.dashboard"), ("reload", "agent.reload")], report);
    let notifications = match fields.take("notifications") {
        None => unset.notifications,
        Some(node) => match Fields::object(node, "notifications", report) {
            None => was.notifications,
            Some(mut inner) => {
                let enabled = flag(&mut inner, "enabled", (was.notifications, unset.notifications), report);
                inner.unsupported(&[("quiet_hours", "agent.notifications.quiet_hours")], report);
                inner.finish(report);
                enabled
            }
        },
    };
    fields.finish(report);
    AgentSettings { notifications, stop_on_exit }
}

fn flag<'a>(fields: &mut Fields<'a>, key: &'a str, (was, unset): (bool, bool), report: &mut Report) -> bool {
    match fields.take(key) {
        None => unset,
        Some(_) => fields.flag(key, report).map_or(was, |(flag, _)| flag),
    }
}
