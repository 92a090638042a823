//! Which state directory belongs to a config, and what a directory must be to become one.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::file::{make_private_folder, put_aside, read_bounded, replace_durably};
use super::platform;
use crate::engine::{StateDir, seal};

/// A state directory, and what is to be said of the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: StateDir,
    /// Sentences for the user: why `PILOTLIGHT_STATE_DIR` is not in use.
    pub remarks: Vec<String>,
}

/// The file in a state directory that says whose it is.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    format: u32,
    config: String,
    /// The config's hash, so that a damaged path is not taken for another config; older files have none.
    #[serde(default)]
    hash: Option<String>,
}

/// The name of that file.
const OWNER: &str = "config.json";
/// The version of its format.
const FORMAT: u32 = 1;
/// No such file of ours is longer than this, in bytes.
const LONGEST_OWNER: u64 = 64 << 10;
/// The longest part of a directory's name that tells people what it is about.
const LONGEST_NAME: usize = 40;

/// Finds the state directory of the config file `config`: `flag` (`--state-dir`), else `variable`
/// (`PILOTLIGHT_STATE_DIR`) unless that is another config's, else one of its own in the user's state directory.
///
/// Nothing is written, and the directory need not exist: fit for those who only read. A `flag` that names another
/// config's directory is an error.
pub fn locate(config: &Path, flag: Option<&Path>, variable: Option<&OsStr>) -> Result<Place, StateError> {
    let config = canonical_config(config)?;
    let mut remarks = Vec::new();
    let root = match (flag, variable.filter(|variable| !variable.is_empty())) {
        (Some(flag), _) => absolute(flag)?,
        (None, Some(variable)) => {
            let root = absolute(Path::new(variable))?;
            match owner(&root).filter(|owner| *owner != *config.to_string_lossy()) {
                Some(other) => {
                    remarks.push(format!(
                        "PILOTLIGHT_STATE_DIR is not in use: {} belongs to {other}, not to {}",
                        root.display(),
                        config.display()
                    ));
                    default_root(&config)?
                }
                None => root,
            }
        }
        (None, None) => default_root(&config)?,
    };
    if let Some(recorded) = owner(&root).filter(|owner| *owner != *config.to_string_lossy()) {
        return Err(StateError::OtherConfig { dir: root, recorded: recorded.into(), config });
    }
    Ok(Place { dir: StateDir::new(root), remarks })
}

/// Finds the state directory as [`locate`] does, makes it where it is missing, for its owner only, and writes down
/// whose it is.
pub fn open(config: &Path, flag: Option<&Path>, variable: Option<&OsStr>) -> Result<Place, StateError> {
    let place = locate(config, flag, variable)?;
    let config = canonical_config(config)?;
    let root = place.dir.root();
    make_private_folder(root).map_err(StateError::io("create", root))?;
    if owner(root).is_none() {
        let entries = fs::read_dir(root).map_err(StateError::io("read", root))?;
        let mut names = entries.flatten().map(|entry| entry.file_name());
        // Many programs have a `config.json`, and many projects a folder `services`.
        let is_ours = root.join("services").is_dir() && root.join("lock").is_file();
        if !is_ours && !names.all(|name| is_made_by_us(&name)) {
            return Err(StateError::NotAStateDir { dir: root.to_owned() });
        }
    }
    platform::close_to_others(root)?;
    let config = config.to_string_lossy().into_owned();
    let owner = Owner { format: FORMAT, hash: Some(hash(Path::new(&config))), config };
    if self::owner(root).is_none() {
        let path = root.join(OWNER);
        if path.exists() {
            // Damaged, as far as can be told; if it is not, it was somebody's.
            put_aside(&path).map_err(StateError::io("put aside", &path))?;
        }
        let text = serde_json::to_vec(&owner).map_err(|error| StateError::io("write", &path)(error.into()))?;
        replace_durably(&path, &text).map_err(StateError::io("write", &path))?;
    }
    // One spelling: processes carry it, and are found again by it.
    let root = dunce::canonicalize(root).map_err(StateError::io("find", root))?;
    Ok(Place { dir: StateDir::new(root), remarks: place.remarks })
}

