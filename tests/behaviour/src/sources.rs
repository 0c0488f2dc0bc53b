//! The tests that the sources of this workspace declare, for the pages and patches that name tests.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The root of the workspace.
///
/// # Panics
/// If it is not where it was built.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The sources at a place: a file, or those in a folder and below it.
///
/// # Panics
/// If there is no such place.
#[must_use]
pub fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let wanted = paths.filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "rs"));
    wanted.flat_map(|path| sources(&path)).collect()
}

/// The functions that a source declares as tests: after an attribute that says so, or as a rule of the suite.
#[must_use]
pub fn tests(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let rule = line.starts_with("pub(super) fn ") && line.contains("Bench");
        let name = line.split_once("fn ").map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split(['(', '<']).next());
        if let Some(name) = name.filter(|_| !line.starts_with("//")) {
            if is_test || rule {
                tests.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    tests
}

/// The tests of all sources at a place.
///
/// # Panics
/// If there is no such place.
#[must_use]
pub fn tests_at(place: &Path) -> BTreeSet<String> {
    sources(place).iter().flat_map(|source| tests(&fs::read_to_string(source).unwrap())).collect()
}

#[cfg(test)]
mod of_sources {
    use super::*;

    #[test]
    fn a_function_that_is_no_test_does_not_count() {
        let found =
            tests("#[test]\nfn one() {}\nfn helper() {}\n#[tokio::test]\nasync fn two() -> Result<()> {\n");
        assert_eq!(found, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    }
}
