//! What is secret by its form: the value behind a name that is usual for secrets, and what stands in URLs.
//!
//! It finds parts of texts and knows no values.

use std::ops::Range;

use super::shapes;

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
    found.extend(["@tcp(", "@unix("].iter().flat_map(|host| text.match_indices(host)).filter_map(|(at, _)| {
        let user = &text[text[..at].rfind(char::is_whitespace).map_or(0, |gap| gap + 1)..at];
        user.find(':').map(|colon| at - user.len() + colon + 1..at)
    }));
    found.extend(text.match_indices('=').filter_map(|(at, _)| assigned(text, at, is_secret)));
    found.extend(text.match_indices(':').filter_map(|(at, _)| keyed(text, at, kind, is_secret)));
    found.extend(text.match_indices('-').filter_map(|(at, _)| optional(text, at, is_secret)));
    let bearers = ["Bearer ", "bearer ", "BEARER "].iter().flat_map(|word| text.match_indices(word));
    // "bearer token" is said of one.
    found
        .extend(bearers.map(|(at, word)| value(text, at + word.len())).filter(|range| &text[range.clone()] != "token"));
    found.extend(shapes::minted(text));
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
    let word = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'));
    let word = &rest[..word.unwrap_or(rest.len())];
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    let user = match authority.rfind('@') {
        Some(end) => &authority[..end],
        // A password with a slash that nobody has escaped; behind a host there is a number.
        None => {
            let (host, port) = authority.split_once(':')?;
            let is_host = host.starts_with('[') || port.bytes().all(|byte| byte.is_ascii_digit());
            if is_host { return None } else { &word[..word.rfind('@')?] }
        }
    };
    let scheme = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.')).next()?;
    let is_page = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match user.split_once(':') {
        // What some servers want for a password beside a token.
        Some((_, "" | "x-oauth-basic")) | None if is_page => Some(start..start + user.len()),
        Some((name, _)) => Some(start + name.len() + 1..start + user.len()),
        None => None,
    }
}

/// The value behind the `=` at `at`, if it belongs to a secret: `?token=x`, `;Password=x`, `--token=x`, `TOKEN = x`.
fn assigned(text: &str, at: usize, is_secret: &dyn Fn(&str) -> bool) -> Option<Range<usize>> {
    let before = text[..at].trim_end_matches(' ');
    let (start, name) = last_name(before);
    let is_parameter = matches!(text[..start].chars().next_back(), Some('?' | '&' | ';'));
    if !(is_secret(name) || is_parameter && is_secret_parameter(name)) {
        return None;
    }
    let from = if before.len() == at { at + 1 } else { at + 1 + leading(&text[at + 1..], |c| c == ' ') };
    if !is_parameter {
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
    if !(bare.is_some() || is_header || is_plain_key(name)) || name == "key" || !is_secret(name) {
        return None;
    }
    let from = at + 1 + leading(&text[at + 1..], char::is_whitespace);
    let rest = &text[from..];
    if is_header {
        return (from > at + 1).then(|| header(text, from, name));
    }
    if rest.starts_with(['"', '\'']) || rest.starts_with("\\\"") {
        return Some(value(text, from));
    }
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '}' | ']')).unwrap_or(rest.len());
    // `password: x` is one, and "unexpected token: x" is none.
    if bare.is_none() {
        let is_plain = rest.is_empty() || rest.starts_with(['[', '{', '|', '>']);
        return (from > at + 1 && !is_plain && !text[at + 1..from].contains('\n')).then(|| value(text, from));
    }
    let is_value = kind == Kind::Source || rest.starts_with(|c: char| c.is_ascii_digit());
    let is_plain = rest.starts_with(['[', '{']) || ["true", "false", "null"].contains(&&rest[..end]);
    (is_value && !is_plain).then_some(from..from + end)
}

/// The value of the header `name` that begins at `from`, without its scheme.
fn header(text: &str, from: usize, name: &str) -> Range<usize> {
    const SCHEMES: [&str; 7] = ["bearer", "basic", "digest", "token", "negotiate", "ntlm", "apikey"];
    let line = &text[from..from + leading(&text[from..], |c| c != '\n')];
    match name.to_ascii_lowercase().as_str() {
        "cookie" | "set-cookie" => {
            let mut end = value(text, from).end;
            // Another one follows.
            while text[end..].starts_with("; ") {
                end = value(text, end + 2).end.max(end + 2);
            }
            from..end
        }
        "authorization" | "proxy-authorization" => match line.split_once(' ') {
            Some((scheme, parts)) if scheme.eq_ignore_ascii_case("digest") && parts.contains('=') => {
                from + scheme.len() + 1..from + line.len()
            }
            Some((scheme, _)) if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
                value(text, from + scheme.len() + 1)
            }
            Some(_) | None => value(text, from),
        },
        _ => value(text, from),
    }
}

/// Whether `name: x`, without quotes, gives something away in running text.
fn is_plain_key(name: &str) -> bool {
    let words = words_of(name);
    words.len() > 1
        || words.iter().any(|word| ["PASSWORD", "PASSWD", "PASSPHRASE"].iter().any(|end| word.ends_with(end)))
}

/// Whether a parameter of an address or of a connection's text is secret that would be none under that name elsewhere.
fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pwd", "pw", "sig", "auth", "jwt"].contains(&&*name) || name.ends_with("signature")
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
