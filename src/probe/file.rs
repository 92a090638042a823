//! The file probe: whether a file is there, and was written lately.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::OwnedMutexGuard;

use super::words;
use crate::domain::Outcome;
use crate::domain::text;

/// Looks once. `turn` is kept until the file system has answered, however late that is: nobody asks it twice at a time.
pub(super) async fn probe<T: Send + 'static>(
    path: PathBuf,
    max_age: Option<Duration>,
    patience: Duration,
    turn: OwnedMutexGuard<T>,
) -> Outcome {
    let looking = tokio::task::spawn_blocking(move || {
        let outcome = look(&path, max_age);
        drop(turn);
        outcome
    });
    match tokio::time::timeout(patience, looking).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome::Fail(format!("the file could not be looked at: {error}")),
        Err(_elapsed) => Outcome::Fail(format!("the file system did not answer within {}", words::span(patience))),
    }
}

fn look(path: &Path, max_age: Option<Duration>) -> Outcome {
    let shown = || text::plain_line(&path.to_string_lossy(), words::SHOWN);
    let written = match (std::fs::metadata(path), max_age) {
        (Ok(_), None) => return Outcome::Pass,
        (Ok(metadata), Some(max_age)) => metadata.modified().map(|at| (at, max_age)),
        (Err(error), _) => Err(error),
    };
    match written {
        // What was written in the future is fresh: clocks of file servers are not ours.
        Ok((at, max_age)) => match SystemTime::now().duration_since(at) {
            Ok(age) if age > max_age => {
                let (age, max_age) = (words::span(age), words::span(max_age));
                Outcome::Fail(format!("not written for {age}, longer than {max_age}: {}", shown()))
            }
            Ok(_) | Err(_) => Outcome::Pass,
        },
        Err(error) => Outcome::Fail(format!("{}: {}", words::io_error(&error), shown())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beat");
        assert_eq!(look(&path, None), Outcome::Fail(format!("no such file: {}", path.display())));
        File::create(&path).unwrap();
        assert_eq!(look(&path, None), Outcome::Pass);
        assert_eq!(look(folder.path(), None), Outcome::Pass);
        let below = path.join("below");
        assert!(matches!(look(&below, None), Outcome::Fail(_)));
    }

    #[test]
    fn a_file_is_fresh_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beat");
        let file = File::create(&path).unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(look(&path, Some(minute)), Outcome::Pass);
        file.set_modified(SystemTime::now() + minute * 60).unwrap();
        assert_eq!(look(&path, Some(minute)), Outcome::Pass, "ahead of our clock");
        file.set_modified(SystemTime::now() - minute * 60).unwrap();
        let Outcome::Fail(reason) = look(&path, Some(minute)) else { panic!("it is stale") };
        assert!(reason.starts_with("not written for 3600"), "{reason}");
        assert!(reason.ends_with(&format!(" s, longer than 60 s: {}", path.display())), "{reason}");
        assert_eq!(look(&path, None), Outcome::Pass, "it need only be there");
    }
}
