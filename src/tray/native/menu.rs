//! The system's menu of a model's entries, changed in place while the set of entries is the same.
//!
//! An entry that nobody is to see is hidden where the system can do that; elsewhere it is taken out of the menu and put
//! back in its place later. This knows nothing of what clicks do, but which [`Choice`] they are.

use tray_icon::menu::{CheckMenuItem, Icon, IsMenuItem, Menu, MenuId, MenuItem, PredefinedMenuItem, Result, Submenu};

use super::ground;
use crate::domain::Light;
use crate::tray::icon;
use crate::tray::model::{Choice, Item, ItemKind};

/// A menu, and what it shows.
pub(super) struct ShownMenu {
    menu: Menu,
    entries: Vec<Entry>,
    hiding: Hiding,
}

/// How entries that nobody is to see are kept from being seen.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "each system has one way of it"))]
pub(super) enum Hiding {
    /// They are in the menu, and the system hides them: an open menu stays open.
    Hidden,
    /// They are not in the menu.
    Out,
}

/// Which entries of a menu are to be seen.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only GTK hides entries"))]
pub(super) struct Seen {
    /// Whether this one is.
    pub visible: bool,
    /// The same of those below it.
    pub children: Vec<Seen>,
}

/// One entry, seen or not.
struct Entry {
    widget: Widget,
    /// What it shows; the entries below it are in `children`.
    item: Item,
    children: Vec<Entry>,
}

enum Widget {
    Line(MenuItem),
    Check(CheckMenuItem),
    Submenu(Submenu),
    Rule(PredefinedMenuItem),
}

impl ShownMenu {
    /// A new menu of `items`, as the system wants it.
    pub fn new(items: &[Item]) -> Result<Self> {
        Self::hiding(ground::HIDING, items)
    }

    fn hiding(hiding: Hiding, items: &[Item]) -> Result<Self> {
        let menu = Menu::new();
        let entries = build(items, hiding, &|widget| menu.append(widget))?;
        let shown = Self { menu, entries, hiding };
        shown.hide();
        Ok(shown)
    }

    /// The system's menu.
    pub fn menu(&self) -> &Menu {
        &self.menu
    }

    /// Whether each entry is about the same as the one in its place in `items`, and looks alike.
    pub fn is_of(&self, items: &[Item]) -> bool {
        is_of(&self.entries, items)
    }

    /// Shows `items`, of which it must be.
    pub fn change(&mut self, items: &[Item]) -> Result<()> {
        change(&mut self.entries, items, self.hiding, &self.menu)?;
        self.hide();
        Ok(())
    }

    fn hide(&self) {
        match self.hiding {
            Hiding::Hidden => ground::hide(&self.menu, &seen(&self.entries)),
            Hiding::Out => {}
        }
    }

    /// What the click on the entry of this id is to do; `None` if there is no such entry any more. A check item has
    /// toggled itself by then: it shows again what it is to show.
    pub fn clicked(&self, id: &MenuId) -> Option<Choice> {
        let entry = find(&self.entries, id)?;
        if let (Widget::Check(check), ItemKind::Check(is_checked)) = (&entry.widget, &entry.item.kind) {
            check.set_checked(*is_checked);
        }
        entry.item.choice.clone().filter(|_| entry.item.visible)
    }
}

/// What holds entries.
trait Rack {
    fn insert(&self, entry: &dyn IsMenuItem, position: usize) -> Result<()>;
    fn remove(&self, entry: &dyn IsMenuItem) -> Result<()>;
}

impl Rack for Menu {
    fn insert(&self, entry: &dyn IsMenuItem, position: usize) -> Result<()> {
        self.insert(entry, position)
    }

    fn remove(&self, entry: &dyn IsMenuItem) -> Result<()> {
        self.remove(entry)
    }
}

impl Rack for Submenu {
    fn insert(&self, entry: &dyn IsMenuItem, position: usize) -> Result<()> {
        self.insert(entry, position)
    }

    fn remove(&self, entry: &dyn IsMenuItem) -> Result<()> {
        self.remove(entry)
    }
}

impl Widget {
    fn as_item(&self) -> &dyn IsMenuItem {
        match self {
            Self::Line(line) => line,
            Self::Check(check) => check,
            Self::Submenu(submenu) => submenu,
            Self::Rule(rule) => rule,
        }
    }
}

impl Entry {
    fn new(item: &Item, hiding: Hiding) -> Result<Self> {
        let label = mnemonic_free(&item.label);
        let mut children = Vec::new();
        let widget = match &item.kind {
            ItemKind::Plain => Widget::Line(MenuItem::new(label, item.choice.is_some(), None)),
            ItemKind::Check(is_checked) => {
                Widget::Check(CheckMenuItem::new(label, item.choice.is_some(), *is_checked, None))
            }
            ItemKind::Submenu(items) => {
                let submenu = Submenu::new(label, true);
                submenu.set_icon(item.light.and_then(small));
                children = build(items, hiding, &|widget| submenu.append(widget))?;
                Widget::Submenu(submenu)
            }
            ItemKind::Separator => Widget::Rule(PredefinedMenuItem::separator()),
        };
        Ok(Self { widget, item: childless(item), children })
    }

