//! Every mistake is told at its place, costs only what it concerns, and breaks nothing.

use pilotlight::domain::catalog::Role;
use pilotlight::domain::{Severity, catalog::Resolution};

use super::sources::{drop_in, errors, main_file, problems, resolved, source};

/// What `text` in services.json leads to, as `line:column: message (hint)`, worst first.
fn told(text: &str) -> Vec<String> {
    let resolution = resolved(&[main_file(text)]);
    let told = resolution.problems.iter().map(|problem| {
        let place = problem.place.as_ref().unwrap();
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}: {}{hint}", place.line, place.column, problem.message)
    });
    told.collect()
}

fn told_of(keys: &str) -> Vec<String> {
    told(&format!("{{\"services\": [{{\"id\": \"a\", \"command\": [\"a\"],\n{keys}\n}}]}}"))
}

/// Keys of a service with a mistake in them, and what is told of it.
pub const WRONG_VALUES: &[(&str, &str)] = &[
    (r#""name": 5"#, r#"2:9: "name" must be text, but is a number"#),
    (r#""enabled": "yes""#, r#"2:12: "enabled" must be true or false, but is text"#),
    (r#""tags": "x""#, r#"2:9: "tags" must be a list, but is text"#),
    (r#""tags": ["x", 1]"#, r#"2:15: an element of "tags" must be text, but is a number"#),
    (r#""env": []"#, r#"2:8: "env" must be an object, but is a list (write {"NAME": "value"})"#),
    (r#""env": {"A": [1]}"#, r#"2:14: "A" must be text, a number, true, false or null, but is a list"#),
    (r#""env": {"A=B": "1"}"#, "2:9: the name of a variable must not hold an equals sign"),
    (r#""default_port": 70000"#, r#"2:17: "default_port" must be a whole number from 1 to 65535"#),
    (r#""default_port": 0"#, r#"2:17: "default_port" must be a whole number from 1 to 65535"#),
    (r#""default_port": 80.5"#, r#"2:17: "default_port" must be a whole number from 1 to 65535"#),
    (r#""default_port": 1e999"#, r#"2:17: "default_port" must be a whole number from 1 to 65535"#),
    (r#""default_port": "80""#, r#"2:17: "default_port" must be a number, but is text"#),
    (r#""values": {"port": 99999}"#, "2:20: values.port must be a port from 1 to 65535"),
    (r#""values": {"port": {}}"#, r#"2:20: "port" must be text, a number, true, false or a list, but is an object"#),
    (r#""port_env": "A=B""#, r#"2:13: "port_env" must not hold an equals sign"#),
    (r#""settings": [{"default": 1}]"#, r#"2:14: this setting has no "key""#),
    (r#""restart": {"delay": "-1s"}"#, r#"2:22: "delay" must not be negative"#),
    (r#""restart": {"max_restarts": -1}"#, r#"2:29: "max_restarts" must be a whole number from 0 to 1000000"#),
    (r#""stop": {"timeout": 1e300}"#, r#"2:21: "timeout" is longer than a year"#),
    (
        r#""stop": {"signal": "SIGSTOP"}"#,
        r#"2:20: "signal" must be a signal's name, such as TERM, INT, QUIT, HUP, but is "SIGSTOP""#,
    ),
    (
        r#""restart": "on-failur""#,
        r#"2:12: "restart" must be one of "always", "on-failure", "never", but is "on-failur" (did you mean "on-failure"?)"#,
    ),
    (
        r#""health": {"tcp": 80, "interval": "soon"}"#,
        r#"2:35: "interval" must be a span of time such as "1500ms", "2s" or "5m", or a number of seconds"#,
    ),
    (r#""health": {"tcp": 80, "interval": 0}"#, r#"2:35: "interval" must be longer than zero"#),
    (r#""health": {"tcp": 80, "interval": "0.001ms"}"#, r#"2:35: "interval" must be at least 10 ms"#),
    (r#""health": {"tcp": 80, "timeout": 1e-9}"#, r#"2:34: "timeout" must be at least 10 ms"#),
    (r#""health": {"tcp": 80, "healthy_after": 0}"#, r#"2:40: "healthy_after" must be a whole number from 1 to 1000"#),
    (r#""health": {"tcp": "host:0"}"#, r#"2:19: "tcp" must be a port or "host:port", but is "host:0""#),
    (
        r#""health": {"http": "http://x/", "status": ["2xx"]}"#,
        r#"2:44: "status" must hold numbers or ranges from 100 to 599 (for example [200, "300-399"])"#,
    ),
    (
        r#""health": {"tcp": 80, "http": "/x"}"#,
        r#"2:19: a probe asks one thing, but this one has "http" and "tcp" (write a list of probes)"#,
    ),
    (
        r#""health": "/x""#,
        r#"2:11: there is no base URL for the path "/x" (give "default_port" or "base_url", or write a whole URL)"#,
    ),
    (
        r#""health": {"exec": "pg_isready -q"}"#,
        r#"2:20: "exec" must be a list of texts: program and arguments (for a line of shell write ["sh", "-c", "…"])"#,
    ),
    (r#""depends_on": ["x y"]"#, "2:16: the id may hold only letters, digits, dots, underscores and hyphens"),
    (r#""depends_on": [{"restart": true}]"#, r#"2:16: this dependency has no "id""#),
    (
        r#""shell": true"#,
        r#"2:10: "shell" wants a command that is text (write the command as one line, or leave "shell" out)"#,
    ),
    (r#""module": "a\u0000b""#, r#"2:11: "module" holds a NUL character"#),
];

#[test]
fn a_value_of_the_wrong_kind_is_told_where_it_stands() {
    for (keys, message) in WRONG_VALUES.iter().copied() {
        assert_eq!(told_of(keys), [message], "{keys}");
    }
}

#[test]
fn an_unknown_key_is_a_note_at_the_key_that_names_its_neighbour() {
    for (keys, message) in [
        (r#""autostart": true"#, r#"2:1: unknown key "autostart" (did you mean "auto_start"?)"#),
        (r#""x": 1, "commnd": 1"#, r#"2:1: unknown key "x""#),
        (r#""restart": {"dely": 1}"#, r#"2:13: unknown key "dely" (did you mean "delay"?)"#),
        (
            r#""health": {"grace": "1s"}"#,
            r#"2:11: "health" says how often to ask, but there is nothing to ask: running is healthy (add "http", "tcp", "unix", "exec", "log" or "file")"#,
        ),
        (r#""health": {"tcp": 80, "status": 200}"#, r#"2:23: unknown key "status""#),
        (r#""values": {"prot": 1}"#, r#"2:12: there is no setting "prot" (did you mean "port"?)"#),
    ] {
        assert_eq!(told_of(keys)[0], message, "{keys}");
        let resolution = resolved(&[main_file(&format!("{{\"id\": \"a\", \"command\": [\"a\"],\n{keys}}}"))]);
        assert_eq!(resolution.catalog.services.len(), 1, "{keys}");
    }
    assert_eq!(
        told(r#"{"servces": []}"#)[0],
        r#"1:1: nothing here is known: neither a service nor a list of services (did you mean "services"?)"#
    );
}

#[test]
fn a_duplicate_key_is_an_error_at_the_second_place() {
    assert_eq!(told_of(r#""env": {"A": "1", "A": "2"}"#), [r#"2:19: duplicate key "A" (it stands at line 2 already)"#]);
    assert_eq!(told_of(r#""name": "a", "name": "b""#), [r#"2:14: duplicate key "name" (it stands at line 2 already)"#]);
    let twice = r#"{"services": [{"id": "a", "command": "a"}], "services": []}"#;
    assert_eq!(told(twice), [r#"1:45: duplicate key "services" (it stands at line 1 already)"#]);
    assert_eq!(resolved(&[main_file(twice)]).catalog.services.len(), 1);
    assert_eq!(
        told(r#"{"services": {"a": {"command": "a"}, "a": {"command": "b"}}}"#),
        [r#"1:38: duplicate key "a" (it stands at line 1 already)"#]
    );
}

#[test]
fn null_means_absent_everywhere_but_in_an_environment() {
    let keys =
        r#""name": null, "tags": null, "health": null, "restart": {"delay": null}, "settings": null, "watch": null"#;
    assert_eq!(told_of(keys), [""; 0]);
}

#[test]
fn what_this_version_lacks_is_told_and_costs_nothing() {
    let agent = told_agent(r#"{"agent": {"dashboard": {}, "stop_on_exit": false}}"#);
    assert_eq!(
        problems(&agent, Severity::Note),
        ["services.json:1:12: \"agent.dashboard\" is not supported by this version and has no effect"]
    );
    assert!(!agent.catalog.agent.stop_on_exit && agent.catalog.agent.notifications);
}

fn told_agent(text: &str) -> Resolution {
    resolved(&[main_file(text)])
}

#[test]
fn an_id_must_be_safe_as_a_file_name() {
    for id in ["", "../x", "a/b", "-a", "ä"] {
        let text = format!(r#"{{"services": [{{"id": {id:?}, "command": "a"}}, {{"id": "ok", "command": "a"}}]}}"#);
        let resolution = resolved(&[main_file(&text)]);
        assert!(errors(&resolution)[0].starts_with("services.json:1:22: the id "), "{id}");
        assert_eq!(resolution.catalog.services.len(), 1);
    }
    assert!(told(r#"{"services": [{"command": "a"}]}"#)[0].starts_with("1:15: this service has no id"));
    assert!(
        told(r#"{"services": [7, {"id": 7}]}"#)[0].starts_with("1:15: a service must be an object, but is a number")
    );
    let resolution = resolved(&[drop_in("my worker.json", r#"{"command": "a"}"#)]);
    assert_eq!(
        resolution.problems[0].hint.as_deref(),
        Some("the file's name is taken as the id; give one with \"id\"")
    );
    assert_eq!(told(r#"{"command": "a"}"#).len(), 1, "the main file's name is no id");
}

#[test]
fn what_there_is_to_run_must_be_said() {
    for (service, message) in [
        (r#"{"id": "a"}"#, "this service has no command"),
        (r#"{"id": "a", "command": []}"#, "\"command\" names no program"),
        (r#"{"id": "a", "command": ""}"#, "\"command\" names no program"),
        (r#"{"id": "a", "command": {}}"#, "\"command\" must be text or a list of texts, but is an object"),
        (r#"{"id": "a", "type": "python"}"#, "a service of type \"python\" needs \"module\""),
        (r#"{"id": "a", "type": "api", "module": "m"}"#, "a service of type \"api\" needs a port"),
        (r#"{"id": "a", "type": "node", "args": ["run"]}"#, "a service of type \"node\" needs \"command\""),
        (r#"{"id": "a", "type": "node"}"#, "a service of type \"node\" needs \"command\""),
        (r#"{"id": "a", "type": "pyton"}"#, "the type \"pyton\" is not known, and there is no command"),
    ] {
        let resolution = resolved(&[main_file(&format!("[{service}]"))]);
        assert_eq!(resolution.problems[0].message, message, "{service}");
        assert!(resolution.catalog.services.is_empty());
        assert!(resolution.invalid.iter().any(|id| id.as_str() == "a"), "it is defined all the same");
    }
    let resolution = resolved(&[main_file(r#"{"id": "a", "type": "rocket", "command": ["a"]}"#)]);
    assert_eq!(problems(&resolution, Severity::Note).len(), 1);
    assert_eq!(resolution.catalog.services.len(), 1, "with a command it is a process");
}

#[test]
fn a_whole_line_as_the_program_is_told() {
    let told = told(r#"{"services": [{"id": "a", "command": "npm run dev"}, {"id": "b", "command": "/a b/c"}]}"#);
    assert_eq!(
        told,
        [
            r#"1:38: the program's name has a space in it: "npm run dev" (write a list: ["program", "argument"], or add "shell": true)"#
        ]
    );
}

#[test]
fn a_catalog_may_have_a_name_and_a_service_may_have_anything() {
    let named = drop_in("x.json", r#"{"name": "my changes", "types": {"t": {"command": ["t"]}}}"#);
    let resolution = resolved(&[named, drop_in("y.json", r#"{"type": "t", "agent": 1, "overrides": {}}"#)]);
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            r#"services.d/x.json:1:2: unknown key "name""#,
            r#"services.d/y.json:1:15: unknown key "agent""#,
            r#"services.d/y.json:1:27: unknown key "overrides""#,
        ]
    );
    assert_eq!(super::sources::spawn(&resolution, "y").argv, ["t"]);
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_line() {
    let text = "[\n  {\"id\": \"a\", \"command\": [\"a\"], \"name\": 1,\n   \"tags\": 2},\n  {\"id\": \"b\", \"command\": [\"b\"]}\n]";
    let resolution = resolved(&[main_file(text)]);
    let lines: Vec<_> = resolution.problems.iter().map(|problem| problem.excerpt.as_deref().unwrap()).collect();
    assert_eq!(lines, ["  {\"id\": \"a\", \"command\": [\"a\"], \"name\": 1,", "   \"tags\": 2},"]);
    let ids: Vec<_> = resolution.catalog.services.ids().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["b"]);
    assert!(resolution.problems.iter().all(|problem| problem.service.as_ref().unwrap().as_str() == "a"));
}

#[test]
fn the_same_id_twice_names_both_files_and_the_first_stays() {
    let files = [
        main_file(r#"[{"id": "a", "command": "first"}]"#),
        drop_in("a.json", r#"{"command": "second"}"#),
        drop_in("b.json", r#"[{"id": "b", "command": "b"}, {"id": "b", "command": "c"}]"#),
    ];
    let resolution = resolved(&files);
    assert_eq!(
        errors(&resolution),
        [
            "services.d/a.json:1:1: the id \"a\" is used twice: services.json:1:9 defines it",
            "services.d/b.json:1:38: the id \"b\" is used twice: services.d/b.json:1:9 defines it",
        ]
    );
    assert_eq!(super::sources::spawn(&resolution, "a").argv, ["first"]);
}

#[test]
fn agent_and_root_count_in_the_main_file_only() {
    let resolution = resolved(&[drop_in("x.json", r#"{"root": "x", "agent": {"stop_on_exit": false}}"#)]);
    assert_eq!(
        problems(&resolution, Severity::Note),
        [
            "services.d/x.json:1:2: \"root\" counts in the main file only",
            "services.d/x.json:1:15: \"agent\" counts in the main file only",
        ]
    );
    assert!(resolution.catalog.agent.stop_on_exit);
}

#[test]
fn a_source_that_is_no_catalog_at_all_is_told() {
    for text in ["5", "\"x\"", "null", "true"] {
        let resolution = resolved(&[source(Role::DropIn, "services.d/x.json", text)]);
        assert_eq!(errors(&resolution).len(), 1, "{text}");
    }
    for text in ["{}", "[]"] {
        assert_eq!(resolved(&[main_file(text)]).problems, [], "{text}");
    }
}

#[test]
fn a_mountain_of_mistakes_stays_readable_and_quick() {
    let keys: String = (0..50_000).map(|at| format!("\"unknown_{at}\": {at}, ")).collect();
    let told = told(&format!("{{\"id\": \"a\", \"command\": [\"a\"], {keys} \"name\": 1}}"));
    assert!(told[0].contains("\"name\" must be text"), "errors come first");
    assert_eq!(told.len(), 1001);
    assert!(told[1000].ends_with("more problems"));
    let deep = format!("{}1{}", "{\"a\": [".repeat(100), "]}".repeat(100));
    assert!(told_of(&format!("\"env\": {deep}")).len() == 1);
}

#[test]
fn who_writes_as_for_another_tool_is_told_what_it_is_called_here() {
    for (keys, hint) in [
        (r#""environment": {}"#, r#"here that is "env": {"NAME": "value"}"#),
        (r#""working_dir": "x""#, r#"here that is "directory""#),
        (r#""cmd": "x""#, r#"here that is "command""#),
        (r#""port": 80"#, r#"here that is "default_port""#),
        (r#""healthcheck": {}"#, r#"here that is "health", for example {"exec": ["program", "argument"]}"#),
        (r#""health": {"tcp": 1, "retries": 3}"#, r#"here that is "unhealthy_after""#),
        (r#""health": {"tcp": 1, "start_period": "3s"}"#, r#"here that is "grace""#),
        (r#""max_restarts": 3"#, r#"did you mean "restart.max_restarts"?"#),
        (r#""success_exit_codes": [0]"#, r#"did you mean "restart.success_exit_codes"?"#),
        (r#""backoff": "1s""#, r#"here that is "restart": {"delay": "1s"}"#),
        (r#""interval": "1s""#, r#"did you mean "health.interval"?"#),
        (r#""timeout": "1s""#, r#"did you mean "health.timeout" or "stop.timeout"?"#),
        (r#""retries": 3"#, r#"here that is "health": {"unhealthy_after": 3}"#),
        (r#""signal": "INT""#, r#"did you mean "stop.signal"?"#),
        (r#""restart": {"max_attempts": 3}"#, r#"here that is "max_restarts""#),
        (r#""restart": "unless-stopped""#, r#"here that is "always""#),
        (r#""stop_grace_period": "3s""#, r#"here that is "stop": {"timeout": "10s"}"#),
        (r#""depends_on": {"b": {}}"#, r#"write a list: ["a", {"id": "b", "condition": "completed"}]"#),
        (r#""depends_on": [{"service": "b"}]"#, r#"here that is "id""#),
        (
            r#""depends_on": [{"id": "b", "condition": "service_completed_successfully"}]"#,
            r#"here that is "completed""#,
        ),
        (r#""env": ["A=b"]"#, r#"write {"NAME": "value"}"#),
        (
            r#""ports": ["8000:8000"]"#,
            r#"its own port is "default_port"; further ones are written {"name": "…", "default_port": 8000}"#,
        ),
    ] {
        assert!(told_of(keys).iter().any(|told| told.ends_with(&format!("({hint})"))), "{keys}: {:?}", told_of(keys));
    }
    for text in [r#"{"web": "npm start"}"#, r#"{"web": {"cmd": "npm start"}}"#] {
        assert!(told(text)[0].contains("(services stand in \"services\": {"), "{text}");
    }
    assert!(told(r#"{"services": {"web": "npm start"}}"#)[0].contains("\"shell\": true} for a line of shell)"));
}

#[test]
fn a_name_in_an_argument_is_told_where_it_would_have_been_expanded() {
    let notes = |keys: &str| {
        let text = format!(r#"[{{"id": "a", "default_port": 80, {keys}}}]"#);
        problems(&resolved(&[main_file(&text)]), Severity::Note).len()
    };
    assert_eq!(notes(r#""command": ["serve", "0.0.0.0:$PORT"]"#), 1);
    assert_eq!(notes(r#""command": "serve", "args": ["--port=${PORT:-80}"]"#), 1);
    assert_eq!(notes(r#""type": "node", "command": "npm", "args": ["--bind", "$PORT"]"#), 1);
    assert_eq!(notes(r#""command": ["sh", "-c", "serve $PORT"]"#), 0);
    assert_eq!(notes(r#""command": ["awk", "{print $NF, $1}", "costs $$"]"#), 0);
    assert_eq!(notes(r#""command": "serve $PORT", "shell": true"#), 0);
}

#[test]
fn what_is_no_home_and_no_port_is_told() {
    assert_eq!(
        told_of(r#""directory": "~/src""#),
        [r#"2:14: "~" is a folder of that name: only a shell makes your home of it (write the whole path)"#]
    );
}
