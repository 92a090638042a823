//! Expands `$NAME`, `${NAME}` and, where it is asked for, `{port}` in one piece of text; `${NAME:-text}` and `${NAME-text}`
//! fall back on a text, which is expanded too, and what stands behind `?` in `${NAME:?text}` says why it must be there.
//!
//! What a name stands for is the caller's business; what it becomes is not looked at again.

use std::borrow::Cow;

/// The longest text that an expansion may become, in bytes: names that refer to names can double at every step.
const LONGEST: usize = 64 << 10;

/// What stands for the service's own port.
const PORT: &str = "{port}";

/// The longest text to fall back on, in bytes: so far its end is looked for.
const LONGEST_FALLBACK: usize = 4 << 10;

/// How deep a text to fall back on may have others in it.
const DEEPEST: usize = 8;

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
    expand_within(text, braces, DEEPEST, &mut meaning)
}

fn expand_within(
    text: &str,
    braces: bool,
    depth: usize,
    meaning: &mut dyn FnMut(Name<'_>) -> Option<String>,
) -> Result<String, Failure> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let (value, length) = match token(rest, braces, depth) {
            Token::Plain(text) => (Cow::Borrowed(text), text.len()),
            Token::Dollar => (Cow::Borrowed("$"), 2),
            Token::Fallback { name, empty_too, text, length } => {
                match meaning(Name::Variable(name)).filter(|value| !(empty_too && value.is_empty())) {
                    Some(value) => (Cow::Owned(value), length),
                    None => (Cow::Owned(expand_within(text, braces, depth - 1, meaning)?), length),
                }
            }
            Token::Wanted { name, empty_too, length } => {
                match meaning(Name::Variable(name)).filter(|value| !(empty_too && value.is_empty())) {
                    Some(value) => (Cow::Owned(value), length),
                    None => return Err(Failure::Unknown(name.to_owned())),
                }
            }
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
    /// `${name:-text}`, or `${name-text}`, where what is empty counts.
    Fallback {
        name: &'a str,
        empty_too: bool,
        text: &'a str,
        length: usize,
    },
    /// `${name:?text}`, or `${name?text}`.
    Wanted {
        name: &'a str,
        empty_too: bool,
        length: usize,
    },
}

/// What `rest`, which begins with `$` or `{`, begins with, `depth` texts deep.
fn token(rest: &str, braces: bool, depth: usize) -> Token<'_> {
    if let Some(after) = rest.strip_prefix('$') {
        if after.starts_with('$') {
            return Token::Dollar;
        }
        if let Some(inner) = after.strip_prefix('{') {
            let length = name_length(inner);
            if length > 0 && inner[length..].starts_with('}') {
                return Token::Name(Name::Variable(&inner[..length]), length + 3);
            }
            if length > 0
                && depth > 0
                && let Some(token) = with_operator(&inner[..length], &inner[length..], braces)
            {
                return token;
            }
        } else if let length @ 1.. = name_length(after) {
            return Token::Name(Name::Variable(&after[..length]), length + 1);
        }
    } else if braces && rest.starts_with(PORT) {
        return Token::Name(Name::Port, PORT.len());
    }
    // Both are one byte long.
    Token::Plain(&rest[..1])
}

/// `name` with what stands behind it in its braces, if that is an operator and the braces are closed.
fn with_operator<'a>(name: &'a str, after: &'a str, braces: bool) -> Option<Token<'a>> {
    let (empty_too, operator) = match after.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, after),
    };
    let text = operator.strip_prefix(['-', '?'])?;
    let text = &text[..closing(text, braces)?];
    // `${`, the name, the operator, the text and `}`.
    let length = 2 + name.len() + usize::from(empty_too) + 1 + text.len() + 1;
    Some(match operator.starts_with('-') {
        true => Token::Fallback { name, empty_too, text, length },
        false => Token::Wanted { name, empty_too, length },
    })
}

/// Where the `}` is that closes what `text` is the inside of; that of a `{port}` does not if `braces` says so.
fn closing(text: &str, braces: bool) -> Option<usize> {
    let bytes = &text.as_bytes()[..text.len().min(LONGEST_FALLBACK)];
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'$', Some(b'{')) => {
                open += 1;
                at += 2;
            }
            (b'$', Some(b'$')) => at += 2,
            (b'{', _) if braces && bytes[at..].starts_with(PORT.as_bytes()) => at += PORT.len(),
            (b'}', _) if open == 0 => return Some(at),
            (b'}', _) => {
                open -= 1;
                at += 1;
            }
            (_, _) => at += 1,
        }
    }
    None
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
            Name::Variable("EMPTY") => Some(String::new()),
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
            ("${A:+x}", "${A:+x}"),
            ("${A:-x", "${A:-x"),
            ("${A:x}", "${A:x}"),
            ("${:-x}", "${:-x}"),
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
    fn a_text_to_fall_back_on_stands_for_what_is_unknown_and_behind_a_colon_for_what_is_empty() {
        for (text, expanded) in [
            ("<${A:-x}>", "<$B{port}>"),
            ("<${B:-x}>", "<x>"),
            ("<${B-http://localhost:{port}/€}>", "<http://localhost:80/€>"),
            ("<${EMPTY:-x}${EMPTY-y}>", "<x>"),
            ("<${B:-}>", "<>"),
            ("${B:-${C:-${A}}}-${B:-$$}", "$B{port}-$"),
            ("${A?must be set}${A:?must be set}", "$B{port}$B{port}"),
        ] {
            assert_eq!(simply(text).unwrap(), expanded, "{text}");
        }
        assert_eq!(expand("${B:-{port}}", false, |_| None).unwrap(), "{port}");
        assert_eq!(simply("${B:-$C}"), Err(Failure::Unknown("C".into())));
        assert_eq!(simply("${B?must be set}"), Err(Failure::Unknown("B".into())));
        assert_eq!(simply("${EMPTY:?must be set}"), Err(Failure::Unknown("EMPTY".into())));
    }

    #[test]
    fn texts_within_texts_end_somewhere() {
        for depth in [9, 500, 5_000] {
            let deep = format!("{}{}", "${B:-".repeat(depth), "}".repeat(depth));
            assert!(simply(&deep).unwrap().contains("${B:-"), "{depth}");
        }
        assert_eq!(simply(&"${B:-".repeat(10_000)).unwrap().len(), 50_000);
    }

    #[test]
    fn an_unknown_name_and_boundless_growth_are_failures() {
        assert_eq!(simply("a $B"), Err(Failure::Unknown("B".into())));
        assert_eq!(simply("$LONG$LONG"), Err(Failure::TooLong));
        assert_eq!(expand("{port}", true, |_| None), Err(Failure::NoPort));
    }
}