    /// Shows `item`, which is about the same.
    fn change(&mut self, item: &Item, hiding: Hiding) -> Result<()> {
        let label = (self.item.label != item.label).then(|| mnemonic_free(&item.label));
        let enabled = item.choice.is_some();
        let is_turned = self.item.choice.is_some() != enabled;
        match &self.widget {
            Widget::Line(line) => {
                label.into_iter().for_each(|label| line.set_text(label));
                is_turned.then(|| line.set_enabled(enabled));
            }
            Widget::Check(check) => {
                label.into_iter().for_each(|label| check.set_text(label));
                is_turned.then(|| check.set_enabled(enabled));
                if let ItemKind::Check(is_checked) = item.kind {
                    check.set_checked(is_checked);
                }
            }
            Widget::Submenu(submenu) => {
                label.into_iter().for_each(|label| submenu.set_text(label));
                if self.item.light != item.light {
                    submenu.set_icon(item.light.and_then(small));
                }
                change(&mut self.children, item.children(), hiding, submenu)?;
            }
            Widget::Rule(_) => {}
        }
        self.item = childless(item);
        Ok(())
    }
}

/// Makes entries of `items`, and appends those that belong into the menu.
fn build(items: &[Item], hiding: Hiding, append: &dyn Fn(&dyn IsMenuItem) -> Result<()>) -> Result<Vec<Entry>> {
    let entries: Vec<Entry> = items.iter().map(|item| Entry::new(item, hiding)).collect::<Result<_>>()?;
    let belongs = |entry: &&Entry| entry.item.visible || hiding == Hiding::Hidden;
    entries.iter().filter(belongs).try_for_each(|entry| append(entry.widget.as_item()))?;
    Ok(entries)
}

fn change(entries: &mut [Entry], items: &[Item], hiding: Hiding, rack: &dyn Rack) -> Result<()> {
    let mut position = 0;
    for (entry, item) in entries.iter_mut().zip(items) {
        let (was_in, is_in) = match hiding {
            Hiding::Hidden => (true, true),
            Hiding::Out => (entry.item.visible, item.visible),
        };
        // What goes is gone before it changes, and what comes has changed before: nobody sees it happen.
        if was_in && !is_in {
            rack.remove(entry.widget.as_item())?;
        }
        entry.change(item, hiding)?;
        if !was_in && is_in {
            rack.insert(entry.widget.as_item(), position)?;
        }
        position += usize::from(is_in);
    }
    Ok(())
}

fn seen(entries: &[Entry]) -> Vec<Seen> {
    entries.iter().map(|entry| Seen { visible: entry.item.visible, children: seen(&entry.children) }).collect()
}

fn is_of(entries: &[Entry], items: &[Item]) -> bool {
    entries.len() == items.len()
        && entries.iter().zip(items).all(|(entry, item)| {
            entry.item.key == item.key && entry.widget.suits(&item.kind) && is_of(&entry.children, item.children())
        })
}

impl Widget {
    /// Whether it can look like `kind`.
    fn suits(&self, kind: &ItemKind) -> bool {
        match self {
            Self::Line(_) => matches!(kind, ItemKind::Plain),
            Self::Check(_) => matches!(kind, ItemKind::Check(_)),
            Self::Submenu(_) => matches!(kind, ItemKind::Submenu(_)),
            Self::Rule(_) => matches!(kind, ItemKind::Separator),
        }
    }
}

fn find<'a>(entries: &'a [Entry], id: &MenuId) -> Option<&'a Entry> {
    entries.iter().find_map(
        |entry| {
            if entry.widget.as_item().id() == id { Some(entry) } else { find(&entry.children, id) }
        },
    )
}

/// The item without what is below it.
fn childless(item: &Item) -> Item {
    let kind = match &item.kind {
        ItemKind::Submenu(_) => ItemKind::Submenu(Vec::new()),
        ItemKind::Plain | ItemKind::Check(_) | ItemKind::Separator => item.kind.clone(),
    };
    Item { kind, ..item.clone() }
}

/// The light in the size of menus.
fn small(light: Light) -> Option<Icon> {
    let picture = icon::pictures(light).next()?;
    Icon::from_rgba(picture.rgba, picture.side, picture.side).ok()
}

