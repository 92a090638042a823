//! Notifications: what a server is told, what its buttons do, and how servers that hang, come and go are lived with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilotlight::domain::{Command, Notice, NoticeKey, Selection, ServiceId, Snapshot, Urgency};
use pilotlight::engine::ports::Notifier;
use pilotlight::notify::DesktopNotifier;

use super::bus::{eventually, on_a_desktop, said};
use super::engine::Engine;
use super::notifications::Server;
use super::picture::id;

/// What is said when there is no server.
const ABSENT: &str = "notifications can't be shown for now";

fn notice(service: &str, title: &str) -> Notice {
    Notice {
        key: NoticeKey::Service(id(service)),
        urgency: Urgency::Critical,
        title: title.to_owned(),
        body: "exited with code 1".to_owned(),
        service: Some(id(service)),
    }
}

/// Presses a button until the wish that comes of it arrives: nobody tells from when on it is listened to.
async fn pressed(server: &Server, id: u32, button: &str, engine: &mut Engine) -> Command {
    loop {
        server.press(id, button).await;
        if let Ok(command) = tokio::time::timeout(Duration::from_millis(20), engine.wish()).await {
            return command;
        }
    }
}

#[test]
fn a_notice_is_shown_escaped_with_its_urgency_and_buttons() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), Some(Arc::new(|_: &ServiceId| ())));
        notifier.show(Notice { body: "<b>1 & 2</b>\u{1b}[31m\nline".to_owned(), ..notice("web", "Web failed") });
        let shown = server.shows("Web failed").await;
        assert_eq!(shown.body, "&lt;b&gt;1 &amp; 2&lt;/b&gt;\nline");
        assert_eq!((shown.app.as_str(), shown.icon.as_str(), shown.replaces), ("Pilotlight", "dialog-error", 0));
        assert_eq!(u8::try_from(&shown.hints["urgency"]).unwrap(), 2);
        assert_eq!(shown.text("desktop-entry"), "pilotlight");
        let keys: Vec<_> = shown.actions.iter().step_by(2).collect();
        assert_eq!(keys, ["default", "restart", "logs", "mute"]);

        notifier.show(Notice { key: NoticeKey::Sources, service: None, ..notice("web", "A source is broken") });
        assert_eq!(server.shows("A source is broken").await.actions, [""; 0]);
    });
}

#[test]
fn a_repeat_and_the_recovery_replace_what_was_shown_and_others_stand_beside_it() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        notifier.show(notice("web", "Web failed"));
        let web = server.shows("Web failed").await;
        notifier.show(notice("db", "Database failed"));
        let db = server.shows("Database failed").await;
        assert_eq!((web.replaces, db.replaces), (0, 0));
        notifier.show(Notice { urgency: Urgency::Low, ..notice("web", "Web is back") });
        let back = server.shows("Web is back").await;
        assert_eq!(back.replaces, web.id);
        let tag = "x-canonical-private-synchronous";
        assert_eq!(back.text(tag), web.text(tag));
        assert_ne!(back.text(tag), db.text(tag));
    });
}

#[test]
fn the_buttons_restart_mute_and_open_the_log() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let mut engine = Engine::showing(Snapshot::empty());
        let opened = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&opened);
        let open_log = move |id: &ServiceId| noted.lock().unwrap().push(id.clone());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), Some(Arc::new(open_log)));
        let hour = Duration::from_secs(3600);
        for (button, command) in [
            ("restart", Command::Restart(Selection::Ids(vec![id("web")]))),
            ("mute", Command::Mute { id: id("web"), span: hour }),
        ] {
            notifier.show(notice("web", button));
            let shown = server.shows(button).await;
            assert_eq!(pressed(&server, shown.id, button, &mut engine).await, command);
        }
        for (count, button) in [(1, "logs"), (2, "default")] {
            notifier.show(notice("db", button));
            let shown = server.shows(button).await;
            let done = async || {
                server.press(shown.id, button).await;
                (opened.lock().unwrap().len() == count).then_some(())
            };
            eventually("the log to be opened", done).await;
        }
        assert_eq!(*opened.lock().unwrap(), [id("db"), id("db")]);
        assert!(engine.nothing_wished());
    });
}

