//! The port `Files`: whose files match a path that changes.

use std::path::Path;
use std::time::Duration;

use globset::GlobBuilder;
use pilotlight::domain::{Event, FilePattern, ServiceId};
use pilotlight::engine::ports::Files;

use super::{Due, Machine};

impl Files for Machine {
    fn watch(&mut self, id: &ServiceId, patterns: &[FilePattern]) {
        self.watched_files.remove(id);
        if !patterns.is_empty() {
            self.watched_files.insert(id.clone(), patterns.to_vec());
        }
    }
}

impl Machine {
    /// The file at this absolute path changes.
    pub fn touch_file(&mut self, path: &str) {
        let concerned = self.watched_files.iter().filter(|(_, all)| all.iter().any(|pattern| means(pattern, path)));
        let ids: Vec<ServiceId> = concerned.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.later(Duration::ZERO, Due::Fact(Event::FilesTouched { id, file: path.to_owned() }));
        }
    }
}

fn means(pattern: &FilePattern, path: &str) -> bool {
    let glob = GlobBuilder::new(&pattern.glob).literal_separator(true).build().expect("it has been read");
    let Ok(below) = Path::new(path).strip_prefix(&pattern.place) else { return false };
    let folders = below.parent().into_iter().flat_map(Path::iter).filter_map(|name| name.to_str());
    let is_entered = |name: &str| {
        let by_tools = name.starts_with('.') || matches!(name, "node_modules" | "__pycache__");
        !by_tools || pattern.glob.split('/').any(|part| part == name)
    };
    glob.compile_matcher().is_match(path) && { folders }.all(is_entered)
}
