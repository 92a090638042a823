//! The whole program where there is no bus, no panel and no notification server, or not yet, or not any more.

use pilotlight::domain::Light;
use serde_json::json;

use super::{User, eventually, free_port, idle, panel, playing};
use crate::bus::on_a_desktop;
#[cfg(feature = "gtk-tray")]
use crate::display::Display;
use crate::host::{GTK, Host};
use crate::notifications::Server;

#[test]
fn without_a_bus_the_agent_works_says_so_once_and_has_a_tray_as_soon_as_there_is_one() {
    on_a_desktop(async |desktop| {
        let mut user = User::new();
        let mut service = idle("Idle");
        service["auto_start"] = json!(true);
        user.drop_in("idle", &service);
        user.start_agent(&["run"]).await;
        let pid = user.process_of("idle").await;
        assert_eq!(user.mode().await, "headless");
        eventually("the absence to be said", async || (user.heard("no tray for now") == 1).then_some(())).await;

        let (bus, host) = panel(&desktop).await;
        let item = host.item().await;
        item.shows(Light::Green).await;
        item.entry("Idle — healthy").await;
        assert_eq!(user.mode().await, "tray");

        drop(bus);
        eventually("the loss to be said", async || (user.heard("the session bus has gone") == 1).then_some(())).await;
        eventually("the tray to be missed", async || (user.mode().await == "headless").then_some(())).await;
        user.ok(&["stop", "idle"]).await;
        if GTK {
            // Another bus is of no use to GTK.
            assert_eq!(user.heard("no tray"), 2, "each absence is said once");
            user.ok(&["start", "idle"]).await;
            return;
        }
        let (_bus, host) = panel(&desktop).await;
        let item = host.item().await;
        item.shows(Light::Gray).await;
        item.click(item.entry("Idle — stopped").await.id).await.unwrap();
        assert_ne!(user.process_of("idle").await, pid);
        assert_eq!(user.heard("no tray for now"), 2, "each absence is said once");
    });
}

/// With GTK, a desktop is more than a bus.
#[test]
#[cfg(feature = "gtk-tray")]
fn without_a_display_the_agent_works_says_so_once_and_has_a_tray_as_soon_as_there_is_one() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut user = User::new();
        user.drop_in("idle", &idle("Idle"));
        // Far above those that servers choose for themselves.
        let name = format!(":{}", 1000 + std::process::id() % 50_000);
        user.set("DISPLAY", &name);
        let refused = user.runs(&["run", "--tray"]).await;
        assert_eq!(refused.status.code(), Some(1));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains("there is no display, so there can be no tray"), "{text}");

        user.start_agent(&["run"]).await;
        eventually("the absence to be said", async || (user.heard("no tray for now") == 1).then_some(())).await;
        user.ok(&["start", "idle"]).await;
        assert_eq!(user.mode().await, "headless");
        let _display = Display::start_as(&name);
        let item = host.item().await;
        item.shows(Light::Green).await;
        item.click(item.entry("Idle — healthy").await.id).await.unwrap();
        user.sees("idle", "process", "stopped").await;
        assert_eq!((user.mode().await.as_str(), user.heard("no tray for now")), ("tray", 1));
    });
}

#[test]
#[cfg(feature = "gtk-tray")]
fn without_the_library_the_agent_works_and_says_so_once() {
    on_a_desktop(async |desktop| {
        let (_bus, host) = panel(&desktop).await;
        let mut user = User::new();
        user.drop_in("idle", &idle("Idle"));
        // What the linker finds first can't be loaded.
        for name in ["libayatana-appindicator3.so", "libappindicator3.so"] {
            std::fs::write(user.desk().path(name), "").unwrap();
            std::fs::write(user.desk().path(&format!("{name}.1")), "").unwrap();
        }
        let broken = user.desk().path("").to_str().unwrap().to_owned();
        user.set("LD_LIBRARY_PATH", &broken);
        let refused = user.runs(&["run", "--tray"]).await;
        assert_eq!(refused.status.code(), Some(1));
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            text.contains("libayatana-appindicator3.so.1 is not installed") && !text.contains("panicked"),
            "{text}"
        );

        user.start_agent(&["run"]).await;
        eventually("the absence to be said", async || (user.heard("no tray: libayatana") == 1).then_some(())).await;
        user.ok(&["start", "idle"]).await;
        assert_eq!((user.mode().await.as_str(), user.heard("panicked")), ("headless", 0));
        assert_eq!(host.registrations(), 0);
    });
}

#[test]
fn a_tray_that_is_insisted_on_needs_a_bus() {
    on_a_desktop(async |desktop| {
        let mut user = User::new();
        let refused = async |user: &mut User| {
            let output = user.runs(&["run", "--tray"]).await;
            assert_eq!(output.status.code(), Some(1));
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(text.contains("there is no session bus") && text.contains("--headless"), "{text}");
        };
        refused(&mut user).await;
        // A bus that was killed has left its socket behind.
        drop(desktop.start_bus());
        assert!(desktop.folder.join("bus").exists());
        refused(&mut user).await;
        assert!(!user.runs(&["status"]).await.status.success(), "no agent was started");
    });
}

#[test]
fn a_tray_that_is_not_wanted_does_not_come() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let mut user = User::new();
        user.drop_in("timer", &json!({"command": ["sleep", "1"], "one_shot": true, "auto_start": true}));
        user.start_agent(&["run", "--headless"]).await;
        user.sees("timer", "process", "completed").await;
        assert_eq!((host.registrations(), user.mode().await.as_str()), (0, "headless"));
        drop(bus);
    });
}

#[test]
fn without_a_panel_the_agent_works_says_so_once_and_joins_one_that_comes() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let mut user = User::new();
        let mut service = idle("Idle");
        service["auto_start"] = json!(true);
        user.drop_in("idle", &service);
        user.start_agent(&["run", "--tray"]).await;
        user.process_of("idle").await;
        eventually("the absence to be said", async || (user.heard("no tray host for now") == 1).then_some(())).await;
        for round in 1..=3 {
            let host = Host::appear(bus.connect().await).await;
            let item = host.item().await;
            item.shows(Light::Green).await;
            item.entry("Idle — healthy").await;
            assert!(user.heard("no tray host for now") <= round, "each absence is said once");
            host.leave().await;
            user.ok(&["status"]).await;
        }
    });
}

#[test]
fn without_a_notification_server_nothing_is_held_up_and_one_that_comes_is_told() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let port = free_port();
        let (mut user, item) = User::with_tray(&host, &[("web", playing("Web", port))]).await;
        item.shows(Light::Green).await;
        user.tell(port, "fail").await;
        item.shows(Light::Red).await;
        let absence = "notifications can't be shown for now";
        eventually("the absence to be said", async || (user.heard(absence) == 1).then_some(())).await;
        let server = Server::appear(bus.connect().await).await;
        let shown = server.shows("Web is unhealthy").await;
        assert_eq!(shown.replaces, 0);
        user.tell(port, "recover").await;
        server.shows("Web has recovered").await;
        assert_eq!(user.heard(absence), 1);
    });
}

impl User {
    /// What `status` says of the tray.
    async fn mode(&mut self) -> String {
        self.does(|desk| desk.status()["agent"]["mode"].as_str().unwrap().to_owned()).await
    }
}
