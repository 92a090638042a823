//! The tray: what a panel sees, what clicks do, and how it lives with hosts and buses that come and go.

use std::collections::BTreeMap;
#[cfg(feature = "gtk-tray")]
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use pilotlight::domain::{
    Command, HealthState, Light, ProcessState, Selection, ServiceView, Shutdown, Snapshot, Waiting,
};
use pilotlight::open::{Opener, Target};
use pilotlight::tray::{Cost, Desk};

use super::bus::{eventually, on_a_desktop, said};
use super::engine::{Engine, desk};
use super::host::{GTK, Host, drawn};
use super::picture::{define, id, picture, view};

fn healthy(name: &str) -> ServiceView {
    let mut view = view(name, &format!("The {name}"), ProcessState::Running, HealthState::Healthy, Light::Green);
    view.pid = Some(42);
    define(&mut view).port = Some(8000);
    view
}

fn failed(name: &str) -> ServiceView {
    let mut view = view(name, &format!("The {name}"), ProcessState::Failed, HealthState::Stopped, Light::Red);
    view.reason = "exited with code 1".to_owned();
    view
}

fn with_light(light: Light) -> Snapshot {
    Snapshot { light, summary: format!("it is {}", light.as_str()), ..Snapshot::empty() }
}

fn ids(name: &str) -> Selection {
    Selection::Ids(vec![id(name)])
}

#[test]
fn each_light_shows_the_pixels_that_were_drawn_for_it() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let engine = Engine::showing(with_light(Light::Gray));
        engine.tray();
        let item = host.item().await;
        for light in Light::ALL {
            engine.publish(with_light(light));
            item.says(light.as_str()).await;
            item.shows(light).await;
            let pixmaps = item.pixmaps().await;
            assert_eq!(pixmaps.len(), if GTK { 1 } else { 6 });
            for (width, height, argb) in pixmaps {
                assert_eq!(width, height);
                assert!(argb == drawn(light, width), "the {} light differs at {width} px", light.as_str());
            }
        }
    });
}

#[test]
fn the_tooltip_and_the_first_line_name_the_worst_and_foreign_text_is_escaped() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let mut worst = failed("a_b");
        define(&mut worst).display.name = "<b>a_b&</b>".to_owned();
        let engine = Engine::showing(picture(vec![healthy("web"), worst]));
        engine.tray();
        let item = host.item().await;
        if !GTK {
            let (title, text) = item.tooltip().await;
            assert_eq!(title, "Pilotlight");
            let shown = "&lt;b&gt;a_b&amp;&lt;/b&gt;";
            assert_eq!(text, format!("{shown}: failed · 1 of 1 healthy\n{shown}: exited with code 1"));
        }
        let (_, entries) = item.layout().await;
        assert_eq!(entries[0].label, "<b>a__b&</b>: failed · 1 of 1 healthy");
        assert!(!entries[0].enabled);
    });
}

#[test]
fn a_click_on_a_service_switches_it_and_the_other_entries_do_what_they_say() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let mut off = failed("db");
        off.wanted = false;
        let mut engine = Engine::showing(picture(vec![healthy("web"), off]));
        engine.tray();
        let item = host.item().await;
        let all = Selection::All;
        for (label, checked, command) in [
            ("The web — healthy :8000", Some(true), Command::Stop(ids("web"))),
            ("The db — failed", Some(false), Command::Start(ids("db"))),
            ("Restart", None, Command::Restart(ids("web"))),
            ("Start all", None, Command::Start(all.clone())),
            ("Stop all", None, Command::Stop(all)),
            ("Pause notifications", Some(false), Command::PauseNotifications(true)),
            ("Quit", None, Command::Shutdown(Shutdown::AsConfigured)),
            ("Quit, keep services", None, Command::Shutdown(Shutdown::Keep)),
        ] {
            let entry = item.entry(label).await;
            assert_eq!(entry.checked, checked, "{label}");
            assert!(entry.enabled, "{label}");
            item.click(entry.id).await.unwrap();
            assert_eq!(engine.wish().await, command, "{label}");
        }
        for absent in ["Open services.d", "Logs", "Open", "CPU", "Memory"] {
            assert_eq!(item.find(absent).await, None, "{absent} has no target");
        }
    });
}

