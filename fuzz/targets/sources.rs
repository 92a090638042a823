//! One source of any bytes and any role: it is read as JSON or told to be none, and what it defines is found or told to
//! be wrong, in words that point into it. And files of variables.
//!
//! The first byte tells which.
#![no_main]

#[allow(dead_code, reason = "other targets use the rest")]
mod read;

use std::collections::BTreeSet;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pilotlight::domain::catalog::{Content, InUse, Role, env_files_of, includes_of, resolve, services_of};
use pilotlight::domain::{Problem, text};
use pilotlight::sources::{Variables, parse_bytes, variables};

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let (role, path) = match first % 5 {
        0 => (Role::Main, "services.json"),
        1 => (Role::DropIn, "services.d/web.json"),
        2 => (Role::Include, "apps/web/package.json"),
        3 => (Role::Profile, "profiles/web.json"),
        _ => return variables_of(&String::from_utf8_lossy(bytes)),
    };
    agrees_with_serde(bytes);
    let file = read::source(role, path, bytes);
    if let Content::Broken(problem) = &file.content {
        points_into(problem, bytes);
    }
    let files = [file];
    let surroundings = read::surroundings("me");
    let resolution = resolve(&files, &surroundings, &InUse::default());
    resolution
        .problems
        .iter()
        .filter(|problem| problem.place.as_ref().is_some_and(|place| &*place.file == path))
        .for_each(|problem| points_into(problem, bytes));
    let defined = services_of(&files[0]);
    assert!(
        resolution.catalog.services.ids().all(|id| defined.contains(id)),
        "{:?}",
        resolution.catalog.services.ids().collect::<Vec<_>>()
    );
    includes_of(&files[0]);
    env_files_of(&files, &surroundings);
});

/// What we take for JSON is JSON, and what is JSON we take for it; but for how deep it may be and how large a number.
fn agrees_with_serde(bytes: &[u8]) {
    let ours = parse_bytes(&Arc::from("x.json"), bytes.to_vec());
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match (ours, serde_json::from_slice::<serde_json::Value>(bytes)) {
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => {
            let error = error.to_string();
            assert!(error.contains("recursion") || error.contains("number out of range"), "taken, but {error}");
        }
        (Err(problem), Ok(_)) => {
            let words = ["nested", "deep", "number", "large"];
            assert!(words.iter().any(|word| problem.message.contains(word)), "refused: {problem:?}");
        }
    }
}

/// Each name once, and every line named is one of the file's.
fn variables_of(text: &str) {
    let Variables { set, slips } = variables(text);
    let names: BTreeSet<&str> = set.iter().map(|(name, _, _)| &name[..]).collect();
    assert!(names.len() == set.len() && !names.contains(""), "{set:?}");
    let lines = text.matches('\n').count() + 1;
    let told = set.iter().map(|(_, _, line)| *line).chain(slips.iter().map(|(line, _)| *line));
    assert!(told.into_iter().all(|line| (1..=lines).contains(&(line as usize))), "{set:?} {slips:?}");
    assert!(set.iter().all(|(name, value, _)| text.contains(&name[..]) && value.len() <= text.len()), "{set:?}");
}

fn points_into(problem: &Problem, bytes: &[u8]) {
    let Some(place) = &problem.place else { return };
    let lines =
        bytes.iter().filter(|byte| **byte == b'\n').count() + bytes.iter().filter(|byte| **byte == b'\r').count() + 1;
    assert!(place.line as usize <= lines, "{problem:?} in {lines} lines");
    assert!(!problem.message.is_empty());
    if let Some(hint) = &problem.hint {
        // What is shown of it is cleaned where it is shown; that it can be must not depend on the words.
        let _ = text::plain(hint);
    }
}
