//! The command line of the stand-in. Reads and checks; does nothing.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::needs::Need;

/// What `demo-service` was called with.
#[derive(Debug, Parser)]
#[command(
    name = "pilotlight demo-service",
    bin_name = "pilotlight demo-service",
    about = "Plays a service, for trying things out: it serves /health and more, and misbehaves when told to",
    args_conflicts_with_subcommands = true
)]
pub struct Arguments {
    /// What to do instead of playing a service.
    #[command(subcommand)]
    pub action: Option<Action>,
    /// The service to play.
    #[command(flatten)]
    pub part: Part,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Tell a playing service how to behave
    Tell(Wish),
}

/// A new behaviour for a service that plays already.
#[derive(Debug, Args)]
pub struct Wish {
    /// The service's port on this machine
    pub port: u16,
    /// How to behave from now on
    pub behaviour: Behaviour,
    /// What /health gives as the reason (fail, degrade)
    #[arg(long)]
    pub reason: Option<String>,
    /// How much later each answer comes, in milliseconds (slow)
    #[arg(long, default_value_t = 5000)]
    pub ms: u64,
    /// The exit code (crash)
    #[arg(long, default_value_t = 1)]
    pub code: u8,
}

/// A way to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Behaviour {
    /// /health answers 503
    Fail,
    /// /health never answers
    Hang,
    /// Every answer comes late
    Slow,
    /// It exits
    Crash,
    /// /health answers 200 and says "degraded"
    Degrade,
    /// All is well again
    Recover,
}

/// The service to play.
#[derive(Clone, Debug, Args)]
pub struct Part {
    /// What it calls itself
    #[arg(long, env = "PILOTLIGHT_SERVICE", default_value = "demo", hide_env_values = true)]
    pub name: String,
    /// Where it listens, on loopback; without it $PORT, but for workers and jobs; 0: any free port
    #[arg(long)]
    pub port: Option<u16>,
    /// What it plays [default: an api if it has a port, else a worker]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// How long it takes before it listens
    #[arg(long, value_name = "D", value_parser = duration, default_value = "0s")]
    pub startup_delay: Duration,
    /// What it needs: NAME=URL or URL; /health asks it, and says "degraded" when it is not there
    #[arg(long, value_name = "URL", env = "DEMO_NEEDS", value_delimiter = ',', hide_env_values = true)]
    pub needs: Vec<Need>,
    /// Names of what it offers, for /dev/info and the map
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub provides: Vec<String>,
    /// The form of /dev/architecture/map: lists of objects, or a map of services and names only
    #[arg(long, value_enum, default_value = "lists")]
    pub map: MapShape,
    /// How often a worker says that it is there
    #[arg(long, value_name = "D", value_parser = duration, default_value = "10s")]
    pub heartbeat: Duration,
    /// How many steps a job has
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub job_steps: u32,
    /// How long each step of a job takes
    #[arg(long, value_name = "D", value_parser = duration, default_value = "300ms")]
    pub step_time: Duration,
    /// What a job, or a crash, ends with
    #[arg(long, value_name = "N")]
    pub exit_code: Option<u8>,
    /// Crash after so long
    #[arg(long, value_name = "D", value_parser = duration)]
    pub crash_after: Option<Duration>,
    /// Go on after SIGTERM
    #[arg(long)]
    pub ignore_term: bool,
    /// Start a child that lives on after its parent's end: in its process group, or in a session of its own
    #[arg(long, value_name = "WHERE", num_args = 0..=1, default_missing_value = "group")]
    pub spawn_child: Option<Child>,
    /// Leave the session that it was started in
    #[arg(long, hide = true)]
    pub own_session: bool,
}

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A backend.
    Api,
    /// A frontend.
    Web,
    /// A background worker; it serves HTTP only with --port.
    Worker,
    /// A database; what it speaks is HTTP all the same.
    Database,
    /// Something that runs to its end.
    Job,
}

/// Which of the two forms that are in use the architecture map has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MapShape {
    /// `services` and `capabilities` are lists of objects.
    Lists,
    /// `services` is a map, `capabilities` a list of names.
    Maps,
}

/// Where a child lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Child {
    /// In its parent's process group.
    Group,
    /// In a session of its own.
    Session,
}

impl Part {
    /// What it plays.
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or(if self.port.is_some() { Kind::Api } else { Kind::Worker })
    }

    /// The same with its port settled, for which the variable `PORT` may stand in.
    pub fn settled(mut self, variable: Option<&str>) -> Result<Self, clap::Error> {
        let complain = |kind, text: String| Arguments::command().error(kind, text);
        let listens = match self.kind {
            Some(Kind::Api | Kind::Web | Kind::Database) => true,
            None => variable.is_some(),
            Some(Kind::Worker | Kind::Job) => false,
        };
        if listens && self.port.is_none() {
            let text = variable.ok_or_else(|| {
                complain(ErrorKind::MissingRequiredArgument, "where to listen? give --port or $PORT".to_owned())
            })?;
            let port =
                text.parse().map_err(|_| complain(ErrorKind::InvalidValue, format!("$PORT is no port: {text:?}")))?;
            self.port = Some(port);
        }
        Ok(self)
    }
}

/// Reads `1500ms`, `2s`, `5m` or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    let span: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(span).map_err(|_| "a duration is not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(args: &[&str]) -> Result<Part, clap::Error> {
        Arguments::try_parse_from([&["x"], args].concat()).map(|arguments| arguments.part)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, expected) in [("1500ms", 1500), ("2s", 2000), ("5m", 300_000), ("0.5", 500), ("3", 3000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["-1", "-1s", "soon", "", "inf", "NaN"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_variable_stands_in_for_the_port_of_what_listens() {
        let port = |args: &[&str], variable| part(args).unwrap().settled(variable).map(|part| part.port);
        assert_eq!(port(&["--port", "1"], Some("2")).unwrap(), Some(1));
        assert_eq!(port(&[], Some("2")).unwrap(), Some(2));
        assert_eq!(port(&["--kind", "worker"], Some("2")).unwrap(), None);
        assert_eq!(port(&["--kind", "worker", "--port", "1"], Some("2")).unwrap(), Some(1));
        assert_eq!(port(&[], None).unwrap(), None);
        assert_eq!(port(&["--kind", "api"], None).unwrap_err().exit_code(), 2);
        assert_eq!(port(&[], Some("many")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_has_a_port_is_an_api_and_what_has_none_a_worker_unless_it_says_so() {
        let kind = |args: &[&str], variable| part(args).unwrap().settled(variable).map(|part| part.kind());
        assert_eq!(kind(&[], Some("1")).unwrap(), Kind::Api);
        assert_eq!(kind(&["--port", "1"], None).unwrap(), Kind::Api);
        assert_eq!(kind(&[], None).unwrap(), Kind::Worker);
        assert_eq!(kind(&["--kind", "web", "--port", "1"], None).unwrap(), Kind::Web);
    }

    #[test]
    fn a_child_lives_in_the_group_unless_told_otherwise() {
        assert_eq!(part(&["--spawn-child"]).unwrap().spawn_child, Some(Child::Group));
        assert_eq!(part(&["--spawn-child=session"]).unwrap().spawn_child, Some(Child::Session));
        assert_eq!(part(&[]).unwrap().spawn_child, None);
    }

    #[test]
    fn telling_and_playing_exclude_each_other() {
        assert!(Arguments::try_parse_from(["x", "tell", "1", "fail"]).is_ok());
        assert!(Arguments::try_parse_from(["x", "--port", "1", "tell", "1", "fail"]).is_err());
    }
}
