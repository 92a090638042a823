//! Everything that can be typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::wire;

/// Reads the command line. Help and version are printed here, and so are mistakes, with exit status 2.
pub fn parse() -> Invocation {
    Invocation::of(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// One call of the program.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What all commands share.
    pub global: Global,
    /// What to do.
    pub command: Command,
}

impl Invocation {
    /// Reads a command line, the program's own name included.
    ///
    /// # Errors
    /// If it can't be understood, or asks for help.
    pub fn of(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let typed = Typed::try_parse_from(spelled_out(words.into_iter().map(Into::into).collect()))?;
        let conflict = |told| Err(crate::cli::command().error(clap::error::ErrorKind::ArgumentConflict, told));
        let Typed { global, run, command } = typed;
        if let Some(Command::Ask(Ask::Graph { critical: true, format, .. })) = &command
            && matches!(format, GraphFormat::Dot | GraphFormat::Mermaid)
        {
            return conflict("what the last start took is told as text or as json");
        }
        match command {
            None => Ok(Self { global, command: Command::Run(run) }),
            Some(_) if run != Run::default() => {
                conflict("how the agent runs is said without a command or behind `run`")
            }
            Some(command) => Ok(Self { global, command }),
        }
    }
}

/// A command line as it is typed.
#[derive(Clone, Debug, Parser)]
#[command(name = "pilotlight", version, about, infer_subcommands = false, max_term_width = 100)]
pub(super) struct Typed {
    /// What all commands share.
    #[command(flatten)]
    global: Global,
    /// How the agent runs, without a command.
    #[command(flatten)]
    run: Run,
    /// What to do; without it, `run`.
    #[command(subcommand)]
    command: Option<Command>,
}

/// `why ID --config` is `why ID --origins`: everywhere else, and with a file behind the id, `--config` names the
/// configuration.
fn spelled_out(words: Vec<OsString>) -> Vec<OsString> {
    const WITH_VALUE: [&str; 4] = ["--config", "--root", "--profile", "--state-dir"];
    let (mut out, mut plain) = (Vec::with_capacity(words.len()), 0);
    let mut words = words.into_iter();
    out.extend(words.next());
    let mut words = words.peekable();
    let mut is_why = false;
    while let Some(word) = words.next() {
        let ends = words.peek().is_none_or(|next| next.as_encoded_bytes().starts_with(b"-"));
        if word == "--" {
            out.push(word);
            break;
        } else if is_why && word == "--config" && (ends || plain == 1) {
            out.push("--origins".into());
        } else if WITH_VALUE.iter().any(|option| word == *option) {
            out.push(word);
            out.extend(words.next());
        } else {
            if !word.as_encoded_bytes().starts_with(b"-") {
                plain += 1;
                is_why |= plain == 1 && word == "why";
            }
            out.push(word);
        }
    }
    out.extend(words);
    out
}

/// What all commands have stands apart from what each has.
const PLACES: &str = "Places";

/// What all commands share.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// The main configuration file [default: $PILOTLIGHT_CONFIG, else services.json here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", help_heading = PLACES)]
    pub config: Option<PathBuf>,
    /// Where relative paths in sources start [default: the main file's folder]
    #[arg(long, global = true, value_name = "DIR", help_heading = PLACES)]
    pub root: Option<PathBuf>,
    /// One more source, profiles/NAME.json beside the main file [default: $PILOTLIGHT_PROFILE]
    #[arg(long, global = true, value_name = "NAME", help_heading = PLACES)]
    pub profile: Option<String>,
    /// Where logs, pids and wishes are kept [default: $PILOTLIGHT_STATE_DIR, else in the user's state directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = PLACES)]
    pub state_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the agent in the foreground, with a tray when there is a desktop
    Run(Run),
    /// Ask the running agent.
    #[command(flatten)]
    Ask(Ask),
    /// Show what services have written, also with no agent running
    Logs(Logs),
    /// Validate sources, without an agent
    Check(Check),
    /// Tell what would happen, service by service: nothing is done
    Plan(Plan),
    /// Print the JSON Schema of a source, for editors
    Schema {
        /// The same: the schema is JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Play a service, for demonstrations and tests
    #[command(disable_help_flag = true)]
    DemoService {
        /// See `demo-service --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<OsString>,
    },
}

/// What the running agent is asked.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Show all services, or some
    Status {
        /// Ids of services
        ids: Vec<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Switch services on, with what they depend on, and wait until they are healthy
    Start(Targets),
    /// Switch services off, dependents first, and wait until they are gone
    Stop(Stop),
    /// Take the stranger on a service's port as its run
    Adopt(Adopt),
    /// Give services a new run, and wait until it is healthy
    Restart(Targets),
    /// The same wish as start, without waiting
    Enable(Ids),
    /// The same wish as stop, without waiting
    Disable(Ids),
    /// Forget what you have wished: the definition decides again
    Reset(Ids),
    /// Explain one service: who wants it, what it waits for, why it ended
    Why {
        /// The id of a service
        id: String,
        /// Show instead where each value of its definition comes from: `why ID --config`
        #[arg(long)]
        origins: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show what happened
    Events {
        /// Go on with what is still to happen
        #[arg(short, long)]
        follow: bool,
        /// Not what happened before: "10m", "14:30", "2026-01-09 14:30" or RFC 3339
        #[arg(long, value_name = "T")]
        since: Option<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Read all sources again and apply the changes that wait
    Reload {
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Wait until services are as you want them
    Wait {
        /// Ids of services
        #[arg(required = true)]
        ids: Vec<String>,
        /// What to wait for
        #[arg(long = "for", value_enum, default_value_t = WaitFor::Healthy, value_name = "STATE")]
        goal: WaitFor,
        /// How long at most: "1500ms", "30s", "5m" or seconds; what is not wanted is waited for, too [default: as long as
        /// the services may take, and not for what is not wanted]
        #[arg(long, value_name = "D", value_parser = duration)]
        timeout: Option<Duration>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Show the process tree of each service
    Ps {
        /// Ids of services
        ids: Vec<String>,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Open a service's page with your browser
    Open {
        /// The id of a service
        id: String,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
    /// Run an action of a service to its end, and show what it says
    RunAction(RunAction),
    /// Show who needs whom, or what the last start took
    Graph {
        /// With --critical: what led to these services [default: what determined the end of the whole start]
        #[arg(requires = "critical")]
        ids: Vec<String>,
        /// What the last start took: the chain of services that held up each other
        #[arg(long)]
        critical: bool,
        /// How to draw it
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
        /// The same as --format json
        #[arg(long, conflicts_with = "format")]
        json: bool,
    },
    /// End the agent, and its services as configured
    Shutdown {
        /// Leave the services running for the next agent
        #[arg(long)]
        keep_services: bool,
        /// How to print.
        #[command(flatten)]
        output: Output,
    },
}

/// How the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Run {
    /// No tray, even on a desktop
    #[arg(long, conflicts_with = "tray")]
    pub headless: bool,
    /// A tray, or fail
    #[arg(long)]
    pub tray: bool,
    /// Print neither state changes nor logs
    #[arg(long)]
    pub quiet: bool,
}

/// Which services are started, stopped or restarted.
#[derive(Clone, Debug, Default, Args)]
#[command(group(clap::ArgGroup::new("which").args(["ids", "all", "group"]).required(true)))]
pub struct Targets {
    /// Ids of services
    pub ids: Vec<String>,
    /// All enabled services
    #[arg(long)]
    pub all: bool,
    /// The services under this heading
    #[arg(long, value_name = "G")]
    pub group: Option<String>,
    /// Return at once
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
    /// How long to wait at most: "1500ms", "30s", "5m" or seconds [default: as long as the services may take]
    #[arg(long, value_name = "D", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Which services are stopped, or whose stranger.
#[derive(Clone, Debug, Default, Args)]
pub struct Stop {
    /// Which services.
    #[command(flatten)]
    pub targets: Targets,
    /// Not the service, but the stranger on its port
    #[arg(long, conflicts_with_all = ["all", "group", "no_wait", "timeout"])]
    pub foreign: bool,
    /// Do not ask
    #[arg(long, short, requires = "foreign")]
    pub yes: bool,
}

/// Whose stranger is taken over.
#[derive(Clone, Debug, Args)]
pub struct Adopt {
    /// The id of a service
    pub id: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Return at once
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
    /// How long to wait at most: "1500ms", "30s", "5m" or seconds [default: as long as the service may take]
    #[arg(long, value_name = "D", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Which action is run.
#[derive(Clone, Debug, Args)]
pub struct RunAction {
    /// The id of a service
    pub id: String,
    /// The action's name
    pub name: String,
    /// Do not ask, where the action asks for a yes
    #[arg(long, short)]
    pub yes: bool,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Services by id.
#[derive(Clone, Debug, Args)]
pub struct Ids {
    /// Ids of services
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Which part of which logs.
#[derive(Clone, Debug, Default, Args)]
pub struct Logs {
    /// Ids of services [default: all]
    pub ids: Vec<String>,
    /// Go on with what is still to be written
    #[arg(short, long)]
    pub follow: bool,
    /// So many lines at the end [default: 100, or all with --since or --grep]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Not what was written before: "10m", "14:30", "2026-01-09 14:30" or RFC 3339
    #[arg(long, value_name = "T")]
    pub since: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// Byte for byte: no names, control sequences as they are
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What is validated.
#[derive(Clone, Debug, Default, Args)]
pub struct Check {
    /// Files that are judged alone [default: the configuration]
    pub files: Vec<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What might happen.
#[derive(Clone, Debug, Default, Args)]
pub struct Plan {
    /// Files as if they were dropped in [default: the configuration as it is on disk]
    pub files: Vec<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Output {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How the graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// As trees.
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
    /// For programs.
    Json,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Healthy, degraded, or completed.
    Healthy,
    /// Running, or completed.
    Running,
    /// Nothing of it runs.
    Stopped,
    /// Ran to the end with success.
    Completed,
}

impl From<WaitFor> for wire::Goal {
    fn from(goal: WaitFor) -> Self {
        match goal {
            WaitFor::Healthy => Self::Healthy,
            WaitFor::Running => Self::Running,
            WaitFor::Stopped => Self::Stopped,
            WaitFor::Completed => Self::Completed,
        }
    }
}

/// A span of time: `1500ms`, `2s`, `5m`, `1h`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("the units are ms, s, m and h".to_owned()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| "expected something like 1500ms, 30s, 5m or 30".to_owned())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| "that is no span of time".to_owned())
}

#[cfg(test)]
mod tests;
