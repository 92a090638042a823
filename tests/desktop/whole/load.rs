//! The whole program under a storm of troubles, and on a desktop that hangs: one notification, nothing is held up, nothing
//! piles up, and what hung works again when it comes to itself.

use std::path::Path;
use std::time::Duration;

use pilotlight::domain::Light;
use serde_json::{Value, json};

use super::{User, eventually, free_port, panel, playing};
use crate::bus::on_a_desktop;
use crate::host::{GTK, Host};
use crate::notifications::Server;

/// How many fail at a time.
const MANY: usize = 100;

/// The memory of the agent that is its own, in KiB.
fn memory(user: &User) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", user.desk().agent_pid())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the system tells it");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("it is a number")
}

/// A service that is well as long as this file is there.
fn living_by(name: &str, file: &Path) -> Value {
    json!({
        "name": name, "command": ["sleep", "100000"], "auto_start": true,
        "health": {"file": file, "interval": "200ms", "max_age": "1000h"},
    })
}

#[test]
fn a_hundred_that_fail_and_a_hundred_that_recover_are_one_notification_each() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        let heart = desktop.folder.join("heart");
        std::fs::write(&heart, "").unwrap();
        let mut drop_ins: Vec<_> =
            (0..MANY).map(|at| (format!("s{at}"), living_by(&format!("S{at}"), &heart))).collect();
        let port = free_port();
        drop_ins.push(("other".to_owned(), playing("Other", port)));
        let drop_ins: Vec<_> = drop_ins.iter().map(|(name, service)| (name.as_str(), service.clone())).collect();
        let (mut user, item) = User::with_tray(&host, &drop_ins).await;
        item.shows(Light::Green).await;

        std::fs::remove_file(&heart).unwrap();
        let failure = server.shows("100 services do not work").await;
        assert_eq!((failure.replaces, server.all().len()), (0, 1), "{:?}", server.all());
        assert!(failure.body.lines().count() < 10, "it sums up: {}", failure.body);
        item.shows(Light::Red).await;

        std::fs::write(&heart, "").unwrap();
        let recovery = server.shows("All of them have recovered").await;
        assert_eq!((recovery.id, server.all().len()), (failure.id, 2), "{:?}", server.all());
        item.shows(Light::Green).await;

        // Whatever else there were to be told of them would be told before this, which comes later.
        user.tell(port, "fail").await;
        server.shows("Other is unhealthy").await;
        assert_eq!(server.all().len(), 3, "{:?}", server.all());
    });
}

#[test]
fn a_bus_that_hangs_holds_up_nothing_and_what_happened_meanwhile_is_shown_when_it_goes_on() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        let (first, second) = (free_port(), free_port());
        let drop_ins = [("first", playing("First", first)), ("second", playing("Second", second))];
        let (mut user, item) = User::with_tray(&host, &drop_ins).await;
        item.shows(Light::Green).await;
        // Whether a connection to the bus is there already makes a difference to what hangs.
        for (round, (port, id, title)) in
            [(first, "first", "First is unhealthy"), (second, "second", "Second is unhealthy")].into_iter().enumerate()
        {
            bus.hang(true);
            // A light that changes again and again is no more to be kept than one that changes once.
            for _ in 0..4 {
                user.tell(port, "fail").await;
                user.sees(id, "health", "unhealthy").await;
                user.tell(port, "recover").await;
                user.sees(id, "health", "healthy").await;
            }
            user.tell(port, "fail").await;
            user.sees(id, "health", "unhealthy").await;
            eventually("the silence to be noted", async || {
                (user.heard("the session bus does not answer") > round).then_some(())
            })
            .await;
            bus.hang(false);
            eventually(title, async || server.all().iter().any(|shown| shown.title == title).then_some(())).await;
            item.shows(Light::Red).await;
            assert!(server.all().len() <= 3 * (round + 1), "{:?}", server.all());
            user.tell(port, "recover").await;
            item.shows(Light::Green).await;
        }
    });
}

#[test]
fn a_bus_that_hangs_from_the_beginning_costs_nothing_but_the_tray_which_comes_when_it_goes_on() {
    // What GTK waits for, it waits for.
    if GTK {
        return;
    }
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let port = free_port();
        let mut user = User::new();
        user.drop_in("web", &playing("Web", port));
        bus.hang(true);
        user.start_agent(&["run"]).await;
        user.sees("web", "health", "healthy").await;
        eventually("the silence to be said", async || (user.heard("no tray for now") == 1).then_some(())).await;
        user.tell(port, "fail").await;
        user.sees("web", "health", "unhealthy").await;
        bus.hang(false);
        let item = host.item().await;
        item.shows(Light::Red).await;
        assert_eq!(user.heard("no tray for now"), 1);
    });
}

#[test]
fn a_panel_that_never_answers_holds_up_nothing_and_shows_the_tray_when_it_does() {
    if GTK {
        return;
    }
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let host = Host::appear(bus.connect().await).await;
        host.hang(true);
        let port = free_port();
        let mut user = User::new();
        user.drop_in("web", &playing("Web", port));
        user.start_agent(&["run", "--tray"]).await;
        user.sees("web", "health", "healthy").await;
        eventually("it to be tried twice", async || (host.registrations() > 1).then_some(())).await;
        user.tell(port, "fail").await;
        user.sees("web", "health", "unhealthy").await;
        // Those that were given up have gone.
        let daemon = zbus::fdo::DBusProxy::new(&bus.connect().await).await.unwrap();
        eventually("the earlier items to go", async || {
            let names = daemon.list_names().await.unwrap();
            let items = names.iter().filter(|name| name.starts_with("org.kde.StatusNotifierItem-"));
            (items.count() <= 1).then_some(())
        })
        .await;
        let before = host.registrations();
        host.hang(false);
        let item = host.item_after(before).await;
        item.shows(Light::Red).await;
    });
}

#[test]
fn a_bus_that_is_killed_again_and_again_leaves_nothing_behind_and_each_new_one_has_tray_and_notifications() {
    // Another bus is of no use to GTK.
    if GTK {
        return;
    }
    on_a_desktop(async |desktop| {
        let port = free_port();
        let mut user = User::new();
        user.drop_in("web", &playing("Web", port));
        user.start_agent(&["run"]).await;
        let mut costs = Vec::new();
        for round in 1..=4 {
            let (bus, host) = panel(&desktop).await;
            let server = Server::appear(bus.connect().await).await;
            let item = host.item().await;
            item.shows(Light::Green).await;
            user.tell(port, "fail").await;
            tokio::time::timeout(Duration::from_secs(60), server.shows("Web is unhealthy")).await.expect("it is told");
            item.shows(Light::Red).await;
            drop((item, host, server, bus));
            user.tell(port, "recover").await;
            user.sees("web", "health", "healthy").await;
            eventually("the loss to be said", async || (user.heard("the session bus has gone") == round).then_some(()))
                .await;
            let files = std::fs::read_dir(format!("/proc/{}/fd", user.desk().agent_pid())).unwrap().count();
            costs.push((files, memory(&user)));
        }
        let ((files, memory), (files_after, memory_after)) = (costs[1], costs[3]);
        assert!(files_after <= files + 2 && memory_after <= memory + 3072, "files and KiB: {costs:?}");
    });
}
