//! Chains of starts that were made up, as tables and at random.

use proptest::prelude::*;

use super::*;
use crate::domain::sample::{healthy, id, needs, stopped, wanted};
use crate::domain::{HealthState, Light};

fn at(millis: u64) -> Moment {
    Moment::at(Duration::from_millis(millis))
}

/// A service that was asked to start at `asked`, free at `free`, and ready at `ready`.
fn ready(name: &str, asked: u64, free: u64, ready: u64) -> ServiceView {
    let launch = Launch {
        free: Some(at(free)),
        tries: 1,
        tried: Some(at(free)),
        spawned: Some(at(free)),
        ready: Some(at(ready)),
        ..Launch::asked(at(asked))
    };
    ServiceView { launch: Some(Arc::new(launch)), ..healthy(name, 7) }
}

/// The same with a dependency that it waited for.
fn after(view: ServiceView, needed: &str, until: Option<u64>) -> ServiceView {
    let wait = Wait { id: id(needed), condition: Some(Condition::Healthy), until: until.map(at) };
    let view = change(view, |launch| launch.waits.push(wait));
    needs(view, needed)
}

fn change(view: ServiceView, edit: impl FnOnce(&mut Launch)) -> ServiceView {
    let mut launch = view.launch.as_deref().expect("it was started").clone();
    edit(&mut launch);
    ServiceView { launch: Some(Arc::new(launch)), ..view }
}

fn of(views: Vec<ServiceView>, ids: &[&str], now: u64) -> Critical {
    let views = views.into_iter().map(Arc::new).collect();
    Critical::of(&views, &ids.iter().map(|name| id(name)).collect::<Vec<_>>(), at(now))
}

/// "db 0-100, api 100-300".
fn words(chain: &Chain) -> String {
    let millis = |moment: Moment| moment.since_zero().as_millis();
    let link = |link: &Link| format!("{} {}-{}", link.id, millis(link.from), millis(link.to));
    chain.links.iter().map(link).collect::<Vec<_>>().join(", ")
}

fn names(found: &Critical) -> Vec<&str> {
    found.services.iter().map(|one| one.id.as_str()).collect()
}

#[test]
fn the_chain_is_of_those_that_were_waited_for_last() {
    let found = of(
        vec![
            after(after(ready("web", 0, 900, 1000), "api", Some(900)), "cache", Some(50)),
            after(ready("api", 0, 300, 900), "db", Some(300)),
            ready("db", 0, 0, 300),
            ready("cache", 0, 0, 50),
        ],
        &[],
        5000,
    );
    assert_eq!(words(&found.chains[0]), "db 0-300, api 300-900, web 900-1000");
    assert_eq!((found.begun, found.took, found.is_over), (Some(at(0)), Duration::from_secs(1), true));
    assert_eq!(names(&found), ["api", "db", "web", "cache"], "longest first");
    assert_eq!(found.chains[0].links[1].until, Some(Condition::Healthy));
}

#[test]
fn what_was_started_long_after_is_a_start_of_its_own_and_what_follows_shortly_is_not() {
    let views = |later| vec![ready("db", 0, 0, 300), ready("api", later, later, later + 100)];
    assert_eq!(names(&of(views(1200), &[], 90_000)), ["db", "api"]);
    let apart = of(views(2000), &[], 90_000);
    assert_eq!((names(&apart), apart.begun), (vec!["api"], Some(at(2000))));
    assert_eq!(names(&of(views(2000), &["db"], 90_000)), ["db"]);
}

#[test]
fn who_is_asked_for_gets_the_chain_that_led_to_it_alone() {
    let views = vec![
        ready("slow", 0, 0, 9000),
        after(ready("api", 0, 300, 900), "db", Some(300)),
        ready("db", 0, 0, 300),
        stopped("idle"),
    ];
    let found = of(views, &["api", "idle"], 20_000);
    assert_eq!(found.chains.iter().map(words).collect::<Vec<_>>(), ["db 0-300, api 300-900"]);
    assert_eq!(names(&found), ["api", "db"]);
    assert_eq!(found.unstarted, [id("idle")]);
}

#[test]
fn where_the_time_went_is_told_in_parts_that_sum_up() {
    let view = change(ready("api", 0, 300, 5000), |launch| {
        (launch.tries, launch.tried, launch.spawned) = (2, Some(at(1000)), Some(at(3000)));
        launch.stumbled = Some(at(400));
    });
    let with_steps = |mut view: ServiceView| {
        let step = crate::domain::Step { argv: vec!["make".to_owned()], timeout: Duration::from_secs(9) };
        Arc::make_mut(&mut view.service).before_start.push(Arc::new(step));
        view
    };
    let millis = Duration::from_millis;
    let expected = Spent { waiting: millis(300), in_vain: millis(700), on_steps: millis(2000), itself: millis(2000) };
    assert_eq!(of(vec![with_steps(view.clone())], &[], 9000).services[0].spent, expected);
    let plain = Spent { on_steps: millis(0), itself: millis(4000), ..expected };
    assert_eq!(of(vec![view], &[], 9000).services[0].spent, plain, "without steps there are none");
}

