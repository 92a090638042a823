//! The top-level key `agent` of the main file.

use super::fields::{Fields, text};
use super::report::{Report, quoted};
use crate::domain::{AgentSettings, Node, Problem, QuietHours};

/// Reads `agent`; what is wrong stays as it was.
pub(super) fn read(node: &Node, was: &AgentSettings, report: &mut Report) -> AgentSettings {
    let Some(mut fields) = Fields::object(node, "agent", report) else { return was.clone() };
    let unset = AgentSettings::default();
    let stop_on_exit = flag(&mut fields, "stop_on_exit", (was.stop_on_exit, unset.stop_on_exit), report);
    let applies_changes = match fields.take("reload") {
        None => unset.applies_changes,
        Some(_) => fields.choice("reload", &[("auto", true), ("manual", false)], report).unwrap_or(was.applies_changes),
    };
    fields.unsupported(&[("dashboard", "agent.dashboard")], report);
    let (notifications, quiet_hours) = match fields.take("notifications") {
        None => (unset.notifications, unset.quiet_hours),
        Some(node) => match Fields::object(node, "notifications", report) {
            None => (was.notifications, was.quiet_hours),
            Some(mut inner) => {
                let enabled = flag(&mut inner, "enabled", (was.notifications, unset.notifications), report);
                let quiet_hours = match inner.take("quiet_hours") {
                    None => unset.quiet_hours,
                    Some(node) => quiet_hours(node, report).map_or(was.quiet_hours, Some),
                };
                inner.finish(report);
                (enabled, quiet_hours)
            }
        },
    };
    fields.finish(report);
    AgentSettings { notifications, quiet_hours, stop_on_exit, applies_changes }
}

/// "22:00-08:00".
fn quiet_hours(node: &Node, report: &mut Report) -> Option<QuietHours> {
    let written = text(node, "quiet_hours", report)?;
    let hours = written.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    match hours {
        Some((from, to)) if from != to => Some(QuietHours { from, to }),
        Some(_) => {
            report.error(&node.place, "\"quiet_hours\" must not begin when they end");
            None
        }
        None => {
            let message = format!("\"quiet_hours\" must be two times of day, but is {}", quoted(written));
            report.push(Problem::error(&node.place, message).hint("for example \"22:00-08:00\""));
            None
        }
    }
}

/// A time of day, as minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, below: u16| {
        let digits = !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().filter(|number| *number < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

fn flag<'a>(fields: &mut Fields<'a>, key: &'a str, (was, unset): (bool, bool), report: &mut Report) -> bool {
    match fields.take(key) {
        None => unset,
        Some(_) => fields.flag(key, report).map_or(was, |(flag, _)| flag),
    }
}
