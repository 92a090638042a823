//! The published schema says of each file what the reader says.

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use pilotlight::domain::Severity;
use pilotlight::domain::catalog::{Role, SCHEMA};
use serde_json::{Value, json};

use super::mistakes::WRONG_VALUES;
use super::policies::WRONG_POLICIES;
use super::real;
use super::sources::{main_file, resolved, source};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// The schema with every key that it does not know forbidden.
fn strict() -> Validator {
    let mut schema = schema();
    let defs = schema["$defs"].as_object_mut().unwrap();
    for def in defs.values_mut().filter(|def| def.get("properties").is_some() && def.get("$ref").is_none()) {
        def["additionalProperties"] = def.get("additionalProperties").cloned().unwrap_or(Value::Bool(false));
    }
    jsonschema::draft202012::new(&schema).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, what: &str, text: &str) {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}");
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All JSON files in `folder` and below.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let json = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "json"));
    json.filter_map(|file| Some((file.path().to_owned(), std::fs::read_to_string(file.path()).ok()?))).collect()
}

#[test]
fn it_is_a_schema() {
    jsonschema::meta::validate(&schema()).unwrap();
}

#[test]
fn our_example_and_every_good_fixture_is_valid() {
    let validator = validator();
    let mut all = files(&here("tests/fixtures/project"));
    all.extend(files(&here("services.d")));
    all.push((here("services.json"), std::fs::read_to_string(here("services.json")).unwrap()));
    assert!(all.len() > 7);
    for (path, text) in &all {
        assert_valid(&validator, &path.display().to_string(), text);
    }
}

#[test]
fn every_real_file_is_valid() {
    let Some(fixtures) = real::fixtures() else { return };
    let validator = validator();
    let all = ["services", "manifests", "package-json"].map(|folder| files(&fixtures.join(folder)));
    let all: Vec<_> = all.into_iter().flatten().collect();
    assert!(all.len() > 20);
    for (path, text) in &all {
        assert_valid(&validator, &path.display().to_string(), text);
    }
}

#[test]
fn every_key_of_the_documentation_is_known() {
    let page = std::fs::read_to_string(here("README.md")).unwrap();
    let block = regex::Regex::new(r"(?s)```json\n(.*?)```").unwrap();
    let strict = strict();
    let mut count = 0;
    for found in block.captures_iter(&page) {
        assert_valid(&strict, &found[1], &found[1]);
        count += 1;
    }
    assert!(count > 3);
    assert!(!strict.is_valid(&json!({"services": {"a": {"comand": "a"}}})));
    assert!(!strict.is_valid(&json!({"services": {"a": {"restart": {"polcy": "never"}}}})));
}

/// What no schema can tell: it would have to compare or compute, or know other files.
const BEYOND_A_SCHEMA: [&str; 7] = [
    // Spans and sizes that are text, as numbers.
    r#""health": {"tcp": 80, "interval": "0.001ms"}"#,
    // What it stands on.
    r#""health": "/x""#,
    // Patterns.
    r#""watch": ["a{b"]"#,
    r#""health": {"log": "a("}"#,
    r#""health": {"log": "x{1000}{1000}"}"#,
    // The same name in two elements.
    r#""actions": [{"name": "x", "command": "a"}, {"name": "x", "command": "b"}]"#,
    // No JSON for most readers.
    r#""default_port": 1e999"#,
];

#[test]
fn every_mistake_that_a_schema_can_tell_is_one_to_it_as_well() {
    let validator = validator();
    let mut differs = Vec::new();
    for keys in WRONG_VALUES.iter().chain(WRONG_POLICIES).map(|(keys, _)| *keys) {
        let text = format!("{{\"services\": [{{\"id\": \"a\", \"command\": [\"a\"], {keys}}}]}}");
        let is_wrong = resolved(&[main_file(&text)]).problems.iter().any(|it| it.severity == Severity::Error);
        let is_beyond = BEYOND_A_SCHEMA.contains(&keys);
        let is_invalid = serde_json::from_str(&text).is_ok_and(|value: Value| !validator.is_valid(&value));
        if is_invalid != (is_wrong && !is_beyond) {
            differs.push(keys);
        }
    }
    assert_eq!(differs, [""; 0]);
}