#[test]
fn what_is_under_way_has_taken_its_time_so_far_and_what_failed_is_said_to_have() {
    let under_way = |view: ServiceView| ServiceView {
        process: ProcessState::Starting,
        health: HealthState::Starting,
        ..change(view, |launch| launch.ready = None)
    };
    let db = ready("db", 0, 0, 300);
    let api = || after(ready("api", 0, 300, 900), "db", Some(300));
    let found = of(vec![db.clone(), under_way(api())], &[], 2300);
    assert_eq!(words(&found.chains[0]), "db 0-300, api 300-2300");
    assert!(!found.is_over);
    let failed = change(api(), |launch| (launch.ready, launch.stumbled) = (None, Some(at(700))));
    let failed = ServiceView { process: ProcessState::Failed, ..failed };
    let web = ServiceView {
        launch: Some(Arc::new(Launch::asked(at(0)))),
        ..wanted("web", ProcessState::Waiting, Light::Yellow, "waits")
    };
    let found = of(vec![db, failed, after(web, "api", None)], &[], 2300);
    assert_eq!(words(&found.chains[0]), "db 0-300", "it is the last that was ready");
    let states = found.services.iter().map(|one| (one.id.as_str(), one.state)).collect::<Vec<_>>();
    assert_eq!(states, [("api", Progress::NotReady), ("db", Progress::Ready), ("web", Progress::Waiting)]);
    assert!(found.is_over);
}

#[test]
fn a_chain_ends_where_what_was_waited_for_has_been_started_anew() {
    let api = after(ready("api", 0, 300, 900), "db", Some(300));
    let found = of(vec![ready("db", 5000, 5000, 5500), api], &["api"], 9000);
    assert_eq!(words(&found.chains[0]), "api 0-900");
    assert_eq!(found.chains[0].links[0].waited_for, Some(id("db")));
    assert_eq!(found.chains[0].links[0].spent.waiting, Duration::from_millis(300));
    assert_eq!(names(&found), ["api"]);
}

#[test]
fn what_an_earlier_agent_has_started_is_named_and_nothing_is_made_up() {
    let adopted = ServiceView { adopted: true, ..healthy("db", 7) };
    let found = of(vec![adopted, stopped("idle")], &[], 9000);
    assert_eq!((found.begun, found.chains.len(), found.is_over), (None, 0, true));
    assert_eq!(found.unstarted, [id("db")]);
}

/// Starts of up to nine services, each of which needs some of those before it; some are not ready, some late.
fn fleet() -> impl Strategy<Value = Vec<ServiceView>> {
    let one = (0..3000_u64, 0..400_u64, 0..4000_u64, prop::collection::vec(0..9_usize, 0..4), 0..8_u8);
    prop::collection::vec(one, 1..10).prop_map(|rolls| {
        let mut views: Vec<ServiceView> = Vec::new();
        for (index, (asked, delay, takes, needed, fate)) in rolls.into_iter().enumerate() {
            let name = format!("s{index}");
            let mut waits = Vec::new();
            for other in needed.iter().filter_map(|at| views.get(*at)) {
                let launch = other.launch.as_ref().expect("all were started");
                // Some are waited for until they are started, others until they are ready; some are not there yet.
                let there = if fate % 2 == 0 { launch.ready } else { launch.free.max(launch.spawned) };
                waits.push((other.id.clone(), there.map(|there| there.max(at(asked)))));
            }
            let is_free = waits.iter().all(|(_, until)| until.is_some());
            let last = waits.iter().filter_map(|(_, until)| *until).max().unwrap_or(at(asked));
            let free = last + Duration::from_millis(delay);
            let mut view = ready(&name, asked, 0, 0);
            view = change(view, |launch| {
                launch.free = is_free.then_some(free);
                launch.tried = launch.free;
                launch.spawned = launch.free.map(|free| free + Duration::from_millis(takes / 3));
                launch.ready = launch.free.map(|free| free + Duration::from_millis(takes));
                if fate == 5 {
                    launch.ready = None;
                    launch.stumbled = launch.spawned;
                }
                if fate == 6 {
                    launch.ready = None;
                }
            });
            for (needed, until) in waits {
                let until = until.map(|until| until.since_zero().as_millis() as u64);
                view = after(view, needed.as_str(), until);
            }
            views.push(view);
        }
        views
    })
}

proptest! {
    #[test]
    fn links_do_not_overlap_sum_up_to_the_whole_and_are_declared(views in fleet(), asked in 0..10_usize, now in 60_000..90_000_u64) {
        let views: Roll<_> = views.into_iter().map(Arc::new).collect();
        let ids = views.at(asked).map(|view| view.id.clone()).into_iter().collect::<Vec<_>>();
        let found = Critical::of(&views, &ids, at(now));
        prop_assert_eq!(found.chains.len(), 1);
        let begun = found.begun.expect("all were started");
        for chain in &found.chains {
            let (first, last) = (&chain.links[0], &chain.links[chain.links.len() - 1]);
            prop_assert!(begun <= first.from);
            for pair in chain.links.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
                let after = views.iter().find(|view| view.id == pair[1].id).expect("it is one of them");
                prop_assert!(after.service.depends_on.iter().any(|needed| needed.id == pair[0].id));
                prop_assert_eq!(pair[1].waited_for.as_ref(), Some(&pair[0].id));
                prop_assert!(pair[0].until.is_some());
            }
            prop_assert!(last.until.is_none());
            prop_assert_eq!(chain.took(), last.to.since(first.from));
            prop_assert_eq!(first.from.since(begun) + chain.took(), found.took);
            for link in &chain.links {
                prop_assert!(link.from <= link.to);
                prop_assert_eq!(link.spent.whole(), link.took());
                prop_assert!(found.services.iter().any(|one| one.id == link.id));
            }
        }
        let own = found.services.iter().map(|one| one.spent.own()).collect::<Vec<_>>();
        prop_assert!(own.is_sorted_by(|a, b| a >= b));
    }
}
