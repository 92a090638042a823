//! The table of all services.

use std::fmt::Write;
use std::path::Path;

use unicode_width::UnicodeWidthStr;

use super::problems::{in_sources, problem_lines};
use super::units::{percent, size, span};
use super::{BOLD, DIM, Look, colour, fit, mark, pad, paint};
use crate::domain::text::plain;
use crate::domain::{HealthState, Light, Severity};
use crate::wire::{Mode, Problem, Service, Status};

/// `status` as a table under its groups, worst first in each, with what is wrong with the sources below.
///
/// Columns are left out, the least important first, until the rest fits; a reason is cut, an id never.
pub fn render_status(status: &Status, look: &Look) -> String {
    let mut out = headline(status, look);
    if let Some(waiting) = &status.waiting {
        let _ = writeln!(out, "Changes of {} wait: `pilotlight reload` applies them", waiting.touches());
    }
    if !status.services.is_empty() {
        table(status, look, &mut out);
    } else if !status.problems.iter().any(|problem| problem.severity == Severity::Error) {
        let folder = Path::new(&status.agent.config).with_file_name("services.d");
        let folder = folder.display().to_string();
        let _ = writeln!(out, "\nThere are no services yet. Drop a JSON file into {}", plain(&folder));
    }
    out.push_str(&problems(&status.problems));
    out
}

fn headline(status: &Status, look: &Look) -> String {
    let agent = &status.agent;
    let age = look.now.duration_since(agent.since).as_secs_f64();
    let mode = match agent.mode {
        Mode::Tray => "tray",
        Mode::Headless => "headless",
    };
    let summary = format!("{} {}{}", mark(status.light), plain(&status.summary), in_sources(&status.problems));
    let more = format!("generation {}, {mode}, pid {}, up {}", status.generation, agent.pid, span(age));
    let style = colour(status.light).bold();
    match look.width {
        Some(width) if summary.width() + more.width() + 3 > width => paint(style, &summary) + "\n",
        Some(_) | None => format!("{}   {}\n", paint(style, &summary), paint(DIM, &more)),
    }
}

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Name,
    State,
    Health,
    Url,
    Port,
    Pid,
    Uptime,
    Restarts,
    Cpu,
    Memory,
}

/// What is left out when a terminal is narrow, in this order; the URL makes way for the port.
const LEAST_IMPORTANT_FIRST: [Column; 9] = [
    Column::Name,
    Column::Url,
    Column::Restarts,
    Column::Memory,
    Column::Cpu,
    Column::Uptime,
    Column::Pid,
    Column::Health,
    Column::Port,
];

/// A reason gets at least so many columns beside the others, or a line of its own.
const LEAST_REASON: usize = 24;

/// Between columns.
const GAP: usize = 2;

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Name => "NAME",
            Self::State => "STATE",
            Self::Health => "HEALTH",
            Self::Url => "URL",
            Self::Port => "PORT",
            Self::Pid => "PID",
            Self::Uptime => "UPTIME",
            Self::Restarts => "RESTARTS",
            Self::Cpu => "CPU",
            Self::Memory => "MEM",
        }
    }

    fn cell(self, service: &Service) -> String {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let port = || service.port.map(|port| format!(":{port}"));
        match self {
            Self::Id => format!("{} {}", mark(service.light), plain(&service.id)),
            Self::Name if service.name == service.id => String::new(),
            Self::Name => fit(&service.name, 30),
            Self::State => service.process.as_str().to_owned(),
            Self::Health if service.health == HealthState::Stopped => "-".to_owned(),
            Self::Health => service.health.as_str().to_owned(),
            Self::Url => or_dash(service.url.as_deref().map(|url| fit(url, 40)).or_else(port)),
            Self::Port => or_dash(port()),
            Self::Pid => or_dash(service.pid.map(|pid| pid.to_string())),
            Self::Uptime => or_dash(service.uptime_seconds.map(span)),
            Self::Restarts if service.restarts == 0 => "-".to_owned(),
            Self::Restarts => service.restarts.to_string(),
            Self::Cpu => or_dash(service.cpu_percent.map(percent)),
            Self::Memory => or_dash(service.memory_bytes.map(size)),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Pid | Self::Uptime | Self::Restarts | Self::Cpu | Self::Memory)
    }

    fn width(self, services: &[Service]) -> usize {
        let cells = services.iter().map(|service| self.cell(service).width());
        // The id's title stands behind the marks.
        let title = self.title().width() + if self == Self::Id { 2 } else { 0 };
        cells.max().unwrap_or(0).max(title)
    }
}

/// The columns that are shown, how wide they are, and where the reason goes.
struct Layout {
    columns: Vec<(Column, usize)>,
    reason: Reason,
}

/// Where reasons go, and how many columns they get.
enum Reason {
    Beside(usize),
    Below(usize),
}

