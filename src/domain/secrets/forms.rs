//! What is secret by its form: the value behind a name that is usual for secrets, and what stands in URLs.
//!
//! It finds parts of texts and knows no values.

use std::ops::Range;

/// What kind of text is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sentence, a command line, a line of output.
    Prose,
    /// A line of a source, which may be broken: what follows a key is a value, quoted or not.
    Source,
}

/// Whether a variable, setting or option is called as secrets usually are.
pub fn is_secret_name(name: &str) -> bool {
    /// Whole words of a name.
    const WORDS: [&str; 7] = ["KEY", "KEYS", "PASS", "AUTHORIZATION", "COOKIE", "CREDENTIAL", "CREDENTIALS"];
    /// The ends of words, as in PGPASSWORD and APIKEY.
    const ENDS: [&str; 8] = ["PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "SECRET", "SECRETS", "TOKEN", "APIKEY"];
    let words = words_of(name);
    let is_secret = |word: &String| WORDS.contains(&&**word) || ENDS.iter().any(|end| word.ends_with(end));
    // The working directory has the shorter name.
    words.iter().any(is_secret) || (words.len() > 1 && words.last().is_some_and(|word| word == "PWD"))
}

/// The parts of `text` to be hidden, in no order; they may overlap. `is_secret` judges names.
pub(super) fn hidden(text: &str, kind: Kind, is_secret: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found: Vec<_> = text.match_indices("://").filter_map(|(at, _)| user_part(text, at)).collect();
    found.extend(text.match_indices('=').filter_map(|(at, _)| assigned(text, at, is_secret)));
    found.extend(text.match_indices(':').filter_map(|(at, _)| keyed(text, at, kind, is_secret)));
    found.extend(text.match_indices('-').filter_map(|(at, _)| optional(text, at, is_secret)));
    found.extend(text.match_indices("Bearer ").map(|(at, word)| value(text, at + word.len())));
    if kind == Kind::Source && declares_secret(text) {
        found.extend(["\"default\"", "\"value\""].iter().flat_map(|key| text.match_indices(key)).filter_map(
            |(at, key)| {
                let end = at + key.len();
                keyed(text, end + text[end..].find(':')?, kind, &|_| true)
            },
        ));
    }
    found.retain(|range| !range.is_empty());
    found
}

/// The parts of each of `words`, which are a command, to be hidden: also what follows in a word of its own after an option
/// with the name of a secret.
pub(super) fn hidden_in_words<W: AsRef<str>>(words: &[W], is_secret: &dyn Fn(&str) -> bool) -> Vec<Vec<Range<usize>>> {
    let mut hides_next = false;
    let of_word = |word: &W| {
        let word = word.as_ref();
        // `--token --verbose`: nothing was given.
        if std::mem::take(&mut hides_next) && !word.starts_with('-') {
            return std::iter::once(0..word.len()).filter(|range| !range.is_empty()).collect();
        }
        let name = |name: &str| {
            let is_name = name.chars().all(is_part);
            is_name && is_secret(name.trim_start_matches('-'))
        };
        match word.split_once('=') {
            // `--token=x`, and `TOKEN=x` as in `env TOKEN=x program`: all of it, whatever it is made of.
            Some((option, value)) if name(option) && !value.is_empty() => {
                std::iter::once(option.len() + 1..word.len()).collect()
            }
            Some(_) => hidden(word, Kind::Prose, is_secret),
            None => {
                hides_next = word.starts_with('-') && name(word);
                hidden(word, Kind::Prose, is_secret)
            }
        }
    };
    words.iter().map(of_word).collect()
}

/// What is secret between the `://` at `at` and an `@`: the password, or the only word that a web address has there.
fn user_part(text: &str, at: usize) -> Option<Range<usize>> {
    let start = at + 3;
    let rest = &text[start..];
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let user = &authority[..authority.rfind('@')?];
    let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.')).next()?;
    match user.find(':') {
        Some(colon) => Some(start + colon + 1..start + user.len()),
        None if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
            Some(start..start + user.len())
        }
        None => None,
    }
}

/// The value behind the `=` at `at`, if it belongs to a secret: `?token=x`, `;Password=x`, `--token=x`, `TOKEN = x`.
fn assigned(text: &str, at: usize, is_secret: &dyn Fn(&str) -> bool) -> Option<Range<usize>> {
    let before = text[..at].trim_end_matches(' ');
    let (start, name) = last_name(before);
    if !is_secret(name) {
        return None;
    }
    let from = if before.len() == at { at + 1 } else { at + 1 + leading(&text[at + 1..], |c| c == ' ') };
    if !matches!(text[..start].chars().next_back(), Some('?' | '&' | ';')) {
        return Some(value(text, from));
    }
    let rest = &text[from..];
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | '#' | '"' | '\'' | '<' | '>' | '`'));
    Some(from..from + end.unwrap_or(rest.len()))
}

