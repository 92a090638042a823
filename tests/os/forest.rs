//! Trees that grow at random: whatever a service's processes do to get away, after a kill none of them lives, and nobody
//! else is touched.
//!
//! A seed gives a tree of shell scripts, each started by another in one of many ways, each with habits of its own. The same tree
//! grows for a run that is to end, for another run, and for strangers: by name, command line and shape nothing tells them
//! apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pilotlight::domain::{Event, RunId, Signal};

use crate::conformance::{World, spawned};
use crate::dice::Dice;
use crate::world::{RealWorld, processes_in};

/// So many trees grow; more by `PILOTLIGHT_TREES`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("PILOTLIGHT_TREES").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// How a node is started by its parent; `@` is the node's number.
const WAYS: [&str; 8] = [
    "sh n@.sh &",
    // A wrapper that stays.
    "sh -c 'sh n@.sh; true' &",
    // It loses its parent and stays in its session.
    "(sh n@.sh &)",
    "setsid sh n@.sh &",
    // A daemon of old.
    "(setsid sh n@.sh &)",
    // Without the marker.
    "env -i /bin/sh n@.sh &",
    // Without session, parent and marker.
    "(setsid env -i /bin/sh n@.sh &)",
    // A reloader.
    "(while :; do sh n@.sh; done) &",
];

/// What a node does once its children are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Sleeps,
    /// It stops itself.
    Stops,
    /// It ends, and leaves its children.
    Leaves,
    /// It goes on to fork, each time another way.
    Storms,
}

#[derive(Debug)]
struct Node {
    is_deaf: bool,
    habit: Habit,
    /// The nodes that it starts, each in one of the [`WAYS`].
    children: Vec<(usize, &'static str)>,
}

/// A tree; the first node is its root.
#[derive(Debug)]
struct Tree(Vec<Node>);

impl Tree {
    fn grown(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let size = 4 + dice.among(8);
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..size {
            let habit = match (number, dice.among(8)) {
                // A root that ends or stops has tests of its own.
                (0, _) => Habit::Sleeps,
                (_, 0 | 1) => Habit::Stops,
                (_, 2) => Habit::Leaves,
                (_, 3) => Habit::Storms,
                (_, _) => Habit::Sleeps,
            };
            nodes.push(Node { is_deaf: dice.among(2) == 0, habit, children: Vec::new() });
            if let Some(others) = number.checked_sub(1) {
                let parent = dice.among(others + 1);
                let way = WAYS[dice.among(WAYS.len())];
                // Whoever ends by itself would be started anew for ever.
                let way = if nodes[number].habit == Habit::Leaves { WAYS[4] } else { way };
                nodes[parent].children.push((number, way));
            }
        }
        Self(nodes)
    }

    /// Writes the scripts into `folder`. In a `calm` tree nobody goes on to fork, so that those who live stay the same.
    fn plant(&self, folder: &Path, calm: bool) {
        for (number, node) in self.0.iter().enumerate() {
            let mut script = String::new();
            if node.is_deaf {
                script.push_str("trap '' TERM HUP INT\n");
            }
            for (child, way) in &node.children {
                script.push_str(&way.replace('@', &child.to_string()));
                script.push('\n');
            }
            let last = match node.habit {
                Habit::Storms if !calm => {
                    // Bounded, in case that the test fails.
                    "i=0; while [ $i -lt 100 ]; do i=$((i+1)); (setsid env -i /bin/sleep 1000 &); /bin/sleep 1000 & [ $i = 9 ] && : > up.@; done; exec /bin/sleep 1000"
                }
                Habit::Sleeps | Habit::Storms => ": > up.@; exec /bin/sleep 1000",
                // What it execs afterwards is never reached.
                Habit::Stops => ": > up.@; kill -STOP $$; exec /bin/sleep 1000",
                Habit::Leaves => ": > up.@; exit 0",
            };
            script.push_str(&last.replace('@', &number.to_string()));
            script.push('\n');
            fs::write(folder.join(format!("n{number}.sh")), script).unwrap();
        }
    }

    /// How many of a calm tree stay.
    fn settlers(&self) -> usize {
        self.0.iter().filter(|node| node.habit != Habit::Leaves).count()
    }

    /// Whether all of it has grown in `folder`.
    fn is_grown(&self, folder: &Path) -> bool {
        (0..self.0.len()).all(|number| folder.join(format!("up.{number}")).exists())
    }
}

/// The living in `folder`, each with what tells it from another with its number.
fn living_in(folder: &Path) -> BTreeMap<i32, String> {
    processes_in(folder).into_iter().filter_map(|pid| Some((pid, begun_at(pid)?))).collect()
}

/// Those in `folder` that have become what they stay: the others are about to end, or to become it.
fn settled_in(folder: &Path) -> BTreeMap<i32, String> {
    let is_settled = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains("(sleep)") || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    };
    living_in(folder).into_iter().filter(|(pid, _)| is_settled(pid)).collect()
}

/// When the process began, also one that is not collected yet.
fn begun_at(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(19).map(str::to_owned)
}

