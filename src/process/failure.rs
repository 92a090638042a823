//! Says why a process could not be started, in words that help: the system's own error names neither file nor cause.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::domain::Spawn;

/// Where programs are looked for when the environment has no `PATH`.
pub(super) const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// No more than this of a `PATH` is shown, in characters.
const LONGEST_PATH_SHOWN: usize = 400;

/// The cause of `error`, as a fragment. `path` is the child's `PATH`.
pub(super) fn explain(spawn: &Spawn, path: Option<&OsStr>, error: &io::Error) -> String {
    let Some(program) = spawn.argv.first() else { return "command is empty".to_owned() };
    if let Some(text) = wrong_directory(&spawn.cwd) {
        return text;
    }
    let text = if program.is_empty() {
        Some("program not found: its name is empty".to_owned())
    } else if !is_about_file(error) {
        None
    } else if program.contains('/') {
        Some(wrong_file(&spawn.cwd.join(program), program))
    } else {
        Some(not_on_path(spawn, path, program))
    };
    text.unwrap_or_else(|| format!("program cannot be started: {program} ({})", in_words(error)))
}

/// Whether the same would happen again at once, because it is about what is on disk or in the definition.
pub(super) fn is_lasting(error: &io::Error) -> bool {
    is_about_file(error) || error.kind() == ErrorKind::InvalidInput || error.raw_os_error() == Some(libc::E2BIG)
}

fn is_about_file(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
        || matches!(error.raw_os_error(), Some(libc::ENOEXEC | libc::ENOTDIR | libc::EISDIR | libc::ELOOP))
}

fn in_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::E2BIG) => "its arguments and environment are too long for the system".to_owned(),
        Some(libc::EAGAIN) => "the limit of processes is reached".to_owned(),
        Some(libc::EMFILE | libc::ENFILE) => "the limit of open files is reached".to_owned(),
        Some(libc::ETXTBSY) => "the file is being written".to_owned(),
        Some(_) => error.to_string(),
        None if error.kind() == ErrorKind::InvalidInput => "an argument or a variable holds a NUL character".to_owned(),
        None => error.to_string(),
    }
}

fn wrong_directory(cwd: &Path) -> Option<String> {
    let shown = cwd.display();
    match fs::metadata(cwd) {
        Ok(metadata) if !metadata.is_dir() => Some(format!("not a directory: {shown}")),
        Ok(_) => match rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK) {
            Ok(()) => None,
            Err(error) => Some(format!("directory cannot be entered: {shown} ({error})")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("directory does not exist: {shown}")),
        Err(error) => Some(format!("directory cannot be entered: {shown} ({error})")),
    }
}

fn not_on_path(spawn: &Spawn, path: Option<&OsStr>, program: &str) -> String {
    let folders: Vec<PathBuf> =
        std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))).map(|folder| spawn.cwd.join(folder)).collect();
    if let Some(found) = folders.iter().map(|folder| folder.join(program)).find(|file| file.is_file()) {
        return wrong_file(&found, &found.to_string_lossy());
    }
    let mut text = format!("program not found: {program}");
    let _infallible = match path {
        Some(path) => write!(text, " (PATH is {})", shortened(&path.to_string_lossy())),
        None => write!(text, " (PATH is not set; looked in {DEFAULT_PATH})"),
    };
    if spawn.cwd.join(program).is_file() {
        let _infallible = write!(text, "; the working directory has it: write \"./{program}\"");
    } else if program.contains(' ') {
        text.push_str("; it holds spaces: give a list of arguments, or \"shell\": true");
    }
    text
}

/// What is wrong with a file that was found, or should have been.
fn wrong_file(file: &Path, name: &str) -> String {
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound && Path::new(name).is_absolute() => {
            return format!("program not found: {name}");
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return format!("program not found: {name} (looked for {})", file.display());
        }
        Err(error) => return format!("program cannot be reached: {name} ({error})"),
    };
    if metadata.is_dir() {
        return format!("not executable: {name} is a directory");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return format!("not executable: {name} (chmod +x {})", file.display());
    }
    if rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_err() {
        return format!("not executable: {name} (not for this user, or not on this file system)");
    }
    match interpreter(file) {
        Some(interpreter) if interpreter.ends_with('\r') => format!(
            "script's interpreter missing: {} has Windows line ends (convert it, e.g. with dos2unix)",
            file.display()
        ),
        Some(interpreter) if !Path::new(&interpreter).exists() => {
            format!("script's interpreter missing: {interpreter} (first line of {})", file.display())
        }
        Some(interpreter) => {
            format!("script's interpreter cannot be run: {interpreter} (first line of {})", file.display())
        }
        None => format!("program cannot be loaded: {name} (built for another system, or its loader is missing)"),
    }
}

