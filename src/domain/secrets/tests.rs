//! What is hidden, and what is not.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::sample::{define, healthy};
use crate::domain::{Catalog, Kind, Spawn};

fn mask(text: &str) -> String {
    Secrets::default().hide(text).into_owned()
}

/// What is known once `values` have been given to a service, of which those called `declared` are secret.
fn knowing(declared: &[&str], values: &[(&str, &str)]) -> Secrets {
    Secrets::clone(learner(declared, values).known())
}

fn learner(declared: &[&str], values: &[(&str, &str)]) -> Learner {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
    let spawn = Spawn {
        argv: vec!["a".to_owned()],
        cwd: "/".into(),
        env: values.iter().map(own).collect(),
        shared_env: Arc::default(),
    };
    let view = define(healthy("shop", 7), |service| service.kind = Kind::Process(Arc::new(spawn)));
    let known = Secrets { names: declared.iter().map(|name| (*name).to_owned()).collect(), ..Secrets::default() };
    let mut learner = Learner { known: Arc::new(known), ..Learner::default() };
    let catalog = Catalog { services: [view.service].into_iter().collect(), ..Catalog::default() };
    learner.learn_services(&catalog, &Catalog::default());
    learner
}

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
    for name in ["PWD", "OLDPWD", "KEYBOARD", "MONKEY", "MAX_TOKENS", "PATH", "COMPASS", "PORT", "SSH_AUTH_SOCK", ""] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn declared_names_and_usual_ones_hide_all_of_a_value_but_that_there_is_none() {
    let secrets = knowing(&["LICENCE"], &[]);
    for (name, value, shown) in [
        ("LICENCE", "abc", MASK),
        ("API_KEY", "abc", MASK),
        ("mode", "abc", MASK),
        ("API_KEY", "", ""),
        ("LEVEL", "abc", "abc"),
        ("DATABASE_URL", "postgres://u:p@h/d", "postgres://u:***@h/d"),
    ] {
        assert_eq!(secrets.hide_value(name, value, &["mode".to_owned()]), shown, "{name}={value}");
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
        ("a://b:c\nd@e", "a://b:c\nd@e"),
        ("postgres://u:pa/ss@h/d", "postgres://u:***@h/d"),
        ("postgres://u:p?a#s@s@h/d", "postgres://u:***@h/d"),
        ("http://localhost:80/a@b", "http://localhost:80/a@b"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("https://abc123:x-oauth-basic@github.com/x", "https://***@github.com/x"),
        ("https://abc123:@api.stripe.com/v1", "https://***@api.stripe.com/v1"),
        ("DSN me:p@ss@tcp(127.0.0.1:3306)/shop", "DSN me:***@tcp(127.0.0.1:3306)/shop"),
        ("Server=h;Uid=me;Pwd=x;Pool=1", "Server=h;Uid=me;Pwd=***;Pool=1"),
        ("https://h/o?X-Amz-Date=1&X-Amz-Signature=abc&n=1", "https://h/o?X-Amz-Date=1&X-Amz-Signature=***&n=1"),
        ("https://h/o?sv=1&sig=a%2Fb", "https://h/o?sv=1&sig=***"),
    ] {
        assert_eq!(mask(text), shown, "{text}");
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
        assert_eq!(knowing(&[], &[]).hide_words(&words(line), &["licence".to_owned()]).join(" "), shown, "{line}");
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
        let shown = mask(&text);
        prop_assert!(!shown.contains(&password), "{shown}");
        prop_assert_eq!(mask(&shown), shown);
    }

    #[test]
    fn any_text_can_be_masked(text in ".{0,60}", url in "[:/@?&;=a-zA-Z ]{0,40}") {
        mask(&text);
        mask(&url);
        masked_line(&format!("{text}{url}"), 0..text.len());
        knowing(&["PIN"], &[("PIN", "27%1"), ("TOKEN", "a\\\"b/c")]).hide(&text);
        masked_words(&[text, url]);
    }
}

#[test]
fn a_secret_is_hidden_by_its_value_wherever_it_turns_up() {
    let values = [
        ("API_TOKEN", "abcdef-longer"),
        ("DB_PASSWORD", "abcdef"),
        ("PIN", "2718"),
        ("MODE", "verbose"),
        ("OLD_TOKEN", "x"),
        ("KEY_TTL", "3600"),
        ("DATABASE_URL", "postgres://me:swordfish@db/x"),
        ("PRIVATE_KEY", "-----BEGIN\nMIIabc\n"),
        ("ADMIN_PASSWORD", "shop"),
    ];
    let secrets = knowing(&["PIN"], &values);
    for (text, shown) in [
        ("x login abcdef / abcdef-longer, pin 2718, verbose 3600", "x login *** / ***, pin ***, verbose 3600"),
        ("no swordfish for me", "no *** for me"),
        ("line 2: MIIabc", "line 2: ***"),
        ("abcdefabcdef", "******"),
        // What a service is called is no secret.
        ("shop is starting", "shop is starting"),
        ("cut off: abcdef-lon…", "cut off: ***…"),
        ("cut off: swordf… and abc…", "cut off: ***… and abc…"),
    ] {
        assert_eq!(secrets.hide(text), shown, "{text}");
    }
    assert_eq!(secrets.hide_in_place("a swordfish, b"), "a *********, b");
    assert!(!format!("{secrets:?}").contains("swordfish"));
}

#[test]
fn what_was_secret_once_stays_hidden() {
    let mut learner = learner(&[], &[("DB_PASSWORD", "abcdef")]);
    let nothing = Catalog::default();
    assert!(!learner.learn_services(&nothing, &nothing));
    assert_eq!(learner.known().hide("abcdef"), MASK);
}

#[test]
fn what_is_secret_by_its_form_is_hidden_in_running_text() {
    for (text, shown) in [
        ("before start: sh -c exit 4 --token=abc exited", "before start: sh -c exit 4 --token=*** exited"),
        ("sh -c 'run --password \"a b\" -v'", "sh -c 'run --password \"***\" -v'"),
        ("pid 4 (x --password abc) in /srv", "pid 4 (x --password ***) in /srv"),
        ("[\"x\", \"--api-key\", \"abc\"]", "[\"x\", \"--api-key\", \"***\"]"),
        ("token=x y", "token=*** y"),
        ("MODE=x y", "MODE=x y"),
        ("answered 503 ({\"password\": \"a\\\"b\", \"n\": 1})", "answered 503 ({\"password\": \"***\", \"n\": 1})"),
        ("{\\\"token\\\":\\\"abc\\\"}", "{\\\"token\\\":\\\"***\\\"}"),
        ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: Bearer ***' x"),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        ("unknown key \"token\": did you mean \"env\"?", "unknown key \"token\": did you mean \"env\"?"),
        ("no --token", "no --token"),
        ("authorization: bearer abc, gone", "authorization: bearer ***, gone"),
        ("-H 'Authorization: token abc' x", "-H 'Authorization: token ***' x"),
        ("Authorization: Digest username=\"u\", response=\"abc\"", "Authorization: Digest ***"),
        ("Cookie: theme=dark; session=abc; x=y is refused", "Cookie: *** is refused"),
        ("sent bearer abc", "sent bearer ***"),
        ("no bearer token", "no bearer token"),
        ("login failed (password: abc)", "login failed (password: ***)"),
        ("client_secret: abc", "client_secret: ***"),
        ("unexpected token: }", "unexpected token: }"),
        ("secret: none", "secret: none"),
        ("pushed with ghp_0123456789abcdefGHIJ.", "pushed with ***."),
        ("is eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ valid", "is *** valid"),
        ("ghp_short, sk-ant-hill", "ghp_short, sk-ant-hill"),
        ("-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END", "-----BEGIN RSA PRIVATE KEY-----***-----END"),
        ("port 8000 is taken - by pid 4", "port 8000 is taken - by pid 4"),
    ] {
        assert_eq!(mask(text), shown, "{text}");
    }
}

#[test]
fn a_secret_is_hidden_in_whatever_clothes_it_comes() {
    let secrets = knowing(&[], &[("DB_PASSWORD", "p/ä \"s\\7"), ("TOKEN", "swordfish")]);
    for (text, shown) in [
        ("user=p%2F%C3%A4%20%22s%5c7&x", "user=***&x"),
        ("p%2fä %22s%5C7", "***"),
        ("{\"m\": \"no p/ä \\\"s\\\\7!\"}", "{\"m\": \"no ***!\"}"),
        ("p\\/\\u00e4 \\u0022s\\\\7", "***"),
        ("s%77ordfish, s\\u0077ordfish", "***, ***"),
        ("100% of swordfis \\ %zz %", "100% of swordfis \\ %zz %"),
    ] {
        assert_eq!(secrets.hide(text), shown, "{text}");
    }
    // Alone, and behind one, two and three others; of the ends only what is the secret's own is hidden.
    for (text, part) in [
        ("c3dvcmRmaXNo", "c3dv"),
        ("eHN3b3JkZmlzaA==", "N3b3JkZmlza"),
        ("eHlzd29yZGZpc2g=", "zd29yZGZpc2"),
        ("bWU6c3dvcmRmaXNo", "c3dvcmRmaXNo"),
    ] {
        let shown = secrets.hide(text);
        assert!(shown.contains(MASK) && !shown.contains(part), "{text}: {shown}");
    }
}

#[test]
fn a_short_value_hides_nothing_but_what_has_its_name() {
    let secrets = knowing(&["PIN"], &[("PIN", "1"), ("TOKEN", "abc"), ("API_KEY", "12345")]);
    assert_eq!(secrets.hide("1 of 12 abc 12345"), "1 of 12 abc 12345");
    assert_eq!(secrets.hide_value("PIN", "1", &[]), MASK);
}

#[test]
fn what_stands_around_a_line_of_a_source_tells_that_it_holds_a_secret() {
    for (text, line, shown) in [
        ("{\"DB_PASSWORD\":\n  \"hunter2\" oops\n}", 1, "  \"*******\" oops"),
        ("[\"--token\",\n \"hunter2\" oops]", 1, " \"*******\" oops]"),
        ("{\"key\": \"a\",\n\"default\": \"hunter2\" oops,\n\"secret\": true}", 1, "\"default\": \"*******\" oops,"),
        ("{\"name\":\n  \"hunter2\" oops\n}", 1, "  \"hunter2\" oops"),
    ] {
        let place = crate::domain::Place::whole(&Arc::from("a.json"));
        let at = text.match_indices('\n').nth(line - 1).map_or(0, |(newline, _)| newline + 1);
        let problem = crate::domain::Problem::error(&place, "x").excerpt_at(text, at + 2);
        assert_eq!(problem.excerpt.as_deref(), Some(shown), "{text}");
    }
}

#[test]
fn a_line_of_a_source_keeps_its_columns() {
    for (line, shown) in [
        ("\"DB_PASSWORD\": \"hunter2\", \"port\": 1", "\"DB_PASSWORD\": \"*******\", \"port\": 1"),
        ("\"DB_PASSWORD\": hunter2, \"port\": 1", "\"DB_PASSWORD\": *******, \"port\": 1"),
        ("\"DB_PASSWORD\": \"hüt", "\"DB_PASSWORD\": \"***"),
        (
            "{\"key\": \"mode\", \"secret\": true, \"default\": \"abc\"}",
            "{\"key\": \"mode\", \"secret\": true, \"default\": \"***\"}",
        ),
        ("{\"key\": \"mode\", \"default\": \"abc\"}", "{\"key\": \"mode\", \"default\": \"abc\"}"),
        ("\"secrets\": [\"PIN\"]", "\"secrets\": [\"PIN\"]"),
        ("\"url\": \"http://me:abc@h\", x", "\"url\": \"http://me:***@h\", x"),
    ] {
        assert_eq!(masked_line(line, 0..line.len()), shown, "{line}");
    }
}
