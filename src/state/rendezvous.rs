//! Where an agent and those who look for it meet: a private folder that lasts as long as the user's session, and in
//! it a lock and a socket per config.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use super::error::StateError;
use super::file::make_private_folder;
use super::place::{canonical_config, hash, state_base};
use super::platform::{self, check_private, meeting_folder};

/// The meeting place of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    folder: PathBuf,
    /// Where the lock is: in a place that all sessions of the user have in common, which the runtime directory is not.
    lock_folder: PathBuf,
    hash: String,
}

impl Rendezvous {
    /// The meeting place of the config file `config`: in the user's runtime directory, else in a folder of the user's
    /// own below the system's temporary directory. Nothing is written; a folder that exists and is not private is an
    /// error.
    pub fn of(config: &Path) -> Result<Self, StateError> {
        let runtime = etcetera::choose_base_strategy().ok().and_then(|strategy| strategy.runtime_dir());
        let rendezvous = Self::below(config, runtime.as_deref(), &std::env::temp_dir())?;
        Ok(match state_base() {
            Ok(base) => Self { lock_folder: base.join("locks"), ..rendezvous },
            // Without a home, the runtime directory is all there is.
            Err(_) => rendezvous,
        })
    }

    /// The same with the two directories given.
    pub(super) fn below(config: &Path, runtime: Option<&Path>, temporary: &Path) -> Result<Self, StateError> {
        let folder = meeting_folder(runtime, temporary)?;
        Ok(Self { lock_folder: folder.clone(), folder, hash: hash(&canonical_config(config)?) })
    }

    /// Makes its folder, for its owner only.
    pub fn prepare(&self) -> Result<(), StateError> {
        make_private_folder(&self.folder).map_err(StateError::io("create", &self.folder))?;
        make_private_folder(&self.lock_folder).map_err(StateError::io("create", &self.lock_folder))?;
        check_private(&self.folder)
    }

    /// The path of the control socket (Windows: the name of the pipe).
    pub fn socket(&self) -> PathBuf {
        platform::address(&self.folder, &self.hash)
    }

    /// Whether an agent may be listening at `socket`.
    pub fn may_listen(socket: &Path) -> bool {
        platform::may_listen(socket)
    }

    /// The path of the lock that the config's one agent holds.
    pub(super) fn lock(&self) -> PathBuf {
        self.lock_folder.join(format!("{}.lock", self.hash))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn it_is_in_the_runtime_directory_if_that_is_the_users_own() {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, temporary) = (folder.path().join("run"), folder.path().join("tmp"));
        fs::create_dir_all(&runtime).unwrap();
        set_mode(&runtime, 0o700);
        let of =
            |runtime: Option<&Path>| Rendezvous::below(Path::new("/x/services.json"), runtime, &temporary).unwrap();
        assert!(of(Some(&runtime)).socket().starts_with(runtime.join("pilotlight")));
        assert!(of(Some(&runtime)).socket().extension().is_some_and(|extension| extension == "sock"));
        assert!(of(None).socket().starts_with(&temporary));
        assert!(of(Some(Path::new("/no/such/place"))).socket().starts_with(&temporary));
        set_mode(&runtime, 0o777);
        assert!(of(Some(&runtime)).socket().starts_with(&temporary));
    }

    #[test]
    fn a_folder_that_is_not_private_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let below = || Rendezvous::below(Path::new("/x/services.json"), None, folder.path());
        let rendezvous = below().unwrap();
        rendezvous.prepare().unwrap();
        let place = rendezvous.socket().parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
        assert_eq!(below().unwrap(), rendezvous);
        set_mode(&place, 0o750);
        assert!(matches!(below(), Err(StateError::NotPrivate { .. })));
        assert!(rendezvous.prepare().is_err());
        fs::remove_dir(&place).unwrap();
        std::os::unix::fs::symlink("/tmp", &place).unwrap();
        assert!(matches!(below(), Err(StateError::NotPrivate { .. })));
    }

    #[test]
    fn each_config_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let of = |config: &str| Rendezvous::below(Path::new(config), None, folder.path()).unwrap().socket();
        assert_ne!(of("/x/services.json"), of("/y/services.json"));
        assert_eq!(of("/x/services.json"), of("/x/./services.json"));
    }
}
