//! Whatever has happened before, a resolver comes to what a new one comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use pilotlight::domain::Service;
use pilotlight::domain::catalog::{InUse, Resolution, Resolver, Role, SourceFile, Surroundings, resolve};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::sources::{ROOT, drop_in, source, surroundings};

/// A step in the life of sources.
#[derive(Clone, Debug)]
enum Edit {
    /// A source says something else, or the same anew.
    Write(usize, Value),
    /// The first service of a source that has one gets this as well.
    Amend(usize, Value),
    /// A source is gone.
    Remove(usize),
    /// What surrounds them says this.
    Surround(Option<&'static str>, Option<u8>),
}

/// Parts of services: each of them makes a service right or wrong in another way, or ties it to others.
fn part() -> impl Strategy<Value = Value> {
    let id = || 0..5_u8;
    prop_oneof![
        id().prop_map(|id| json!({"port_env": format!("S{id}_PORT"), "default_port": 1000 + u32::from(id)})),
        id().prop_map(|id| json!({"base_url_env": format!("S{id}_URL"), "default_port": 80})),
        (id(), id()).prop_map(|(own, other)| json!({
            "base_url_env": format!("S{own}_URL"), "base_url": format!("http://x:$S{other}_PORT/$NAME")})),
        id().prop_map(|id| json!({"env": {"UP": format!("$S{id}_URL"), "N": "$NAME"}})),
        id().prop_map(|id| json!({"depends_on": [format!("s{id}")]})),
        id().prop_map(|id| json!({"values": {"port": format!("$S{id}_PORT"), "level": "$NAME"}})),
        id().prop_map(|id| json!({"settings": [{"key": "level", "default": 3, "env_export": format!("L{id}")}]})),
        Just(json!({"values": {"level": "$LEVEL"}, "settings": [{"key": "level", "env_export": "LEVEL"}]})),
        Just(json!({"type": "web", "args": ["x"]})),
        Just(json!({"type": "python-web", "module": "m"})),
        Just(json!({"type": "external"})),
        Just(json!({"env_file": "x.env"})),
        Just(json!({"group": "Things"})),
        Just(json!({"health": "/health", "dscription": "a slip"})),
        Just(json!({"command": 5})),
        Just(json!({"stop": {"signal": "NONE"}})),
    ]
}

/// Parts that others notice hardly ever, but for some that they do.
fn private() -> impl Strategy<Value = Value> {
    let id = || 0..5_u8;
    prop_oneof![
        4 => (id(), 0..9_u8).prop_map(|(id, value)| json!({"env": {"UP": format!("$S{id}_URL"), "V": value.to_string()}})),
        4 => id().prop_map(|value| json!({"command": ["run", format!("--{value}"), "$NAME", "{port}"]})),
        2 => id().prop_map(|id| json!({"health": {"http": format!("http://x:$S{id}_PORT/")}})),
        2 => id().prop_map(|level| json!({"values": {"level": level}})),
        1 => part(),
    ]
}

/// `contents` with more for its first service.
fn amended(contents: &Value, part: Value) -> Value {
    let mut contents = contents.clone();
    let services = contents["services"].as_object_mut();
    if let (Some(Value::Object(service)), Value::Object(part)) =
        (services.and_then(|services| services.values_mut().next()), part)
    {
        service.extend(part);
    }
    contents
}

fn definition() -> impl Strategy<Value = Value> {
    proptest::collection::vec(part(), 0..4).prop_map(|parts| {
        let mut whole = json!({"command": ["run", "{port}"]});
        for part in parts {
            if let (Value::Object(whole), Value::Object(part)) = (&mut whole, part) {
                whole.extend(part);
            }
        }
        whole
    })
}

fn contents() -> impl Strategy<Value = Value> {
    let services = proptest::collection::btree_map("s[0-4]", definition(), 0..4);
    let types = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!({"web": {"command": ["serve", "{args}", "{port}"], "default_port": 90, "needs": ["port"]}})),
        1 => Just(json!({"web": {"command": ["other"], "env": {"T": "$S0_URL"}}})),
    ];
    let overrides = prop_oneof![
        3 => Just(Value::Null),
        1 => ("s[0-5]", part()).prop_map(|(id, part)| json!({id: part})),
    ];
    let groups = prop_oneof![
        2 => Just(Value::Null),
        1 => Just(json!({"g": {"name": "Things", "services": ["s0", "s9"]}})),
        1 => Just(json!({"h": {"services": ["s1", "s2"]}})),
    ];
    (services, types, overrides, groups).prop_map(|(services, types, overrides, groups)| {
        json!({"services": services, "types": types, "overrides": overrides, "service_groups": groups})
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        8 => (0..4_usize, contents()).prop_map(|(file, contents)| Edit::Write(file, contents)),
        8 => (0..4_usize, private()).prop_map(|(file, part)| Edit::Amend(file, part)),
        2 => (0..4_usize).prop_map(Edit::Remove),
        1 => (proptest::option::of(Just("me")), proptest::option::of(0..2_u8))
            .prop_map(|(name, file)| Edit::Surround(name, file)),
    ]
}

