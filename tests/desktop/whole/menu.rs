//! The icon and the menu of the whole program.

use futures_util::StreamExt;
use pilotlight::domain::Light;
use serde_json::json;
use zbus::fdo::DBusProxy;
use zbus::zvariant::Value;

use super::{Desk, User, eventually, free_port, idle, is_alive, panel, playing};
use crate::bus::on_a_desktop;
use crate::host::{Entry, GTK, TrayItem};

#[test]
fn the_icon_has_the_pixels_of_what_a_service_goes_through() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let port = free_port();
        let mut web = playing("Web", port);
        web["auto_start"] = json!(false);
        web["health"] = json!([web["health"], {"exec": ["test", "-e", "ready"], "interval": "100ms"}]);
        let (mut user, item) = User::with_tray(&host, &[("web", web)]).await;
        item.shows(Light::Gray).await;
        assert_eq!(item.words().await.lines().next(), Some("nothing wanted"));

        item.click(item.entry("Web — stopped").await.id).await.unwrap();
        item.shows(Light::Yellow).await;
        user.desk().write("ready", "");
        item.shows(Light::Green).await;
        item.entry(&format!("Web — healthy :{port}")).await;

        user.tell(port, "fail").await;
        item.shows(Light::Red).await;
        item.says("Web: unhealthy · 0 of 1 healthy\n").await;
        item.says(if GTK { "\nunhealthy: " } else { "\nWeb: " }).await;
        user.tell(port, "recover").await;
        item.shows(Light::Green).await;

        item.click(item.entry("Web —").await.id).await.unwrap();
        item.shows(Light::Gray).await;
    });
}

#[test]
fn a_click_on_a_service_begins_or_ends_its_process_and_is_remembered() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut wanted = idle("Wanted");
        wanted["auto_start"] = json!(true);
        let (mut user, item) = User::with_tray(&host, &[("idle", idle("Idle")), ("wanted", wanted)]).await;
        let ended = user.process_of("wanted").await;
        assert_eq!(item.entry("Idle —").await.checked, Some(false));
        item.click(item.entry("Idle —").await.id).await.unwrap();
        item.click(item.entry("Wanted —").await.id).await.unwrap();
        let first = user.process_of("idle").await;
        eventually("the process to end", async || (!is_alive(ended)).then_some(())).await;
        user.sees("wanted", "pid", serde_json::Value::Null).await;
        assert_eq!(item.entry("Idle — healthy").await.checked, Some(true));
        assert_eq!(item.entry("Wanted — stopped").await.checked, Some(false));

        // The agent dies: what it ran goes on, and what the user said holds.
        user.does(Desk::kill_agent).await;
        let item = user.start_again(&host).await;
        assert_eq!(user.process_of("idle").await, first);
        assert_eq!(user.service("wanted").await["wanted"], false);

        // The agent ends in order: what the user said holds again.
        item.choose("Quit").await;
        assert_eq!(user.agent_ends().await, Some(0));
        assert!(!is_alive(first));
        let item = user.start_again(&host).await;
        assert_ne!(user.process_of("idle").await, first);
        assert_eq!(user.service("wanted").await["wanted"], false);

        let last = user.process_of("idle").await;
        item.choose("Idle — healthy").await;
        eventually("the process to end", async || (!is_alive(last)).then_some(())).await;
    });
}

#[test]
fn apply_changes_applies_what_waits() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut service = idle("Idle");
        service["auto_start"] = json!(true);
        let mut user = User::new();
        user.desk().save("services.json", r#"{"agent": {"reload": "manual"}}"#);
        user.drop_in("idle", &service);
        user.start_agent(&["run", "--tray"]).await;
        let item = host.item().await;
        let before = user.process_of("idle").await;
        assert_eq!(item.find("Apply changes").await, None);

        service["command"] = json!(["sleep", "200000"]);
        user.drop_in("idle", &service);
        item.entry("Apply changes").await;
        assert_eq!(user.process_of("idle").await, before);
        item.choose("Apply changes").await;
        eventually("the process to end", async || (!is_alive(before)).then_some(())).await;
        assert_ne!(user.process_of("idle").await, before);
        eventually("the entry to go", async || item.find("Apply changes").await.is_none().then_some(())).await;
    });
}

#[test]
fn quit_ends_the_services_and_quit_keep_services_leaves_them_to_the_next_agent() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut service = idle("Idle");
        service["auto_start"] = json!(true);
        let (mut user, item) = User::with_tray(&host, &[("idle", service)]).await;
        let pid = user.process_of("idle").await;
        item.choose("Quit, keep services").await;
        assert_eq!(user.agent_ends().await, Some(0));
        assert!(is_alive(pid), "it was to be kept");

        let item = user.start_again(&host).await;
        assert_eq!(user.process_of("idle").await, pid);
        user.sees("idle", "adopted", true).await;
        item.shows(Light::Green).await;
        item.choose("Quit").await;
        assert_eq!(user.agent_ends().await, Some(0));
        assert!(!is_alive(pid), "it was to be stopped");
        item.leaves().await;
    });
}

