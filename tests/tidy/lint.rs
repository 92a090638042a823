//! What every file is held to, whatever its layer.

use regex::Regex;

use crate::source::Source;

/// The most lines that a file has, with its tests.
const LONGEST: usize = 600;

/// `_ =>` in a match over one of our enums; a comment `// tidy: why` on the line or the one before allows it.
pub fn wildcards(source: &Source) -> Vec<String> {
    let lines: Vec<_> = source.shipped().lines().collect();
    let text: Vec<_> = source.text.lines().collect();
    let variant = Regex::new(r"\b[A-Z]\w*::[A-Z]\w*").unwrap();
    let excused = |line: usize| text[line].contains("// tidy: ");
    (0..lines.len())
        .filter(|line| {
            let arm = lines[*line].trim_start();
            arm.starts_with("_ =>") || arm.starts_with("_ if ")
        })
        .filter(|line| !(line.saturating_sub(1)..=*line).any(excused))
        .filter(|line| arms_before(&lines, *line).any(|pattern| variant.is_match(pattern)))
        .map(|line| format!("{}:{}: `_` hides variants that are to come", source.name, line + 1))
        .collect()
}

/// The patterns of the same match above `line`; rustfmt gives all arms of a match the same indentation.
fn arms_before<'a>(lines: &'a [&str], line: usize) -> impl Iterator<Item = &'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[line]);
    lines[..line]
        .iter()
        .rev()
        .take_while(move |line| line.trim().is_empty() || indent(line) >= own)
        .filter(move |line| indent(line) == own)
        .map(|line| line.split("=>").next().unwrap_or_default())
}

/// A file that does not begin by saying what it is for.
pub fn module_docs(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//! ").is_some_and(|text| text.len() > 10);
    if says { Vec::new() } else { vec![source.breach(0, "the file does not begin with `//!` and its duty")] }
}

/// A file that is too long.
pub fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines < LONGEST { Vec::new() } else { vec![source.breach(0, format_args!("{lines} lines, of {LONGEST}"))] }
}

/// `unsafe` where it does not belong, or without saying why it holds.
pub fn unsafety(source: &Source) -> Vec<String> {
    let word = Regex::new(r"\bunsafe\b").unwrap();
    word.find_iter(&source.code)
        .filter_map(|found| {
            let line = source.text[..found.start()].matches('\n').count();
            let above: Vec<_> = source.text.lines().take(line + 1).collect();
            let reasoned = above.iter().rev().take(6).any(|line| line.contains("SAFETY: "));
            match source.layer() {
                "process" if reasoned => None,
                "process" => Some(source.breach(found.start(), "unsafe code without `SAFETY:`")),
                _ => Some(source.breach(found.start(), "unsafe code outside of src/process")),
            }
        })
        .collect()
}

/// What people leave behind when they mean to come back.
pub fn unfinished(source: &Source) -> Vec<String> {
    let leftover = Regex::new(r"\b(?:todo|unimplemented|dbg)!").unwrap();
    let promise = Regex::new(concat!(r"//.*\b(?:TO", "DO|FIX", "ME|X", "XX)\\b|under construction\\)")).unwrap();
    let left = leftover.find_iter(&source.code).map(|found| (found.start(), found.as_str()));
    let promised = promise.find_iter(&source.text).map(|found| (found.start(), found.as_str()));
    left.chain(promised).map(|(at, what)| source.breach(at, format_args!("unfinished: {what}"))).collect()
}

/// White space that nobody sees.
pub fn trailing_space(source: &Source) -> Vec<String> {
    let trailing = Regex::new(r"(?m)[ \t\r]+$").unwrap();
    trailing.find_iter(&source.text).map(|found| source.breach(found.start(), "white space at the end")).collect()
}

#[test]
fn a_wildcard_over_variants_is_found_and_others_are_not() {
    let breaches = |text: &str| wildcards(&Source::new("src/domain/x.rs", text));
    let bad = "match light {\n    Light::Red => 1,\n    _ => 2,\n}\n";
    assert_eq!(breaches(bad), ["src/domain/x.rs:3: `_` hides variants that are to come"]);
    assert_eq!(
        breaches(
            "match x {\n    Some(Light::Red)\n    | Some(Self::Green) => {\n        1\n    }\n    _ if a => 2,\n}\n"
        )
        .len(),
        1
    );
    for fine in [
        "match text {\n    \"a\" => Light::Red,\n    _ => Light::Green,\n}\n",
        "match n {\n    0 => 1,\n    _ => 2,\n}\n",
        "match light {\n    Light::Red => 1,\n    // tidy: only red matters here\n    _ => 2,\n}\n",
        "match light {\n    Light::Red => match n {\n        0 => 1,\n        _ => 2,\n    },\n    Light::Green => 3,\n}\n",
        "#[cfg(test)]\nmod tests {\n    match light {\n        Light::Red => 1,\n        _ => 2,\n    }\n}\n",
    ] {
        assert_eq!(breaches(fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn the_other_rules_can_be_broken_and_kept() {
    let source = |text: &str| Source::new("src/domain/x.rs", text);
    assert_eq!(module_docs(&source("use std::fmt;\n")).len(), 1);
    assert_eq!(module_docs(&source("//! x\n")).len(), 1);
    assert_eq!(module_docs(&source("//! What it is for.\n")).len(), 0);
    assert_eq!(length(&source(&"x\n".repeat(LONGEST))).len(), 1);
    assert_eq!(length(&source(&"x\n".repeat(LONGEST - 1))).len(), 0);
    assert_eq!(unsafety(&source("unsafe { x() }\n")).len(), 1);
    assert_eq!(unsafety(&source("#![deny(unsafe_code)] // unsafe\n")).len(), 0);
    assert_eq!(unsafety(&Source::new("src/process/x.rs", "unsafe { x() }\n")).len(), 1);
    assert_eq!(unsafety(&Source::new("src/process/x.rs", "// SAFETY: because\nunsafe { x() }\n")).len(), 0);
    assert_eq!(unfinished(&source("fn a() { dbg!(1); todo!() }\n")).len(), 2);
    assert_eq!(unfinished(&source(concat!("// TO", "DO: more\n"))).len(), 1);
    assert_eq!(unfinished(&source("fn a() { todo() } // what to do\n")).len(), 0);
    assert_eq!(trailing_space(&source("a \nb\t\nc\n")).len(), 2);
}
