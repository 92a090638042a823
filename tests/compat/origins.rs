//! Where values come from: what is said of each is what made it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pilotlight::domain::catalog::{Basis, Explained, InUse, Resolution, SourceFile, Surroundings, resolve};
use pilotlight::domain::{Kind, ServiceId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::bookshop::bookshop;
use super::sources::{ROOT, drop_in, errors, main_file, surroundings};

fn basis(files: &[Arc<SourceFile>], surroundings: &Surroundings) -> (Resolution, Basis) {
    let resolution = resolve(files, surroundings, &InUse::default());
    let basis = Basis {
        files: files.into(),
        surroundings: Arc::new(surroundings.clone()),
        in_use: Arc::new(resolution.in_use.clone()),
    };
    (resolution, basis)
}

fn explained(basis: &Basis, id: &str) -> Explained {
    basis.explain(&ServiceId::new(id).unwrap()).unwrap_or_else(|| panic!("no {id}"))
}

/// Value and origin by key.
fn table(explained: &Explained) -> BTreeMap<&str, (&Value, &str)> {
    let table: BTreeMap<_, _> =
        explained.values.iter().map(|given| (&*given.key, (&given.value, &*given.origin))).collect();
    assert_eq!(table.len(), explained.values.len(), "each key once");
    table
}

/// What is shown of every service is what is used of it.
fn hold_to_what_is_used(resolution: &Resolution, basis: &Basis) {
    for service in resolution.catalog.services.iter() {
        let id = &service.id;
        let explained = explained(basis, id.as_str());
        let table = table(&explained);
        let is = |key: &str, value: Value| assert_eq!(table[key].0, &value, "{key} of {id}");
        is("name", json!(service.display.name));
        is("group", json!(service.display.group));
        is("enabled", json!(service.enabled));
        is("auto_start", json!(service.auto_start));
        is("type", json!(service.type_name));
        is("port", json!(service.port));
        is("base_url", json!(service.url));
        is("dependencies", json!(service.talks_to));
        is("one_shot", json!(service.one_shot));
        is("restart.max_restarts", json!(service.restart.max_restarts));
        is("stop.signal", json!(service.stop.signal.name()));
        is("limits.memory", json!(service.limits.memory));
        assert_eq!(table["health"].0.as_array().map(Vec::len), Some(service.probes.len()), "{id}");
        let shown: BTreeMap<_, _> =
            table.iter().filter_map(|(key, (value, _))| Some((key.strip_prefix("env.")?, (*value).clone()))).collect();
        match &service.kind {
            Kind::Process(spawn) => {
                is("command", json!(spawn.argv));
                is("directory", json!(spawn.cwd));
                let mut used: BTreeMap<&str, Value> =
                    basis.surroundings.environment.iter().map(|(name, value)| (&**name, json!(value))).collect();
                used.extend(spawn.shared_env.iter().map(|(name, value)| (&**name, json!(value))));
                used.extend(spawn.env.iter().map(|(name, value)| (&**name, json!(value))));
                assert_eq!(shown, used, "{id}");
            }
            Kind::External | Kind::Detached | Kind::Settings => assert!(shown.is_empty(), "{id}"),
        }
        for (key, (_, origin)) in &table {
            let (kind, rest) = origin.split_once(' ').unwrap_or((origin, ""));
            let known = match kind {
                "default" => rest.is_empty(),
                "agent" => rest == "environment",
                "type" | "setting" => !rest.is_empty(),
                "env_file" => rest.rsplit(':').next().is_some_and(|line| line.parse::<u32>().is_ok()),
                place => {
                    let (file, line) = place.rsplit_once(':').unwrap_or_default();
                    basis.files.iter().any(|source| *source.name == *file) && line.parse::<u32>().is_ok_and(|it| it > 0)
                }
            };
            assert!(known, "{key} of {id}: {origin}");
        }
    }
}

#[test]
fn every_value_names_its_origin() {
    let mut surroundings = surroundings();
    surroundings.environment.extend([("B_PORT".into(), "4000".into()), ("PATH".into(), "/bin".into())]);
    surroundings.dotenv = vec![("FROM_DOTENV".into(), "x".into(), 7)];
    let lines = vec![("FROM_FILE".to_owned(), "f".to_owned(), 3)];
    surroundings.env_files.insert(PathBuf::from(ROOT).join("a.env"), Ok(lines));
    let files = [
        main_file(
            r#"{
  "types": {"mine": {"type": "python-web", "env": {"FROM_TYPE": "t"}, "restart": {"max_restarts": 9}}},
  "service_groups": {
    "core": {"name": "Core", "services": ["a"]}
  },
  "services": [
    {"id": "a", "type": "mine", "module": "a.main", "default_port": 3000, "base_url_env": "A_URL",
      "env_file": "a.env", "restart": {"delay": "5s"},
      "env": {"LEVEL": "info", "PATH": null},
      "settings": [{"key": "mode", "default": "fast", "env_map": "MODE", "secret": true},
        {"key": "depth", "default": 1, "env_export": "DEPTH", "arg_map": "--depth"}],
      "values": {"depth": 2}},
    {"id": "b", "command": "b", "default_port": 1, "port_env": "B_PORT", "restart": "always"}
  ],
  "backend_services": [{"id": "c", "module": "c", "default_port": 5000}]
}"#,
        ),
        drop_in(
            "z.json",
            "{\"overrides\": {\n \"a\": {\"env\": {\"LEVEL\": \"debug\"},\n  \"restart\": {\"window\": \"1m\"}}}}",
        ),
    ];
    let (resolution, basis) = basis(&files, &surroundings);
    assert_eq!(errors(&resolution), [""; 0]);
    hold_to_what_is_used(&resolution, &basis);
    let a = explained(&basis, "a");
    let rows = table(&a);
    for (key, value, origin) in [
        ("name", json!("a"), "default"),
        ("type", json!("mine"), "services.json:7"),
        ("module", json!("a.main"), "services.json:7"),
        ("directory", json!(ROOT), "default"),
        ("group", json!("core"), "services.json:4"),
        ("port", json!(3000), "services.json:7"),
        ("base_url", json!("http://localhost:3000"), "default"),
        ("health_endpoint", json!("/health"), "type python-web"),
        ("restart.policy", json!("on-failure"), "default"),
        ("restart.delay", json!("5s"), "services.json:8"),
        ("restart.window", json!("1m"), "services.d/z.json:3"),
        ("restart.max_restarts", json!(9), "type mine"),
        ("values.mode", json!("fast"), "setting mode"),
        ("values.depth", json!("2"), "services.json:12"),
        ("env.LEVEL", json!("debug"), "services.d/z.json:2"),
        ("env.PATH", Value::Null, "services.json:9"),
        ("env.FROM_TYPE", json!("t"), "type mine"),
        ("env.PYTHONUTF8", json!("1"), "type python"),
        ("env.FROM_FILE", json!("f"), "env_file a.env:3"),
        ("env.FROM_DOTENV", json!("x"), "env_file .env:7"),
        ("env.MODE", json!("fast"), "setting mode"),
        ("env.DEPTH", json!("2"), "setting depth"),
        ("env.PORT", json!("3000"), "services.json:7"),
        ("env.A_URL", json!("http://localhost:3000"), "default"),
        ("env.B_PORT", json!("4000"), "services.json:13"),
    ] {
        assert_eq!(rows.get(key).copied(), Some((&value, origin)), "{key}");
    }
    let python = "/usr/bin/python3 -m uvicorn a.main --host 0.0.0.0 --port 3000 --reload --depth 2";
    assert_eq!(rows["command"], (&json!(python.split(' ').collect::<Vec<_>>()), "type python-web"));
    assert_eq!(a.secrets, ["mode", "MODE"]);
    let b = explained(&basis, "b");
    let rows = table(&b);
    for (key, value, origin) in [
        ("command", json!(["b"]), "services.json:13"),
        ("type", json!("process"), "default"),
        ("port", json!(4000), "agent environment"),
        ("restart.policy", json!("always"), "services.json:13"),
        ("restart.delay", json!("0s"), "default"),
        ("env.PATH", json!("/bin"), "agent environment"),
        ("env.B_PORT", json!("4000"), "agent environment"),
        ("env.DEPTH", json!("2"), "setting depth"),
    ] {
        assert_eq!(rows.get(key).copied(), Some((&value, origin)), "{key}");
    }
    let c = explained(&basis, "c");
    assert_eq!(table(&c)["type"], (&json!("python-web"), "services.json:15"), "the list decides");
}

