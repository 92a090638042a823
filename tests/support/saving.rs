//! How programs save files: each way leaves the new text under the old name, and passes through states of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A way to save `text` at a path, whose folder is there.
pub type Save = fn(&Path, &str);

/// All of them, by the programs that do it so.
pub const WAYS: [(&str, Save); 12] = [
    ("rename", rename),
    ("renames in a row", renames),
    ("truncate and write", |path, text| write(path, text)),
    ("write piece by piece", pieces),
    ("delete and create", recreate),
    ("vim", vim),
    ("emacs", emacs),
    ("kate", kate),
    ("jetbrains", jetbrains),
    ("sed -i", sed),
    ("git checkout", checkout),
    ("link", link),
];

fn rename(path: &Path, text: &str) {
    let temporary = beside(path, "", ".tmp");
    write(&temporary, text);
    move_to(&temporary, path);
}

fn renames(path: &Path, text: &str) {
    for _ in 0..5 {
        rename(path, text);
    }
}

fn pieces(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    let (first, rest) = text.split_at(text.len() / 2);
    for part in [first, rest] {
        // Long enough for a reader to come in between, now and then.
        std::thread::sleep(std::time::Duration::from_millis(3));
        file.write_all(part.as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
}

fn recreate(path: &Path, text: &str) {
    forget(path);
    write(path, text);
}

/// With a swap file, a probe whether files can be made, and a backup that is a rename.
fn vim(path: &Path, text: &str) {
    let (swap, probe, backup) = (beside(path, ".", ".swp"), path.with_file_name("4913"), beside(path, "", "~"));
    write(&swap, "b0VIM");
    write(&probe, "");
    forget(&probe);
    let had = path.symlink_metadata().is_ok();
    if had {
        move_to(path, &backup);
    }
    write(path, text);
    if had {
        forget(&backup);
    }
    forget(&swap);
}

/// With a lock that is a dangling link, an automatic copy, and a backup that stays.
fn emacs(path: &Path, text: &str) {
    let (lock, automatic) = (beside(path, ".#", ""), beside(path, "#", "#"));
    forget(&lock);
    symlink("somebody@somewhere.1:2", &lock).unwrap();
    write(&automatic, text);
    if path.symlink_metadata().is_ok() {
        move_to(path, &beside(path, "", "~"));
    }
    write(path, text);
    forget(&automatic);
    forget(&lock);
}

fn kate(path: &Path, text: &str) {
    let (swap, temporary) = (beside(path, ".", ".kate-swp"), beside(path, "", ".aBcDeF"));
    write(&swap, "x");
    write(&temporary, text);
    move_to(&temporary, path);
    forget(&swap);
}

fn jetbrains(path: &Path, text: &str) {
    let (new, old) = (beside(path, "", "___jb_tmp___"), beside(path, "", "___jb_old___"));
    write(&new, text);
    let had = path.symlink_metadata().is_ok();
    if had {
        move_to(path, &old);
    }
    move_to(&new, path);
    if had {
        forget(&old);
    }
}

fn sed(path: &Path, text: &str) {
    let temporary = path.with_file_name("sedXyZ123");
    write(&temporary, text);
    move_to(&temporary, path);
}

/// Removed, and its folder with it if nothing else is in there.
fn checkout(path: &Path, text: &str) {
    forget(path);
    let folder = path.parent().unwrap();
    // One that is a link, or not empty, stays.
    let _ = fs::remove_dir(folder);
    if !folder.exists() {
        fs::create_dir(folder).unwrap();
    }
    write(path, text);
}

/// A link takes the place of the file; what it leads to is changed afterwards.
fn link(path: &Path, text: &str) {
    let (target, next) = (beside(path, "", ".target"), beside(path, "", ".next"));
    write(&target, "");
    forget(&next);
    symlink(target.file_name().unwrap(), &next).unwrap();
    move_to(&next, path);
    write(&target, text);
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn move_to(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

/// Removes what may not be there.
fn forget(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", path.display()),
        Ok(()) | Err(_) => {}
    }
}

/// The same name with something before and behind it.
fn beside(path: &Path, before: &str, behind: &str) -> PathBuf {
    path.with_file_name(format!("{before}{}{behind}", path.file_name().unwrap().to_str().unwrap()))
}
