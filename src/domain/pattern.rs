//! Patterns of files, taken apart at their slashes: whoever walks folders knows at each of them what can still match.
//!
//! It knows names only, no file. A wildcard does not match what is hidden or what an editor leaves behind, and does not
//! lead into `node_modules`; a pattern that names such a thing does.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

/// One way in which a file can match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The folder that it begins at: absolute, or relative (with `..`, if at all, only here) to where patterns start.
    pub base: PathBuf,
    /// What leads from there to a file; never empty.
    pub steps: Vec<Step>,
}

/// One name on the way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Exactly this name.
    Name(Arc<str>),
    /// Any name that matches.
    Glob(NameGlob),
    /// Any number of folders, or none.
    Deep,
}

/// A pattern of one name. Equal when they are written alike.
#[derive(Clone, Debug)]
pub struct NameGlob(GlobMatcher);

/// What matters in one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The files in it.
    pub files: Vec<Step>,
    /// The folders in it, because something in them may matter.
    pub folders: Vec<Step>,
}

/// So many alternatives one text may hold.
const MOST_ALTERNATIVES: usize = 256;

impl Pattern {
    /// The patterns that `text` stands for, one for each way through its braces; fails with a fragment that fits behind
    /// "the pattern …".
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        alternatives(text)?.iter().map(|text| Self::parse_one(text)).collect()
    }

    /// Whether it is the name of one file.
    pub fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Name(_)))
    }

    fn parse_one(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.contains('\0') {
            return Err("holds a NUL character".to_owned());
        }
        let mut base = PathBuf::new();
        let mut steps: Vec<Step> = Vec::new();
        if text.starts_with('/') {
            base.push("/");
        }
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            match part {
                ".." if steps.iter().all(|step| matches!(step, Step::Name(_))) => {
                    base.extend(std::mem::take(&mut steps).iter().filter_map(Step::name));
                    base.push("..");
                }
                ".." => return Err("steps up behind a wildcard".to_owned()),
                "**" if steps.last() == Some(&Step::Deep) => {}
                "**" => steps.push(Step::Deep),
                part if part.contains(['*', '?', '[', '{', '\\']) => steps.push(Step::Glob(NameGlob::new(part)?)),
                part => steps.push(Step::Name(part.into())),
            }
        }
        match steps.last() {
            None => return Err("names a folder".to_owned()),
            Some(_) if text.ends_with('/') => return Err("names a folder".to_owned()),
            Some(Step::Deep) => steps.push(Step::Glob(NameGlob::new("*")?)),
            Some(Step::Name(_) | Step::Glob(_)) => {}
        }
        if base.components().any(|part| matches!(part, Component::RootDir | Component::Prefix(_))) {
            // What lies far above is nobody's to watch.
            let plain = steps.iter().take(steps.len() - 1).take_while(|step| matches!(step, Step::Name(_))).count();
            base.extend(steps.drain(..plain).collect::<Vec<_>>().iter().filter_map(Step::name));
        }
        Ok(Self { base, steps })
    }
}

impl Step {
    /// Whether a file of this name is meant by the last step of a pattern.
    pub fn takes_file(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => **own == *name,
            Self::Glob(glob) => glob.is_match(name) && !is_leaving(name),
            Self::Deep => false,
        }
    }

    /// Whether this step leads into a folder of this name.
    pub fn takes_folder(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => **own == *name,
            Self::Glob(glob) => glob.is_match(name) && name != DEPENDENCIES,
            Self::Deep => !name.starts_with('.') && name != DEPENDENCIES,
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Glob(_) | Self::Deep => None,
        }
    }
}

impl NameGlob {
    fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        glob.map(|glob| Self(glob.compile_matcher())).map_err(|error| format!("can't be read: {}", error.kind()))
    }

    fn is_match(&self, name: &str) -> bool {
        (!name.starts_with('.') || self.0.glob().glob().starts_with('.')) && self.0.is_match(Path::new(name))
    }
}

impl PartialEq for NameGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for NameGlob {}

impl Entries {
    /// Whether all of `other` matters here as well.
    pub fn covers(&self, other: &Self) -> bool {
        other.files.iter().all(|step| self.files.contains(step))
            && other.folders.iter().all(|step| self.folders.contains(step))
    }

    /// Takes in what else matters.
    pub fn extend(&mut self, other: &Self) {
        for (own, more) in [(&mut self.files, &other.files), (&mut self.folders, &other.folders)] {
            for step in more {
                if !own.contains(step) {
                    own.push(step.clone());
                }
            }
        }
    }
}

/// Where packages of others are kept, with thousands of files that nobody means.
const DEPENDENCIES: &str = "node_modules";

/// Whether a file is what editors leave beside another for a while.
fn is_leaving(name: &str) -> bool {
    name.ends_with('~') || name.ends_with(".swp") || name.ends_with(".tmp")
}

