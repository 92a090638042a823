//! Hides what is nobody's business: values under names that are declared or usual for secrets, and what stands in URLs.
//!
//! It knows names and forms, not values: a secret under a harmless name, outside of a URL, is shown.

use std::borrow::Cow;

use super::service::Spawn;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// The value of the variable, setting or key `name` as it may be shown; `declared` are names that a definition calls
/// `secrets`.
pub fn masked<'v>(name: &str, value: &'v str, declared: &[String]) -> Cow<'v, str> {
    if value.is_empty() {
        return Cow::Borrowed(value);
    }
    if declared.iter().any(|secret| secret == name) || is_secret_name(name) {
        return Cow::Borrowed(MASK);
    }
    mask_urls(value)
}

/// The words of a command as they may be shown: what follows after an option with the name of a secret is hidden.
pub fn masked_words(words: &[String], declared: &[String]) -> Vec<String> {
    let mut hides_next = false;
    let mut shown = Vec::with_capacity(words.len());
    for word in words {
        // `--token --verbose`: nothing was given.
        let hides = std::mem::take(&mut hides_next) && !word.starts_with('-') && !word.is_empty();
        let option = word.strip_prefix('-').map(|option| option.trim_start_matches('-'));
        let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        shown.push(match word.split_once('=').filter(|(name, _)| is_name(name)) {
            _ if hides => MASK.to_owned(),
            // `--token=x`, and `TOKEN=x` as in `env TOKEN=x program`.
            Some((name, value)) => format!("{name}={}", masked(name.trim_start_matches('-'), value, declared)),
            None => {
                hides_next =
                    option.is_some_and(|option| is_secret_name(option) || declared.iter().any(|it| it == option));
                mask_urls(word).into_owned()
            }
        });
    }
    shown
}

/// The values of secrets in the environment of `spawn`, which may turn up in what it writes. Short ones would hide too much
/// else.
pub fn values<'s>(spawn: &'s Spawn, declared: &[String]) -> Vec<&'s str> {
    const SHORTEST: usize = 6;
    let own = spawn.env.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let all = own.chain(spawn.shared_env.iter());
    let secret = all.filter(|(name, _)| declared.contains(name) || is_secret_name(name));
    let mut values: Vec<&str> =
        secret.map(|(_, value)| value.as_str()).filter(|value| value.len() >= SHORTEST).collect();
    // A secret that holds another is hidden whole.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