/// The value behind the `:` at `at`, if it belongs to a secret: `"token": "x"`, or a header, `X-Api-Key: x`.
fn keyed(text: &str, at: usize, kind: Kind, is_secret: &dyn Fn(&str) -> bool) -> Option<Range<usize>> {
    let before = text[..at].trim_end_matches(' ');
    let bare = before.strip_suffix(['"', '\'']);
    let name = last_name(bare.map_or(before, |bare| bare.strip_suffix('\\').unwrap_or(bare))).1;
    let is_header = bare.is_none()
        && (name.contains('-') || ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str()));
    // What is called "key" in a source is the name of a setting.
    if !(bare.is_some() || is_header) || name == "key" || !is_secret(name) {
        return None;
    }
    let from = at + 1 + leading(&text[at + 1..], char::is_whitespace);
    let rest = &text[from..];
    if is_header {
        let scheme = ["Bearer ", "Basic ", "Digest ", "Token "].iter().find(|scheme| rest.starts_with(**scheme));
        return (from > at + 1).then(|| value(text, from + scheme.map_or(0, |scheme| scheme.len())));
    }
    if rest.starts_with(['"', '\'']) || rest.starts_with("\\\"") {
        return Some(value(text, from));
    }
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']')).unwrap_or(rest.len());
    let is_value = kind == Kind::Source || rest.starts_with(|c: char| c.is_ascii_digit());
    let is_plain = rest.starts_with(['[', '{']) || ["true", "false", "null"].contains(&&rest[..end]);
    (is_value && !is_plain).then_some(from..from + end)
}

/// What follows the option that begins with the `-` at `at`, if it has the name of a secret: `--token x`, `"--token", "x"`.
fn optional(text: &str, at: usize, is_secret: &dyn Fn(&str) -> bool) -> Option<Range<usize>> {
    if text[..at].ends_with(|c: char| is_part(c)) {
        return None;
    }
    let begin = at + leading(&text[at..], |c| c == '-');
    let end = begin + leading(&text[begin..], is_part);
    if !is_secret(&text[begin..end]) {
        return None;
    }
    let gap = leading(&text[end..], |c| c.is_whitespace() || matches!(c, '"' | '\'' | ','));
    // The quote that opens the value belongs to it.
    let open = text[end..end + gap].strip_suffix(['"', '\'']).filter(|before| before.contains([' ', ',']));
    let from = end + open.map_or(gap, str::len);
    let is_apart = text[end..from].contains([' ', ',', '\t', '\n']);
    (is_apart && !text[from..].starts_with('-')).then(|| value(text, from))
}

/// The value that begins at `from`: what is in quotes, or a word.
fn value(text: &str, from: usize) -> Range<usize> {
    let rest = &text[from..];
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let quote = match line.chars().next() {
        Some('\\') if line[1..].starts_with('"') => "\\\"",
        Some('"') => "\"",
        Some('\'') => "'",
        Some(_) | None => {
            let end = line.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>'));
            let word = &line[..end.unwrap_or(line.len())];
            return from..from + word.trim_end_matches([')', ']', '}', ',', ';', ':']).len();
        }
    };
    let inner = &line[quote.len()..];
    let closes = |at: &usize| quote != "\"" || inner[..*at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 0;
    let end = inner.match_indices(quote).map(|(at, _)| at).find(closes).unwrap_or(inner.len());
    from + quote.len()..from + quote.len() + end
}

/// Whether a line of a source says that a setting is secret.
fn declares_secret(text: &str) -> bool {
    let behind = |(at, key): (usize, &str)| text[at + key.len()..].trim_start().strip_prefix(':');
    text.match_indices("\"secret\"").filter_map(behind).any(|rest| rest.trim_start().starts_with("true"))
}

/// The name that `text` ends with, and where it begins.
fn last_name(text: &str) -> (usize, &str) {
    let start = text.char_indices().rfind(|(_, c)| !is_part(*c)).map_or(0, |(at, c)| at + c.len_utf8());
    let name = text[start..].trim_start_matches('-');
    (text.len() - name.len(), name)
}

/// The length of what `text` has in front that `is_it`.
fn leading(text: &str, is_it: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_it(c)).unwrap_or(text.len())
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The words of a name in capitals: `dbPassword`, `db-password` and `DB_PASSWORD` are the same.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_small);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_uppercase());
        }
        was_small = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}