/// The one spelling of a config's path: its folder without links, and its name. The file need not exist, and may be a
/// link that changes its target.
pub fn canonical_config(config: &Path) -> Result<PathBuf, StateError> {
    let config = absolute(config)?;
    let mut missing = Vec::new();
    let mut existing = config.as_path();
    while let (Some(folder), Some(name)) = (existing.parent(), existing.file_name()) {
        missing.push(name.to_owned());
        existing = folder;
        if let Ok(found) = dunce::canonicalize(existing) {
            return Ok(missing.iter().rev().fold(found, |path, name| path.join(name)));
        }
    }
    Ok(config)
}

/// A name for `config` that no other config has: 16 hexadecimal digits.
pub(super) fn hash(config: &Path) -> String {
    seal(config.as_os_str().as_encoded_bytes())
}

fn default_root(config: &Path) -> Result<PathBuf, StateError> {
    Ok(state_base()?.join(readable_name(config)))
}

/// What all agents of this user have in common.
pub(super) fn state_base() -> Result<PathBuf, StateError> {
    Ok(platform::user_state().ok_or(StateError::NoHome)?.join("pilotlight"))
}

/// The name of the config's folder, as far as it is harmless, and its hash.
fn readable_name(config: &Path) -> String {
    let folder = config.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let harmless = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut name: String = folder.chars().filter(harmless).take(LONGEST_NAME).collect();
    if name.is_empty() {
        name.push_str("root");
    }
    let _infallible = write!(name, "-{}", hash(config));
    name
}

/// Whether something of this name may be in a state directory because an agent has put it there.
fn is_made_by_us(name: &OsStr) -> bool {
    const FILES: [&str; 6] = [OWNER, "lock", "agent.json", "agent.log", "intent.json", "events.jsonl"];
    let name = name.as_encoded_bytes();
    // What is written, rotated or kept aside lies beside its file.
    let is_beside = |file: &str| name.strip_prefix(file.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'.', ..]));
    name == b"services" || FILES.into_iter().any(is_beside)
}

fn owner(root: &Path) -> Option<String> {
    let text = read_bounded(&root.join(OWNER), LONGEST_OWNER).ok()?;
    let Owner { config, hash: told, .. } = serde_json::from_slice(&text).ok()?;
    told.is_none_or(|told| told == hash(Path::new(&config))).then_some(config)
}

