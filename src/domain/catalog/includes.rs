//! The key `include`: patterns of further sources. Who finds the files is not known here.

use super::fields::texts;
use super::reading::SourceFile;
use super::report::{Report, quoted};
use super::shapes;
use crate::domain::pattern::Pattern;
use crate::domain::{Node, Place, Problem};

/// One element of `include`.
#[derive(Clone, Debug, PartialEq)]
pub struct Include {
    /// As it is written.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// What it stands for, from the catalog's root on; never empty.
    pub patterns: Vec<Pattern>,
}

/// What a source includes, in its order; elements that are wrong are left out. Empty unless the source is parsed.
pub fn includes_of(file: &SourceFile) -> Vec<Include> {
    let source = shapes::read(file, &mut Report::default());
    source.include.map(|include| read(&include.node, &mut Report::default())).unwrap_or_default()
}

/// Reads the value of `include`.
pub(super) fn read(node: &Node, report: &mut Report) -> Vec<Include> {
    let mut includes = Vec::new();
    for (text, place) in texts(node, "include", report) {
        match Pattern::parse(text) {
            Ok(patterns) => includes.push(Include { text: text.to_owned(), place: place.clone(), patterns }),
            Err(why) => {
                let problem = Problem::error(place, format!("the pattern {} {why}", quoted(text)));
                report.push(problem.hint("for example \"apps/*/package.json\""));
            }
        }
    }
    includes
}
