//! The whole program where there is no bus, no panel and no notification server, or not yet, or not any more.

use pilotlight::domain::Light;
use serde_json::json;

use super::{User, eventually, free_port, idle, panel, playing};
use crate::bus::on_a_desktop;
use crate::host::Host;
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
        let (_bus, host) = panel(&desktop).await;
        let item = host.item().await;
        item.shows(Light::Gray).await;
        item.click(item.entry("Idle — stopped").await.id).await.unwrap();
        assert_ne!(user.process_of("idle").await, pid);
        assert_eq!(user.heard("no tray for now"), 2, "each absence is said once");
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
