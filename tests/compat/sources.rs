//! Builds sources from text, and asks resolutions what they hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pilotlight::domain::catalog::{Content, InUse, Resolution, Role, SourceFile, Surroundings, resolve};
use pilotlight::domain::{Kind, Service, Severity, Spawn};
use pilotlight::sources::parse;

/// The root of everything.
pub const ROOT: &str = "/srv/project";

/// A source at `path` below the main file's folder.
pub fn source(role: Role, path: &str, text: &str) -> Arc<SourceFile> {
    let name: Arc<str> = path.into();
    let node = parse(&name, text).unwrap_or_else(|problem| panic!("{path}: {problem:?}"));
    let content = Content::Parsed(Arc::new(node), text.into());
    Arc::new(SourceFile { name, path: Path::new(ROOT).join(path), role, content })
}

/// The main file.
pub fn main_file(text: &str) -> Arc<SourceFile> {
    source(Role::Main, "services.json", text)
}

/// A drop-in.
pub fn drop_in(name: &str, text: &str) -> Arc<SourceFile> {
    source(Role::DropIn, &format!("services.d/{name}"), text)
}

/// What definitions refer to.
pub fn surroundings() -> Surroundings {
    Surroundings { root: PathBuf::from(ROOT), python: "/usr/bin/python3".to_owned(), ..Surroundings::default() }
}

/// Resolves with nothing in use.
pub fn resolved(files: &[Arc<SourceFile>]) -> Resolution {
    resolve(files, &surroundings(), &InUse::default())
}

/// The service `id`, which must be there.
pub fn service<'r>(resolution: &'r Resolution, id: &str) -> &'r Service {
    let found = resolution.catalog.services.get(id);
    found.unwrap_or_else(|| panic!("no {id}; problems: {:#?}", resolution.problems))
}

/// What is spawned for `id`.
pub fn spawn<'r>(resolution: &'r Resolution, id: &str) -> &'r Spawn {
    match &service(resolution, id).kind {
        Kind::Process(spawn) => spawn,
        other => panic!("{id} is {other:?}"),
    }
}

/// What `id` has in its environment, inherited variables aside.
pub fn environment(resolution: &Resolution, id: &str) -> BTreeMap<String, String> {
    let spawn = spawn(resolution, id);
    let mut environment = (*spawn.shared_env).clone();
    for (name, value) in &spawn.env {
        match value {
            Some(value) => environment.insert(name.clone(), value.clone()),
            None => environment.remove(name),
        };
    }
    environment
}

/// Every problem of `severity` as `file:line:column: message`.
pub fn problems(resolution: &Resolution, severity: Severity) -> Vec<String> {
    let those = resolution.problems.iter().filter(|problem| problem.severity == severity);
    those
        .map(|problem| match &problem.place {
            Some(place) => format!("{place}: {}", problem.message),
            None => problem.message.clone(),
        })
        .collect()
}

/// Every error.
pub fn errors(resolution: &Resolution) -> Vec<String> {
    problems(resolution, Severity::Error)
}