impl Layout {
    fn of(services: &[Service], look: &Look) -> Self {
        use Column::{Cpu, Health, Id, Memory, Name, Pid, Port, Restarts, State, Uptime, Url};
        let mut shown = vec![Id, Name, State, Health, Url, Pid, Uptime, Restarts, Cpu, Memory];
        if services.iter().all(|service| service.name == service.id) {
            shown.retain(|column| *column != Name);
        }
        let longest = services.iter().map(|service| reason(service).width()).max().unwrap_or(0);
        let wanted = longest.min(LEAST_REASON);
        let used = |shown: &[Column]| shown.iter().map(|column| column.width(services) + GAP).sum::<usize>();
        let width = look.width.unwrap_or(usize::MAX);
        for column in LEAST_IMPORTANT_FIRST {
            if used(&shown).saturating_add(wanted) <= width {
                break;
            }
            if let Some(index) = shown.iter().position(|other| *other == column) {
                if column == Url {
                    shown[index] = Port;
                } else {
                    shown.remove(index);
                }
            }
        }
        let left = width.saturating_sub(used(&shown));
        let reason = if left >= wanted { Reason::Beside(left) } else { Reason::Below(width.saturating_sub(4)) };
        Self { columns: shown.into_iter().map(|column| (column, column.width(services))).collect(), reason }
    }

    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let gap = " ".repeat(GAP);
        cells.map(|cell| cell + &gap).collect()
    }

    fn title(&self) -> String {
        let cells = self.columns.iter().map(|(column, width)| match column {
            Column::Id => pad(&format!("  {}", column.title()), *width),
            column if column.is_number() => format!("{:>width$}", column.title()),
            column => pad(column.title(), *width),
        });
        paint(DIM, self.line(cells).trim_end())
    }

    fn row(&self, service: &Service) -> String {
        let cells = self.columns.iter().map(|(column, width)| {
            let cell = column.cell(service);
            let blank = " ".repeat(width.saturating_sub(cell.width()));
            let cell = match column {
                Column::Id | Column::State => paint(colour(service.light), &cell),
                Column::Name | Column::Health | Column::Url | Column::Port => cell,
                Column::Pid | Column::Uptime | Column::Restarts | Column::Cpu | Column::Memory => cell,
            };
            if column.is_number() { blank + &cell } else { cell + &blank }
        });
        let row = self.line(cells);
        let reason = reason(service);
        match self.reason {
            Reason::Beside(_) | Reason::Below(_) if reason.is_empty() => row.trim_end().to_owned(),
            Reason::Beside(columns) => format!("{row}{}", fit(&reason, columns)),
            Reason::Below(columns) => format!("{}\n    {}", row.trim_end(), fit(&reason, columns)),
        }
    }
}

fn table(status: &Status, look: &Look, out: &mut String) {
    let layout = Layout::of(&status.services, look);
    let groups = grouped(status);
    let _ = writeln!(out, "\n{}", layout.title());
    for (heading, services) in &groups {
        if groups.len() > 1 || heading.is_some() {
            let heading = heading.as_deref().unwrap_or("Other");
            let _ = writeln!(out, "{}", paint(BOLD, &fit(heading, look.width.unwrap_or(usize::MAX))));
        }
        for service in services {
            let _ = writeln!(out, "{}", layout.row(service));
        }
    }
}

/// The services under their headings: in the order of the catalog, those without one last; the worst first in each.
fn grouped(status: &Status) -> Vec<(Option<String>, Vec<&Service>)> {
    let mut keys: Vec<Option<&str>> = status.groups.iter().map(|group| Some(group.key.as_str())).collect();
    for service in status.services.iter().filter(|service| service.group.is_some()) {
        if !keys.contains(&service.group.as_deref()) {
            keys.push(service.group.as_deref());
        }
    }
    keys.push(None);
    let group = |key: Option<&str>| {
        let named = status.groups.iter().find(|group| Some(group.key.as_str()) == key);
        let heading = named.map(|group| group.name.clone()).or_else(|| key.map(str::to_owned));
        let mut services: Vec<&Service> = status.services.iter().filter(|s| s.group.as_deref() == key).collect();
        services.sort_by_key(|service| std::cmp::Reverse(service.light));
        (heading, services)
    };
    keys.into_iter().map(group).filter(|(_, services)| !services.is_empty()).collect()
}

/// Why it is as it is, if that is worth a word.
fn reason(service: &Service) -> String {
    match service.light {
        // What says no more than the light does is not repeated.
        Light::Green if matches!(&*service.reason, "healthy" | "completed") => String::new(),
        Light::Gray | Light::Green | Light::Yellow | Light::Red => plain(&service.reason).into_owned(),
    }
}

fn problems(problems: &[Problem]) -> String {
    let mut out = String::new();
    let notes = problems.iter().filter(|problem| problem.severity == Severity::Note).count();
    for problem in problems.iter().filter(|problem| problem.severity != Severity::Note) {
        out.push('\n');
        out.push_str(&problem_lines(problem));
    }
    if notes > 0 {
        let notes = if notes == 1 { "1 note".to_owned() } else { format!("{notes} notes") };
        let _ = writeln!(out, "\n{}", paint(DIM, &format!("{notes} on the sources: see `pilotlight check`")));
    }
    out
}
