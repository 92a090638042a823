//! The grammar of `.env` and of `env_file`: `NAME=value` lines with comments, quotes and `export`.
//!
//! Written by hand because every variable keeps its line, which the known crates drop. Nothing is expanded: a `$` is a
//! `$`, as the values of such files are taken as they are.

use std::collections::HashSet;

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// The variables with the line of each, from 1; of a name that stands twice, the last.
    pub set: Vec<(String, String, u32)>,
    /// Lines that say nothing, and why; they are passed over.
    pub slips: Vec<(u32, String)>,
}

/// Reads `text`; lines that are wrong cost themselves only.
pub fn variables(text: &str) -> Variables {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Variables::default();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (used, found) = assignment(rest);
        match found {
            Ok(Some((name, value))) => {
                variables.set.push((name, value, line));
            }
            Ok(None) => {}
            Err(slip) => variables.slips.push((line, slip)),
        }
        line = line.saturating_add(u32::try_from(rest[..used].matches('\n').count()).unwrap_or(u32::MAX));
        rest = &rest[used..];
    }
    variables.set = last_of_each(variables.set);
    variables
}

fn last_of_each(mut set: Vec<(String, String, u32)>) -> Vec<(String, String, u32)> {
    let mut known = HashSet::new();
    set.reverse();
    set.retain(|(name, _, _)| known.insert(name.clone()));
    set.reverse();
    set
}

type Assignment = Result<Option<(String, String)>, String>;

/// The first assignment (or blank line) of `text`, and how many bytes it takes, its end of line included.
fn assignment(text: &str) -> (usize, Assignment) {
    let line_end = text.find('\n').map_or(text.len(), |at| at + 1);
    let line = text[..line_end].trim_end_matches(['\n', '\r']);
    let trimmed = line.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return (line_end, Ok(None));
    }
    let Some(equals) = line.find('=') else {
        return (line_end, Err("there is no = in this line".to_owned()));
    };
    let name = line[..equals].trim();
    let name = name.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(name).trim();
    if !is_name(name) {
        return (line_end, Err(format!("\"{name}\" is not the name of a variable")));
    }
    let after = &text[equals + 1..];
    let value_start = equals + 1 + (after.len() - after.trim_start_matches([' ', '\t']).len());
    let (used, value) = match text[value_start..].chars().next() {
        Some(quote @ ('"' | '\'')) => match quoted(&text[value_start..], quote) {
            Some((used, value)) => {
                let end = value_start + used;
                let tail_end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
                let tail = text[end..tail_end].trim();
                if !tail.is_empty() && !tail.starts_with('#') {
                    return (tail_end, Err(format!("\"{tail}\" follows after the closing quote")));
                }
                (tail_end, value)
            }
            None => return (line_end, Err("the quote is never closed".to_owned())),
        },
        Some(_) | None => (line_end, plain(line.get(value_start..).unwrap_or_default())),
    };
    if value.contains('\0') {
        return (used, Err("a variable can't hold a NUL character".to_owned()));
    }
    (used, Ok(Some((name.to_owned(), value))))
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// A value without quotes: up to white space that is followed by `#`.
fn plain(text: &str) -> String {
    let mut before = ' ';
    let end = text.char_indices().find(|(_, c)| {
        let comment = *c == '#' && before.is_whitespace();
        before = *c;
        comment
    });
    text[..end.map_or(text.len(), |(at, _)| at)].trim().to_owned()
}

/// A value in quotes, perhaps over several lines, and how many bytes it takes; `None` if it never ends.
fn quoted(text: &str, quote: char) -> Option<(usize, String)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((at + 1, value)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$' | '\'') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn only(text: &str) -> (String, String) {
        let mut found = variables(text);
        assert_eq!((found.set.len(), &found.slips), (1, &Vec::new()), "{text:?}");
        let (name, value, _) = found.set.remove(0);
        (name, value)
    }

    #[test]
    fn values_are_read_as_docker_compose_and_python_dotenv_do() {
        for (text, value) in [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("export A=b", "b"),
            ("  export\tA=b", "b"),
            ("A=", ""),
            ("A=b # comment", "b"),
            ("A=b#no-comment", "b#no-comment"),
            ("A= # comment", ""),
            ("A=#comment", ""),
            ("A='b # c'", "b # c"),
            ("A=\"b\\n\\\"c\\\" \\$d\" # comment", "b\n\"c\" $d"),
            ("A='b\\nc'", "b\\nc"),
            ("A=\"b\nc\"", "b\nc"),
            ("A=b c", "b c"),
            ("A=postgres://u:p@h/db?x=1", "postgres://u:p@h/db?x=1"),
            ("A=b\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("A=$B", "$B"),
            ("A=it's", "it's"),
            ("A=\"\"", ""),
            ("A=\"C:\\dev\"", "C:\\dev"),
        ] {
            assert_eq!(only(text), ("A".to_owned(), value.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn every_variable_knows_its_line_and_the_last_of_a_name_counts() {
        let found = variables("# head\n\nA=1\nB=\"x\ny\"\n\nexport C=3\nA=4\n");
        let set = [("B", "x\ny", 4), ("C", "3", 7), ("A", "4", 8)];
        assert_eq!(found.set, set.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line)));
    }

    #[test]
    fn a_line_that_is_wrong_costs_itself_only() {
        let found = variables("A=1\nnonsense\n1B=2\nC=\"open\nD=4\nE='x' y\nF=6");
        assert_eq!(found.set.iter().map(|(name, _, _)| &**name).collect::<Vec<_>>(), ["A", "D", "F"]);
        assert_eq!(
            found.slips,
            [
                (2, "there is no = in this line".to_owned()),
                (3, "\"1B\" is not the name of a variable".to_owned()),
                (4, "the quote is never closed".to_owned()),
                (6, "\"y\" follows after the closing quote".to_owned()),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[A= '\"#\\\\\n\r\u{e4}x\0]{0,40}") {
            let lines = text.matches('\n').count() as u32 + 1;
            let found = variables(&text);
            prop_assert!(found.set.iter().all(|(_, _, line)| (1..=lines).contains(line)));
        }

        #[test]
        fn a_value_in_single_quotes_is_taken_as_it_is(value in "[^'\0]{0,20}") {
            prop_assert_eq!(only(&format!("A='{value}'")).1, value);
        }
    }
}
