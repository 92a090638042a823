//! What a folder's checkout was lately moved to: the first suspect when something that worked no longer does.
//!
//! Reads the few small files in which git notes it, and runs no git: that may be missing, slow, or configured to run
//! programs of the repository's choice. It looks only when somebody asks, and changes nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much of the end of a reflog is read, in bytes.
const TAIL: u64 = 64 * 1024;

/// How much of any other file is read, in bytes.
const SMALL: u64 = 4 * 1024 * 1024;

/// How many moves are told, the latest.
const MOVES: usize = 10;

/// The state of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The folder that holds it.
    pub folder: PathBuf,
    /// The branch; `None` when none is checked out.
    pub branch: Option<String>,
    /// The commit, in full; `None` before the first one.
    pub head: Option<String>,
    /// How the commit came to be another one, oldest first.
    pub moves: Vec<Move>,
}

/// One change of what is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// When.
    pub at: SystemTime,
    /// The commit that it led to, in full.
    pub to: String,
    /// In git's words: "checkout: moving from main to topic".
    pub text: String,
}

impl Checkout {
    /// The checkout that `folder` lies in, with its moves at or after `since`; `None` if it lies in none.
    ///
    /// # Errors
    /// If there is one, and its files can't be read.
    pub fn around(folder: &Path, since: SystemTime) -> io::Result<Option<Self>> {
        for folder in folder.ancestors() {
            let Some(git) = repository(&folder.join(".git"))? else { continue };
            let Some(head) = read(&git.join("HEAD"))? else { continue };
            let branch = head.trim().strip_prefix("ref:").map(str::trim);
            let commit = match branch {
                Some(reference) => commit_of(&git, reference)?,
                None => Some(head.trim().to_owned()),
            };
            return Ok(Some(Self {
                folder: folder.to_owned(),
                branch: branch.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()),
                head: commit.filter(|commit| is_commit(commit)),
                moves: moves(&git.join("logs/HEAD"), since)?,
            }));
        }
        Ok(None)
    }
}