#[test]
fn apply_changes_is_there_while_something_waits_and_applies_it() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let mut engine = Engine::showing(picture(vec![healthy("web")]));
        engine.tray();
        let item = host.item().await;
        assert_eq!(item.find("Apply changes").await, None);
        let before = item.layout().await.0;
        let waits = Waiting { services: vec![id("web")], frame: false, text: "removed web".to_owned() };
        engine.publish(Snapshot { waiting: Some(Arc::new(waits)), ..picture(vec![healthy("web")]) });
        // Without a tooltip the entry alone tells it.
        item.says(if GTK { "1 of 1 healthy" } else { "1 of 1 healthy\nchanges of 1 service wait" }).await;
        let entry = item.entry("Apply changes").await;
        assert!(entry.enabled);
        assert_eq!(item.layout().await.0, before, "the menu stays open");
        item.click(entry.id).await.unwrap();
        assert_eq!(engine.wish().await, Command::Reload);
        engine.publish(picture(vec![healthy("web")]));
        eventually("the entry to go", async || item.find("Apply changes").await.is_none().then_some(())).await;
    });
}

#[test]
fn what_can_be_opened_goes_to_the_users_opener_and_costs_are_of_the_menus_opening() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let mut web = healthy("web");
        define(&mut web).url = Some("http://localhost:8000".to_owned());
        let engine = Engine::showing(picture(vec![web]));
        let opened = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&opened);
        let opener: Opener = Arc::new(move |target| noted.lock().unwrap().push(target.clone()));
        let asked = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&asked);
        let mut desk = Desk { opener: Some(opener), ..desk() };
        desk.places.opener = true;
        desk.sampler = Some(Box::new(move |_| {
            *counted.lock().unwrap() += 1;
            BTreeMap::from([(id("web"), Cost { cpu_percent: Some(12.34), memory_bytes: 5_000_000 })])
        }));
        engine.tray_on(desk);
        let item = host.item().await;
        assert_eq!(item.find("CPU").await, None);
        let before = item.layout().await.1;
        assert_eq!(*asked.lock().unwrap(), 0, "nothing is sampled while nobody looks");

        item.open().await;
        assert_eq!(item.entry("CPU").await.label, "CPU 12.3 %");
        assert_eq!(item.entry("Memory").await.label, "Memory 5.0 MB");
        let after = item.layout().await.1;
        let all = |entries: &[super::host::Entry]| entries.iter().flat_map(|entry| entry.ids()).collect::<Vec<_>>();
        assert_eq!(all(&before), all(&after), "an open menu keeps its entries");
        for _ in 0..1000 {
            item.open().await;
        }
        assert!(*asked.lock().unwrap() < 30, "a fresh sample is not taken anew");

        for label in ["Open services.d", "Logs", "Open"] {
            let (_, entries) = item.layout().await;
            let details = entries.iter().find(|entry| entry.label == "Details").unwrap().clone();
            let entry = if label == "Open services.d" { item.entry(label).await } else { details.find(label).unwrap() };
            item.click(entry.id).await.unwrap();
        }
        // Clicks are answered before they are seen to.
        let all = async || Some(opened.lock().unwrap().clone()).filter(|opened| opened.len() == 3);
        let opened = eventually("all to be opened", all).await;
        let path = |path: &str| Target::Path(path.into());
        let url = Target::Url("http://localhost:8000".to_owned());
        assert_eq!(opened, [path("/project/services.d"), path("/state/services/web/output.log"), url]);
    });
}

