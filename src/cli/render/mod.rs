//! Text for people, made from the wire's values alone. Colours are always in it: whatever prints it strips them when
//! the output is no terminal.
//!
//! Everything that comes from services, files or processes is cleaned before it is shown.

mod config;
mod critical;
mod events;
mod graph;
mod plan;
mod problems;
mod ps;
mod screen;
mod status;
mod units;
mod why;

pub use config::render_config;
pub use critical::render_critical;
pub use events::render_event;
pub use graph::render_graph;
pub use plan::render_plan;
pub(super) use problems::problem_lines;
pub use problems::render_check;
pub use ps::render_ps;
pub use screen::{Change, render_change, render_light, render_problem, render_waiting};
pub use status::render_status;
pub use why::render_why;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use crate::domain::Light;
use crate::domain::text::plain;

/// What decides how text looks beside the values themselves.
#[derive(Clone, Debug)]
pub struct Look {
    /// The columns of the terminal; `None` where nothing has to fit (a file, a pipe).
    pub width: Option<usize>,
    /// Now.
    pub now: Timestamp,
    /// The zone that times are told in.
    pub zone: TimeZone,
}

impl Look {
    /// How things look on this process's stdout.
    pub fn of_stdout() -> Self {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        let width = size.map(|(terminal_size::Width(width), _)| usize::from(width)).filter(|width| *width > 0);
        Self { width, now: Timestamp::now(), zone: TimeZone::system() }
    }
}

/// The shape of a light, which differs as much as its colour does.
pub(super) fn mark(light: Light) -> &'static str {
    match light {
        Light::Gray => "○",
        Light::Green => "●",
        Light::Yellow => "▲",
        Light::Red => "■",
    }
}

/// The colour of a light.
pub(super) fn colour(light: Light) -> Style {
    match light {
        Light::Gray => Style::new().dimmed(),
        Light::Green => AnsiColor::Green.on_default(),
        Light::Yellow => AnsiColor::Yellow.on_default(),
        Light::Red => AnsiColor::Red.on_default().bold(),
    }
}

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

pub(super) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// `text` in at most `columns` columns, cut with `…`.
fn fit(text: &str, columns: usize) -> String {
    let text = plain(text).replace('\t', " ");
    if text.width() <= columns {
        return text;
    }
    let mut cut = String::new();
    for c in text.chars() {
        if cut.width() + unicode_width::UnicodeWidthChar::width(c).unwrap_or(0) >= columns {
            break;
        }
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// `text` with spaces up to `columns` columns.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}