/// The repository that `.git` is or names; `None` if it is neither.
fn repository(git: &Path) -> io::Result<Option<PathBuf>> {
    match fs::metadata(git) {
        Ok(found) if found.is_dir() => Ok(Some(git.to_owned())),
        // Of a linked worktree or a submodule: a file that says where the repository is.
        Ok(found) if found.is_file() => {
            let text = read(git)?.unwrap_or_default();
            let named = text.strip_prefix("gitdir:").map(|path| path.trim());
            Ok(named.map(|path| git.parent().unwrap_or(Path::new("/")).join(path)))
        }
        Ok(_) => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The commit that `reference` names; `None` before the first one.
fn commit_of(git: &Path, reference: &str) -> io::Result<Option<String>> {
    // What comes out of a file must not lead out of the repository.
    if !reference.starts_with("refs/") || reference.split('/').any(|part| part == "..") {
        return Ok(None);
    }
    let common = read(&git.join("commondir"))?.map(|path| git.join(path.trim())).unwrap_or(git.to_owned());
    if let Some(loose) = read(&common.join(reference))? {
        return Ok(Some(loose.trim().to_owned()));
    }
    let packed = read(&common.join("packed-refs"))?.unwrap_or_default();
    let mut named = packed.lines().filter_map(|line| line.split_once(' '));
    Ok(named.find(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned()))
}

/// The moves in a reflog: lines of "old new name <mail> seconds zone", a tab, and the words.
fn moves(reflog: &Path, since: SystemTime) -> io::Result<Vec<Move>> {
    let mut file = match File::open(reflog) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // git notes whole seconds.
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // A line that was cut at its front has no two commits, or one that is too short.
    let mut moves: Vec<Move> =
        text.lines().filter_map(parse).filter(|(at, _)| *at >= since).map(|(_, it)| it).collect();
    Ok(moves.split_off(moves.len().saturating_sub(MOVES)))
}

fn parse(line: &str) -> Option<(u64, Move)> {
    let (who, text) = line.split_once('\t')?;
    let mut words = who.split(' ');
    let (old, to) = (words.next()?, words.next()?);
    let seconds: u64 = who.rsplit(' ').nth(1)?.parse().ok()?;
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    (is_commit(old) && is_commit(to) && old != to)
        .then(|| (seconds, Move { at, to: to.to_owned(), text: text.to_owned() }))
}

/// Whether this is the name of an object: 40 or 64 hexadecimal digits.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The text of a small file; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(SMALL).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    struct Repository(tempfile::TempDir);

    impl Repository {
        /// `None`, and a word, where there is no git to make one with.
        fn new() -> Option<Self> {
            let repository = Self(tempfile::tempdir().unwrap());
            if Command::new("git").arg("--version").output().is_err() {
                assert!(std::env::var_os("PILOTLIGHT_REQUIRE_ALL").is_none(), "git is missing");
                eprintln!("SKIPPED: there is no git");
                return None;
            }
            repository.git(&["init", "--quiet", "--initial-branch=main"]);
            Some(repository)
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn git(&self, arguments: &[&str]) -> String {
            let mut git = Command::new("git");
            for (name, value) in [("NAME", "A B"), ("EMAIL", "a@b")] {
                git.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
            }
            git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").current_dir(self.path());
            let output = git.args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        fn commit(&self, text: &str) {
            self.git(&["commit", "--quiet", "--allow-empty", "-m", text]);
        }

        fn look(&self, below: &str) -> Checkout {
            Checkout::around(&self.path().join(below), UNIX_EPOCH).unwrap().unwrap()
        }
    }

    #[test]
    fn branch_commit_and_moves_are_those_that_git_tells() {
        let Some(repository) = Repository::new() else { return };
        let fresh = repository.look("not/there/yet");
        assert_eq!((fresh.branch.as_deref(), fresh.head, fresh.moves), (Some("main"), None, vec![]));
        repository.commit("one");
        repository.commit("two: tab\there");
        repository.git(&["checkout", "--quiet", "-b", "topic/x", "HEAD~1"]);
        let checkout = repository.look("");
        assert_eq!(checkout.folder, repository.path());
        assert_eq!(checkout.branch.as_deref(), Some("topic/x"));
        assert_eq!(checkout.head.unwrap(), repository.git(&["rev-parse", "HEAD"]));
        let words: Vec<_> = checkout.moves.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(words, ["commit (initial): one", "commit: two: tab here", "checkout: moving from main to topic/x"]);
        let later = checkout.moves[2].at + Duration::from_secs(1);
        assert_eq!(Checkout::around(repository.path(), later).unwrap().unwrap().moves, []);
    }

    #[test]
    fn packed_references_detached_heads_and_linked_worktrees_are_read() {
        let Some(repository) = Repository::new() else { return };
        repository.commit("one");
        repository.git(&["pack-refs", "--all"]);
        let head = repository.git(&["rev-parse", "HEAD"]);
        assert_eq!(repository.look("").head.as_ref(), Some(&head));
        repository.git(&["worktree", "add", "--quiet", "-b", "side", "side"]);
        let side = repository.look("side/src");
        assert_eq!((side.branch.as_deref(), side.head.as_ref()), (Some("side"), Some(&head)));
        assert_eq!(side.folder, repository.path().join("side"));
        repository.git(&["checkout", "--quiet", "--detach"]);
        let detached = repository.look("");
        assert_eq!((detached.branch, detached.head), (None, Some(head)));
    }

    #[test]
    fn what_is_no_repository_is_none_and_rubbish_in_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        fs::create_dir_all(git.join("logs")).unwrap();
        let look = || Checkout::around(folder.path(), UNIX_EPOCH).unwrap();
        assert_eq!(look().map(|checkout| checkout.folder).filter(|found| found.starts_with(folder.path())), None);
        fs::write(git.join("HEAD"), "ref: refs/../../../etc/passwd\n").unwrap();
        fs::write(git.join("logs/HEAD"), [b"\xff\xfe\n\tx\n0 1 2\t3\n".as_slice(), &[b'x'; 200_000]].concat()).unwrap();
        let rubbish = look().unwrap();
        assert_eq!((rubbish.head, rubbish.moves), (None, vec![]));
        fs::write(git.join("HEAD"), "0123\n").unwrap();
        assert_eq!(look().unwrap().head, None);
    }
}
