//! `tests/mutants` breaks promises: each patch says which, and names a test that exists; the page beside them says which
//! rows each stands for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use behaviour::sources::{root, sources, tests_at};

/// The patches, by their names.
fn patches() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("tests/mutants")).unwrap().map(|entry| entry.unwrap().path());
    let patches = entries.filter(|path| path.extension().is_some_and(|e| e == "patch"));
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    patches.map(|path| (name(&path), fs::read_to_string(path).unwrap())).collect()
}

/// The folders of the workspace's packages, by their names.
fn packages() -> BTreeMap<String, PathBuf> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let folders = members.split('"').skip(1).step_by(2).map(|member| root().join(member));
    let name = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        manifest.split('"').nth(1).unwrap().to_owned()
    };
    folders.map(|folder| (name(&folder), folder)).collect()
}

/// The tests among which the arguments of `cargo test` choose, and the name by which they do.
fn chosen<'a>(
    arguments: &'a str,
    packages: &BTreeMap<String, PathBuf>,
) -> Option<(BTreeSet<String>, &'a str)> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let after = |flag| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
    let package = packages.get(*after("-p")?)?;
    let place = match after("--test") {
        Some(test) => package.join(format!("tests/{test}.rs")),
        None if words.contains(&"--lib") => package.join("src"),
        None => package.clone(),
    };
    if !place.exists() {
        return None;
    }
    let mut tests = tests_at(&place);
    // Where a store is held to the suite, its rules are the tests.
    let of_suite = |source: &PathBuf| fs::read_to_string(source).unwrap().contains("conformance!(");
    if sources(&place).iter().any(of_suite) {
        tests.extend(tests_at(&root().join("jobs-stores/conformance/src/rules")));
    }
    Some((tests, words.last()?))
}

#[test]
fn every_mutant_says_what_it_breaks_and_names_a_test_that_exists() {
    let (patches, packages) = (patches(), packages());
    let mut wrong = Vec::new();
    for (name, patch) in &patches {
        let (promise, rest) = patch.split_once("\nTest: ").unwrap_or_default();
        if !promise.trim_end().ends_with('.') {
            wrong.push(format!("{name}: no sentence says which promise it breaks, before a line `Test: ..`"));
        }
        let arguments = rest.lines().next().unwrap_or_default();
        let found = chosen(arguments, &packages)
            .is_some_and(|(tests, part)| tests.iter().any(|test| test.contains(part)));
        if !found {
            wrong.push(format!("{name}: `cargo test {arguments}` names no test"));
        }
        let touched: Vec<_> = patch.lines().filter_map(|line| line.strip_prefix("+++ b/")).collect();
        if touched.is_empty() || touched.iter().any(|file| !root().join(file).is_file()) {
            wrong.push(format!("{name}: it is to change {touched:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(patches.len() > 100, "the patches are read");
}

#[test]
fn the_page_of_mutants_names_each_and_no_other() {
    let page = fs::read_to_string(root().join("tests/mutants/README.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let last = |row: &str| row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().to_owned();
    let cells: Vec<String> = rows.map(last).collect();
    let named: BTreeSet<&str> = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let there = patches();
    let there: BTreeSet<&str> = there.keys().map(String::as_str).collect();
    let missing: Vec<_> = there.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not on the page: {missing:?}; not there: {unknown:?}");
}
