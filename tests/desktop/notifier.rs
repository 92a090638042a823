//! The laws of the port `Notifier`, held to by the made-up desktop of the simulation and by a real bus alike.

use std::time::Duration;

use pilotlight::domain::{Event, Moment, Notice, NoticeKey, Snapshot, Urgency};
use pilotlight::engine::ports::Notifier;
use pilotlight::notify::DesktopNotifier;
use tokio::sync::mpsc;

use super::bus::{Bus, eventually, on_a_desktop};
use super::engine::Engine;
use super::fakes::Machine;
use super::notifications::Server;
use super::picture::id;

/// A notifier, and a desktop that comes and goes.
trait World {
    fn show(&mut self, notice: Notice);
    /// The desktop comes, empty, or goes.
    async fn is_there(&mut self, is_there: bool);
    /// The titles that stand on the desktop once one of them is `last`, in the order of their keys.
    async fn standing(&mut self, last: &str) -> Vec<String>;
    /// All titles that the present desktop was shown.
    async fn shown(&mut self) -> Vec<String>;
}

/// A test for each law on both worlds.
macro_rules! held_by_both {
    ($($law:ident),* $(,)?) => {
        mod made_up {
            use super::*;
            $(
                #[test]
                fn $law() {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(super::$law(&mut Made::new()));
                }
            )*
        }
        mod real {
            use super::*;
            $(
                #[test]
                fn $law() {
                    on_a_desktop(async |desktop| {
                        let bus = desktop.start_bus();
                        super::$law(&mut Real::on(bus).await).await;
                    });
                }
            )*
        }
    };
}

held_by_both! {
    a_repeat_takes_the_place_of_its_like_and_others_stand_beside_it,
    what_comes_while_nobody_shows_it_is_shown_later_the_latest_of_each,
    what_was_shown_is_not_shown_again_on_the_next_desktop,
}

async fn a_repeat_takes_the_place_of_its_like_and_others_stand_beside_it(world: &mut impl World) {
    world.is_there(true).await;
    for (service, title) in [("web", "web failed"), ("db", "db failed"), ("web", "web recovered")] {
        world.show(notice(service, title));
        world.standing(title).await;
    }
    assert_eq!(world.standing("web recovered").await, ["db failed", "web recovered"]);
    assert_eq!(world.shown().await, ["web failed", "db failed", "web recovered"]);
}

async fn what_comes_while_nobody_shows_it_is_shown_later_the_latest_of_each(world: &mut impl World) {
    world.is_there(false).await;
    for (service, title) in [("web", "web failed"), ("db", "db failed"), ("web", "web failed again")] {
        world.show(notice(service, title));
    }
    world.is_there(true).await;
    world.show(notice("worker", "worker failed"));
    let standing = world.standing("worker failed").await;
    assert_eq!(standing, ["db failed", "web failed again", "worker failed"]);
}

async fn what_was_shown_is_not_shown_again_on_the_next_desktop(world: &mut impl World) {
    world.is_there(true).await;
    world.show(notice("web", "web failed"));
    world.standing("web failed").await;
    world.is_there(false).await;
    world.is_there(true).await;
    world.show(notice("db", "db failed"));
    assert_eq!(world.standing("db failed").await, ["db failed"]);
    assert_eq!(world.shown().await, ["db failed"]);
}

fn notice(service: &str, title: &str) -> Notice {
    Notice {
        key: NoticeKey::Service(id(service)),
        urgency: Urgency::Critical,
        title: title.to_owned(),
        body: "exited with code 1".to_owned(),
        service: Some(id(service)),
    }
}

struct Made {
    machine: Machine,
    _facts: mpsc::UnboundedReceiver<Event>,
}

impl Made {
    fn new() -> Self {
        let (inbox, facts) = mpsc::unbounded_channel();
        Self { machine: Machine::new(Moment::at(Duration::from_secs(1000)), inbox), _facts: facts }
    }
}

impl World for Made {
    fn show(&mut self, notice: Notice) {
        self.machine.show(notice);
    }

    async fn is_there(&mut self, is_there: bool) {
        self.machine.desktop.is_there(is_there);
    }

    async fn standing(&mut self, last: &str) -> Vec<String> {
        let titles: Vec<String> = self.machine.desktop.standing.values().map(|notice| notice.title.clone()).collect();
        assert!(titles.iter().any(|title| title == last), "{last} among {titles:?}");
        titles
    }

    async fn shown(&mut self) -> Vec<String> {
        self.machine.desktop.shown.clone()
    }
}

struct Real {
    notifier: DesktopNotifier,
    bus: Bus,
    server: Option<Server>,
    _engine: Engine,
}

impl Real {
    async fn on(bus: Bus) -> Self {
        let engine = Engine::showing(Snapshot::empty());
        Self { notifier: DesktopNotifier::start(engine.handle.clone(), None), bus, server: None, _engine: engine }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the desktop is there")
    }
}

impl World for Real {
    fn show(&mut self, notice: Notice) {
        self.notifier.show(notice);
    }

    async fn is_there(&mut self, is_there: bool) {
        if let Some(server) = self.server.take() {
            server.leave().await;
        }
        if is_there {
            self.server = Some(Server::appear(self.bus.connect().await).await);
        }
    }

    async fn standing(&mut self, last: &str) -> Vec<String> {
        eventually("the notification to stand there", async || {
            let mut standing: Vec<_> = Vec::new();
            for shown in self.server().all() {
                standing.retain(|(id, _)| *id != shown.id);
                standing.push((shown.id, shown.title));
            }
            let mut titles: Vec<String> = standing.into_iter().map(|(_, title)| title).collect();
            // The titles of these laws begin with what their keys are about.
            titles.sort();
            titles.iter().any(|title| title == last).then_some(titles)
        })
        .await
    }

    async fn shown(&mut self) -> Vec<String> {
        self.server().all().into_iter().map(|shown| shown.title).collect()
    }
}
