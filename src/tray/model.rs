//! What the tray shows of a snapshot: a pure function.
//!
//! Texts are bounded and free of control characters here; escaping for the medium is the shell's business. Items keep
//! their places while the set of services is the same: one that has no target at present is there, but not visible.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::text::plain_line;
use crate::domain::{
    Action, Command, HealthState, Kind, Light, Problem, ProcessState, Selection, ServiceId, ServiceView, Severity,
    Shutdown, Snapshot,
};
use crate::engine::StateDir;
pub use crate::open::Target;

/// The longest name of a service or group in a label, in characters.
const MAX_NAME: usize = 40;
/// The longest label, in characters.
const MAX_LABEL: usize = 110;
/// How many services the tooltip gives reasons for.
const MAX_REASONS: usize = 5;

/// All that the tray shows.
#[derive(Clone, Debug, PartialEq)]
pub struct TrayModel {
    /// Which icon.
    pub light: Light,
    /// The tooltip's heading.
    pub title: String,
    /// The tooltip's text: the menu's first line, then why, a line each.
    pub text: String,
    /// The menu.
    pub menu: Vec<Item>,
}

/// One entry of the menu.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is about; the same over all snapshots.
    pub key: Key,
    /// What it looks like.
    pub kind: ItemKind,
    /// What it says, in plain text; empty for a separator.
    pub label: String,
    /// False: its place is kept, but nobody sees it.
    pub visible: bool,
    /// What a click does; an entry without a choice is only read.
    pub choice: Option<Choice>,
    /// The light beside it.
    pub light: Option<Light>,
}

/// What an entry looks like.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// A line.
    Plain,
    /// A line with a check mark that is set or not.
    Check(bool),
    /// Opens further entries.
    Submenu(Vec<Item>),
    /// A rule between entries.
    Separator,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// An entry that every menu has, by a name of its own.
    Fixed(&'static str),
    /// The heading of a group, by its key.
    Heading(String),
    /// The rule above a group, by its key.
    Rule(String),
    /// An entry of a service.
    Of(ServiceId, Part),
    /// An action of a service, by its name.
    Action(ServiceId, String),
    /// The yes to an action that needs one.
    Confirm(ServiceId, String),
}

/// Which entry of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its check item.
    Switch,
    /// Its submenu of details.
    Details,
    /// What state it is in, and why.
    State,
    /// Its main process.
    Pid,
    /// What it takes of the processor.
    Cpu,
    /// What it takes of the memory.
    Memory,
    /// A new run.
    Restart,
    /// What it wrote.
    Logs,
    /// Where it is reached.
    Open,
    /// The rule above its actions.
    Actions,
}

/// What a click does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A wish to the engine.
    Wish(Command),
    /// Something for the user's opener.
    Open(Target),
}

/// Where things lie that the menu opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The folder that names of sources are relative to.
    pub sources: PathBuf,
    /// The drop-in folder.
    pub drop_ins: PathBuf,
    /// The state directory, with the logs.
    pub state: StateDir,
    /// Whether there is an opener; without one nothing is offered to be opened.
    pub opener: bool,
}

/// What a service's processes took when the menu was opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Percent of one core; `None` if it can't be told yet.
    pub cpu_percent: Option<f64>,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}

/// The costs of the services that run.
pub type Costs = BTreeMap<ServiceId, Cost>;