/// Every text that the braces of `text` allow; braces in brackets and behind a backslash are none.
fn alternatives(text: &str) -> Result<Vec<String>, String> {
    let mut open = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        match braces(&text)? {
            None => done.push(text),
            Some((before, choices, after)) => {
                // The first choice comes out first.
                open.extend(choices.iter().rev().map(|choice| format!("{before}{choice}{after}")));
            }
        }
        if open.len() + done.len() > MOST_ALTERNATIVES {
            return Err(format!("has more than {MOST_ALTERNATIVES} alternatives"));
        }
    }
    Ok(done)
}

type Braces<'a> = (&'a str, Vec<&'a str>, &'a str);

/// The text before the first braces, what stands between their commas, and the text behind them.
fn braces(text: &str) -> Result<Option<Braces<'_>>, String> {
    let (mut depth, mut bracket, mut escaped) = (0_usize, false, false);
    let (mut start, mut from, mut choices) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => bracket = false,
            _ if bracket => {}
            '[' => bracket = true,
            '{' => {
                if depth == 0 {
                    (start, from) = (at, at + 1);
                }
                depth += 1;
            }
            ',' if depth == 1 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(&text[from..at]);
                return Ok(Some((&text[..start], choices, &text[at + 1..])));
            }
            '}' if depth == 0 => return Err("closes a brace that is not open".to_owned()),
            '}' => depth -= 1,
            _ => {}
        }
    }
    if depth > 0 { Err("never closes a brace".to_owned()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each alternative as "base | step step".
    fn shown(text: &str) -> Vec<String> {
        let step = |step: &Step| match step {
            Step::Name(name) => name.to_string(),
            Step::Glob(glob) => format!("<{}>", glob.0.glob()),
            Step::Deep => "**".to_owned(),
        };
        let one = |pattern: &Pattern| {
            let steps: Vec<_> = pattern.steps.iter().map(step).collect();
            format!("{} | {}", pattern.base.display(), steps.join(" "))
        };
        Pattern::parse(text).unwrap().iter().map(one).collect()
    }

    #[test]
    fn a_pattern_is_taken_apart_at_its_slashes_and_braces() {
        for (text, parts) in [
            ("apps/*/package.json", &[" | apps <*> package.json"][..]),
            ("a.json", &[" | a.json"]),
            ("./a//b.json", &[" | a b.json"]),
            ("../../shared/*.json", &["../.. | shared <*.json>"]),
            ("a/../b/*.json", &["a/.. | b <*.json>"]),
            ("/etc/pilot/*.d/*.json", &["/etc/pilot | <*.d> <*.json>"]),
            ("/etc/a.json", &["/etc | a.json"]),
            ("**/x.json", &[" | ** x.json"]),
            ("a/**/**", &[" | a ** <*>"]),
            (
                "{apps,libs/b}/*/x.{json,jsn}",
                &[" | apps <*> x.json", " | apps <*> x.jsn", " | libs b <*> x.json", " | libs b <*> x.jsn"],
            ),
            ("a[{,}]/{b,{c,d}}", &[" | <a[{,}]> b", " | <a[{,}]> c", " | <a[{,}]> d"]),
        ] {
            assert_eq!(shown(text), parts, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, why) in [
            ("", "is empty"),
            ("{a,}", "is empty"),
            ("apps/", "names a folder"),
            ("/", "names a folder"),
            ("..", "names a folder"),
            ("a/*/../b", "steps up behind a wildcard"),
            ("{a", "never closes a brace"),
            ("a}", "closes a brace that is not open"),
            ("a\0", "holds a NUL character"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err(), why, "{text:?}");
        }
        assert!(Pattern::parse("[a").unwrap_err().starts_with("can't be read: "));
        let many = "{a,b}".repeat(9);
        assert_eq!(Pattern::parse(&many).unwrap_err(), "has more than 256 alternatives");
    }

    #[test]
    fn wildcards_pass_over_what_nobody_means_and_names_do_not() {
        let steps = |text: &str| Pattern::parse(text).unwrap().remove(0).steps;
        let any = &steps("*")[0];
        for (name, file, folder) in [
            ("a.json", true, true),
            (".git", false, false),
            ("node_modules", true, false),
            ("a.json~", false, true),
            (".a.json.swp", false, false),
            ("a.json.tmp", false, true),
        ] {
            assert_eq!((any.takes_file(name), any.takes_folder(name)), (file, folder), "{name}");
            assert!(Step::Name(name.into()).takes_file(name) && Step::Name(name.into()).takes_folder(name));
        }
        assert!(steps(".*")[0].takes_folder(".github") && steps(".*.json")[0].takes_file(".a.json"));
        assert!(Step::Deep.takes_folder("src") && !Step::Deep.takes_file("src"));
        assert!(!Step::Deep.takes_folder(".git") && !Step::Deep.takes_folder("node_modules"));
    }
}