/// `label` as the system wants it, where a single ampersand marks a key.
fn mnemonic_free(label: &str) -> String {
    label.replace('&', "&&")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tray_icon::menu::MenuItemKind;

    use super::*;
    use crate::domain::{Command, Selection, Snapshot};
    use crate::engine::StateDir;
    use crate::tray::{Key, Places, TrayModel};

    fn line(name: &'static str, label: &str, visible: bool) -> Item {
        let choice = Some(Choice::Wish(Command::Start(Selection::All)));
        let (key, label) = (Key::Fixed(name), label.to_owned());
        Item { key, kind: ItemKind::Plain, label, visible, choice, light: None }
    }

    fn submenu(children: Vec<Item>) -> Item {
        Item { kind: ItemKind::Submenu(children), ..line("submenu", "Submenu", true) }
    }

    /// The labels in the system's menu, those of submenus in brackets, and the ids with them.
    fn told(items: &[MenuItemKind]) -> BTreeMap<String, MenuId> {
        let inner = |kind: &MenuItemKind| kind.as_submenu().map(|submenu| told(&submenu.items())).unwrap_or_default();
        let text = |kind: &MenuItemKind| match kind {
            MenuItemKind::MenuItem(line) => line.text(),
            MenuItemKind::Submenu(submenu) => submenu.text(),
            MenuItemKind::Check(check) => format!("{} {}", check.text(), check.is_checked()),
            MenuItemKind::Predefined(_) | MenuItemKind::Icon(_) => String::new(),
        };
        let number = |at: usize, kind: &MenuItemKind| (format!("{at} {}", text(kind)), kind.id().clone());
        let own = items.iter().enumerate().map(|(at, kind)| number(at, kind));
        own.chain(items.iter().flat_map(inner).map(|(text, id)| (format!("[{text}]"), id))).collect()
    }

    fn labels(menu: &ShownMenu) -> Vec<String> {
        told(&menu.menu.items()).into_keys().collect()
    }

    #[test]
    fn where_entries_cant_be_hidden_they_are_out_of_the_menu_and_come_back_in_their_place_as_the_same() {
        let all = |first, inner| {
            let children = vec![line("a", "A", inner), line("b", "B & C", true)];
            [line("first", "First", first), submenu(children), line("last", "Last", true)]
        };
        let mut menu = ShownMenu::hiding(Hiding::Out, &all(false, true)).unwrap();
        assert_eq!(labels(&menu), ["0 Submenu", "1 Last", "[0 A]", "[1 B && C]"]);
        let last = told(&menu.menu.items())["1 Last"].clone();
        menu.change(&all(true, false)).unwrap();
        assert_eq!(labels(&menu), ["0 First", "1 Submenu", "2 Last", "[0 B && C]"]);
        assert_eq!(told(&menu.menu.items())["2 Last"], last);
        let first = told(&menu.menu.items())["0 First"].clone();
        menu.change(&all(false, true)).unwrap();
        assert_eq!(menu.clicked(&first), None, "what is not seen can't be clicked");
        menu.change(&all(true, true)).unwrap();
        assert_eq!(labels(&menu), ["0 First", "1 Submenu", "2 Last", "[0 A]", "[1 B && C]"]);
        assert!(menu.clicked(&first).is_some(), "it is the same again");
    }

    #[test]
    fn a_check_item_that_has_toggled_itself_is_set_back_to_what_the_model_says() {
        let check = |is_checked| Item { kind: ItemKind::Check(is_checked), ..line("check", "Check", true) };
        let mut menu = ShownMenu::hiding(Hiding::Out, &[check(true)]).unwrap();
        let id = told(&menu.menu.items())["0 Check true"].clone();
        let item = menu.menu.items().remove(0);
        item.as_check_menuitem().unwrap().set_checked(false);
        assert!(menu.clicked(&id).is_some());
        assert_eq!(labels(&menu), ["0 Check true"]);
        menu.change(&[check(false)]).unwrap();
        assert_eq!(labels(&menu), ["0 Check false"]);
    }

    #[test]
    fn another_set_or_another_look_is_another_menu() {
        let places = Places {
            sources: "/project".into(),
            drop_ins: "/project/services.d".into(),
            state: StateDir::new("/state"),
            opener: false,
        };
        let model = TrayModel::of(&Snapshot::empty(), &places, &BTreeMap::new());
        let menu = ShownMenu::hiding(Hiding::Out, &model.menu).unwrap();
        assert!(menu.is_of(&model.menu));
        let mut more = model.menu.clone();
        more.push(line("more", "More", true));
        assert!(!menu.is_of(&more));
        let menu = ShownMenu::hiding(Hiding::Out, &[line("one", "One", true)]).unwrap();
        assert!(menu.is_of(&[line("one", "Two", false)]));
        assert!(!menu.is_of(&[line("two", "One", true)]));
        assert!(!menu.is_of(&[Item { kind: ItemKind::Check(true), ..line("one", "One", true) }]));
    }
}