impl TrayModel {
    /// What is shown of `snapshot`, with the `costs` as of the menu's last opening.
    pub fn of(snapshot: &Snapshot, places: &Places, costs: &Costs) -> Self {
        let blocks = blocks(snapshot);
        let services: Vec<&ServiceView> = blocks.iter().flat_map(|block| block.members.iter().copied()).collect();
        let headline = headline(snapshot, &services);
        let mut menu = vec![Item::read(Key::Fixed("summary"), &headline), problems_line(snapshot, places)];
        menu.push(Item::wish("apply", "Apply changes", Command::Reload).if_only(snapshot.waiting.is_some()));
        menu.extend(switches(&blocks));
        if !services.is_empty() {
            let details = services.iter().map(|view| details(view, places, costs)).collect();
            menu.push(Item::rule(Key::Fixed("rule: details")));
            menu.push(Item::submenu(Key::Fixed("details"), "Details", details));
            let some = services.iter().any(|view| view.service.enabled);
            menu.push(Item::wish("start all", "Start all", Command::Start(Selection::All)).if_only(some));
            menu.push(Item::wish("stop all", "Stop all", Command::Stop(Selection::All)).if_only(some));
        }
        let paused = snapshot.notifications_paused;
        menu.push(Item::rule(Key::Fixed("rule: agent")));
        menu.push(Item::open(
            Key::Fixed("services.d"),
            "Open services.d",
            places,
            Target::Path(places.drop_ins.clone()),
        ));
        menu.push(Item {
            kind: ItemKind::Check(paused),
            ..Item::wish("pause", "Pause notifications", Command::PauseNotifications(!paused))
        });
        menu.push(Item::rule(Key::Fixed("rule: quit")));
        menu.push(Item::wish("quit", "Quit", Command::Shutdown(Shutdown::AsConfigured)));
        menu.push(Item::wish("quit, keep", "Quit, keep services", Command::Shutdown(Shutdown::Keep)));
        let waiting = snapshot.waiting.iter().map(|waiting| format!("changes of {} wait", waiting.touches()));
        let text = std::iter::once(headline).chain(waiting).chain(reasons(&services)).collect::<Vec<_>>().join("\n");
        Self { light: snapshot.light, title: "Pilotlight".to_owned(), text, menu }
    }

    /// Whether every entry of `other` is about the same as the one in its place here.
    pub fn is_same_set(&self, other: &Self) -> bool {
        same(&self.menu, &other.menu, &|a, b| a.key == b.key)
    }

    /// Whether the entries of `other` are nested in the same way, whatever they are about.
    pub fn is_same_shape(&self, other: &Self) -> bool {
        same(&self.menu, &other.menu, &|_, _| true)
    }
}

impl Item {
    /// The entries behind it.
    pub fn children(&self) -> &[Item] {
        match &self.kind {
            ItemKind::Submenu(children) => children,
            ItemKind::Plain | ItemKind::Check(_) | ItemKind::Separator => &[],
        }
    }

    fn new(key: Key, kind: ItemKind, label: &str) -> Self {
        Self { key, kind, label: plain_line(label, MAX_LABEL), visible: true, choice: None, light: None }
    }

    fn read(key: Key, label: &str) -> Self {
        Self::new(key, ItemKind::Plain, label)
    }

    fn rule(key: Key) -> Self {
        Self::new(key, ItemKind::Separator, "")
    }

    fn submenu(key: Key, label: &str, children: Vec<Item>) -> Self {
        Self::new(key, ItemKind::Submenu(children), label)
    }

    fn wish(key: &'static str, label: &str, command: Command) -> Self {
        Self { choice: Some(Choice::Wish(command)), ..Self::read(Key::Fixed(key), label) }
    }

    fn open(key: Key, label: &str, places: &Places, target: Target) -> Self {
        Self { visible: places.opener, choice: Some(Choice::Open(target)), ..Self::read(key, label) }
    }

    /// The same, seen only if `visible`.
    fn if_only(self, visible: bool) -> Self {
        Self { visible: self.visible && visible, ..self }
    }
}

/// The light in words, the worst service first: "Main API: failed and 1 more · 2 of 4 healthy".
fn headline(snapshot: &Snapshot, services: &[&ServiceView]) -> String {
    let summary = &snapshot.summary;
    if snapshot.shutting_down {
        return format!("ending · {summary}");
    }
    let worst = services.iter().map(|view| view.light).max().unwrap_or(Light::Gray);
    let mut at_worst = services.iter().filter(|view| view.light == worst && worst >= Light::Yellow);
    // Whoever only waits for another is not what has to be looked at.
    let first = at_worst.clone().find(|view| view.blocked_by.is_empty()).or_else(|| at_worst.next());
    let Some(first) = first else {
        let broken = snapshot.light >= Light::Yellow && grave(snapshot).next().is_some();
        return if broken { format!("a source has problems · {summary}") } else { summary.clone() };
    };
    let more = services.iter().filter(|view| view.light == worst).count() - 1;
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}: {}{more} · {summary}", name(first), state(first))
}