/// The program that a script names in its first line.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let first = line.trim_start_matches([' ', '\t']).split([' ', '\t']).next()?;
    (!first.is_empty()).then(|| first.to_owned())
}

fn shortened(path: &str) -> String {
    match path.char_indices().nth(LONGEST_PATH_SHOWN) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn file(&self, name: &str, content: &str, mode: u32) -> &Self {
            let path = self.folder.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }

        fn explain(&self, program: &str, path: Option<&str>, code: i32) -> String {
            let spawn = Spawn {
                argv: vec![program.to_owned()],
                cwd: self.folder.path().to_owned(),
                env: Default::default(),
                shared_env: Arc::default(),
            };
            let text = explain(&spawn, path.map(OsStr::new), &io::Error::from_raw_os_error(code));
            text.replace(&*self.folder.path().to_string_lossy(), "HERE")
        }
    }

    #[test]
    fn every_cause_has_its_words() {
        let case = Case::new();
        case.file("plain", "x", 0o644).file("run.sh", "true", 0o755).file("old", "#!/no/such/sh -x\n", 0o755);
        case.file("dos", "#!/bin/sh\r\ntrue\r\n", 0o755).file("alien", "\x7fELF", 0o755);
        let table = [
            ("pnpm", Some("/a:/b"), libc::ENOENT, "program not found: pnpm (PATH is /a:/b)"),
            ("pnpm", None, libc::ENOENT, "program not found: pnpm (PATH is not set; looked in /bin:/usr/bin)"),
            (
                "run.sh",
                Some("/a"),
                libc::ENOENT,
                "program not found: run.sh (PATH is /a); the working directory has it: write \"./run.sh\"",
            ),
            (
                "npm run dev",
                Some("/a"),
                libc::ENOENT,
                "program not found: npm run dev (PATH is /a); it holds spaces: give a list of arguments, or \
                 \"shell\": true",
            ),
            ("", Some("/a"), libc::ENOENT, "program not found: its name is empty"),
            ("./gone", None, libc::ENOENT, "program not found: ./gone (looked for HERE/./gone)"),
            ("/gone/gone", None, libc::ENOENT, "program not found: /gone/gone"),
            ("./plain", None, libc::EACCES, "not executable: ./plain (chmod +x HERE/./plain)"),
            ("plain", Some("."), libc::EACCES, "not executable: HERE/./plain (chmod +x HERE/./plain)"),
            ("./", None, libc::EACCES, "not executable: ./ is a directory"),
            ("./old", None, libc::ENOENT, "script's interpreter missing: /no/such/sh (first line of HERE/./old)"),
            (
                "./dos",
                None,
                libc::ENOENT,
                "script's interpreter missing: HERE/./dos has Windows line ends (convert it, e.g. with dos2unix)",
            ),
            (
                "./alien",
                None,
                libc::ENOENT,
                "program cannot be loaded: ./alien (built for another system, or its loader is missing)",
            ),
            ("true", None, libc::EAGAIN, "program cannot be started: true (the limit of processes is reached)"),
        ];
        for (program, path, code, expected) in table {
            assert_eq!(case.explain(program, path, code), expected);
        }
    }

    #[test]
    fn a_missing_directory_is_told_before_a_missing_program() {
        let case = Case::new();
        case.file("file", "", 0o644);
        let spawn = |cwd: &Path| Spawn {
            argv: vec!["true".to_owned()],
            cwd: cwd.to_owned(),
            env: Default::default(),
            shared_env: Arc::default(),
        };
        let not_found = io::Error::from_raw_os_error(libc::ENOENT);
        let gone = explain(&spawn(Path::new("/no/such/place")), None, &not_found);
        assert_eq!(gone, "directory does not exist: /no/such/place");
        let file = case.folder.path().join("file");
        assert_eq!(explain(&spawn(&file), None, &not_found), format!("not a directory: {}", file.display()));
    }

    #[test]
    fn a_long_path_is_cut() {
        let text = Case::new().explain("x", Some(&"/ä".repeat(5000)), libc::ENOENT);
        assert!(text.chars().count() < 500 && text.ends_with("…)"), "{text}");
    }
}