fn absolute(path: &Path) -> Result<PathBuf, StateError> {
    match dunce::canonicalize(path) {
        // A folder that is named through a link must not count as another one.
        Ok(found) if found.is_dir() => Ok(found),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StateError::io("find", path)(error)),
        Ok(_) | Err(_) => std::path::absolute(path).map_err(StateError::io("find", path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case(tempfile::TempDir);

    impl Case {
        fn new() -> Self {
            let case = Self(tempfile::tempdir().unwrap());
            fs::create_dir(case.path("a")).unwrap();
            fs::create_dir(case.path("b")).unwrap();
            case
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }
    }

    #[test]
    fn a_new_state_directory_is_private_and_knows_its_config() {
        use std::os::unix::fs::PermissionsExt;
        let case = Case::new();
        let place = open(&case.path("a/services.json"), Some(&case.path("x/state")), None).unwrap();
        assert_eq!(place.dir.root(), case.path("x/state"));
        assert_eq!(fs::metadata(place.dir.root()).unwrap().permissions().mode() & 0o777, 0o700);
        let again = open(&case.path("a/services.json"), Some(&case.path("x/state")), None).unwrap();
        assert_eq!(again, place);
    }

    #[test]
    fn a_state_directory_of_another_config_is_refused_as_a_flag_and_ignored_as_a_variable() {
        let case = Case::new();
        let state = case.path("state");
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        let error = open(&case.path("b/services.json"), Some(&state), None).unwrap_err().to_string();
        for part in ["a/services.json", "b/services.json", "state"] {
            assert!(error.contains(&case.path(part).display().to_string()), "{error}");
        }
        let place = locate(&case.path("b/services.json"), None, Some(state.as_os_str())).unwrap();
        assert_ne!(place.dir.root(), state);
        assert!(place.remarks[0].starts_with("PILOTLIGHT_STATE_DIR is not in use: "), "{:?}", place.remarks);
        let place = locate(&case.path("a/services.json"), None, Some(state.as_os_str())).unwrap();
        assert_eq!((place.dir.root(), place.remarks), (&*state, vec![]));
    }

    #[test]
    fn a_directory_with_other_files_does_not_become_a_state_directory() {
        let case = Case::new();
        fs::write(case.path("b/precious"), "").unwrap();
        let error = open(&case.path("a/services.json"), Some(&case.path("b")), None).unwrap_err();
        assert!(matches!(error, StateError::NotAStateDir { .. }), "{error}");
    }

    #[test]
    fn a_state_directory_that_is_open_to_others_is_closed() {
        use std::os::unix::fs::PermissionsExt;
        let case = Case::new();
        let state = case.path("state");
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_broken_record_of_the_config_is_written_anew() {
        let case = Case::new();
        let state = case.path("state");
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        fs::write(state.join(OWNER), "{").unwrap();
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        assert_eq!(owner(&state).unwrap(), case.path("a/services.json").display().to_string());
        let aside = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<_> =
            aside.filter(|path| *path != state.join(OWNER)).map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(aside, [b"{"], "what was there is kept");
    }

    #[test]
    fn a_directory_with_somebody_elses_config_json_does_not_become_a_state_directory() {
        let case = Case::new();
        let theirs = case.path("b");
        fs::write(theirs.join(OWNER), r#"{"name": "shop"}"#).unwrap();
        for folder in ["services", "src"] {
            fs::create_dir(theirs.join(folder)).unwrap();
        }
        let error = open(&case.path("a/services.json"), Some(&theirs), None).unwrap_err();
        assert!(matches!(error, StateError::NotAStateDir { .. }), "{error}");
        assert_eq!(fs::read_to_string(theirs.join(OWNER)).unwrap(), r#"{"name": "shop"}"#);
        // Known by what an agent leaves there, whatever else came to lie beside.
        fs::write(theirs.join("lock"), "").unwrap();
        open(&case.path("a/services.json"), Some(&theirs), None).unwrap();
    }

    #[test]
    fn a_record_of_any_length_does_not_fill_the_memory() {
        let case = Case::new();
        let state = case.path("state");
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        fs::File::create(state.join(OWNER)).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(owner(&state), None);
        open(&case.path("a/services.json"), Some(&state), None).unwrap();
        assert!(owner(&state).is_some());
    }

    #[test]
    fn a_damaged_path_is_no_other_config() {
        let case = Case::new();
        let (state, config) = (case.path("state"), case.path("a/services.json"));
        open(&config, Some(&state), None).unwrap();
        let text = fs::read_to_string(state.join(OWNER)).unwrap();
        fs::write(state.join(OWNER), text.replace("services.json", "serwices.json")).unwrap();
        open(&config, Some(&state), None).unwrap();
        assert_eq!(fs::read_to_string(state.join(OWNER)).unwrap(), text, "it is mended");
        let older = format!(r#"{{"format": 1, "config": "{}"}}"#, case.path("b/services.json").display());
        fs::write(state.join(OWNER), older).unwrap();
        assert!(matches!(open(&config, Some(&state), None), Err(StateError::OtherConfig { .. })));
    }

    #[test]
    fn the_default_is_readable_and_different_for_each_config() {
        let names = ["/home/me/My Project/services.json", "/home/me/other/services.json", "/services.json"];
        let names = names.map(|config| readable_name(Path::new(config)));
        assert!(names[0].starts_with("MyProject-"), "{names:?}");
        assert!(names[2].starts_with("root-"), "{names:?}");
        assert!(names[0][10..] != names[1][6..] && names.iter().all(|name| name.len() <= LONGEST_NAME + 17));
        let variable = locate(Path::new("/x/services.json"), None, Some(OsStr::new(""))).unwrap();
        assert!(variable.dir.root().ends_with(readable_name(Path::new("/x/services.json"))));
    }

    #[test]
    fn a_config_is_the_same_through_links_and_before_it_exists() {
        let case = Case::new();
        std::os::unix::fs::symlink(case.path("a"), case.path("link")).unwrap();
        let expected = case.path("a/services.json");
        assert_eq!(canonical_config(&case.path("link/services.json")).unwrap(), expected);
        std::os::unix::fs::symlink(case.path("b/one.json"), case.path("a/services.json")).unwrap();
        fs::write(case.path("b/one.json"), "{}").unwrap();
        assert_eq!(canonical_config(&case.path("link/services.json")).unwrap(), expected);
        assert_eq!(canonical_config(&case.path("link/none/x/s.json")).unwrap(), case.path("a/none/x/s.json"));
    }
}