#[test]
fn what_the_user_has_closed_is_not_replaced() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        notifier.show(notice("web", "0"));
        let first = server.shows("0").await;
        let mut count = 0;
        let mut last = first.clone();
        while last.replaces == first.id || count == 0 {
            server.close(first.id).await;
            count += 1;
            notifier.show(notice("web", &count.to_string()));
            last = server.shows(&count.to_string()).await;
        }
        assert_eq!(last.replaces, 0);
    });
}

#[test]
fn a_server_that_comes_late_shows_the_latest_of_each_and_one_that_comes_again_replaces_nothing() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        notifier.show(notice("web", "Web failed"));
        notifier.show(notice("web", "Web is back"));
        notifier.show(notice("db", "Database failed"));
        eventually("the notifier to find nobody", async || (said(ABSENT) == 1).then_some(())).await;
        let server = Server::appear(bus.connect().await).await;
        server.shows("Database failed").await;
        let titles: Vec<_> = server.all().into_iter().map(|shown| shown.title).collect();
        assert_eq!(titles, ["Web is back", "Database failed"]);
        server.leave().await;

        let server = Server::appear(bus.connect().await).await;
        notifier.show(notice("db", "Database failed again"));
        assert_eq!(server.shows("Database failed again").await.replaces, 0, "ids of another server mean nothing");
    });
}

#[test]
fn without_a_bus_nothing_happens_and_with_one_the_notice_is_shown() {
    on_a_desktop(async |desktop| {
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        notifier.show(notice("web", "Web failed"));
        eventually("the notifier to find no bus", async || (said(ABSENT) == 1).then_some(())).await;
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        server.shows("Web failed").await;
        assert_eq!(said(ABSENT), 1, "it is said once");
    });
}

#[test]
fn a_server_that_hangs_costs_one_notice_and_is_not_asked_by_many_at_once() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let hung = Server::appear(bus.connect().await).await;
        hung.hang(true);
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        tokio::join!(hung.asked(), async { notifier.show(notice("web", "Web failed")) });
        let before = open_files();
        (0..100).for_each(|n| notifier.show(notice(&format!("s{n}"), &n.to_string())));
        notifier.show(notice("db", "Database failed"));
        eventually("the notifier to lose its patience", async || (said("does not answer") == 1).then_some(())).await;
        assert!(open_files() <= before, "one call was in flight, the rest waited");
        hung.hang(false);
        hung.shows("Database failed").await;
        let shown = hung.all();
        assert!(shown.len() <= 32, "the queue is bounded");
        assert!(shown.iter().all(|shown| shown.title != "Web failed"), "nothing is shown twice, be it late");
    });
}

#[test]
fn many_notices_leave_no_more_behind_than_one() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let engine = Engine::showing(Snapshot::empty());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        let held = || {
            let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
            (files, tokio::runtime::Handle::current().metrics().num_alive_tasks())
        };
        let mut show = async |title: &str| {
            notifier.show(notice("web", title));
            server.shows(title).await;
        };
        show("first").await;
        show("second").await;
        // The connection of what has been replaced goes a moment later.
        let mut least = held();
        for n in 0..20 {
            show(&n.to_string()).await;
            least = least.min(held());
        }
        for n in 20..220 {
            show(&n.to_string()).await;
        }
        eventually("what was replaced to be let go", async || (held() <= least).then_some(())).await;
    });
}

#[test]
fn nothing_is_left_once_the_notifier_is_dropped() {
    on_a_desktop(async |desktop| {
        let bus = desktop.start_bus();
        let server = Server::appear(bus.connect().await).await;
        let engine = Engine::showing(Snapshot::empty());
        let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = (files(), tasks());
        let mut notifier = DesktopNotifier::start(engine.handle.clone(), None);
        notifier.show(notice("web", "Web failed"));
        server.shows("Web failed").await;
        drop(notifier);
        eventually("all to be let go", async || ((files(), tasks()) <= before).then_some(())).await;
    });
}