/// A tree that no agent has started, whose orphans come back to the agent.
fn strangers(world: &mut RealWorld, tree: &Tree, seed: u64) -> std::path::PathBuf {
    let folder = world.folder().work(&format!("strangers-{seed}"));
    fs::create_dir_all(&folder).unwrap();
    tree.plant(&folder, true);
    let mut command = Command::new("setsid");
    command.args(["sh", "n0.sh"]).current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
    // Once it is killed, it is collected as an orphan is.
    assert!(command.spawn().unwrap().id() > 1);
    folder
}

/// Starts `tree` as a run.
fn run(world: &mut RealWorld, tree: &Tree, calm: bool) -> (RunId, std::path::PathBuf) {
    let order = world.order_of(&["sh", "n0.sh"]);
    tree.plant(&order.spawn.cwd, calm);
    let folder = order.spawn.cwd.clone();
    world.spawn(order.clone());
    spawned(world, &order.run);
    (order.run, folder)
}

/// Waits until the agent says that all of `run` is over.
fn until_over(world: &mut RealWorld, run: &RunId, seed: u64) {
    loop {
        match world.next() {
            Event::Exited { run: of, left: 0, .. } if of == *run => return,
            Event::Ended { run: of, spared } if of == *run => {
                assert!(spared.is_empty(), "seed {seed}: {spared:?}");
                return;
            }
            Event::Exited { run: of, .. } if of == *run => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

#[test]
fn of_a_tree_that_grew_at_random_nothing_lives_after_the_kill_and_nobody_else_is_touched() {
    for seed in seeds() {
        let world = &mut RealWorld::new();
        let tree = Tree::grown(seed);
        let outside = strangers(world, &tree, seed);
        let (twin, beside) = run(world, &tree, true);
        let (wild, folder) = run(world, &tree, false);
        let what = format!("seed {seed} has grown: {tree:?}");
        let places = [&outside, &beside];
        world.wait_until(&what, || {
            tree.is_grown(&folder) && places.iter().all(|place| settled_in(place).len() == tree.settlers())
        });
        let before = places.map(|place| settled_in(place));
        let doomed = [&folder, &beside].map(|place| living_in(place));
        if seed % 3 == 1 {
            // The next agent knows them no worse.
            let found = world.next_agent();
            assert!(found.iter().any(|found| found.run == wild), "seed {seed}: {found:?}");
        }
        if seed % 3 == 2 {
            world.ask(&wild, Signal::Term);
        }
        world.kill(&wild);
        until_over(world, &wild, seed);
        assert_eq!(living_in(&folder), BTreeMap::new(), "seed {seed}: {tree:?}");
        assert_eq!(places.map(|place| settled_in(place)), before, "seed {seed}: {tree:?}");
        world.kill(&twin);
        until_over(world, &twin, seed);
        assert_eq!(living_in(&beside), BTreeMap::new(), "seed {seed}: {tree:?}");
        assert_eq!(settled_in(&outside), before[0], "seed {seed}: {tree:?}");
        if seed == 0 {
            let is_gone = |(pid, begun): (&i32, &String)| begun_at(*pid).as_ref() != Some(begun);
            world.wait_until("all that has ended is collected", || doomed.iter().flatten().all(is_gone));
        }
    }
}

#[test]
fn a_tree_that_is_killed_while_it_grows_is_gone_as_a_whole() {
    for seed in seeds() {
        let world = &mut RealWorld::new();
        let tree = Tree::grown(1000 + seed);
        let (wild, folder) = run(world, &tree, false);
        let last = format!("up.{}", Dice(seed).among(tree.0.len()));
        if seed % 2 == 1 {
            world.wait_until("a part of it has grown", || folder.join(&last).exists());
        }
        world.kill(&wild);
        until_over(world, &wild, seed);
        assert_eq!(living_in(&folder), BTreeMap::new(), "seed {seed}: {tree:?}");
    }
}

#[test]
fn who_has_left_session_and_parent_and_environment_is_still_of_its_run() {
    let world = &mut RealWorld::new();
    let order =
        world.start("(setsid env -i /bin/sh -c 'echo $$ > f; mv f fugitive; exec /bin/sleep 1000' &) ; read x < go");
    spawned(world, &order.run);
    let fugitive: i32 = world.wait_for_file(&order.run, "fugitive").trim().parse().unwrap();
    world.wait_until("it carries no marker", || {
        let environment = fs::read(format!("/proc/{fugitive}/environ")).unwrap_or_default();
        !String::from_utf8_lossy(&environment).contains("PILOTLIGHT") && comm(fugitive) == "sleep"
    });
    world.wait_until("only the two are left", || processes_in(&order.spawn.cwd).len() == 2);
    world.let_go(&order.run);
    assert_eq!(crate::conformance::exited(world, &order.run).1, 1);
    // The next agent finds it by the record of its run.
    let found = world.next_agent();
    assert!(found.iter().any(|found| found.run == order.run && found.pid.is_none()), "{found:?}");
    world.kill(&order.run);
    crate::conformance::ended(world, &order.run);
    assert_eq!(world.living(&order.run), 0);
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}
