//! Finds the program that a command names, as the command prompt would, and says in words why there is none.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::environment::Environment;

/// The endings of programs where the environment has no `PATHEXT`.
const ENDINGS: &str = ".COM;.EXE;.BAT;.CMD";
/// No more than this of a `PATH` is shown, in characters.
const LONGEST_PATH_SHOWN: usize = 400;

/// The file that `program` means for a process that begins in `cwd`; an error is a fragment.
///
/// A name without a folder is looked for on the `PATH`, never in the working directory. What has no ending of a program
/// is tried with each of them.
pub(super) fn find(program: &str, cwd: &Path, environment: &Environment) -> Result<PathBuf, String> {
    if !cwd.is_dir() {
        let what = if cwd.exists() { "not a directory" } else { "directory does not exist" };
        return Err(format!("{what}: {}", cwd.display()));
    }
    if program.is_empty() {
        return Err("program not found: its name is empty".to_owned());
    }
    let endings = environment.get("PATHEXT").unwrap_or(OsStr::new(ENDINGS)).to_string_lossy();
    let endings: Vec<&str> = endings.split(';').filter(|ending| !ending.is_empty()).collect();
    if program.contains(['/', '\\', ':']) {
        let path = cwd.join(program.replace('/', "\\"));
        return with_ending(&path, &endings)
            .ok_or_else(|| format!("program not found: {program} (looked for {})", path.display()));
    }
    let path = environment.get("PATH").unwrap_or_default();
    let folders = std::env::split_paths(path).map(|folder| cwd.join(folder));
    folders.into_iter().find_map(|folder| with_ending(&folder.join(program), &endings)).ok_or_else(|| {
        let mut text = format!("program not found: {program} (PATH is {})", shortened(&path.to_string_lossy()));
        if with_ending(&cwd.join(program), &endings).is_some() {
            text.push_str(&format!("; the working directory has it: write \"./{program}\""));
        } else if program.contains(' ') {
            text.push_str("; it holds spaces: give a list of arguments");
        }
        text
    })
}

/// `path` itself if it ends like a program, else with the first ending with which it is there.
fn with_ending(path: &Path, endings: &[&str]) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    if endings.iter().any(|ending| name.ends_with(&ending.to_ascii_lowercase())) && path.is_file() {
        return Some(path.to_owned());
    }
    let with = |ending: &&str| {
        let mut longer = path.as_os_str().to_owned();
        longer.push(ending.to_ascii_lowercase());
        PathBuf::from(longer)
    };
    endings.iter().map(with).find(|path| path.is_file())
}

fn shortened(path: &str) -> String {
    match path.char_indices().nth(LONGEST_PATH_SHOWN) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}
