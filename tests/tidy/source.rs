//! One Rust file, with its comments and literals blanked, so that only code is judged as code.

use regex::Regex;

/// A Rust file.
pub struct Source {
    /// Its path below the project's root, with slashes.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The same with the contents of comments, strings and characters blanked: same lines, same columns.
    pub code: String,
    /// Whether it is built for tests only.
    pub is_test: bool,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let code = blanked(&text);
        Self { name, text, code, is_test: false }
    }

    /// The module that it belongs to, directly below the crate: `process` for `src/process/run.rs`.
    pub fn layer(&self) -> &str {
        let path = self.name.strip_prefix("src/").unwrap_or(&self.name);
        path.split_once('/').map_or(path.trim_end_matches(".rs"), |(folder, _)| folder)
    }

    /// How many modules lie between it and the crate's root: 1 for `src/process/mod.rs`, 2 for `src/process/run.rs`.
    pub fn depth(&self) -> usize {
        let path = self.name.strip_prefix("src/").unwrap_or(&self.name);
        path.trim_end_matches("/mod.rs").split('/').count()
    }

    /// Its code without its tests, which by the house's order come last.
    pub fn shipped(&self) -> &str {
        if self.is_test {
            return "";
        }
        let tests = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(#\[.*\n)*mod \w+ \{").unwrap();
        tests.find(&self.code).map_or(&self.code, |found| &self.code[..found.start()])
    }

    /// The modules for tests only that it declares as files of their own: paths without `.rs`.
    pub fn test_modules(&self) -> Vec<String> {
        let own = self.name.trim_end_matches(".rs");
        let folder = ["/mod", "/lib", "/main"].iter().find_map(|end| own.strip_suffix(end)).unwrap_or(own);
        let declaration =
            Regex::new(r"#\[cfg\(test\)\]\s+(?:#\[[^\]]*\]\s+)*(?:pub(?:\([^)]*\))?\s+)?mod (\w+);").unwrap();
        declaration.captures_iter(&self.code).map(|found| format!("{folder}/{}", &found[1])).collect()
    }

    /// Whether it is the file of `module`, or lies within it.
    pub fn is_of(&self, module: &str) -> bool {
        self.name.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// A breach at the line of byte `at`.
    pub fn breach(&self, at: usize, what: impl std::fmt::Display) -> String {
        let line = self.text[..at].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.name)
    }
}

/// Replaces what is not code by spaces, byte for byte.
fn blanked(text: &str) -> String {
    let token = Regex::new(concat!(
        r"(?s)",
        r"//[^\n]*",                                           // line comment
        r"|/\*.*?\*/",                                         // block comment
        r#"|\bb?r"[^"]*""#,                                    // raw string
        r###"|\bb?r#".*?"#"###,                                // raw string with a hash
        r#"|\bb?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*""#,         // string
        r"|'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\\n])'", // character; a lifetime has no second quote
    ))
    .unwrap();
    let blank = |found: &regex::Captures<'_>| -> String {
        found[0].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
    };
    token.replace_all(text, blank).into_owned()
}

#[test]
fn comments_and_literals_are_no_code_and_keep_their_place() {
    let text = "a // unsafe\nb \"un\\\"safe\" c r#\"x\"y\"# 'x' d<'a> /* e\nf */ g '\\'' h b\"i\" '\\u{7f}' br\"j\"";
    let code = blanked(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d<'a>", "g", "h"]);
    assert_eq!(code.matches('\n').count(), text.matches('\n').count());
    assert_eq!(blanked("'ä' b").trim(), "b");
    assert_eq!(blanked("'ä' b").len(), "'ä' b".len());
}

#[test]
fn a_source_knows_its_place_and_where_its_tests_begin() {
    let source = Source::new("src/process/run.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\n");
    assert_eq!((source.layer(), source.depth(), source.shipped()), ("process", 2, "fn a() {}\n"));
    assert_eq!(source.breach(12, "x"), "src/process/run.rs:2: x");
    let source = Source::new("src/process/mod.rs", "#[cfg(test)]\nmod tests;\nfn a() {}");
    assert_eq!((source.layer(), source.depth()), ("process", 1));
    assert!(source.shipped().contains("fn a"));
    assert_eq!(Source::new("src/main.rs", "").layer(), "main");
    assert_eq!(source.test_modules(), ["src/process/tests"]);
    let source = Source::new("src/domain/aim.rs", "#[cfg(test)]\npub mod sample;\nmod other;");
    assert_eq!(source.test_modules(), ["src/domain/aim/sample"]);
    assert!(Source::new("src/a/b.rs", "").is_of("src/a/b") && Source::new("src/a/b/c.rs", "").is_of("src/a/b"));
    assert!(!Source::new("src/a/bc.rs", "").is_of("src/a/b"));
}