#[test]
fn what_is_shown_of_every_service_is_what_is_used_of_it() {
    let (resolution, basis) = basis(&bookshop(), &surroundings());
    hold_to_what_is_used(&resolution, &basis);
    let story = explained(&basis, "story");
    assert_eq!(table(&story)["directory"].1, "apps/shop/package.json:8", "its own folder is meant");
}

#[test]
fn of_a_last_good_definition_its_source_is_named_and_of_nothing_nothing() {
    let good = main_file(r#"[{"id": "a", "command": "a", "env": {"A": "1"}}]"#);
    let (resolution, _) = basis(&[good], &surroundings());
    let broken = [main_file(r#"[{"id": "a", "command": 7}, {"id": "b", "command": 7}]"#)];
    let now = resolve(&broken, &surroundings(), &resolution.in_use);
    let basis = Basis {
        files: broken.as_slice().into(),
        surroundings: Arc::new(surroundings()),
        in_use: Arc::new(now.in_use.clone()),
    };
    hold_to_what_is_used(&now, &basis);
    let a = explained(&basis, "a");
    assert_eq!(table(&a)["env.A"], (&json!("1"), "services.json:1"));
    for id in ["b", "nobody"] {
        assert_eq!(basis.explain(&ServiceId::new(id).unwrap()), None, "{id}");
    }
}

/// The ways to a variable, the weakest first.
const WAYS: [&str; 8] = ["inherited", "dotenv", "export", "type", "file", "setting", "env", "env_overrides"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_origin_of_a_variable_is_what_gave_its_value(ways in prop::collection::vec(any::<[bool; 8]>(), 1..5)) {
        // Each way gives its own name as the value, in a line of its own.
        let mut surroundings = surroundings();
        let (mut by, mut file) = (vec![Vec::new(); 8], Vec::new());
        for (index, ways) in ways.iter().enumerate() {
            for (way, _) in ways.iter().enumerate().filter(|(_, given)| **given) {
                by[way].push(format!("V{index}"));
            }
        }
        for name in &by[0] {
            surroundings.environment.insert(name.clone(), WAYS[0].to_owned());
        }
        surroundings.dotenv = by[1].iter().map(|name| (name.clone(), WAYS[1].to_owned(), 1)).collect();
        file.extend(by[4].iter().map(|name| (name.clone(), WAYS[4].to_owned(), 2)));
        surroundings.env_files.insert(PathBuf::from(ROOT).join("a.env"), Ok(file));
        let map = |way: usize| by[way].iter().map(|name| (name.clone(), json!(WAYS[way]))).collect::<serde_json::Map<_, _>>();
        let settings = |way: usize, key: &str| -> Value {
            by[way].iter().map(|name| json!({"key": format!("s{name}"), "default": WAYS[way], key: name})).collect()
        };
        let text = format!(
            "{{\"types\": {{\"t\": {{\"env\": {}}}}}, \"services\": [\n{}]}}",
            Value::Object(map(3)),
            json!({"id": "a", "type": "t", "command": "a", "env_file": "a.env", "settings": settings(5, "env_map"),
                "env": map(6), "env_overrides": map(7)}),
        );
        let other = json!({"id": "o", "type": "platform", "settings": settings(2, "env_export")}).to_string();
        let (resolution, basis) = basis(&[main_file(&text), drop_in("o.json", &other)], &surroundings);
        prop_assert_eq!(errors(&resolution), [""; 0]);
        hold_to_what_is_used(&resolution, &basis);
        let explained = explained(&basis, "a");
        let table = table(&explained);
        for (index, ways) in ways.iter().enumerate() {
            let row = table.get(&*format!("env.V{index}"));
            let expected = ways.iter().rposition(|given| *given).map(|way| {
                let setting = format!("setting sV{index}");
                let origin = match WAYS[way] {
                    "inherited" => "agent environment",
                    "dotenv" => "env_file .env:1",
                    "export" | "setting" => &setting,
                    "type" => "type t",
                    "file" => "env_file a.env:2",
                    _ => "services.json:2",
                };
                (WAYS[way], origin.to_owned())
            });
            let shown = row.map(|(value, origin)| (value.as_str().unwrap(), (*origin).to_owned()));
            prop_assert_eq!(shown, expected);
        }
    }
}
