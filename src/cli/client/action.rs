//! `run-action`: asks where the definition says so, and shows what the action says while it runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::connection::Connection;
use super::{print, with_ids};
use crate::cli::args::RunAction;
use crate::cli::confirm::confirm;
use crate::cli::exit::{Exit, Unmet};
use crate::cli::platform::{FileId, identity, identity_of};
use crate::domain::ServiceId;
use crate::domain::text::{plain, plain_lines};
use crate::engine::StateDir;
use crate::wire::{self, Done, Status};

/// How often it is looked whether the action has said more.
const PACE: Duration = Duration::from_millis(50);

/// Runs an action to its end.
pub(super) async fn run(
    out: &mut dyn Write,
    err: &mut dyn Write,
    agent: &Connection,
    asked: &RunAction,
) -> Result<Exit, Unmet> {
    let RunAction { id, name, yes, output } = asked;
    let status: Status = agent.get(&with_ids("/v1/status", std::slice::from_ref(id))?).await?;
    let gone = || Unmet::new(Exit::NoSuchService, format!("there is no service {id:?}"));
    let service = status.services.first().ok_or_else(gone)?;
    let Some(action) = service.actions.iter().find(|action| action.name == *name) else {
        let unmet = Unmet::new(Exit::NotDone, format!("{id} has no action {name:?}"));
        let names = service.actions.iter().map(|action| action.name.as_str()).collect::<Vec<_>>();
        let hint = if names.is_empty() { "it has none".to_owned() } else { format!("it has: {}", names.join(", ")) };
        return Err(unmet.hint(hint));
    };
    if action.confirm {
        confirm(&format!("Run {} of {}?", plain(name), plain(id)), *yes, err)?;
    }
    let service = ServiceId::new(id).map_err(|_| gone())?;
    let log = StateDir::new(&status.agent.state_dir).action_log(&service, name);
    let mut said = Said::after_now(log);
    let wish = wire::RunAction { id: id.clone(), name: name.clone() };
    let answer = agent.post("/v1/run-action", &wish, None);
    tokio::pin!(answer);
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer?,
            () = tokio::time::sleep(PACE), if !output.json => said.show(out)?,
        }
    };
    if !output.json {
        said.show(out)?;
        said.end(out)?;
    }
    let done: Done = answer.map_err(|failed| failed.unmet())?;
    // What it has said is enough for people.
    print(out, *output, &done, |_| String::new())
}

/// What an action says, as its log grows.
struct Said {
    path: PathBuf,
    /// The file of an earlier run, which is none of this one's.
    earlier: Option<FileId>,
    open: Option<File>,
    /// What has been read and not shown: a line without its end may break off within a character or a sequence.
    begun: Vec<u8>,
}

impl Said {
    fn after_now(path: PathBuf) -> Self {
        let earlier = identity(&path);
        Self { path, earlier, open: None, begun: Vec::new() }
    }

    /// Shows what is new. A log that has become too long goes on in a file of its own.
    fn show(&mut self, out: &mut dyn Write) -> Result<(), Unmet> {
        let failed = |error: io::Error| Unmet::new(Exit::NotDone, format!("failed to read what it says: {error}"));
        loop {
            let at_path = identity(&self.path).filter(|file| Some(*file) != self.earlier);
            let at_hand = match &mut self.open {
                Some(file) => {
                    copy(file, &mut self.begun, out).map_err(failed)?;
                    Some(identity_of(file).map_err(failed)?)
                }
                None => None,
            };
            if at_path.is_none() || at_path == at_hand {
                return out.flush().map_err(failed);
            }
            if let Some(file) = &mut self.open {
                // What was written between the look above and the change.
                copy(file, &mut self.begun, out).map_err(failed)?;
            }
            self.open = Some(File::open(&self.path).map_err(failed)?);
            // That one may go from now on, and leave its number to a later one.
            self.earlier = None;
        }
    }

    /// Shows a last line that has no end.
    fn end(&mut self, out: &mut dyn Write) -> Result<(), Unmet> {
        let shown = print_lines(&std::mem::take(&mut self.begun), out).and_then(|()| out.flush());
        shown.map_err(|error| Unmet::new(Exit::NotDone, format!("failed to print: {error}")))
    }
}

/// A line of so many bytes is shown before it has an end.
const LONG: usize = 64 * 1024;

/// Shows the lines that `file` holds behind those that were read before.
fn copy(file: &mut File, begun: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
    let mut block = vec![0; LONG];
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(());
        }
        begun.extend_from_slice(&block[..read]);
        let whole = begun.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
        let whole = whole.or((begun.len() > LONG).then_some(begun.len()));
        let rest = begun.split_off(whole.unwrap_or(0));
        print_lines(&std::mem::replace(begun, rest), out)?;
    }
}

/// As the lines of logs are shown: what it says may be what others have told it. A reader that has seen enough is no failure
/// of it.
fn print_lines(bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
    match out.write_all(plain_lines(&String::from_utf8_lossy(bytes)).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_says_is_shown_once_over_changes_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("action.log");
        std::fs::write(&path, "of an earlier run").unwrap();
        let mut said = Said::after_now(path.clone());
        let mut out = Vec::new();
        said.show(&mut out).unwrap();
        assert!(out.is_empty());
        let aside = |text: &str| {
            std::fs::rename(&path, folder.path().join("action.log.1")).unwrap();
            std::fs::write(&path, text).unwrap();
        };
        aside("one\n");
        said.show(&mut out).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"two\n").unwrap();
        aside("three\n");
        said.show(&mut out).unwrap();
        said.show(&mut out).unwrap();
        assert_eq!(out, b"one\ntwo\nthree\n");
    }

    #[test]
    fn what_an_action_says_steers_no_terminal_however_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("action.log");
        let mut said = Said::after_now(path.clone());
        let mut out = Vec::new();
        for part in [&b"r\x1b[3"[..], b"1med \xc3", b"\xa4\x1b]0;t", b"itle\x07\r\n", b"an\xc2\x9b2J end\x1b"] {
            File::options().create(true).append(true).open(&path).unwrap().write_all(part).unwrap();
            said.show(&mut out).unwrap();
        }
        said.end(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "red ä\nan end");
    }
}
