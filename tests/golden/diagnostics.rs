//! What `check` says about sources that are wrong in one way each, as the program prints it.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every folder of `tests/fixtures/bad`, and what is wrong there.
const CASES: [(&str, &str); 10] = [
    ("syntax", "files that are no JSON"),
    ("wrong-types", "values of the wrong kind, several in one service"),
    ("unknown-keys", "keys that nobody knows"),
    ("duplicate-key", "one key twice in an object"),
    ("duplicate-id", "one id in two files"),
    ("dependencies", "dependencies that are not there, or go in circles"),
    ("out-of-range", "ports, times, words and ids that can't be"),
    ("unknown-type", "types that nobody knows, and no type to rest on"),
    ("probes", "probes that ask nothing, and names that stand for nothing"),
    ("encoding", "files that are no text, no object, or nothing at all"),
];

#[test]
fn every_mistake_is_shown_with_its_place_its_line_and_a_way_out() {
    let mut text = String::new();
    for (name, what) in CASES {
        let (status, stdout) = check(name);
        let rule = "=".repeat(what.len());
        let _ = write!(text, "{what}\n{rule}\n\n{stdout}[exit status {status}]\n\n\n");
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("diagnostics", text);
    });
}

#[test]
fn every_folder_of_bad_sources_is_shown() {
    let mut folders: Vec<_> =
        fs::read_dir(bad()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort();
    let mut shown = CASES.map(|(name, _)| name);
    shown.sort_unstable();
    assert_eq!(folders, shown);
}

/// The exit status and the output of `check` in a copy of `name`'s folder.
fn check(name: &str) -> (i32, String) {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    copy(&bad().join(name), &project);
    let output = Command::new(env!("CARGO_BIN_EXE_pilotlight"))
        .arg("check")
        .current_dir(&project)
        .env_clear()
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// Copies a folder; whoever has checked out the sources, and however: the copy is nobody else's to write.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(&target, fs::read(entry.path()).unwrap()).unwrap();
            fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
        }
    }
}

fn bad() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad")
}
