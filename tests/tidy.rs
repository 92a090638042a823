//! Rules of the house that the compiler does not know, checked on the text of the sources.
//!
//! The checks themselves are in `tidy/`, with tests of their own: a rule that cannot be broken is no rule.
#![allow(clippy::unwrap_used)]

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/lint.rs"]
mod lint;
#[path = "tidy/source.rs"]
mod source;

use std::path::{Path, PathBuf};

use source::Source;

/// A rule: what is wrong with one source, a line each.
type Rule = fn(&Source) -> Vec<String>;

#[test]
fn siblings_do_not_import_each_other_and_nothing_imports_upwards() {
    hold(&["src"], layers::imports);
}

#[test]
fn the_domain_is_pure() {
    hold(&["src/domain"], layers::purity);
}

#[test]
fn the_domain_names_every_variant_of_its_enums() {
    hold(&["src/domain"], lint::wildcards);
}

#[test]
fn every_module_says_what_it_is_for() {
    hold(&["src", "tests", "benches", "fuzz/targets"], lint::module_docs);
}

#[test]
fn every_file_holds_one_idea() {
    hold(&["src", "tests", "benches", "fuzz/targets"], lint::length);
}

#[test]
fn unsafe_code_lives_with_the_processes_only() {
    hold(&["src", "tests", "benches", "fuzz/targets"], lint::unsafety);
}

#[test]
fn nothing_is_half_done() {
    hold(&["src", "tests", "benches", "fuzz/targets"], lint::unfinished);
}

#[test]
fn no_line_ends_in_white_space() {
    hold(&["src", "tests", "benches", "fuzz/targets"], lint::trailing_space);
}

/// Panics with every breach of `rule` in the Rust files below `folders`.
fn hold(folders: &[&str], rule: Rule) {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let sources: Vec<_> = folders.iter().flat_map(|folder| sources(&root, folder)).collect();
    assert!(!sources.is_empty(), "there is nothing to check in {folders:?}");
    let breaches: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

fn sources(root: &Path, folder: &str) -> Vec<Source> {
    let mut sources: Vec<_> = walkdir::WalkDir::new(root.join(folder))
        .sort_by_file_name()
        .into_iter()
        // A folder that is not there has no files; one that can't be read must not pass for clean.
        .filter(|entry| entry.is_ok() || root.join(folder).exists())
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            Source::new(name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    let modules: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        source.is_test = modules.iter().any(|module| source.is_of(module));
    }
    sources
}
