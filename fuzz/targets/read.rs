//! Bytes become sources, as the reader of files makes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pilotlight::domain::catalog::{Content, Role, SourceFile, Surroundings};
use pilotlight::sources::parse_bytes;

/// The root of everything.
pub const ROOT: &str = "/srv/project";

/// What there is at `path` below the main file's folder.
pub fn source(role: Role, path: &str, bytes: &[u8]) -> Arc<SourceFile> {
    let name: Arc<str> = path.into();
    let content = match parse_bytes(&name, bytes.to_vec()) {
        Ok((node, text)) => Content::Parsed(Arc::new(node), text),
        Err(problem) => Content::Broken(problem),
    };
    Arc::new(SourceFile { name, path: Path::new(ROOT).join(path), role, content })
}

/// What definitions refer to: some variables, and a file of them.
pub fn surroundings(name: &str) -> Surroundings {
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned(), 1);
    Surroundings {
        root: PathBuf::from(ROOT),
        python: "/usr/bin/python3".to_owned(),
        dotenv: vec![variable("NAME", name), variable("LOOP", "$LOOP")],
        environment: [("HOME".to_owned(), "/home/me".to_owned()), ("PATH".to_owned(), "/bin".to_owned())].into(),
        env_files: [(PathBuf::from(ROOT).join("x.env"), Ok(vec![variable("E", "1"), variable("TOKEN", "secret")]))]
            .into(),
        ..Surroundings::default()
    }
}
