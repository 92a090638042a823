//! Completion as the shells themselves do it, with nothing running: names come from the files.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::desk::{Desk, PROGRAM};

/// A desk with a service that has actions, in a group; and the program on the PATH by its name.
fn desk() -> Desk {
    let desk = Desk::new();
    std::os::unix::fs::symlink(PROGRAM, desk.path("bin").join("pilotlight")).expect("the desk is ours");
    let actions = json!([{"name": "Clear cache", "command": ["true"]}, {"name": "seed", "command": ["true"]}]);
    let service = |id: &str, more: serde_json::Value| {
        let mut service = json!({"id": id, "type": "process", "command": ["sleep", "1000"], "group": "backend"});
        for (key, value) in more.as_object().expect("an object") {
            service[key] = value.clone();
        }
        service
    };
    let services = [service("main-api", json!({"actions": actions})), service("mail", json!({}))];
    desk.save("services.json", &json!({ "services": services }).to_string());
    desk
}

/// What `shell` prints for a script; `None` if there is no such shell, which must not be where all tests are required.
fn told(desk: &Desk, shell: &str, arguments: &[&str], script: &str) -> Option<String> {
    let inherited = std::env::var("PATH").expect("there is a PATH");
    let found = std::env::split_paths(&inherited).any(|folder| folder.join(shell).exists());
    if !found {
        assert!(std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none(), "{shell} is not installed");
        eprintln!("SKIPPED: {shell} is not installed");
        return None;
    }
    // Should a shell wait for ever, the test does not.
    let mut command = Command::new("timeout");
    command.args(["60", shell]).args(arguments).args(["-c", script]).current_dir(desk.path("project")).env_clear();
    command.env("PATH", format!("{}:{inherited}", desk.path("bin").display())).env("TERM", "dumb");
    command.env("HOME", desk.path("home")).env("XDG_RUNTIME_DIR", desk.path("run")).stdin(Stdio::null());
    let output = command.output().expect("it can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{shell}: {}: {out}{err}", output.status);
    Some(out.into_owned())
}

/// The candidates of bash for a line whose last word is being typed.
fn bash(desk: &Desk, words: &[&str]) -> Option<Vec<String>> {
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let (at, last) = (words.len() - 1, words[words.len() - 1]);
    let script = format!(
        "source <(pilotlight completions bash); COMP_WORDS=({list}); COMP_CWORD={at}; COMP_TYPE=9; \
         $(complete -p pilotlight | sed 's/.*-F \\([^ ]*\\).*/\\1/') pilotlight '{last}' x; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    // The function is called in this very shell, so that its answer is seen.
    let script = script.replace("$(complete", "f=$(complete").replace("/') pilotlight", "/'); $f pilotlight");
    Some(told(desk, "bash", &["--norc"], &script)?.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_ids_groups_and_actions() {
    let desk = desk();
    let Some(ids) = bash(&desk, &["pilotlight", "why", "ma"]) else { return };
    assert_eq!(ids, ["main-api", "mail"], "in the order of the files");
    let all = |words: &[&str]| bash(&desk, words).expect("it was there a moment ago");
    assert_eq!(all(&["pilotlight", "start", "mail", "main"]), ["main-api"]);
    assert_eq!(all(&["pilotlight", "stop", "--group", "b"]), ["backend"]);
    assert_eq!(all(&["pilotlight", "run-action", "main-api", "C"]), ["Clear\\ cache"]);
    assert_eq!(all(&["pilotlight", "sta"]), ["status", "start"]);
    let others = all(&["pilotlight", "run-action", "mail", ""]);
    assert!(!others.iter().any(|one| one == "seed"), "it has no action: {others:?}");
}

#[test]
fn fish_completes_ids_groups_and_actions() {
    let desk = desk();
    let complete = |line: &str| {
        let script = format!("pilotlight completions fish | source; complete -C '{line}'");
        let out = told(&desk, "fish", &["--no-config"], &script)?;
        Some(out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect::<Vec<_>>())
    };
    let Some(mut ids) = complete("pilotlight why ma") else { return };
    ids.sort();
    assert_eq!(ids, ["mail", "main-api"]);
    assert_eq!(complete("pilotlight stop --group b").expect("it is there"), ["backend"]);
    assert_eq!(complete("pilotlight run-action main-api C").expect("it is there"), ["Clear cache"]);
}

#[test]
fn zsh_completes_ids_groups_and_actions() {
    let desk = desk();
    // A zsh of its own types into another one, as a person would.
    for (line, completed) in [
        ("pilotlight why main", "*-api*"),
        ("pilotlight stop --group b", "*ackend*"),
        ("pilotlight run-action main-api C", "*lear\\\\ cache*"),
    ] {
        let script = format!(
            "zmodload zsh/zpty; zpty desk 'zsh -f -i'; \
             zpty -w desk 'PS1=; autoload -Uz compinit; compinit -u -D; source <(pilotlight completions zsh); echo rea''dy'; \
             zpty -r desk out '*ready*'; zpty -n -w desk $'{line}\\t'; zpty -r desk out '{completed}' && echo completed; \
             zpty -d desk"
        );
        let Some(out) = told(&desk, "zsh", &["-f"], &script) else { return };
        assert!(out.contains("completed"), "{line}: {out}");
    }
}

#[test]
fn where_nothing_is_defined_or_the_files_are_broken_completion_is_silent() {
    let desk = desk();
    desk.save("services.json", "{ broken");
    let Some(ids) = bash(&desk, &["pilotlight", "why", "ma"]) else { return };
    assert_eq!(ids.join(""), "");
}