/// Why the services that are not well are so, the worst first.
fn reasons(services: &[&ServiceView]) -> Vec<String> {
    let mut unwell: Vec<_> = services.iter().filter(|view| view.light >= Light::Yellow).collect();
    unwell.sort_by_key(|view| (std::cmp::Reverse(view.light), !view.blocked_by.is_empty()));
    let why = |view: &ServiceView| if view.reason.is_empty() { state(view).to_owned() } else { view.reason.clone() };
    unwell
        .iter()
        .take(MAX_REASONS)
        .map(|view| plain_line(&format!("{}: {}", name(view), why(view)), MAX_LABEL))
        .collect()
}

/// What is wrong with the sources beyond what is merely worth knowing.
fn grave(snapshot: &Snapshot) -> impl Iterator<Item = &Problem> {
    snapshot.problems.iter().filter(|problem| problem.severity != Severity::Note)
}

/// "2 problems in services.d/x.json: …", not to be seen while there are none. Notes do not count.
fn problems_line(snapshot: &Snapshot, places: &Places) -> Item {
    let key = Key::Fixed("problems");
    let grave: Vec<_> = grave(snapshot).collect();
    let Some(first) = grave.first() else {
        return Item::read(key, "").if_only(false);
    };
    let count = match grave.len() {
        1 => "1 problem".to_owned(),
        several => format!("{several} problems"),
    };
    let Some(place) = &first.place else {
        return Item::read(key, &format!("{count}: {}", first.message));
    };
    let elsewhere = grave.iter().any(|other| other.place.as_ref().is_none_or(|other| other.file != place.file));
    let whereabouts = if elsewhere { ", first in" } else { " in" };
    let label = format!("{count}{whereabouts} {}: {}", place.file, first.message);
    let folder = places.sources.join(&*place.file).parent().map(Path::to_owned);
    let choice = folder.filter(|_| places.opener).map(|folder| Choice::Open(Target::Path(folder)));
    Item { choice, ..Item::read(key, &label) }
}

/// Services that stand together under one heading.
struct Block<'s> {
    /// The group's key and name; `None` for those without a group.
    heading: Option<(&'s str, &'s str)>,
    members: Vec<&'s ServiceView>,
}

/// The services that faces offer, by groups in the order of these; those without a group come last.
fn blocks(snapshot: &Snapshot) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = snapshot
        .groups
        .iter()
        .map(|group| Block { heading: Some((&group.key, &group.name)), members: Vec::new() })
        .collect();
    let mut rest = Block { heading: None, members: Vec::new() };
    for view in snapshot.services.iter().filter(|view| view.counted) {
        let Some(group) = view.service.display.group.as_deref() else {
            rest.members.push(view);
            continue;
        };
        match blocks.iter_mut().find(|block| block.heading.is_some_and(|(key, _)| key == group)) {
            Some(block) => block.members.push(view),
            None => blocks.push(Block { heading: Some((group, group)), members: vec![view] }),
        }
    }
    blocks.push(rest);
    blocks.retain(|block| !block.members.is_empty());
    blocks
}

/// One check item per service, under the headings if there are any.
fn switches(blocks: &[Block]) -> Vec<Item> {
    let mut items = Vec::new();
    for block in blocks {
        match block.heading {
            Some((key, name)) => {
                items.push(Item::rule(Key::Rule(key.to_owned())));
                items.push(Item::read(Key::Heading(key.to_owned()), &plain_line(name, MAX_NAME)));
            }
            None => {
                items.push(Item::rule(Key::Fixed("rule: no group")));
                if blocks.len() > 1 {
                    items.push(Item::read(Key::Fixed("no group"), "Other"));
                }
            }
        }
        items.extend(block.members.iter().map(|view| switch(view)));
    }
    items
}

fn switch(view: &ServiceView) -> Item {
    let mut label = format!("{} — {}", name(view), state(view));
    if let Some(port) = view.service.port {
        label.push_str(&format!(" :{port}"));
    }
    let this = Selection::Ids(vec![view.id.clone()]);
    let command = if view.wanted { Command::Stop(this) } else { Command::Start(this) };
    Item {
        // One that is disabled is only read: nothing but its file can change that.
        choice: view.service.enabled.then_some(Choice::Wish(command)),
        ..Item::new(
            Key::Of(view.id.clone(), Part::Switch),
            ItemKind::Check(view.wanted && view.service.enabled),
            &label,
        )
    }
}

