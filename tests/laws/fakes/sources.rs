//! The port `Sources`: files that are only text under a name, in a project at `/p`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pilotlight::domain::Event;
use pilotlight::domain::catalog::{Content, Reading, Role, SourceFile, Surroundings, is_drop_in};
use pilotlight::engine::ports::Sources;
use pilotlight::sources::parse;

use super::{Due, Machine};

/// How long a reading takes.
const READING: Duration = Duration::from_millis(3);

/// A reading under way.
pub(super) struct UnderWay {
    /// What it found: it looks when it begins, so that what changes until it is told is told out of date.
    reading: Reading,
    /// The newest order that came meanwhile.
    next: Option<(String, u64)>,
}

impl Sources for Machine {
    fn read(&mut self, cause: String, order: u64) {
        match &mut self.reading {
            Some(under_way) => under_way.next = Some((cause, order)),
            None => self.begin_reading(cause, order),
        }
    }
}

impl Machine {
    pub(super) fn end_reading(&mut self) {
        let Some(UnderWay { reading, next }) = self.reading.take() else { return };
        self.tell(Event::SourcesRead(reading));
        if let Some((cause, order)) = next {
            self.begin_reading(cause, order);
        }
    }

    fn begin_reading(&mut self, cause: String, order: u64) {
        self.reading = Some(UnderWay { reading: self.on_disk(cause, order), next: None });
        self.later(READING, Due::Read);
    }

    /// What a reading would find now.
    pub fn on_disk(&self, cause: String, order: u64) -> Reading {
        let mut read = self.seen.borrow_mut();
        read.retain(|name, (text, _)| self.disk.get(name) == Some(text));
        for (name, text) in &self.disk {
            read.entry(name.clone()).or_insert_with(|| (text.clone(), source(name, text)));
        }
        let mut files = read.values().filter_map(|(_, source)| source.clone()).collect::<Vec<_>>();
        files.sort_by_key(|file| (file.role, file.path.clone()));
        let surroundings = Surroundings { root: "/p".into(), python: "python3".to_owned(), ..Surroundings::default() };
        reading(files, surroundings, cause, order)
    }
}

/// A reading that found nothing wrong beside the contents of sources.
pub fn reading(files: Vec<Arc<SourceFile>>, surroundings: Surroundings, cause: String, order: u64) -> Reading {
    Reading { files, surroundings: Arc::new(surroundings), unlisted: false, problems: Vec::new(), cause, order }
}

/// The file as a source, if it is one.
fn source(name: &str, text: &str) -> Option<Arc<SourceFile>> {
    let role = match name.strip_prefix("services.d/") {
        Some(file) if is_drop_in(OsStr::new(file)) => Role::DropIn,
        None if name == "services.json" => Role::Main,
        Some(_) | None => return None,
    };
    let name: Arc<str> = name.into();
    let content = match parse(&name, text) {
        _ if text.trim().is_empty() => Content::Empty,
        Ok(node) => Content::Parsed(std::sync::Arc::new(node), text.into()),
        Err(problem) => Content::Broken(problem),
    };
    Some(Arc::new(SourceFile { path: PathBuf::from("/p").join(&*name), name, role, content }))
}
