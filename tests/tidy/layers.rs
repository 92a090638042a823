//! Who may import whom, and what the domain may know of the world.

use regex::Regex;

use crate::source::Source;

/// Effects: they import the domain's types and the engine's ports, and never each other.
const EFFECTS: [&str; 9] = ["process", "watch", "sources", "probe", "logs", "state", "observe", "power", "git"];

/// Faces: they read the domain, wish through the engine's handle, and speak the wire.
const FACES: [&str; 4] = ["tray", "notify", "cli", "api"];

/// Crates that compute and do nothing else.
const PURE: [&str; 12] = [
    "std",
    "core",
    "indexmap",
    "petgraph",
    "strsim",
    "serde",
    "serde_json",
    "globset",
    "regex",
    "unicode_width",
    "aho_corasick",
    "base64",
];

/// Parts of `std` that touch the world.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "std::io",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// Imports of other parts of the crate that this part has no business with.
pub fn imports(source: &Source) -> Vec<String> {
    let own = source.layer();
    let Some(allowed) = allowed(own) else { return Vec::new() };
    own_paths(source)
        .into_iter()
        .filter(|(_, layer)| layer != own && !allowed.contains(&layer.as_str()))
        .map(|(at, layer)| source.breach(at, format_args!("`{own}` must not import `{layer}`")))
        .collect()
}

/// What the domain knows of files, networks, processes, threads, clocks and logs.
pub fn purity(source: &Source) -> Vec<String> {
    let mut breaches: Vec<_> = uses(source.shipped())
        .into_iter()
        .filter_map(|(at, path)| {
            let root = path.split("::").next().unwrap_or_default();
            let local = ["crate", "super", "self"].contains(&root) || declared(source, root);
            let what =
                if !local && !PURE.contains(&root) { format!("`{root}` is no pure crate") } else { impure(&path)? };
            Some(source.breach(at, what))
        })
        .collect();
    let inline =
        Regex::new(r"\b(?:std(?:::\w+)+|tokio::\w+|tracing::\w+|println!|eprintln!|Instant::now|SystemTime::now)")
            .unwrap();
    breaches.extend(inline.find_iter(source.shipped()).filter_map(|found| {
        let path = found.as_str();
        let what = if path.starts_with("std") { impure(path)? } else { format!("`{path}` is not pure") };
        Some(source.breach(found.start(), what))
    }));
    breaches.sort();
    breaches.dedup();
    breaches
}

/// What `layer` may import beside itself; `None` if it may import everything.
fn allowed(layer: &str) -> Option<Vec<&'static str>> {
    match layer {
        "domain" | "demo" | "open" => Some(vec![]),
        "engine" => Some(vec!["domain"]),
        "wire" => Some(vec!["domain", "engine"]),
        // Logs are read with no agent running, too.
        "cli" => Some(vec!["domain", "engine", "wire", "logs", "open"]),
        face if FACES.contains(&face) => Some(vec!["domain", "engine", "wire", "open"]),
        effect if EFFECTS.contains(&effect) => Some(vec!["domain", "engine"]),
        "app" | "main" | "lib" => None,
        // A part that no rule knows may import nothing, so that the rule gets written.
        _ => Some(vec![]),
    }
}

/// The parts of the crate that the shipped code names, by `crate::` or by climbing to the root.
fn own_paths(source: &Source) -> Vec<(usize, String)> {
    let climb = vec!["super"; source.depth()].join("::");
    let known = |layer: &str| allowed(layer).is_none_or(|list| !list.is_empty()) || ["domain", "demo"].contains(&layer);
    let inline = Regex::new(r"\b((?:super::)+|crate::)(\w+)").unwrap();
    let from_root = |path: &str| -> Option<String> {
        if let Some(rest) = path.strip_prefix("crate::") {
            return rest.split("::").next().map(str::to_owned);
        }
        let climbed = path.split("::").take_while(|part| *part == "super").count();
        let name = path.split("::").nth(climbed)?;
        (path.starts_with(&climb) && climbed >= source.depth() && known(name)).then(|| name.to_owned())
    };
    let mut paths: Vec<_> = uses(source.shipped())
        .into_iter()
        .filter_map(|(at, path)| Some((at, from_root(&path)?)))
        .chain(inline.find_iter(source.shipped()).filter_map(|found| Some((found.start(), from_root(found.as_str())?))))
        .filter(|(_, layer)| layer.chars().all(|letter| letter.is_lowercase() || letter == '_') && layer != "self")
        .collect();
    // The same import is found by its statement and by its words.
    paths.sort();
    paths.dedup_by(|a, b| a.1 == b.1 && source.breach(a.0, "") == source.breach(b.0, ""));
    paths
}

