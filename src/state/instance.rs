//! One agent per config file, and one per state directory: two locks that the system lets go when the agent ends.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::StateError;
use super::file::private;
use super::place::canonical_config;
use super::platform;
use super::rendezvous::Rendezvous;
use crate::engine::StateDir;

/// How long a lock is waited for whose holder has ended. A child that was being started when its agent was killed holds
/// all that the agent had open until it becomes another program.
const LEGACY: Duration = Duration::from_secs(5);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// The proof of being the only agent; to be kept as long as it runs.
#[derive(Debug)]
pub struct Instance {
    _config: File,
    _state: File,
}

impl Instance {
    /// Becomes the only agent of `config`, whatever its state directory, and of `dir`, whatever its config. If there
    /// is one already, the error names it.
    pub fn claim(config: &Path, rendezvous: &Rendezvous, dir: &StateDir) -> Result<Self, StateError> {
        rendezvous.prepare()?;
        Ok(Self {
            _config: lock(&rendezvous.lock(), &canonical_config(config)?)?,
            _state: lock(&dir.root().join("lock"), dir.root())?,
        })
    }
}

/// Locks the file at `path`, and leaves our pid in it. It stays when the lock is let go: taking it away could let two
/// agents lock two files of one name.
fn lock(path: &Path, what: &Path) -> Result<File, StateError> {
    let opened = private().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(StateError::io("open", path))?;
    let deadline = Instant::now() + LEGACY;
    while !platform::try_lock(&file).map_err(StateError::io("lock", path))? {
        let pid = platform::holder(path);
        if pid.is_none_or(platform::lives) || Instant::now() > deadline {
            return Err(StateError::Running { pid, what: what.to_owned() });
        }
        std::thread::sleep(PAUSE);
    }
    if let Err(error) = platform::tell_holder(&file, path) {
        // The lock holds without it; only its message would lack our pid.
        tracing::warn!("pid could not be written to {}: {error}", path.display());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_agent_per_config_and_one_per_state_directory() {
        let folder = tempfile::tempdir().unwrap();
        let state = |name: &str| {
            let root = folder.path().join(name);
            std::fs::create_dir_all(&root).unwrap();
            StateDir::new(root)
        };
        let claim = |config: &str, dir: &str| {
            let config = folder.path().join(config);
            let rendezvous = Rendezvous::below(&config, None, folder.path()).unwrap();
            Instance::claim(&config, &rendezvous, &state(dir))
        };
        let _first = claim("a/services.json", "1").unwrap();
        let other_place = claim("a/services.json", "2").unwrap_err().to_string();
        assert!(other_place.contains("a/services.json"), "{other_place}");
        assert!(other_place.ends_with(&format!("(pid {})", std::process::id())), "{other_place}");
        assert!(matches!(claim("b/services.json", "1"), Err(StateError::Running { .. })));
        claim("c/services.json", "3").unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn what_a_child_of_a_dead_agent_holds_for_a_moment_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock(&path, folder.path()).unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        std::fs::write(&path, format!("{}\n", ended.id())).unwrap();
        let waiting = std::thread::spawn({
            let (path, folder) = (path.clone(), folder.path().to_owned());
            move || lock(&path, &folder).map(drop)
        });
        // Whether it waits already or not, it is to get the lock.
        drop(held);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_second_agent_is_told_of_the_first_until_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let held = lock(&first, &state).unwrap();
        match lock(&first, &state) {
            Err(StateError::Running { pid, what }) => {
                assert_eq!((pid, &what), (Some(std::process::id()), &state));
            }
            other => panic!("{other:?}"),
        }
        lock(&second, &state).unwrap();
        drop(held);
        // A child that another test is just forking holds it for a moment longer.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while lock(&first, &state).is_err() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