fn details(view: &ServiceView, places: &Places, costs: &Costs) -> Item {
    let key = |part| Key::Of(view.id.clone(), part);
    let service = &view.service;
    let ours = match &service.kind {
        Kind::Process(_) => true,
        Kind::External | Kind::Detached | Kind::Settings => false,
    };
    let pid = view.pid.map(|pid| format!("pid {pid}")).unwrap_or_default();
    let cost = costs.get(&view.id).filter(|_| view.pid.is_some());
    let cpu = cost.and_then(|cost| cost.cpu_percent).map(|percent| format!("CPU {percent:.1} %")).unwrap_or_default();
    let memory = cost.map(|cost| format!("Memory {}", megabytes(cost.memory_bytes))).unwrap_or_default();
    let restart = Choice::Wish(Command::Restart(Selection::Ids(vec![view.id.clone()])));
    let log = Target::Path(places.state.log(&view.id));
    let page = service.url.as_deref().and_then(Target::page);
    let line = |part, label: &str| Item::read(key(part), label).if_only(!label.is_empty());
    let mut children = vec![
        line(Part::State, &story(view)),
        line(Part::Pid, &pid),
        line(Part::Cpu, &cpu),
        line(Part::Memory, &memory),
        Item { choice: Some(restart), ..Item::read(key(Part::Restart), "Restart") }.if_only(ours && service.enabled),
        Item::open(key(Part::Logs), "Logs", places, log).if_only(ours),
        Item::open(key(Part::Open), "Open", places, page.clone().unwrap_or(Target::Url(String::new())))
            .if_only(page.is_some()),
    ];
    if ours && !service.actions.is_empty() {
        children.push(Item::rule(key(Part::Actions)).if_only(service.enabled));
        children.extend(service.actions.iter().map(|action| run_action(view, action).if_only(service.enabled)));
    }
    Item { light: Some(view.light), ..Item::submenu(key(Part::Details), &name(view), children) }
}

/// What runs `action`: one that needs a yes is a click further away.
fn run_action(view: &ServiceView, action: &Action) -> Item {
    let (id, name) = (view.id.clone(), action.name.clone());
    let wish = Command::RunAction { id: id.clone(), name: name.clone(), is_unseen: true };
    let entry = |key, label: &str| Item { choice: Some(Choice::Wish(wish)), ..Item::read(key, label) };
    if !action.confirm {
        return entry(Key::Action(id, name.clone()), &name);
    }
    let yes = entry(Key::Confirm(id.clone(), name.clone()), &format!("Really: {name}"));
    Item::submenu(Key::Action(id, name.clone()), &name, vec![yes])
}

fn name(view: &ServiceView) -> String {
    let name = plain_line(view.service.display.name.trim(), MAX_NAME);
    if name.is_empty() { view.id.to_string() } else { name }
}

/// One word for both, process and health.
fn state(view: &ServiceView) -> &'static str {
    match (view.process, view.health) {
        (ProcessState::Stopped, _) if !view.service.enabled => "disabled",
        (ProcessState::Running, HealthState::Stopped | HealthState::Unknown) => "running",
        (ProcessState::Running, health) => health.as_str(),
        (process, _) => process.as_str(),
    }
}

/// The state and, where that says more, the reason.
fn story(view: &ServiceView) -> String {
    let state = state(view);
    match &*view.reason {
        "" => state.to_owned(),
        // "disabled in services.d/x.json:3:9" says it all.
        reason if reason.starts_with(state) && (reason == state || !view.service.enabled) => reason.to_owned(),
        reason => format!("{state}: {reason}"),
    }
}

fn megabytes(bytes: u64) -> String {
    // Nobody reads more than three digits of it.
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 10.0 {
        format!("{megabytes:.1} MB")
    } else if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.1} GB", megabytes / 1000.0)
    }
}

fn same(a: &[Item], b: &[Item], alike: &impl Fn(&Item, &Item) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b) && same(a.children(), b.children(), alike))
}
