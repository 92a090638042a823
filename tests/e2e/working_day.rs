//! One working day, with everything that happened counted against what should have.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::desk::{Desk, free_port, signal_process};
use crate::supervision::demo;

/// What the day has in it: services that only wait, and two that answer.
const WAITING: [&str; 6] = ["cache", "queue", "worker", "mailer", "search", "docs"];

/// Everything that is recorded as having happened, in order.
fn events(desk: &Desk) -> Vec<Value> {
    let text = desk.ok(&["events", "--json"]);
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// How often each service has been started.
fn starts(desk: &Desk) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    for event in events(desk).iter().filter(|event| event["kind"] == "started") {
        *starts.entry(event["service"].as_str().expect("it has one").to_owned()).or_default() += 1;
    }
    starts
}

/// The titles of all notifications.
fn notices(desk: &Desk) -> Vec<String> {
    let told = events(desk).into_iter().filter(|event| event["kind"] == "notice");
    told.map(|event| event["text"].as_str().expect("it has one").split(':').next().unwrap_or_default().to_owned())
        .collect()
}

/// The colours that the light has had.
fn lights(desk: &Desk) -> Vec<String> {
    let changes = events(desk).into_iter().filter(|event| event["kind"] == "light");
    changes
        .map(|event| event["text"].as_str().expect("it has one").split(':').next().unwrap_or_default().to_owned())
        .collect()
}

fn sleeper(argument: u32, description: u32) -> String {
    json!({"type": "process", "command": ["sleep", argument.to_string()], "description": description.to_string()})
        .to_string()
}

#[test]
fn a_working_day_restarts_tells_and_colours_exactly_what_it_should() {
    let mut desk = Desk::new();
    let (db, api) = (free_port(), free_port());
    let db_source = demo(db, json!({"auto_start": true}));
    let api_source =
        |description: &str| demo(api, json!({"auto_start": true, "depends_on": ["db"], "description": description}));
    desk.save("services.d/db.json", &db_source);
    desk.save("services.d/api.json", &api_source("morning"));
    let mut arguments = BTreeMap::new();
    for name in WAITING {
        arguments.insert(name, 1000);
        desk.save(&format!("services.d/{name}.json"), &sleeper(1000, 0));
    }
    let mut expected = BTreeMap::new();

    // Login, and everything is switched on.
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(lights(&desk), ["yellow", "green"]);
    desk.ok(&["start", "--all"]);
    for name in WAITING.iter().chain(&["db", "api"]) {
        expected.insert((*name).to_owned(), 1);
    }
    assert_eq!(starts(&desk), expected);

    // Thirty edits: those that change what is spawned restart that one service; all others restart nothing.
    for edit in 1..=30_u32 {
        let name = WAITING[edit as usize % WAITING.len()];
        let file = format!("services.d/{name}.json");
        let argument = arguments[name];
        let generation = desk.status()["generation"].as_u64().expect("a number");
        match edit % 5 {
            // What is spawned.
            0 => {
                arguments.insert(name, argument + 1);
                desk.save(&file, &sleeper(argument + 1, edit));
                *expected.get_mut(name).expect("it is listed") += 1;
            }
            // What is shown.
            1 => desk.save(&file, &sleeper(argument, edit)),
            // Truncated and written.
            2 => {
                desk.write(&file, "");
                desk.write(&file, &sleeper(argument, edit));
            }
            // Half-written for a moment.
            3 => {
                desk.write(&file, &sleeper(argument, edit)[..20]);
                desk.write(&file, &sleeper(argument, edit));
            }
            // Deleted and created again.
            _ => {
                desk.remove(&file);
                desk.save(&file, &sleeper(argument, edit));
            }
        }
        desk.until("the edit is in use", || {
            desk.status()["generation"].as_u64().is_some_and(|now| now > generation)
                && desk.service(name)["description"] == *edit.to_string()
        });
        desk.until("its consequence has come", || starts(&desk) == expected);
    }
    desk.until_light("green");

    // A branch switch rewrites every source; of what is spawned only one differs.
    for name in WAITING {
        let argument = arguments[name] + u32::from(name == "worker");
        desk.remove(&format!("services.d/{name}.json"));
        desk.write(&format!("services.d/{name}.json"), &format!(" {}\n", sleeper(argument, 100)));
    }
    desk.write("services.d/db.json", &format!("{db_source}\n"));
    desk.write("services.d/api.json", &api_source("other branch"));
    *expected.get_mut("worker").expect("it is listed") += 1;
    desk.until("the branch is in use", || {
        desk.service("docs")["description"] == "100" && desk.service("api")["description"] == "other branch"
    });
    desk.until("its consequence has come", || starts(&desk) == expected);
    desk.until_light("green");

    // A crash.
    let pid = desk.pid("db").expect("it runs");
    signal_process(pid, "KILL");
    *expected.get_mut("db").expect("it is listed") += 1;
    desk.until("it has come back", || starts(&desk) == expected);
    desk.until_light("green");
    assert_eq!(notices(&desk), Vec::<String>::new(), "a crash that heals at once is no news");

    // Its health breaks and mends.
    desk.ok(&["demo-service", "tell", &api.to_string(), "fail"]);
    desk.until_light("red");
    desk.until("it is told", || notices(&desk) == ["api is unhealthy"]);
    desk.ok(&["demo-service", "tell", &api.to_string(), "recover"]);
    desk.until("its recovery is told", || notices(&desk) == ["api is unhealthy", "api has recovered"]);
    desk.until_light("green");

    // The user stops one; the agent dies and another begins: nothing restarts, and what is stopped stays stopped.
    desk.ok(&["stop", "docs"]);
    let before = desk.pids();
    desk.kill_agent();
    desk.start_agent();
    desk.until_light("green");
    assert_eq!(desk.pids(), before);
    assert_eq!(starts(&desk), expected);

    // Quit, and the next login: what was switched on comes back by itself.
    desk.ok(&["shutdown"]);
    assert_eq!(desk.wait_agent(), Some(0));
    desk.start_agent();
    for (name, count) in &mut expected {
        *count += usize::from(name != "docs");
    }
    desk.until("all is up again", || starts(&desk) == expected);
    desk.until_light("green");
    assert_eq!(desk.service("docs")["process"], "stopped");
    assert_eq!(notices(&desk).len(), 2);
    assert!(!lights(&desk).iter().skip(2).any(|light| light == "gray"), "{:?}", lights(&desk));
}
