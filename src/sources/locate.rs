//! Finds the configuration: which file is the main one, and which folder holds the drop-ins.
//!
//! It only looks whether files are there; nothing is read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use etcetera::BaseStrategy;

const MAIN: &str = "services.json";
const DROP_INS: &str = "services.d";
const PROFILES: &str = "profiles";

/// Where the sources are, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The main file, absolute; it may be missing.
    pub main: PathBuf,
    /// The folder of the main file: names are shown relative to it.
    pub folder: PathBuf,
    /// The folder of drop-ins beside the main file; it may be missing.
    pub drop_ins: PathBuf,
    /// The file of the profile that was asked for; it may be missing.
    pub profile: Option<PathBuf>,
    /// Whether either of them was there.
    pub found: bool,
}

/// What says where to look.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The file that was asked for by name: `--config`, else `$PILOTLIGHT_CONFIG`.
    pub config: Option<PathBuf>,
    /// The working directory, absolute.
    pub working_directory: PathBuf,
    /// The user's configuration directory, if there is a home.
    pub user_folder: Option<PathBuf>,
}

impl Asked {
    /// What `--config`, the environment and the working directory say; fails if the working directory is gone and a
    /// relative path needs it.
    pub fn of_process(config: Option<PathBuf>, environment: &BTreeMap<String, String>) -> io::Result<Self> {
        let named = || environment.get("PILOTLIGHT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let config = config.or_else(named);
        let working_directory = match (std::env::current_dir(), &config) {
            (Ok(directory), _) => directory,
            (Err(_), Some(config)) if config.is_absolute() => PathBuf::from("/"),
            (Err(error), _) => return Err(error),
        };
        let user_folder = etcetera::base_strategy::choose_native_strategy()
            .ok()
            .map(|strategy| strategy.config_dir().join("pilotlight"));
        Ok(Self { config, working_directory, user_folder })
    }
}

impl Location {
    /// Finds the sources: the file that was asked for; else the working directory or the nearest folder above it that
    /// holds `services.json` or `services.d`; else the user's folder, whether it holds anything yet or not.
    pub fn find(asked: &Asked) -> Self {
        if let Some(config) = &asked.config {
            let path = asked.working_directory.join(config);
            let main = if path.is_dir() { path.join(MAIN) } else { path };
            return Self::with_main(without_steps_up(main));
        }
        let above = asked.working_directory.ancestors().map(|folder| Self::with_main(folder.join(MAIN)));
        above.into_iter().find(|location| location.found).unwrap_or_else(|| {
            let folder = asked.user_folder.as_ref().unwrap_or(&asked.working_directory);
            Self::with_main(folder.join(MAIN))
        })
    }

    /// The same with the profile `name`; fails with a fragment that fits behind "the profile …".
    pub fn with_profile(self, name: &str) -> Result<Self, &'static str> {
        let is_name = Path::new(name).file_name().is_some_and(|file| file == name);
        if !is_name {
            return Err("is not the name of a file");
        }
        let profile = self.folder.join(PROFILES).join(format!("{name}.json"));
        Ok(Self { profile: Some(profile), ..self })
    }

    /// How users know `path`: relative to the main file's folder, absolute outside it.
    pub fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn with_main(main: PathBuf) -> Self {
        let folder = main.parent().unwrap_or(Path::new("/")).to_owned();
        let drop_ins = folder.join(DROP_INS);
        let found = main.is_file() || drop_ins.is_dir();
        Self { main, folder, drop_ins, profile: None, found }
    }
}

/// The same file without `.` and `..`, so that one file has one name. Links are followed only where a `..` comes after
/// them, since there the names alone don't tell.
fn without_steps_up(path: PathBuf) -> PathBuf {
    let steps_up = path.components().any(|component| component == Component::ParentDir);
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if steps_up => match dunce::canonicalize(folder) {
            Ok(folder) => folder.join(name),
            Err(_) => path,
        },
        // Collecting the components drops each `.` and doubled separator.
        _ => path.components().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn asked(working_directory: &Path, config: Option<&str>, user_folder: &Path) -> Asked {
        Asked {
            config: config.map(PathBuf::from),
            working_directory: working_directory.to_owned(),
            user_folder: Some(user_folder.to_owned()),
        }
    }

    struct Tree {
        _guard: tempfile::TempDir,
        root: PathBuf,
    }

    fn tree(files: &[&str]) -> Tree {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap();
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if file.ends_with('/') { fs::create_dir_all(path).unwrap() } else { fs::write(path, "{}").unwrap() }
        }
        Tree { _guard: guard, root }
    }

    #[test]
    fn the_nearest_folder_above_with_either_of_both_is_taken() {
        let tree = tree(&["a/services.json", "a/b/services.d/", "a/b/c/d/", "user/"]);
        let find = |folder: &str| Location::find(&asked(&tree.root.join(folder), None, &tree.root.join("user")));
        assert_eq!(find("a/b/c/d").main, tree.root.join("a/b/services.json"));
        assert_eq!(find("a").main, tree.root.join("a/services.json"));
        assert!(find("a/b/c/d").found);
    }

    #[test]
    fn with_nothing_anywhere_the_users_folder_is_meant() {
        let tree = tree(&["x/y/", "services.jsonx"]);
        let location = Location::find(&asked(&tree.root.join("x/y"), None, &tree.root.join("user/pilotlight")));
        assert_eq!(location.main, tree.root.join("user/pilotlight/services.json"));
        assert_eq!(location.drop_ins, tree.root.join("user/pilotlight/services.d"));
        assert!(!location.found);
    }

    #[test]
    fn a_file_that_is_asked_for_is_meant_even_if_it_is_missing() {
        let tree = tree(&["a/services.json", "b/"]);
        let find = |config: &str| Location::find(&asked(&tree.root.join("a"), Some(config), &tree.root));
        assert_eq!(find("my.json").main, tree.root.join("a/my.json"));
        assert!(!find("my.json").found);
        assert_eq!(find("./services.json"), find("../a/services.json"));
        assert_eq!(find("../b").main, tree.root.join("b").join("services.json"));
        let absolute = tree.root.join("b//./x.json");
        assert_eq!(find(absolute.to_str().unwrap()).main, tree.root.join("b/x.json"));
    }

    #[test]
    fn names_are_relative_within_the_folder_and_absolute_outside() {
        let tree = tree(&["a/services.json"]);
        let location = Location::find(&asked(&tree.root.join("a"), None, &tree.root));
        assert_eq!(location.name(&location.drop_ins.join("x.json")), "services.d/x.json");
        assert_eq!(location.name(Path::new("/etc/x.json")), "/etc/x.json");
    }
}