/// A line of output without these secret `values`, and without what stands in URLs.
pub fn masked_line(line: &str, values: &[&str]) -> String {
    let hidden = values.iter().fold(Cow::Borrowed(line), |line, value| match line.contains(value) {
        true => Cow::Owned(line.replace(value, MASK)),
        false => line,
    });
    mask_urls(&hidden).into_owned()
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

/// `text` without the passwords, tokens and secret parameters of the URLs (and connection strings) in it.
pub fn mask_urls(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut done = 0;
    for hidden in hidden(text) {
        if hidden.start >= done {
            masked.push_str(&text[done..hidden.start]);
            masked.push_str(MASK);
            done = hidden.end;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// The parts of `text` to be hidden, by their beginnings.
fn hidden(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<_> = text.match_indices("://").filter_map(|(at, _)| user_part(text, at)).collect();
    found.extend(text.match_indices('=').filter_map(|(at, _)| parameter(text, at)));
    found.retain(|range| !range.is_empty());
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    found
}

/// What is secret between the `://` at `at` and an `@`: the password, or the only word that a web address has there.
fn user_part(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
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

/// The value behind the `=` at `at`, if it belongs to a secret parameter: `?token=x`, `;Password=x`.
fn parameter(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let before = &text[..at];
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let (start, sign) = before.char_indices().rfind(|(_, c)| !is_part(*c))?;
    if !matches!(sign, '?' | '&' | ';') || !is_secret_name(&before[start + 1..]) {
        return None;
    }
    let rest = &text[at + 1..];
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | '#' | '"' | '\'' | '<' | '>' | '`'));
    Some(at + 1..at + 1 + end.unwrap_or(rest.len()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_usual_for_secrets_are_known_in_every_spelling() {
        for name in [
            "PASSWORD",
            "DB_PASSWORD",
            "PGPASSWORD",
            "db-password",
            "dbPassword",
            "MYSQL_PWD",
            "SMTP_PASS",
            "GITHUB_TOKEN",
            "token",
            "accessToken",
            "SECRET",
            "CLIENT_SECRET",
            "SECRET_KEY_BASE",
            "API_KEY",
            "apikey",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GOOGLE_CREDENTIALS",
            "SSH_PASSPHRASE",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            ["PWD", "OLDPWD", "KEYBOARD", "MONKEY", "MAX_TOKENS", "PATH", "COMPASS", "PORT", "SSH_AUTH_SOCK", ""]
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn declared_names_and_usual_ones_hide_all_of_a_value_but_that_there_is_none() {
        let declared = ["LICENCE".to_owned()];
        for (name, value, shown) in [
            ("LICENCE", "abc", MASK),
            ("API_KEY", "abc", MASK),
            ("API_KEY", "", ""),
            ("LEVEL", "abc", "abc"),
            ("DATABASE_URL", "postgres://u:p@h/d", "postgres://u:***@h/d"),
        ] {
            assert_eq!(masked(name, value, &declared), shown, "{name}={value}");
        }
    }

    #[test]
    fn urls_keep_all_but_their_secrets() {
        for (text, shown) in [
            ("postgresql://pixsim:pixsim123@127.0.0.1:5434/pixsim7", "postgresql://pixsim:***@127.0.0.1:5434/pixsim7"),
            ("redis://:p@ss@h:1/0", "redis://:***@h:1/0"),
            ("https://ghp_abc@github.com/x.git", "https://***@github.com/x.git"),
            ("ssh://git@github.com/x.git", "ssh://git@github.com/x.git"),
            ("http://h/a:b@c", "http://h/a:b@c"),
            ("http://localhost:8000", "http://localhost:8000"),
            ("see amqp://u:p@h, then amqp://u:q@h.", "see amqp://u:***@h, then amqp://u:***@h."),
            ("https://h/?a=1&access_token=x&b=2", "https://h/?a=1&access_token=***&b=2"),
            ("Server=h;User=u;Password=x;Pool=1", "Server=h;User=u;Password=***;Pool=1"),
            ("https://h/?next=a@b", "https://h/?next=a@b"),
            ("token=x", "token=x"),
            ("a://b:c\nd@e", "a://b:c\nd@e"),
        ] {
            assert_eq!(mask_urls(text), shown, "{text}");
        }
    }

    #[test]
    fn the_words_of_a_command_hide_what_its_options_say() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, shown) in [
            ("x --token abc --port 1", "x --token *** --port 1"),
            ("x --token --port 1", "x --token --port 1"),
            ("x --api-key=abc -p=1", "x --api-key=*** -p=1"),
            ("env DB_PASSWORD=abc LEVEL=1 x", "env DB_PASSWORD=*** LEVEL=1 x"),
            ("x --licence abc", "x --licence ***"),
            ("x --url http://u:p@h?a=b", "x --url http://u:***@h?a=b"),
            ("x token abc", "x token abc"),
        ] {
            assert_eq!(masked_words(&words(line), &["licence".to_owned()]).join(" "), shown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_password_in_a_url_is_never_shown(
            before in "[a-z =\"]{0,8}",
            user in "[a-z]{0,4}",
            password in "Q[^/?#\\s\"'<>`]{1,12}Q",
            after in "[a-z/ ]{0,8}",
        ) {
            let text = format!("{before} postgres://{user}:{password}@host/{after}");
            let shown = mask_urls(&text);
            prop_assert!(!shown.contains(&password), "{shown}");
            prop_assert_eq!(mask_urls(&shown), &*shown);
        }

        #[test]
        fn any_text_can_be_masked(text in ".{0,60}", url in "[:/@?&;=a-zA-Z ]{0,40}") {
            mask_urls(&text);
            mask_urls(&url);
            masked_words(&[text, url], &[]);
        }
    }

    #[test]
    fn a_secret_that_is_written_out_is_hidden_by_its_value() {
        let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let shared: std::collections::BTreeMap<String, String> = env(&[("API_TOKEN", "abcdef-longer")]);
        let own: std::collections::BTreeMap<String, String> =
            env(&[("DB_PASSWORD", "abcdef"), ("PIN", "271828"), ("MODE", "verbose"), ("OLD_TOKEN", "x")]);
        let spawn = Spawn {
            argv: vec!["a".to_owned()],
            cwd: "/".into(),
            env: own.into_iter().map(|(name, value)| (name, Some(value))).collect(),
            shared_env: std::sync::Arc::new(shared),
        };
        let values = values(&spawn, &["PIN".to_owned()]);
        let line = "x login abcdef / abcdef-longer, pin 271828, verbose, postgres://me:pw@db/x";
        assert_eq!(masked_line(line, &values), "x login *** / ***, pin ***, verbose, postgres://me:***@db/x");
    }
}