#[test]
fn of_the_manifest_of_a_package_it_judges_the_service_alone() {
    let validator = validator();
    let service = r#"{"id": "x", "command": "x"}"#;
    let wrong = r#"{"id": "x", "command": 7}"#;
    let (mut differs, mut wrong_ones) = (Vec::new(), 0);
    for mark in [
        r#""scripts": {"dev": "x"}"#,
        r#""private": true"#,
        r#""dependencies": {"react": "1"}"#,
        r#""devDependencies": {}"#,
        r#""peerDependencies": {}"#,
        r#""workspaces": ["apps/*"]"#,
        r#""packageManager": "pnpm@9""#,
        r#""exports": "./x.js""#,
    ] {
        for rest in [
            r#""name": "x""#.to_owned(),
            r#""name": "x", "service": "no", "types": "x.d.ts", "overrides": {"react": "2"}"#.to_owned(),
            r#""service": 7, "icon": 7, "type": "module", "files": [], "env": {}"#.to_owned(),
            r#""service": {}, "services": "no", "include": 7"#.to_owned(),
            r#""service": ["x"], "service_groups": 7"#.to_owned(),
            r#""service": null, "pixsim": null"#.to_owned(),
            r#""pixsim": 7, "service": "no""#.to_owned(),
            r#""pixsim": {"service": null}, "service": true"#.to_owned(),
            format!(r#""pixsim": {{"service": {service}}}, "service": "no""#),
            format!(r#""service": {service}"#),
            format!(r#""pixsim": {{"build": true}}, "service": {service}"#),
            format!(r#""service": {wrong}"#),
            format!(r#""pixsim": {{"build": true}}, "service": {wrong}"#),
            format!(r#""pixsim": null, "service": {wrong}"#),
            format!(r#""pixsim": {{"service": {wrong}}}"#),
            format!(r#""pixsim": {{"service": {service}}}, "service": {wrong}"#),
            r#""pixsim": {"service": 7}"#.to_owned(),
            r#""pixsim": {"service": "no"}, "service": "no""#.to_owned(),
        ] {
            let text = format!("{{{rest}, {mark}}}");
            let file = source(Role::Include, "apps/x/package.json", &text);
            let is_wrong = resolved(&[file]).problems.iter().any(|it| it.severity == Severity::Error);
            let is_invalid = !validator.is_valid(&serde_json::from_str(&text).unwrap());
            wrong_ones += usize::from(is_wrong);
            if is_invalid != is_wrong {
                differs.push(text);
            }
        }
    }
    assert_eq!(differs, [""; 0]);
    assert_eq!(wrong_ones, 8 * 6);
}

#[test]
fn what_is_no_manifest_of_a_package_is_not_taken_for_one_because_of_a_key() {
    let validator = validator();
    for text in [
        r#"{"services": [{"id": "a", "command": 7}], "scripts": {}}"#,
        r#"{"services": {"a": {"command": 7}}, "private": true}"#,
        r#"{"backend_services": [7], "scripts": {}}"#,
        r#"{"command": "a", "dependencies": {"a": "1"}}"#,
    ] {
        assert!(!validator.is_valid(&serde_json::from_str(text).unwrap()), "{text}");
    }
}

#[test]
fn files_full_of_mistakes_of_kind_are_invalid() {
    let validator = validator();
    for name in ["wrong-types", "out-of-range"] {
        for (path, text) in files(&here("tests/fixtures/bad").join(name)) {
            let text = text.replace("1e99", "-1");
            assert!(!validator.is_valid(&serde_json::from_str(&text).unwrap()), "{}", path.display());
        }
    }
    for text in ["42", "\"text\"", "true", "[1]", r#"{"services": {"a": 1}}"#, r#"{"services": [{"command": "a"}]}"#] {
        assert!(!validator.is_valid(&serde_json::from_str(text).unwrap()), "{text}");
    }
}

#[test]
fn null_is_absent_for_it_too() {
    let schema = schema();
    let names = schema["$defs"]["service"]["properties"].as_object().unwrap().keys();
    let nothing: Value = names.map(|name| (name.clone(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    assert_valid(&validator(), "nulls", &json!({"services": {"a": nothing, "b": null}}).to_string());
}

/// The source that has `value` under the last of `path`; digits are the place in a list.
fn wrapped(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, step| if step == "0" { json!([inner]) } else { json!({ step: inner }) })
}

#[test]
fn every_inner_key_is_one_that_is_read() {
    let schema = schema();
    for (def, path, needed) in [
        ("wrapper", "", json!({})),
        ("group", "service_groups.core", json!({})),
        ("agent", "agent", json!({})),
        ("dependency", "services.a.depends_on.0", json!({"id": "a"})),
        ("step", "services.a.before_start", json!({"command": "a"})),
        ("restart", "services.a.restart", json!({})),
        ("stop", "services.a.stop", json!({})),
        ("limits", "services.a.limits", json!({})),
        ("action", "services.a.actions.0", json!({"name": "a", "command": "a"})),
        ("notify", "services.a.notify", json!({})),
        ("log", "services.a.log", json!({})),
        ("setting", "services.a.settings.0", json!({"key": "a"})),
        ("probe", "services.a.health", json!({"http": "http://x/"})),
        ("probe", "services.a.health", json!({"file": "x"})),
    ] {
        let names = schema["$defs"][def]["properties"].as_object().unwrap().keys().map(String::as_str);
        // Of a probe, some keys belong to one kind alone.
        let others: &[&str] = match needed.get("http").or(needed.get("file")) {
            Some(_) if needed.get("http").is_some() => &["max_age"],
            Some(_) => &["status", "body"],
            None => &[],
        };
        let mut object = needed.as_object().unwrap().clone();
        for name in names.filter(|name| !others.contains(name)).chain(["nobody_knows_this"]) {
            object.entry(name).or_insert(Value::Null);
        }
        let source = if path.is_empty() {
            object.insert("service".to_owned(), json!({"id": "a", "command": "a"}));
            object.into()
        } else {
            wrapped(path, object.into())
        };
        let resolution = resolved(&[main_file(&source.to_string())]);
        let unknown = resolution.problems.iter().filter(|problem| problem.message.starts_with("unknown key"));
        let unknown: Vec<_> = unknown.map(|problem| problem.message.as_str()).collect();
        assert_eq!(unknown, ["unknown key \"nobody_knows_this\""], "{def}");
    }
}