#[test]
fn entries_keep_their_ids_while_the_set_is_unchanged_and_expire_when_it_changes() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let mut engine = Engine::showing(picture(vec![healthy("web"), failed("db")]));
        engine.tray();
        let item = host.item().await;
        let before = item.layout().await;
        let mut relaid = item.menu.receive_signal("LayoutUpdated").await.unwrap();

        let mut changed = failed("web");
        changed.wanted = false;
        engine.publish(picture(vec![changed, healthy("db")]));
        item.says("The web").await;
        let after = item.layout().await;
        assert_eq!(item.entry("The web — failed").await.checked, Some(false));
        let all = |layout: &(u32, Vec<super::host::Entry>)| -> Vec<i32> {
            layout.1.iter().flat_map(super::host::Entry::ids).collect()
        };
        assert_eq!((before.0, all(&before)), (after.0, all(&after)), "changed in place");

        let stale = item.entry("The db — healthy").await.id;
        engine.publish(picture(vec![healthy("web"), healthy("cache")]));
        item.entry("The cache").await;
        relaid.next().await.expect("the panel is told that the layout is another");
        assert!(item.click(stale).await.is_err(), "an expired entry is refused");
        assert!(engine.nothing_wished(), "a stale click does nothing");
        let fresh = item.layout().await;
        let reused = all(&fresh).into_iter().filter(|id| all(&after).contains(id)).count();
        assert_eq!(reused, 0, "no id means something else than before");

        let id_of_web = item.entry("The web").await.id;
        engine.publish(picture(vec![healthy("cache"), healthy("web")]));
        eventually("the new order", async || {
            let labels = item.layout().await.1.into_iter().filter(|entry| entry.checked.is_some());
            labels.map(|entry| entry.label).next().filter(|first| first.starts_with("The cache"))
        })
        .await;
        assert!(item.click(id_of_web).await.is_err(), "a change of order expires the ids as well");
        item.click(item.entry("The cache").await.id).await.unwrap();
        assert_eq!(engine.wish().await, Command::Stop(ids("cache")));
    });
}

#[test]
fn a_thousand_snapshots_are_a_few_updates_and_leave_nothing_behind() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let engine = Engine::showing(with_light(Light::Gray));
        engine.tray();
        let item = host.item().await;
        let (of, signal) = if GTK { (&item.menu, "ItemsPropertiesUpdated") } else { (&item.item, "NewToolTip") };
        let mut news = of.receive_signal(signal).await.unwrap();
        let seen = |round: usize| {
            let mut service = if round.is_multiple_of(2) { healthy("web") } else { failed("web") };
            service.reason = format!("round {round}.");
            service.light = Light::Red;
            picture(vec![service, healthy("db")])
        };
        engine.publish(seen(0));
        item.says("round 0.").await;
        let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let names = async || {
            let bus = zbus::fdo::DBusProxy::new(item.item.connection()).await.unwrap();
            bus.list_names().await.unwrap().len()
        };
        let before = (open_files(), tasks(), names().await, item.layout().await.1.len());

        let start = std::time::Instant::now();
        for round in 1..=1000 {
            engine.publish(seen(round));
            // Lets the tray have a look at each of them.
            tokio::task::yield_now().await;
        }
        item.says("round 1000.").await;
        let after = (open_files(), tasks(), names().await, item.layout().await.1.len());
        assert_eq!(before, after);
        let allowed = start.elapsed().as_millis() / 250 + 2;
        let mut told = 0;
        while let Ok(Some(_)) = tokio::time::timeout(std::time::Duration::ZERO, news.next()).await {
            told += 1;
        }
        assert!((1..=allowed + 1).contains(&told), "{told} updates, {allowed} allowed");
    });
}

