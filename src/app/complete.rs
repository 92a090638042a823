//! What a shell completes: the words of the command line, and of the services the ids, groups and actions.
//!
//! A shell calls the program with [`VARIABLE`] set, as the script of `completions` says. The names come from the files
//! alone: that needs no agent, so that nothing is waited for.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCandidates, CompletionCandidate};

use super::project::Project;
use crate::cli::{self, Global};
use crate::domain::Catalog;
use crate::domain::secrets::Secrets;
use crate::domain::text::{plain, plain_line};

/// The variable by which a shell asks; its value is the shell's name.
const VARIABLE: &str = cli::COMPLETION_VARIABLE;
/// Reading the files may take this long; after that nothing is completed, rather than keep somebody waiting who types.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest explanation of a candidate, in characters.
const MOST_HELP: usize = 200;

/// Answers a shell, if it is one that asks.
pub(super) fn complete() -> Option<ExitCode> {
    let shell = std::env::var_os(VARIABLE)?;
    let words: Arc<[OsString]> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let quotes = shell == "bash";
    let command = move || with_names(cli::command(), &words, quotes);
    let completer = CompleteEnv::with_factory(command).var(VARIABLE);
    match completer.try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        // Switched off by an empty value.
        Ok(false) => None,
        // A shell shows no errors while somebody types.
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// What is completed by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Ids,
    Groups,
    Actions,
}

impl Names {
    /// What the values of an argument are, by the argument's own name.
    fn of(argument: &Arg) -> Option<Self> {
        match argument.get_id().as_str() {
            "id" | "ids" => Some(Self::Ids),
            "group" => Some(Self::Groups),
            "name" => Some(Self::Actions),
            _ => None,
        }
    }
}

/// `command` with names for every argument that takes some.
fn with_names(command: Command, words: &Arc<[OsString]>, quotes: bool) -> Command {
    command.mut_subcommands(|subcommand| {
        subcommand.mut_args(|argument| {
            let Some(names) = Names::of(&argument) else { return argument };
            let words = Arc::clone(words);
            argument.add(ArgValueCandidates::new(move || candidates(names, &words, quotes)))
        })
    })
}

fn candidates(names: Names, words: &Arc<[OsString]>, quotes: bool) -> Vec<CompletionCandidate> {
    let (sender, found) = channel();
    let asked = Arc::clone(words);
    let reading = std::thread::Builder::new().name("complete".to_owned()).spawn(move || {
        let project = Project::find(&global(&asked));
        // Who waits for it may have lost patience.
        let _ = sender.send(project.map(|project| project.known()));
    });
    let Ok(Ok((catalog, secrets))) = reading.map_err(drop).and_then(|_| found.recv_timeout(PATIENCE).map_err(drop))
    else {
        return Vec::new();
    };
    let candidate = |(value, help): (String, String)| {
        let help = Some(plain_line(&help, MOST_HELP)).filter(|help| !help.is_empty() && *help != value).map(Into::into);
        CompletionCandidate::new(if quotes { quoted(&value) } else { value }).help(help)
    };
    named(names, &catalog, &secrets, words)
        .into_iter()
        .filter(|(value, _)| plain(value) == *value)
        .map(candidate)
        .collect()
}

/// The names, each with a word of explanation.
fn named(names: Names, catalog: &Catalog, secrets: &Secrets, words: &[OsString]) -> Vec<(String, String)> {
    match names {
        Names::Ids => {
            catalog.services.iter().map(|service| (service.id.to_string(), service.display.name.clone())).collect()
        }
        Names::Groups => catalog.groups.iter().map(|group| (group.key.clone(), group.name.clone())).collect(),
        Names::Actions => {
            let named = words.iter().filter_map(|word| word.to_str()).find_map(|word| catalog.services.get(word));
            let services = catalog.services.iter().filter(|service| named.is_none_or(|named| named.id == service.id));
            services
                .flat_map(|service| service.actions.iter())
                .map(|action| (action.name.clone(), secrets.hide_words(&action.argv, &[]).join(" ")))
                .collect()
        }
    }
}

/// The options of `words` that say which files are meant.
fn global(words: &[OsString]) -> Global {
    let value = |option: &str| {
        let is_it = |word: &OsString| word.to_str().is_some_and(|word| word == option);
        let apart = words.iter().position(is_it).and_then(|at| words.get(at + 1)).cloned();
        let joined =
            || words.iter().find_map(|word| word.to_str()?.strip_prefix(option)?.strip_prefix('=').map(Into::into));
        apart.or_else(joined).map(Into::into)
    };
    Global { config: value("--config"), root: value("--root"), ..Global::default() }
}

/// `value` as one word of bash, which takes candidates as they are.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+,".contains(c);
    value.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Arc<[OsString]> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn every_argument_that_takes_ids_groups_or_actions_completes_them() {
        let mut found = Vec::new();
        let command = with_names(cli::command(), &words(""), false);
        for subcommand in command.get_subcommands() {
            for argument in subcommand.get_arguments() {
                let completes = argument.get::<ArgValueCandidates>().is_some();
                assert_eq!(completes, Names::of(argument).is_some());
                found.extend(completes.then(|| format!("{} {}", subcommand.get_name(), argument.get_id())));
            }
        }
        for expected in [
            "status ids",
            "start group",
            "stop ids",
            "logs ids",
            "why id",
            "adopt id",
            "run-action id",
            "run-action name",
        ] {
            assert!(found.iter().any(|one| one == expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn the_options_before_say_which_files_are_meant() {
        let global = |line: &str| global(&words(line));
        assert_eq!(global("pilotlight --config a.json why").config, Some("a.json".into()));
        assert_eq!(global("pilotlight why --config=b.json x").config, Some("b.json".into()));
        assert_eq!(global("pilotlight --root /srv why").root, Some("/srv".into()));
        assert_eq!(global("pilotlight why --config").config, None);
    }

    #[test]
    fn a_word_of_bash_is_one_word() {
        assert_eq!(quoted("main-api"), "main-api");
        assert_eq!(quoted("Clear cache; $HOME `x` 'y'"), "Clear\\ cache\\;\\ \\$HOME\\ \\`x\\`\\ \\'y\\'");
    }
}
