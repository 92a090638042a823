//! What is run: the command of the service or of its type, its arguments, its port, its settings.

use super::exposed::{Exposed, SettingValue};
use super::fields::{Fields, texts};
use super::merge::{CommandOrigin, Whole};
use super::names::Names;
use super::read_service::Context;
use super::report::{Report, quoted};
use crate::domain::{Place, Problem, Value};

/// Program and arguments; empty after an error.
pub(super) fn read(
    (whole, exposed): (&Whole, &Exposed),
    (names, member): (&mut Names<'_>, usize),
    fields: &mut Fields<'_>,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<String> {
    let args = fields.take("args");
    let args_given = args.is_some_and(|args| matches!(&args.value, Value::List(items) if !items.is_empty()));
    let arguments = args.map(|args| texts(args, "args", report)).unwrap_or_default();
    let shell = fields.flag("shell", report).filter(|(flag, _)| *flag);
    let Some(command) = fields.take("command") else {
        // That the type is unknown, or what it needs, has been said.
        if whole.needs.is_empty() && context.type_is_known {
            let problem = Problem::error(context.place, "this service has no command");
            report.push(problem.hint("add \"command\": [\"program\", \"argument\"], or a \"type\" that brings one"));
        }
        return Vec::new();
    };
    let (mut argv, takes_args): (Vec<String>, bool) = match &command.value {
        Value::Text(_) => {
            (super::fields::text(command, "command", report).map(str::to_owned).into_iter().collect(), false)
        }
        Value::List(_) => {
            if whole.command == CommandOrigin::Own
                && let Some((_, place)) = shell
            {
                let problem = Problem::error(place, "\"shell\" wants a command that is text");
                report.push(problem.hint("write the command as one line, or leave \"shell\" out"));
            }
            let words = texts(command, "command", report).into_iter().map(|(word, _)| word.to_owned());
            (words.collect(), true)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Map(_) => {
            let message = format!("\"command\" must be text or a list of texts, but is {}", command.kind());
            report.error(&command.place, message);
            return Vec::new();
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        report.error(&command.place, "\"command\" names no program");
        return Vec::new();
    }
    if let Value::Text(program) = &command.value
        && shell.is_none()
        && is_line(program)
    {
        let message = format!("the program's name has a space in it: {}", quoted(program));
        let hint = "write a list: [\"program\", \"argument\"], or add \"shell\": true";
        report.push(Problem::warning(&command.place, message).hint(hint));
    }
    if whole.command == CommandOrigin::Own && takes_args {
        remark_on_names(&texts(command, "command", &mut Report::default()), (&mut *names, member), report);
    }
    remark_on_names(&arguments, (&mut *names, member), report);
    if !takes_args {
        argv.extend(arguments.iter().map(|(word, _)| (*word).to_owned()));
    } else if args_given
        && !matches!(whole.command, CommandOrigin::Type { takes_args: true })
        && let Some(args) = args
    {
        let message = match whole.command {
            CommandOrigin::Own => "\"args\" have no effect: a command that is a list is the whole of it".to_owned(),
            CommandOrigin::Type { .. } => {
                format!("\"args\" have no effect: the command of type {} has no {{args}}", quoted(context.type_name))
            }
        };
        report.warning(&args.place, message);
    }
    if let Some((option, _)) = fields.word("port_after", report)
        && let Some(port) = names.port(member)
    {
        put_port(&mut argv, option, port);
    }
    argv.extend(from_settings(exposed, names, member));
    if shell.is_some() { in_shell(&argv) } else { argv }
}

/// Whether what should be a program is a line of program and arguments: paths may have spaces as well.
fn is_line(program: &str) -> bool {
    let mut words = program.split_whitespace();
    let path = words.next().is_some_and(|first| first.contains(['/', '\\']));
    program.contains(char::is_whitespace) && (!path || words.any(|word| word.starts_with('-')))
}

/// Says of names that look as if they were to be expanded that they are not. A script behind `-c` or `-e` has its own.
fn remark_on_names(words: &[(&str, &Place)], (names, member): (&mut Names<'_>, usize), report: &mut Report) {
    let mut after_script_option = false;
    for (word, place) in words {
        if !after_script_option && names.would_change(member, word) {
            let message = format!("nothing is expanded in arguments: {} stays as it is", quoted(word));
            let hint = "write the whole line in \"command\" with \"shell\": true";
            report.push(Problem::note(place, message).hint(hint));
        }
        after_script_option = matches!(*word, "--eval" | "--command")
            || (word.starts_with('-') && !word.starts_with("--") && word.ends_with(['c', 'e']));
    }
}

/// Puts the port behind `option`, unless something that can only be a port stands there already.
fn put_port(argv: &mut Vec<String>, option: &str, port: u16) {
    let Some(at) = argv.iter().position(|word| word == option) else { return };
    let taken = argv.get(at + 1).is_some_and(|next| !next.is_empty() && next.bytes().all(|byte| byte.is_ascii_digit()));
    if !taken {
        argv.insert(at + 1, port.to_string());
    }
}

/// The settings that go to the end of the arguments: a bare option for yes, option and value for everything else.
fn from_settings(exposed: &Exposed, names: &mut Names<'_>, member: usize) -> Vec<String> {
    let mut words = Vec::new();
    for (index, setting) in exposed.settings.iter().enumerate() {
        let Some((option, _)) = &setting.arg_map else { continue };
        match names.setting(member, index) {
            Some(SettingValue::Flag(true)) => words.push(option.to_string()),
            Some(SettingValue::Text(value)) => words.extend([option.to_string(), value]),
            Some(SettingValue::Flag(false)) | None => {}
        }
    }
    words
}

/// The first word is a line of shell; the others are its arguments and must stay what they are.
fn in_shell(argv: &[String]) -> Vec<String> {
    let mut words = argv.iter();
    let mut line = words.next().cloned().unwrap_or_default();
    for word in words {
        line.push_str(" '");
        line.push_str(&word.replace('\'', "'\\''"));
        line.push('\'');
    }
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_path_with_a_space_is_a_program_and_one_with_options_a_line() {
        for (program, line) in [
            ("npm run dev", true),
            ("npm run dev -w apps/api", true),
            ("./run.sh --flag", true),
            ("/opt/My App/bin/app", false),
            (r"C:\Program Files\app.exe", false),
            ("npm", false),
        ] {
            assert_eq!(is_line(program), line, "{program}");
        }
    }

    #[test]
    fn the_port_comes_right_after_its_option_if_there_is_one() {
        for (before, after) in [
            ("pnpm dev --port", "pnpm dev --port 80"),
            ("pnpm preview --port --host", "pnpm preview --port 80 --host"),
            ("npm run dev", "npm run dev"),
            ("pnpm dev --port 3000", "pnpm dev --port 3000"),
        ] {
            let mut argv = words(before);
            put_port(&mut argv, "--port", 80);
            assert_eq!(argv, words(after));
        }
    }

    #[test]
    fn a_line_of_shell_keeps_its_arguments_whole() {
        let argv = ["echo $HOME", "a b", "it's"].map(str::to_owned);
        assert_eq!(in_shell(&argv), ["/bin/sh", "-c", r"echo $HOME 'a b' 'it'\''s'"]);
    }
}
