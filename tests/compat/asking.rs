//! Names in what a probe asks: what is not known never makes a service healthy.

use pilotlight::domain::catalog::{InUse, resolve};
use pilotlight::domain::{Check, Severity};

use super::sources::{errors, main_file, problems, resolved, service, surroundings};

/// What is asked of a service with these keys, and what is told.
fn asked(keys: &str) -> (Vec<Check>, Vec<String>) {
    let mut surroundings = surroundings();
    surroundings.dotenv.push(("KNOWN".into(), "k".into(), 1));
    surroundings.dotenv.push(("BOTH".into(), "shared".into(), 2));
    let text = format!(r#"[{{"id": "a", "command": "a", {keys}}}]"#);
    let resolution = resolve(&[main_file(&text)], &surroundings, &InUse::default());
    let probes =
        resolution.catalog.services.get("a").map(|a| a.probes.iter().map(|probe| probe.check.clone()).collect());
    let told = [Severity::Error, Severity::Warning, Severity::Note].into_iter().flat_map(|severity| {
        problems(&resolution, severity)
            .into_iter()
            .map(move |told| format!("{severity:?} {}", told.split_once(": ").unwrap().1))
    });
    (probes.unwrap_or_default(), told.collect())
}

fn exec(words: &str) -> (String, Vec<String>) {
    let env = r#""env": {"OWN": "o w", "BOTH": "own", "GONE": null}, "default_port": 80"#;
    let (checks, told) = asked(&format!(r#"{env}, "health": {{"exec": {words}}}"#));
    let [Check::Exec { argv }] = &*checks else { panic!("{checks:?} {told:?}") };
    (argv.join("|"), told)
}

#[test]
fn an_argument_gets_the_services_own_variables_first_and_what_is_not_known_stays() {
    for (words, argv, told) in [
        (r#"["x", "$OWN", "${BOTH}", "$KNOWN", "$PORT", "{port}", "$$A"]"#, "x|o w|own|k|80|80|$A", ""),
        (r#"["x", "$NOPE", "-${GONE}"]"#, "x|$NOPE|-${GONE}", "NOPE GONE"),
        (r#"["x", "${NOPE:-d}", "${OWN:-d}", "${NOPE:?why}"]"#, "x|d|o w|${NOPE:?why}", "NOPE"),
    ] {
        let told = told.split_whitespace();
        let told: Vec<_> =
            told.map(|name| format!("Note nothing is known by the name \"{name}\", which stays as it is")).collect();
        assert_eq!(exec(words), (argv.to_owned(), told), "{words}");
    }
}

#[test]
fn a_shell_keeps_the_names_that_only_it_knows_rightly() {
    for (script, left) in [
        (r#"test \"$OWN\" = y"#, r#"test "$OWN" = y"#),
        ("echo $BOTH ${BOTH:-x} $KNOWN $PORT", "echo $BOTH ${BOTH:-x} k 80"),
        ("i=1; echo $i ${i:-2} ${i#1} $? $$i", "i=1; echo $i ${i:-2} ${i#1} $? $i"),
    ] {
        for shell in [r#""sh", "-c""#, r#""/bin/bash", "-ec""#, r#""docker", "exec", "db", "sh", "-lc""#] {
            let (argv, told) = exec(&format!(r#"[{shell}, "{script}"]"#));
            assert!(argv.ends_with(&format!("|{left}")) && told.is_empty(), "{argv} {told:?}");
        }
    }
    assert_eq!(exec(r#"["python3", "-c", "f('$OWN', $i)"]"#), ("python3|-c|f('o w', $i)".to_owned(), vec![]));
}

#[test]
fn a_probe_with_a_name_that_is_not_known_asks_all_the_same() {
    for health in [
        r#""http://localhost:$NOPE/""#,
        r#"{"http": "http://x/$NOPE"}"#,
        r#"{"http": "http://x/", "body": "$NOPE"}"#,
        r#"{"tcp": "$NOPE:80"}"#,
        r#"{"unix": "$NOPE/sock"}"#,
        r#"{"file": "${NOPE}"}"#,
        r#"[{"tcp": 80}, {"file": "$NOPE"}]"#,
    ] {
        let (checks, told) = asked(&format!(r#""health": {health}"#));
        assert_eq!(told, ["Warning nothing is known by the name \"NOPE\", which stays as it is"], "{health}");
        assert_eq!(checks.len(), if health.starts_with('[') { 2 } else { 1 }, "{health}");
    }
    let (checks, _) = asked(r#""env": {"HOST": "h"}, "health": {"tcp": "$HOST:${NOPE:-81}"}"#);
    assert_eq!(checks, [Check::Tcp { host: "h".to_owned(), port: 81 }]);
}

#[test]
fn what_cannot_be_asked_at_all_is_an_error() {
    for (health, told) in [
        (r#"{"tcp": "$NOPE"}"#, r#""tcp" must be a port or "host:port", but is "$NOPE""#),
        (r#""http://localhost:{port}/""#, "there is no port for {port}"),
        (r#"{"exec": ["x", "{port}"]}"#, "there is no port for {port}"),
    ] {
        let text = format!(r#"[{{"id": "a", "command": "a", "health": {health}}}]"#);
        let errors = errors(&resolved(&[main_file(&text)]));
        assert!(errors.len() == 1 && errors[0].ends_with(told), "{health}: {errors:?}");
    }
}

#[test]
fn braces_that_are_not_understood_are_told_where_they_stand() {
    for (keys, odd) in [
        (r#""env": {"A": "${B:+x}"}"#, "${B:+x}"),
        (r#""env_overrides": {"A": "x ${B^^}"}"#, "${B^^}"),
        (r#""env": {"A": "${B"}"#, "${B"),
        (r#""base_url": "http://${HOST%.}/""#, "${HOST%.}"),
        (r#""health": "http://x/${B/a/b}""#, "${B/a/b}"),
    ] {
        let (_, told) = asked(keys);
        let expected = format!("Warning \"{odd}\" is not understood and stays as it is");
        assert_eq!(told, [expected], "{keys}");
    }
    let text = r#"[{"id": "a", "command": "a", "env": {"A": "$${B:+x} ${B:-${C-$$d}}"}}]"#;
    let resolution = resolved(&[main_file(text)]);
    assert_eq!(resolution.problems, []);
    assert_eq!(super::sources::environment(&resolution, "a")["A"], "${B:+x} $d");
    assert!(service(&resolution, "a").enabled);
}
