//! The notifications of the whole program, and what their buttons do to real processes.

use pilotlight::domain::Light;
use serde_json::json;

use super::{User, eventually, free_port, is_alive, panel, playing};
use crate::bus::on_a_desktop;
use crate::notifications::Server;

#[test]
fn a_failure_is_told_with_its_cause_its_end_replaces_it_and_the_buttons_work() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        let port = free_port();
        let (mut user, item) = User::with_tray(&host, &[("web", playing("Web", port))]).await;
        item.shows(Light::Green).await;

        user.ok(&["demo-service", "tell", &port.to_string(), "fail", "--reason", "the disk is full"]).await;
        let failure = server.shows("Web is unhealthy").await;
        assert_eq!(failure.body, "answered 503 (the disk is full)");
        assert_eq!(failure.replaces, 0);
        item.shows(Light::Red).await;
        user.tell(port, "recover").await;
        let recovery = server.shows("Web has recovered").await;
        assert_eq!(
            (recovery.replaces, recovery.id),
            (failure.id, failure.id),
            "the end stands in place of the failure"
        );
        item.shows(Light::Green).await;

        user.tell(port, "fail").await;
        let failure = server.shows("Web is unhealthy").await;
        let log = pressed(&server, failure.id, "logs", async || {
            Some(std::fs::read_to_string(user.desk().path("opened")).ok()?).filter(|opened| opened.ends_with('\n'))
        })
        .await;
        assert!(log.trim_end().ends_with("services/web/output.log"), "{log}");

        // What was answered is not listened to any more: the next failure has buttons again.
        user.tell(port, "recover").await;
        server.shows("Web has recovered").await;
        user.tell(port, "fail").await;
        let failure = server.shows("Web is unhealthy").await;
        let before = user.process_of("web").await;
        pressed(&server, failure.id, "restart", async || (!is_alive(before)).then_some(())).await;
        item.shows(Light::Green).await;
        assert_ne!(user.process_of("web").await, before);
        assert_eq!(server.all().len(), 5, "what the user asked for is no news");
    });
}

#[test]
fn what_was_muted_is_silent_and_others_are_not() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        let (first, second) = (free_port(), free_port());
        let drop_ins = [("first", playing("First", first)), ("second", playing("Second", second))];
        let (mut user, item) = User::with_tray(&host, &drop_ins).await;
        item.shows(Light::Green).await;
        user.tell(first, "fail").await;
        let shown = server.shows("First is unhealthy").await;
        let daemon = zbus::fdo::DBusProxy::new(item.item.connection()).await.unwrap();
        let names = async || daemon.list_names().await.unwrap().len();
        let listening = names().await;
        // The listener goes when it has heard an answer.
        pressed(&server, shown.id, "mute", async || (names().await < listening).then_some(())).await;
        user.tell(first, "recover").await;
        item.shows(Light::Green).await;

        // Whatever there were to be told of the first would be told before the second's failure, which comes later.
        user.tell(first, "fail").await;
        user.sees("first", "health", "unhealthy").await;
        user.tell(second, "fail").await;
        server.shows("Second is unhealthy").await;
        let titles: Vec<_> = server.all().into_iter().map(|shown| shown.title).collect();
        assert_eq!(titles, ["First is unhealthy", "Second is unhealthy"]);
    });
}

#[test]
fn paused_notifications_are_not_shown_and_not_made_up_for() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        let (first, second) = (free_port(), free_port());
        let drop_ins = [
            ("first", playing("First", first)),
            ("second", playing("Second", second)),
            // Longer than a failure is held back for others to join it.
            ("timer", json!({"name": "Timer", "command": ["sleep", "2"], "one_shot": true})),
        ];
        let (mut user, item) = User::with_tray(&host, &drop_ins).await;
        item.shows(Light::Green).await;
        let pause = item.entry("Pause notifications").await;
        assert_eq!(pause.checked, Some(false));
        item.click(pause.id).await.unwrap();
        eventually("the mark at the entry", async || {
            item.entry("Pause notifications").await.checked.filter(|checked| *checked)
        })
        .await;

        user.tell(first, "fail").await;
        item.shows(Light::Red).await;
        user.ok(&["enable", "timer"]).await;
        user.sees("timer", "process", "completed").await;
        assert_eq!(server.all().len(), 0);

        item.click(item.entry("Pause notifications").await.id).await.unwrap();
        eventually("the mark to go", async || {
            item.entry("Pause notifications").await.checked.filter(|checked| !checked)
        })
        .await;
        user.tell(second, "fail").await;
        server.shows("Second is unhealthy").await;
        assert_eq!(server.all().len(), 1, "old troubles are not told late");
    });
}

#[test]
fn a_notification_server_that_hangs_holds_up_nothing() {
    on_a_desktop(async |desktop| {
        let (bus, host) = panel(&desktop).await;
        let server = Server::appear(bus.connect().await).await;
        server.hang(true);
        let (first, second) = (free_port(), free_port());
        let drop_ins = [("first", playing("First", first)), ("second", playing("Second", second))];
        let (mut user, item) = User::with_tray(&host, &drop_ins).await;
        item.shows(Light::Green).await;
        let asked = server.asked();
        user.tell(first, "fail").await;
        asked.await;
        // It has been asked, and does not answer.
        user.sees("first", "health", "unhealthy").await;
        item.shows(Light::Red).await;
        user.tell(first, "recover").await;
        item.shows(Light::Green).await;
        eventually("its silence to be noted", async || (user.heard("does not answer") > 0).then_some(())).await;
        assert_eq!(user.heard("notifications can't be shown for now"), 1);

        server.hang(false);
        user.tell(second, "fail").await;
        server.shows("Second is unhealthy").await;
        eventually("its return to be noted", async || (user.heard("notifications are shown again") == 1).then_some(()))
            .await;
    });
}

/// Presses a button until what comes of it is seen: nobody tells from when on it is listened to.
async fn pressed<T>(server: &Server, id: u32, button: &str, mut effect: impl AsyncFnMut() -> Option<T>) -> T {
    eventually(button, async || {
        server.press(id, button).await;
        effect().await
    })
    .await
}