#[test]
fn a_host_that_comes_late_or_comes_again_is_found() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let engine = Engine::showing(with_light(Light::Green));
        engine.tray();
        let looking = bus.connect().await;
        let names = zbus::fdo::DBusProxy::new(&looking).await.unwrap();
        eventually("the item's name on the bus", async || {
            let all = names.list_names().await.unwrap();
            (GTK || all.iter().any(|name| name.starts_with("org.kde.StatusNotifierItem-"))).then_some(())
        })
        .await;
        eventually("the tray to miss a host", async || (said("no tray host") == 1).then_some(())).await;
        let host = Host::appear(bus.connect().await).await;
        host.item().await.says("it is green").await;
        host.leave().await;
        let host = Host::appear(bus.connect().await).await;
        engine.publish(with_light(Light::Yellow));
        let item = host.item().await;
        item.says("it is yellow").await;
        assert_eq!(host.registrations(), 1);
    });
}

#[test]
#[cfg(not(feature = "gtk-tray"))]
fn a_bus_that_comes_late_or_dies_and_comes_again_is_found() {
    on_a_desktop(async |desktop| {
        let engine = Engine::showing(with_light(Light::Gray));
        let tray = engine.tray();
        for (round, light) in [Light::Green, Light::Red].into_iter().enumerate() {
            eventually("the tray to miss its bus", async || (said("no tray for now") == round + 1).then_some(())).await;
            let bus = desktop.start_bus();
            let host = Host::appear(bus.connect().await).await;
            let item = host.item().await;
            // Only a tray that has been set up to its end takes news.
            engine.publish(with_light(light));
            item.says(light.as_str()).await;
            assert!(!tray.is_finished());
        }
        eventually("the end of the second bus", async || (said("the session bus has gone") == 2).then_some(())).await;
        assert_eq!(said("no tray for now"), 3, "each absence is said once");
        engine.end();
        tray.await.expect("the tray ends with the engine");
    });
}

/// GTK can't take up a second bus.
#[test]
#[cfg(feature = "gtk-tray")]
fn a_bus_that_comes_late_is_found_and_one_that_dies_is_said() {
    on_a_desktop(async |desktop| {
        let engine = Engine::showing(with_light(Light::Gray));
        let desk = desk();
        let is_there = Arc::clone(&desk.is_there);
        let tray = engine.tray_on(desk);
        eventually("the tray to miss its bus", async || (said("no tray for now") == 1).then_some(())).await;
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        host.item().await.says("it is gray").await;
        engine.publish(with_light(Light::Red));
        host.item().await.shows(Light::Red).await;
        assert!(is_there.load(Ordering::Relaxed));
        drop(bus);
        tray.await.expect("the tray ends with its bus, and nothing else does");
        assert!(!is_there.load(Ordering::Relaxed));
        assert_eq!(said("no tray for now"), 1, "the absence is said once");
        assert_eq!(said("no tray until the agent is started again: the session bus has gone"), 1);
        let left = std::fs::exists(desktop.folder.join("pictures")).unwrap();
        assert!(!left, "nothing is left on the disk");
    });
}

#[test]
fn the_tray_ends_with_the_engine_and_leaves_the_panel() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        let engine = Engine::showing(with_light(Light::Green));
        let tray = engine.tray();
        let item = host.item().await;
        let mut news = item.item.receive_signal("NewStatus").await.unwrap();
        engine.end();
        tray.await.unwrap();
        if GTK {
            // The connection belongs to the process; the item on it is one that panels do not show.
            let news = news.next().await.expect("the panel is told");
            assert_eq!(news.body().deserialize::<String>().unwrap(), "Passive");
        } else {
            item.leaves().await;
        }
    });
}

#[test]
#[cfg(feature = "gtk-tray")]
fn an_icon_that_the_host_does_not_list_is_offered_again() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::forgetting(bus.connect().await, 1).await;
        let engine = Engine::showing(with_light(Light::Gray));
        engine.tray();
        let first = host.item().await;
        let second = host.item_after(1).await;
        assert_ne!(first.item.path(), second.item.path());
        engine.publish(with_light(Light::Red));
        second.shows(Light::Red).await;
        second.says("it is red").await;
        let status: String = first.item.get_property("Status").await.unwrap();
        assert_eq!(status, "Passive", "the library keeps it, but a panel hides it");
        assert_eq!(host.registrations(), 2);
    });
}
