//! `intent.json`: what the user has switched on or off. What can't be understood of it is kept aside, never replaced.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{free_name, put_aside, read_bounded, replace_durably};
use crate::domain::{Intent, ServiceId};
use crate::engine::{StateDir, seal};

/// The version of the format that is written; a later one is kept aside.
const FORMAT: u32 = 1;
/// No file of ours is longer than this, in bytes: it is enough for a hundred thousand services.
const LONGEST: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    services: BTreeMap<String, Value>,
    /// The seal of the services; older files have none, and files that somebody has edited a wrong one.
    #[serde(default)]
    seal: Option<String>,
}

impl Document {
    /// Whether nothing of it was changed since an agent has written it.
    fn is_whole(&self) -> bool {
        self.seal.as_ref().is_none_or(|seal| *seal == seal_of(&self.services))
    }
}

fn seal_of(services: &BTreeMap<String, Value>) -> String {
    let said = services.iter().map(|(id, wanted)| format!("{id} {wanted}\n"));
    seal(said.collect::<String>().as_bytes())
}

/// Reads the wishes. What was wrong with the file, if anything, is told as a sentence.
///
/// An error means that there may be wishes which can neither be read nor be put aside: nothing must be saved then.
pub(super) fn load(path: &Path) -> io::Result<(Intent, Option<String>)> {
    let text = match read_bounded(path, LONGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Intent::new(), None)),
        Err(error) => {
            let aside = put_aside(path)?;
            return Ok((Intent::new(), Some(told(path, &format!("cannot be read ({error})"), &aside))));
        }
    };
    match parse(&text) {
        Ok((intent, unknown)) if unknown.is_empty() => Ok((intent, None)),
        Ok((intent, unknown)) => {
            let aside = keep_copy(path)?;
            let wrong = format!("says something that is not understood of {}", unknown.join(", "));
            Ok((intent, Some(told(path, &wrong, &aside))))
        }
        Err(wrong) => {
            let aside = put_aside(path)?;
            Ok((Intent::new(), Some(told(path, &wrong, &aside))))
        }
    }
}

/// The wishes as far as they can be understood, and whether that is not all of them, for who only looks: nothing is put
/// aside.
pub fn peek(dir: &StateDir) -> (Intent, bool) {
    let text = read_bounded(&dir.intent(), LONGEST).unwrap_or_default();
    let (intent, unknown) = parse(&text).unwrap_or_default();
    (intent, !unknown.is_empty() || is_lost(dir))
}

/// Whether there must have been wishes that are not there: every agent makes the file before anything else, and seals it.
/// What is left of the wishes counts all the same: somebody may have edited it.
pub(super) fn is_lost(dir: &StateDir) -> bool {
    match read_bounded(&dir.intent(), LONGEST) {
        Ok(text) => !serde_json::from_slice::<Document>(&text).is_ok_and(|document| document.is_whole()),
        Err(error) => error.kind() != ErrorKind::NotFound || dir.services().exists() || dir.events().exists(),
    }
}

/// Stores the wishes durably.
pub(super) fn save(path: &Path, intent: &Intent) -> io::Result<()> {
    let services = intent.iter().map(|(id, wanted)| (id.to_string(), Value::Bool(*wanted))).collect();
    let seal = Some(seal_of(&services));
    let mut text = serde_json::to_vec_pretty(&Document { format: FORMAT, services, seal })?;
    text.push(b'\n');
    replace_durably(path, &text)
}

/// The wishes, and the names of those entries that are none.
fn parse(text: &[u8]) -> Result<(Intent, Vec<String>), String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| format!("cannot be understood ({error})"))?;
    if document.format > FORMAT {
        return Err(format!("is of a later version (format {})", document.format));
    }
    let mut intent = Intent::new();
    let mut unknown = Vec::new();
    for (name, value) in document.services {
        match (ServiceId::new(&name), value.as_bool()) {
            (Ok(id), Some(wanted)) => {
                intent.insert(id, wanted);
            }
            (Ok(_) | Err(_), _) => unknown.push(format!("{name:?}")),
        }
    }
    Ok((intent, unknown))
}

fn told(path: &Path, wrong: &str, aside: &Path) -> String {
    format!("{} {wrong}; it is kept as {}", path.display(), aside.display())
}

fn keep_copy(path: &Path) -> io::Result<PathBuf> {
    let aside = free_name(path);
    fs::copy(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("intent.json");
        (folder, path)
    }

    fn intent(entries: &[(&str, bool)]) -> Intent {
        entries.iter().map(|(id, wanted)| (ServiceId::new(id).unwrap(), *wanted)).collect()
    }

    fn kept_aside(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let bad = names.filter(|name| name.starts_with("intent.json.bad-"));
        bad.map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
    }

    #[test]
    fn wishes_read_back_as_they_were_saved() {
        let (_folder, path) = place();
        assert_eq!(load(&path).unwrap(), (Intent::new(), None));
        for wishes in [intent(&[("a", true), ("b", false)]), intent(&[])] {
            save(&path, &wishes).unwrap();
            assert_eq!(load(&path).unwrap(), (wishes, None));
        }
    }

    #[test]
    fn what_cannot_be_understood_is_kept_aside_and_told() {
        for text in ["", "{", "[]", "{\"format\": 2, \"services\": {\"a\": true}}", "{\"services\": {}}", "\u{0}"] {
            let (folder, path) = place();
            fs::write(&path, text).unwrap();
            let (wishes, told) = load(&path).unwrap();
            assert_eq!(wishes, Intent::new());
            assert!(told.unwrap().contains("intent.json.bad-"));
            save(&path, &intent(&[("a", true)])).unwrap();
            assert_eq!(kept_aside(folder.path()), [text]);
            assert_eq!(load(&path).unwrap(), (intent(&[("a", true)]), None));
        }
    }

    #[test]
    fn wishes_of_any_length_do_not_fill_the_memory_and_are_kept() {
        let (folder, path) = place();
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let (wishes, told) = load(&path).unwrap();
        assert_eq!(wishes, Intent::new());
        assert!(told.unwrap().contains("longer than"));
        let aside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert_eq!(aside.collect::<Vec<_>>(), [1 << 40]);
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(peek(&StateDir::new(folder.path())), (Intent::new(), true));
    }

    #[test]
    fn a_bad_entry_costs_only_itself() {
        let (folder, path) = place();
        let text = r#"{"format": 1, "services": {"a": true, "../b": true, "c": "yes", "d": false}}"#;
        fs::write(&path, text).unwrap();
        let (wishes, told) = load(&path).unwrap();
        assert_eq!(wishes, intent(&[("a", true), ("d", false)]));
        let told = told.unwrap();
        assert!(told.contains("\"../b\"") && told.contains("\"c\""), "{told}");
        assert_eq!(kept_aside(folder.path()), [text]);
    }

    #[test]
    fn several_bad_files_are_all_kept() {
        let (folder, path) = place();
        for text in ["1", "2", "3"] {
            fs::write(&path, text).unwrap();
            load(&path).unwrap();
        }
        let mut kept = kept_aside(folder.path());
        kept.sort();
        assert_eq!(kept, ["1", "2", "3"]);
    }
}
