//! Whatever people and programs do to a folder of sources, at random: the same for the same seed.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::saving::WAYS;

/// Somebody who changes things.
pub struct Somebody {
    /// The folder of sources.
    folder: PathBuf,
    /// A folder that nobody watches, on the same file system.
    aside: PathBuf,
    dice: Dice,
    /// What has been written so far, so that no two texts are the same.
    count: usize,
}

impl Somebody {
    pub fn new(folder: &Path, aside: &Path, seed: u64) -> Self {
        Self { folder: folder.to_owned(), aside: aside.to_owned(), dice: Dice(seed), count: 0 }
    }

    /// Between one and `most` changes in a row; tells which.
    pub fn acts(&mut self, most: usize) -> Vec<String> {
        (0..=self.dice.among(most)).map(|_| self.act()).collect()
    }

    fn act(&mut self) -> String {
        self.count += 1;
        match self.dice.among(16) {
            0..=6 => {
                let path = self.source();
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                if !path.exists() {
                    // A link that leads nowhere is not saved through.
                    let _ = fs::remove_file(&path);
                }
                let (way, save) = WAYS[self.dice.among(WAYS.len())];
                let is_environment = path.ends_with(".env");
                save(&path, &if is_environment { format!("A={}\n", self.count) } else { self.text() });
                format!("{way} {}", path.display())
            }
            7 => {
                let path = self.source();
                let _ = fs::remove_file(&path);
                format!("removes {}", path.display())
            }
            8 => {
                let (from, to) = (self.source(), self.source());
                // What is not there, or goes where no folder is, stays as it is.
                let done = fs::rename(&from, &to).is_ok();
                format!("moves {} to {}: {done}", from.display(), to.display())
            }
            9 => {
                self.clear();
                "removes the folder of drop-ins".to_owned()
            }
            10 => {
                let real = self.filled();
                self.clear();
                fs::create_dir_all(&self.folder).unwrap();
                symlink(&real, self.drop_ins()).unwrap();
                "puts a link in place of the folder of drop-ins".to_owned()
            }
            11 => {
                let next = self.filled();
                self.clear();
                fs::create_dir_all(&self.folder).unwrap();
                fs::rename(&next, self.drop_ins()).unwrap();
                "puts another folder in place of the folder of drop-ins".to_owned()
            }
            12 => {
                self.mount();
                "mounts a config map, or swaps it".to_owned()
            }
            13 => {
                let away = self.aside.join(format!("away-{}", self.count));
                if fs::rename(&self.folder, &away).is_err() {
                    return "finds no folder to move away".to_owned();
                }
                let (_, by_rename) = WAYS[0];
                by_rename(&away.join("services.json"), &self.text());
                fs::rename(&away, &self.folder).unwrap();
                "moves the whole folder away, changes it, and moves it back".to_owned()
            }
            14 => {
                for number in 0..30 {
                    fs::create_dir_all(self.drop_ins()).unwrap();
                    fs::write(self.drop_ins().join(format!("many-{number}.json")), self.text()).unwrap();
                }
                for number in 0..30 {
                    fs::remove_file(self.drop_ins().join(format!("many-{number}.json"))).unwrap();
                }
                "drops many in, and takes them out again".to_owned()
            }
            _ => {
                let (path, mode) = (self.source(), [0o600, 0o644, 0o666][self.dice.among(3)]);
                let _ = fs::set_permissions(&path, fs::Permissions::from_mode(mode));
                format!("gives {} the mode {mode:o}", path.display())
            }
        }
    }

    /// One of the files that are read.
    fn source(&mut self) -> PathBuf {
        const FILES: [&str; 5] =
            ["services.json", ".env", "services.d/a.json", "services.d/b.json", "services.d/c.json"];
        self.folder.join(FILES[self.dice.among(FILES.len())])
    }

    fn text(&self) -> String {
        format!("{{\"description\": \"{}\"}}\n", self.count)
    }

    fn drop_ins(&self) -> PathBuf {
        self.folder.join("services.d")
    }

    /// Another folder of drop-ins, out of sight.
    fn filled(&mut self) -> PathBuf {
        let folder = self.aside.join(format!("filled-{}", self.count));
        fs::create_dir(&folder).unwrap();
        for name in ["a.json", "d.json"] {
            fs::write(folder.join(name), self.text()).unwrap();
        }
        folder
    }

    fn clear(&self) {
        let place = self.drop_ins();
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&place).unwrap(),
            Ok(_) => fs::remove_file(&place).unwrap(),
            Err(_) => {}
        }
    }

    /// As Kubernetes does it: each version a folder of its own, a link to the one that counts, and links through that.
    fn mount(&mut self) {
        let place = self.drop_ins();
        let is_mounted = place.join("..data").symlink_metadata().is_ok();
        if !is_mounted {
            self.clear();
            fs::create_dir_all(&place).unwrap();
        }
        let version = format!("..{}", self.count);
        fs::create_dir(place.join(&version)).unwrap();
        for name in ["a.json", "b.json"] {
            fs::write(place.join(&version).join(name), self.text()).unwrap();
        }
        symlink(&version, place.join("..data_tmp")).unwrap();
        fs::rename(place.join("..data_tmp"), place.join("..data")).unwrap();
        for name in ["a.json", "b.json"] {
            if place.join(name).symlink_metadata().is_err() {
                symlink(format!("..data/{name}"), place.join(name)).unwrap();
            }
        }
    }
}