fn file(index: usize, contents: &Value) -> Arc<SourceFile> {
    match index {
        0 => source(Role::Main, "services.json", &contents.to_string()),
        index => drop_in(&format!("{index}.json"), &contents.to_string()),
    }
}

fn surrounded_by(name: Option<&str>, env_file: Option<u8>) -> Surroundings {
    let dotenv = name.map(|name| ("NAME".to_owned(), name.to_owned(), 1));
    let lines = env_file.map(|value| vec![("E".to_owned(), value.to_string(), 1)]);
    Surroundings {
        dotenv: dotenv.into_iter().collect(),
        env_files: lines.map(|lines| (PathBuf::from(ROOT).join("x.env"), Ok(lines))).into_iter().collect(),
        ..surroundings()
    }
}

/// All that comes of resolving, to the last variable: equal services may differ in what others export.
fn told(resolution: &Resolution) -> String {
    let Resolution { catalog, problems, env_files, invalid, in_use: _ } = resolution;
    format!("{catalog:#?}\n{problems:#?}\n{env_files:?}\n{invalid:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn after_any_edits_a_resolver_comes_to_what_a_new_one_comes_to(
        edits in proptest::collection::vec(edit(), 1..12),
    ) {
        let mut resolver = Resolver::default();
        let (mut files, mut surroundings, mut in_use) = (BTreeMap::new(), surroundings(), InUse::default());
        let mut said = BTreeMap::new();
        for edit in edits {
            match edit {
                Edit::Write(index, contents) => drop(said.insert(index, contents)),
                Edit::Amend(index, part) => drop(said.entry(index).and_modify(|it| *it = amended(it, part))),
                Edit::Remove(index) => drop(said.remove(&index)),
                Edit::Surround(name, env_file) => surroundings = surrounded_by(name, env_file),
            }
            // What has not changed is one and the same.
            files.retain(|index, (contents, _)| said.get(index) == Some(contents));
            for (index, contents) in &said {
                files.entry(*index).or_insert_with(|| (contents.clone(), file(*index, contents)));
            }
            let sources: Vec<_> = files.values().map(|(_, file)| Arc::clone(file)).collect();
            let fresh = resolve(&sources, &surroundings, &in_use);
            let resolution = resolver.resolve(&sources, &surroundings, &in_use);
            prop_assert_eq!(told(&resolution), told(&fresh));
            prop_assert_eq!(&resolution.in_use, &fresh.in_use);
            in_use = resolution.in_use;
        }
    }
}

fn services(resolution: &Resolution) -> BTreeMap<&str, &Arc<Service>> {
    resolution.catalog.services.iter().map(|service| (service.id.as_str(), service)).collect()
}

