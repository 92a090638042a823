//! Which events matter: for each folder the names that lie on the way to something that was read.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::trail::trail;
use crate::domain::catalog::is_drop_in;
use crate::engine::ports::Followed;

/// What matters in one folder, and what people call it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Single names, and what each is on the way to.
    pub names: HashMap<OsString, String>,
    /// What the folder is called, if all drop-ins in it matter.
    pub drop_ins: Option<String>,
}

impl Interest {
    /// What people call the file `name` of this folder; `None` if it does not matter.
    pub fn label(&self, name: &OsStr) -> Option<String> {
        let drop_in = self.drop_ins.as_ref().filter(|_| is_drop_in(name));
        let drop_in = drop_in.map(|folder| format!("{folder}/{}", name.to_string_lossy()));
        drop_in.or_else(|| self.names.get(name).cloned())
    }

    /// What people call the folder itself: whatever it is watched for.
    pub fn own_label(&self) -> Option<String> {
        self.drop_ins.clone().or_else(|| self.names.values().min().cloned())
    }
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
    interests
}