/// Whether `name` is a module that the file itself declares.
fn declared(source: &Source, name: &str) -> bool {
    Regex::new(&format!(r"\bmod {name}\b")).unwrap().is_match(&source.code)
}

fn impure(path: &str) -> Option<String> {
    let part = IMPURE
        .iter()
        .find(|part| path.strip_prefix(**part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))?;
    Some(format!("`{part}` is not pure"))
}

/// Every path that the code imports, one for each leaf of each tree.
fn uses(code: &str) -> Vec<(usize, String)> {
    let statement = Regex::new(r"(?ms)^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);").unwrap();
    statement
        .captures_iter(code)
        .flat_map(|found| {
            let tree = found.get(1).unwrap();
            let words: String = tree.as_str().replace(" as ", "\u{0}").split_whitespace().collect();
            leaves("", &words).into_iter().map(move |leaf| (tree.start(), leaf))
        })
        .collect()
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d`, `a::c::e`.
fn leaves(prefix: &str, tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split('\u{0}').next().unwrap_or_default();
        return vec![format!("{prefix}{path}").trim_end_matches("::self").to_owned()];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let mut depth = 0_usize;
    let branches = inner.split(|letter| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    let prefix = format!("{prefix}{head}");
    branches.filter(|branch| !branch.is_empty()).flat_map(|branch| leaves(&prefix, branch)).collect()
}

#[test]
fn a_tree_of_imports_has_all_its_leaves() {
    let code =
        "use std::{fmt::{self, Display}, io as files};\npub(crate) use crate::{\n    domain::Light,\n    wire,\n};\n";
    let paths: Vec<_> = uses(code).into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, ["std::fmt", "std::fmt::Display", "std::io", "crate::domain::Light", "crate::wire"]);
}

#[test]
fn an_import_of_a_sibling_or_from_above_is_found() {
    let breaches = |name: &str, text: &str| imports(&Source::new(name, text));
    assert_eq!(
        breaches("src/probe/http.rs", "use crate::process::Run;"),
        ["src/probe/http.rs:1: `probe` must not import `process`"]
    );
    assert_eq!(breaches("src/probe/http.rs", "use crate::{domain::Light, wire};").len(), 1);
    assert_eq!(breaches("src/probe/http.rs", "fn a() { crate::cli::run() }").len(), 1);
    assert_eq!(breaches("src/probe/http.rs", "use super::super::cli::run;").len(), 1);
    assert_eq!(breaches("src/probe/mod.rs", "use super::cli::run;").len(), 1);
    assert_eq!(breaches("src/tray/model.rs", "use crate::probe::Prober;").len(), 1);
    assert_eq!(breaches("src/engine/mod.rs", "use crate::state::Disk;").len(), 1);
    assert_eq!(breaches("src/domain/id.rs", "use crate::engine::Clock;").len(), 1);
    assert_eq!(breaches("src/novelty.rs", "use crate::domain::Light;").len(), 1);
}

#[test]
fn what_a_layer_may_import_is_no_breach() {
    let fine = [
        ("src/probe/http.rs", "use super::net;\nuse crate::domain::Light;\nuse crate::engine::ports::Inbox;"),
        ("src/probe/http.rs", "// use crate::cli\n#[cfg(test)]\nmod tests {\n    use crate::cli::run;\n}"),
        ("src/process/record.rs", "use super::state::State;"),
        ("src/cli/logs.rs", "use crate::logs::read;\nuse crate::wire::Status;"),
        ("src/app/mod.rs", "use crate::{cli, probe, tray};"),
        ("src/domain/catalog/resolve.rs", "use super::super::Light;\nuse crate::domain::Problem;"),
    ];
    for (name, text) in fine {
        assert_eq!(imports(&Source::new(name, text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn an_impure_domain_is_found() {
    let breaches = |text: &str| purity(&Source::new("src/domain/x.rs", text)).len();
    for text in [
        "use std::fs;",
        "use std::{fmt, time::{Duration, Instant}};",
        "use std::net::IpAddr;",
        "use tokio::sync::mpsc;",
        "use tracing::warn;",
        "use rustix::process;",
        "fn a() { std::fs::read(\"x\"); }",
        "fn a() { std::time::SystemTime::now(); }",
        "fn a() { tracing::info!(\"x\"); }",
        "fn a() { println!(); }",
    ] {
        assert_ne!(breaches(text), 0, "{text}");
    }
    for text in [
        "use std::time::Duration;",
        "mod id;\npub use id::Id;",
        "use super::id::Id;",
        "// std::fs\nuse indexmap::IndexMap;",
    ] {
        assert_eq!(breaches(text), 0, "{text}");
    }
}
