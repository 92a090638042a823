//! Which events matter: for each folder the names that lie on the way to something that was read.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::trail::trail;
use crate::domain::catalog::is_drop_in;
use crate::domain::pattern::Entries;
use crate::engine::ports::Followed;

/// What matters in one folder, and what people call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Single names, and what each is on the way to.
    pub names: HashMap<OsString, String>,
    /// What the folder is called, if all drop-ins in it matter.
    pub drop_ins: Option<String>,
    /// What the folder is called, if entries of it that match matter, and which those are.
    pub matched: Option<(String, Entries)>,
}

impl Interest {
    /// What people call the file `name` of `folder`, which this is about; `None` if it does not matter.
    pub fn label(&self, folder: &Path, name: &OsStr) -> Option<String> {
        let drop_in = self.drop_ins.as_ref().filter(|_| is_drop_in(name));
        let drop_in = drop_in.map(|folder| within(folder, name));
        drop_in.or_else(|| self.names.get(name).cloned()).or_else(|| self.matched_label(folder, name))
    }

    /// What people call the folder itself: whatever it is watched for.
    pub fn own_label(&self) -> Option<String> {
        let matched = || self.matched.as_ref().map(|(folder, _)| folder.clone());
        self.drop_ins.clone().or_else(|| self.names.values().min().cloned()).or_else(matched)
    }

    /// Whether only a look at the folder tells what matters in it.
    pub fn is_open(&self) -> bool {
        self.drop_ins.is_some() || self.matched.is_some()
    }

    /// A folder that has come counts as well as a file; one that has gone was watched itself, and tells so.
    fn matched_label(&self, folder: &Path, name: &OsStr) -> Option<String> {
        let (label, entries) = self.matched.as_ref()?;
        let text = name.to_str()?;
        let is_file = || entries.files.iter().any(|step| step.takes_file(text));
        let is_folder = || entries.folders.iter().any(|step| step.takes_folder(text)) && folder.join(name).is_dir();
        (is_file() || is_folder()).then(|| within(label, name))
    }
}

/// What people call the file `name` of the folder that they call `folder`.
fn within(folder: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") }
}

/// The folders that must be watched for `followed`, all real, with what matters in each. Labels are relative to `base`.
pub fn interests(followed: &Followed, base: &Path) -> BTreeMap<PathBuf, Interest> {
    let mut interests: BTreeMap<PathBuf, Interest> = BTreeMap::new();
    let label = |path: &Path| path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned();
    for file in &followed.files {
        for (folder, name) in trail(file).spots {
            interests.entry(folder).or_default().names.insert(name, label(file));
        }
    }
    for folder in &followed.folders {
        let trail = trail(folder);
        for (above, name) in trail.spots {
            interests.entry(above).or_default().names.insert(name, label(folder));
        }
        if let Some(real) = trail.folder {
            interests.entry(real).or_default().drop_ins = Some(label(folder));
        }
    }
    for (folder, entries) in &followed.matched {
        let trail = trail(folder);
        for (above, name) in trail.spots {
            interests.entry(above).or_default().names.entry(name).or_insert_with(|| label(folder));
        }
        if let Some(real) = trail.folder {
            let matched = &mut interests.entry(real).or_default().matched;
            matched.get_or_insert_with(|| (label(folder), Entries::default())).1.extend(entries);
        }
    }
    interests
}
