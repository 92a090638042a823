//! Expands `$NAME`, `${NAME}` and, where it is asked for, `{port}` in one piece of text.
//!
//! What a name stands for is the caller's business; what it becomes is not looked at again.

use std::borrow::Cow;

/// The longest text that an expansion may become, in bytes: names that refer to names can double at every step.
const LONGEST: usize = 64 << 10;

/// Why an expansion came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing is known by this name.
    Unknown(String),
    /// There is no port for `{port}`.
    NoPort,
    /// The result would be too long.
    TooLong,
    /// It needs something that is in error itself, and has been told.
    Told,
}

/// What stands in a text in place of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// `$NAME` or `${NAME}`.
    Variable(&'a str),
    /// `{port}`.
    Port,
}

/// `text` with everything expanded by `meaning`; `{port}` only if `braces` says so.
pub(super) fn expand(
    text: &str,
    braces: bool,
    mut meaning: impl FnMut(Name<'_>) -> Option<String>,
) -> Result<String, Failure> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let (value, length) = match token(rest, braces) {
            Token::Plain(text) => (Cow::Borrowed(text), text.len()),
            Token::Dollar => (Cow::Borrowed("$"), 2),
            Token::Name(name, length) => match (meaning(name), name) {
                (Some(value), _) => (Cow::Owned(value), length),
                (None, Name::Variable(name)) => return Err(Failure::Unknown(name.to_owned())),
                (None, Name::Port) => return Err(Failure::NoPort),
            },
        };
        expanded.push_str(&value);
        rest = &rest[length..];
        if expanded.len() > LONGEST {
            return Err(Failure::TooLong);
        }
    }
    expanded.push_str(rest);
    if expanded.len() > LONGEST { Err(Failure::TooLong) } else { Ok(expanded) }
}

enum Token<'a> {
    Plain(&'a str),
    Dollar,
    Name(Name<'a>, usize),
}

/// What `rest`, which begins with `$` or `{`, begins with.
fn token(rest: &str, braces: bool) -> Token<'_> {
    if let Some(after) = rest.strip_prefix('$') {
        if after.starts_with('$') {
            return Token::Dollar;
        }
        if let Some(inner) = after.strip_prefix('{') {
            let length = name_length(inner);
            if length > 0 && inner[length..].starts_with('}') {
                return Token::Name(Name::Variable(&inner[..length]), length + 3);
            }
        } else if let length @ 1.. = name_length(after) {
            return Token::Name(Name::Variable(&after[..length]), length + 1);
        }
    } else if braces && rest.starts_with("{port}") {
        return Token::Name(Name::Port, "{port}".len());
    }
    // Both are one byte long.
    Token::Plain(&rest[..1])
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simply(text: &str) -> Result<String, Failure> {
        expand(text, true, |name| match name {
            Name::Port => Some("80".into()),
            Name::Variable("A") => Some("$B{port}".into()),
            Name::Variable("LONG") => Some("x".repeat(40_000)),
            Name::Variable(_) => None,
        })
    }

    #[test]
    fn a_name_is_expanded_once_and_its_value_left_alone() {
        assert_eq!(simply("-$A-${A}x-").unwrap(), "-$B{port}-$B{port}x-");
        assert_eq!(simply("http://localhost:{port}/").unwrap(), "http://localhost:80/");
    }

    #[test]
    fn two_dollars_are_one_and_what_is_no_name_stays() {
        for (text, expanded) in [
            ("$$A", "$A"),
            ("$", "$"),
            ("$5", "$5"),
            ("${", "${"),
            ("${A", "${A"),
            ("${A:-x}", "${A:-x}"),
            ("{ports}", "{ports}"),
            ("{", "{"),
            ("€$€{€", "€$€{€"),
            ("", ""),
        ] {
            assert_eq!(simply(text).unwrap(), expanded, "{text}");
        }
        assert_eq!(expand("{port}", false, |_| None).unwrap(), "{port}");
    }

    #[test]
    fn an_unknown_name_and_boundless_growth_are_failures() {
        assert_eq!(simply("a $B"), Err(Failure::Unknown("B".into())));
        assert_eq!(simply("$LONG$LONG"), Err(Failure::TooLong));
        assert_eq!(expand("{port}", true, |_| None), Err(Failure::NoPort));
    }
}
