//! What would happen, a line for each service that something happens to.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::{BOLD, pad, paint};
use crate::domain::Does;
use crate::domain::text::plain;
use crate::wire::{Plan, Planned};

/// `plan` for people: the gravest first, and nothing of what stays as it is.
pub fn render_plan(plan: &Plan) -> String {
    let mut touched: Vec<&Planned> = plan.services.iter().filter(|planned| planned.does != Does::None).collect();
    touched.sort_by_key(|planned| planned.does);
    let width = touched.iter().map(|planned| planned.id.width()).max().unwrap_or_default();
    let mut out = String::new();
    for planned in &touched {
        let does = paint(style(planned.does), &pad(planned.does.as_str(), 7));
        out += &format!("{does}  {}  {}\n", paint(BOLD, &pad(&plain(&planned.id), width)), plain(&planned.text));
    }
    if plan.frame {
        out += "headings or the agent's settings change in place\n";
    }
    if out.is_empty() {
        out += "nothing would change\n";
    }
    out
}

fn style(does: Does) -> Style {
    match does {
        Does::Restart => AnsiColor::Yellow.on_default(),
        Does::Remove => AnsiColor::Red.on_default(),
        Does::Add => AnsiColor::Green.on_default(),
        Does::Live | Does::None => Style::new(),
    }
}
