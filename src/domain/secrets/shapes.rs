//! What is secret by its shape alone, whoever says it: tokens that begin as their issuers let them begin, signed tokens,
//! private keys.
//!
//! It finds parts of texts and knows neither names nor values.

use std::ops::Range;

/// How tokens begin that anybody may recognize; that is what the beginnings are there for.
const BEGINNINGS: [&str; 18] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxr-",
    "sk_live_",
    "rk_live_",
    "sk-ant-",
    "sk-proj-",
    "npm_",
    "pypi-",
    "eyJ",
];

/// The fewest characters behind a beginning: what is shorter is somebody's name for something.
const FEWEST: usize = 16;

/// The parts of `text` that are such tokens and keys.
pub(super) fn minted(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<_> = BEGINNINGS.iter().flat_map(|begin| tokens(text, begin)).collect();
    for (at, begin) in text.match_indices("PRIVATE KEY-----") {
        let from = at + begin.len();
        let rest = &text[from..];
        found.push(from..from + rest.find("-----END").unwrap_or(rest.len()));
    }
    found.retain(|range| !range.is_empty());
    found
}

fn tokens<'t>(text: &'t str, begin: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
    text.match_indices(begin).filter_map(move |(at, _)| {
        let is_signed = begin == "eyJ";
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || (is_signed && c == '.');
        let rest = &text[at..];
        let token = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let is_inner = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        // A signed one has parts, the second of which begins like the first.
        let is_whole = token.len() >= begin.len() + FEWEST && (!is_signed || token.contains(".eyJ"));
        (is_whole && !is_inner).then_some(at..at + token.len())
    })
}
