//! Hides what is nobody's business: the values that are known to be secret, wherever they turn up, and what is secret by its
//! form, whoever says it.
//!
//! [`Secrets`] is what the sources and the services give away of themselves, which a [`Learner`] finds out; all that leaves
//! the domain is [veiled](Secrets::veil) by it. A secret under a harmless name, outside of a URL, that nobody declares is shown.

mod clothes;
mod forms;
mod learn;
mod shapes;
mod veil;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use forms::is_secret_name;

use self::clothes::Wanted;
use super::catalog::{SourceFile, Surroundings};

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// What is known to be secret. It only grows: what has been secret may still be said.
#[derive(Clone, Default, PartialEq)]
pub struct Secrets {
    /// Variables that some source calls secret.
    names: BTreeSet<String>,
    /// The values that are hidden.
    hidden: Wanted,
}

/// Learns what is secret. It keeps what it needs to learn more: more than is needed to hide something.
#[derive(Clone, Default)]
pub struct Learner {
    known: Arc<Secrets>,
    /// Settings that some source calls secret. They mean something to their own service alone.
    keys: BTreeSet<String>,
    values: BTreeSet<String>,
    /// What services are called, in small letters.
    open: BTreeSet<String>,
    seen: Seen,
}

/// What has been looked through already.
#[derive(Clone, Default)]
struct Seen {
    sources: Vec<Arc<SourceFile>>,
    surroundings: Arc<Surroundings>,
    shared: Arc<BTreeMap<String, String>>,
    /// How many names were known when all services were looked through.
    names: usize,
}

impl Secrets {
    /// `text` as it may be shown.
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut ranges = forms::hidden(text, forms::Kind::Prose, &|name| self.is_secret(name));
        ranges.extend(self.known(text));
        replaced(text, ranges, |_| MASK.to_owned())
    }

    /// A line of a source as it may be shown; what is left of it stays in its columns.
    pub fn hide_in_place<'t>(&self, line: &'t str) -> Cow<'t, str> {
        let mut ranges = forms::hidden(line, forms::Kind::Source, &|name| self.is_secret(name));
        ranges.extend(self.known(line));
        replaced(line, ranges, stars)
    }

    /// The value of the variable, setting or key `name` as it may be shown; `own` are further names that are secret
    /// here.
    pub fn hide_value<'v>(&self, name: &str, value: &'v str, own: &[String]) -> Cow<'v, str> {
        match value.is_empty() {
            false if self.is_secret_of(name, own) => Cow::Borrowed(MASK),
            true | false => self.hide(value),
        }
    }

    /// The words of a command as they may be shown; `own` are further names of options that are secret here.
    pub fn hide_words(&self, words: &[String], own: &[String]) -> Vec<String> {
        let is_secret = |name: &str| self.is_secret_of(name, own);
        let hidden = forms::hidden_in_words(words, &is_secret);
        let shown = words.iter().zip(hidden).map(|(word, mut ranges)| {
            ranges.extend(self.known(word));
            replaced(word, ranges, |_| MASK.to_owned()).into_owned()
        });
        shown.collect()
    }

    /// Whether all of what is called `name` is secret; `own` are further names that are.
    pub fn is_secret_of(&self, name: &str, own: &[String]) -> bool {
        self.is_secret(name) || own.iter().any(|secret| secret == name)
    }

    fn is_secret(&self, name: &str) -> bool {
        self.names.contains(name) || is_secret_name(name)
    }

    /// Where known values stand in `text`.
    fn known(&self, text: &str) -> Vec<Range<usize>> {
        let mut ranges = self.hidden.find(text);
        // What was cut off may begin like a secret.
        for (at, _) in text.match_indices('…') {
            let begins = |value: &String| {
                let mut cuts = value.char_indices().map(|(cut, _)| cut).filter(|cut| *cut >= SHORTEST).rev();
                cuts.find(|cut| text[..at].ends_with(&value[..*cut]))
            };
            ranges.extend(self.hidden.values().iter().filter_map(begins).max().map(|length| at - length..at));
        }
        ranges
    }
}

/// The fewest bytes of a value that is hidden wherever it turns up. Shorter ones would hide too much else.
const SHORTEST: usize = 4;

/// Says nothing of what is secret.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("values", &self.hidden.values().len()).finish_non_exhaustive()
    }
}

/// Says nothing of what is secret.
impl fmt::Debug for Learner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learner").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// The words of a command as they may be shown, by their form.
pub fn masked_words<W: AsRef<str>>(words: &[W]) -> Vec<String> {
    let hidden = forms::hidden_in_words(words, &is_secret_name);
    let mask = |(word, ranges): (&W, _)| replaced(word.as_ref(), ranges, |_| MASK.to_owned()).into_owned();
    words.iter().zip(hidden).map(mask).collect()
}

/// The line `line` of `text`, a source, as it may be shown, by its form and by what stands around it; what is left of it
/// stays in its columns. `text` need not be all of the source.
pub fn masked_line(text: &str, line: Range<usize>) -> Cow<'_, str> {
    let hidden = forms::hidden(text, forms::Kind::Source, &is_secret_name).into_iter();
    let within = |range: Range<usize>| range.start.max(line.start)..range.end.min(line.end);
    let within = hidden.map(within).filter(|range| range.start < range.end);
    let ranges = within.map(|range| range.start - line.start..range.end - line.start).collect();
    replaced(&text[line.clone()], ranges, stars)
}

fn stars(secret: &str) -> String {
    "*".repeat(secret.chars().count())
}

/// `text` with something else in place of `ranges`.
fn replaced(text: &str, mut ranges: Vec<Range<usize>>, mask: impl Fn(&str) -> String) -> Cow<'_, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    ranges.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    let mut ranges = ranges.into_iter().peekable();
    while let Some(mut range) = ranges.next() {
        while let Some(next) = ranges.next_if(|next| next.start < range.end) {
            range.end = range.end.max(next.end);
        }
        shown.push_str(&text[done..range.start]);
        shown.push_str(&mask(&text[range.clone()]));
        done = range.end;
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests;