#[test]
fn an_action_in_the_menu_is_run_and_one_that_needs_a_yes_is_a_click_further_away() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut service = idle("Idle");
        service["actions"] = json!([
            {"name": "Seed", "command": ["touch", "seeded"]},
            {"name": "Wipe", "command": ["touch", "wiped"], "confirm": true},
        ]);
        let (user, item) = User::with_tray(&host, &[("idle", service)]).await;
        let is_there = async |name: &str| {
            eventually(name, async || user.desk().path("project").join(name).exists().then_some(())).await
        };
        item.choose("Wipe").await;
        item.choose("Seed").await;
        is_there("seeded").await;
        assert!(!user.desk().path("project/wiped").exists(), "the first click asks");
        item.choose("Really: Wipe").await;
        is_there("wiped").await;
    });
}

#[test]
fn a_drop_in_joins_the_open_menu_in_its_place_and_old_entries_expire_without_effect() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let (mut user, item) = User::with_tray(&host, &[("a", idle("Alpha")), ("c", idle("Gamma"))]).await;
        item.entry("Gamma — stopped").await;
        let mut relaid = item.menu.receive_signal("LayoutUpdated").await.unwrap();
        let mut changed = item.menu.receive_signal("ItemsPropertiesUpdated").await.unwrap();
        item.open().await;
        item.tell_opened().await;
        let before = item.layout().await;
        assert_eq!(switches(&before.1), ["Alpha — stopped", "Gamma — stopped"]);

        // What happens to a service changes its entry in place.
        item.choose("Alpha —").await;
        changed.next().await.expect("the panel is told what has changed");
        let alpha = user.process_of("a").await;
        item.entry("Alpha — healthy").await;
        let in_place = item.layout().await;
        assert_eq!((before.0, ids(&before.1)), (in_place.0, ids(&in_place.1)), "an open menu keeps its entries");

        // A service that is new comes in between.
        user.drop_in("b", &idle("Beta"));
        relaid.next().await.expect("the panel is told that there is more");
        item.entry("Beta — stopped").await;
        let after = item.layout().await.1;
        assert_eq!(switches(&after), ["Alpha — healthy", "Beta — stopped", "Gamma — stopped"]);
        let reused = ids(&after).into_iter().filter(|id| ids(&in_place.1).contains(id)).count();
        assert_eq!(reused, 0, "no number means another entry than before");
        for stale in switch_ids(&in_place.1) {
            assert!(item.click(stale).await.is_err(), "an expired entry is refused");
        }
        // Behind these clicks, one that counts.
        item.choose("Beta —").await;
        user.process_of("b").await;
        assert_eq!(user.process_of("a").await, alpha);
        assert_eq!(user.service("c").await["wanted"], false);
    });
}

#[test]
fn a_thousand_clicks_and_edits_leave_nothing_behind() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let names = ["Alpha", "Beta", "Gamma", "Delta"];
        let drop_ins = names.map(|name| (name, idle(name)));
        let (user, item) = User::with_tray(&host, &drop_ins).await;
        let (daemon, agent) = (DBusProxy::new(&bus.connect().await).await.unwrap(), user.desk().agent_pid());
        let count = |what: &str| std::fs::read_dir(format!("/proc/{agent}/{what}")).unwrap().count();
        let all = async || (count("fd"), count("task"), daemon.list_names().await.unwrap().len());
        item.choose("Start all").await;
        item.shows(Light::Green).await;
        let entries = item.layout().await.1.len();
        let before = all().await;

        let switches = switch_ids(&item.layout().await.1);
        for round in 0..800 {
            item.click(switches[round % switches.len()]).await.unwrap();
        }
        for round in 0..200 {
            let mut changed = idle(names[round % names.len()]);
            changed["description"] = json!(format!("round {round}"));
            changed["args"] = json!([]);
            user.drop_in(names[round % names.len()], &changed);
            item.choose(if round % 2 == 0 { "Stop all" } else { "Start all" }).await;
        }
        item.choose("Start all").await;
        for name in names {
            item.entry(&format!("{name} — healthy")).await;
        }
        item.shows(Light::Green).await;
        assert_eq!(item.layout().await.1.len(), entries);
        eventually("all that it took to be given back", async || {
            let after = all().await;
            (after.0 <= before.0 && after.1 <= before.1 && after.2 <= before.2).then_some(())
        })
        .await;
        assert_eq!(host.registrations(), 1);
    });
}

impl TrayItem {
    /// Clicks the first entry whose label begins with `label`, as soon as it is there.
    async fn choose(&self, label: &str) {
        self.click(self.entry(label).await.id).await.unwrap();
    }

    /// Tells the menu that the user looks at it.
    async fn tell_opened(&self) {
        let () = self.menu.call("Event", &(0, "opened", Value::from(0), 0_u32)).await.unwrap();
    }
}

fn ids(entries: &[Entry]) -> Vec<i32> {
    entries.iter().flat_map(Entry::ids).collect()
}

fn services(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| entry.checked.is_some() && entry.label.contains(" — "))
}

fn switches(entries: &[Entry]) -> Vec<&str> {
    services(entries).map(|entry| entry.label.as_str()).collect()
}

fn switch_ids(entries: &[Entry]) -> Vec<i32> {
    services(entries).map(|entry| entry.id).collect()
}