#[test]
fn only_what_a_change_concerns_is_resolved_again() {
    let definition = |id: &str, more: Value| {
        let mut definition = json!({"id": id, "command": [id], "group": "Things"});
        if let (Value::Object(definition), Value::Object(more)) = (&mut definition, more) {
            definition.extend(more);
        }
        drop_in(&format!("{id}.json"), &definition.to_string())
    };
    let mut files = vec![
        definition("base", json!({"base_url_env": "BASE", "default_port": 1})),
        definition("other", json!({"default_port": 2})),
        definition("user", json!({"env": {"UP": "$BASE/api"}})),
        definition("wrong", json!({"command": 5})),
    ];
    let mut resolver = Resolver::default();
    let mut resolve = |files: &[Arc<SourceFile>], in_use: &InUse| resolver.resolve(files, &surroundings(), in_use);
    let first = resolve(&files, &InUse::default());
    let renewed = |before: &Resolution, after: &Resolution| -> BTreeSet<String> {
        let (before, after) = (services(before), services(after));
        let is_new =
            |(id, service): &(&&str, &&Arc<Service>)| !before.get(**id).is_some_and(|old| Arc::ptr_eq(old, service));
        after.iter().filter(is_new).map(|(id, _)| (*id).to_owned()).collect()
    };

    let same = resolve(&files, &first.in_use);
    assert_eq!(renewed(&first, &same), [].into());

    files[1] = definition("other", json!({"default_port": 3}));
    let one = resolve(&files, &same.in_use);
    assert_eq!(renewed(&same, &one), ["other".to_owned()].into());

    // What others export is part of every environment.
    files[0] = definition("base", json!({"base_url_env": "BASE", "default_port": 4}));
    let all = resolve(&files, &one.in_use);
    assert_eq!(renewed(&one, &all), ["base", "other", "user"].map(str::to_owned).into());
    assert_eq!(super::sources::environment(&all, "user")["UP"], "http://localhost:4/api");
}

#[test]
fn what_nobody_else_notices_is_put_together_without_looking_at_the_others() {
    let definition = |id: &str, more: Value| {
        let mut definition = json!({"id": id, "command": [id]});
        if let (Value::Object(definition), Value::Object(more)) = (&mut definition, more) {
            definition.extend(more);
        }
        drop_in(&format!("{id}.json"), &definition.to_string())
    };
    let mut files = vec![
        definition("base", json!({"base_url_env": "BASE", "default_port": 1})),
        definition("user", json!({"env": {"UP": "$BASE/api"}, "depends_on": ["base"]})),
    ];
    let mut resolver = Resolver::default();
    let mut in_use = InUse::default();
    let mut is_touched_up = |files: &[Arc<SourceFile>]| {
        let before = resolver.touch_ups();
        let resolution = resolver.resolve(files, &surroundings(), &in_use);
        assert_eq!(told(&resolution), told(&resolve(files, &surroundings(), &in_use)));
        in_use = resolution.in_use;
        resolver.touch_ups() > before
    };
    assert!(!is_touched_up(&files), "there was none before");
    assert!(is_touched_up(&files));
    let user = |more: Value| {
        let mut whole = json!({"env": {"UP": "$BASE/api"}, "depends_on": ["base"]});
        if let (Value::Object(whole), Value::Object(more)) = (&mut whole, more) {
            whole.extend(more);
        }
        definition("user", whole)
    };
    for (more, is_its_own_business) in [
        (json!({"env": {"UP": "$BASE/v2", "OWN": "1"}}), true),
        (json!({"command": ["user", "--verbose"], "health": {"http": "$BASE/health"}}), true),
        (json!({"restart": "never", "auto_start": true}), true),
        (json!({"default_port": 2, "port_env": "USER_PORT"}), false),
        (json!({"default_port": 2, "port_env": "USER_PORT", "command": ["x"]}), true),
        (json!({"default_port": 2, "port_env": "BASE"}), false),
        (json!({}), false),
        (json!({"depends_on": []}), false),
        (json!({"depends_on": [], "group": "Things"}), false),
        (json!({"depends_on": [], "group": "Things", "command": ["x"]}), true),
        (json!({"env_file": "x.env"}), false),
        (json!({"commnd": "a slip"}), false),
        (json!({"command": 5}), false),
        (json!({}), false),
        (json!({"env": {}}), true),
    ] {
        files[1] = user(more.clone());
        assert_eq!(is_touched_up(&files), is_its_own_business, "{more}");
    }
    files.push(definition("more", json!({})));
    assert!(!is_touched_up(&files));
    files.remove(0);
    assert!(!is_touched_up(&files));
}
