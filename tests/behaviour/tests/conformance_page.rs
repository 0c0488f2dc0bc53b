//! `tests/CONFORMANCE.md` names tests: they exist, and every row that was asked for is there and says something.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use behaviour::sources::{root, sources, tests_at};

fn page() -> String {
    fs::read_to_string(root().join("tests/CONFORMANCE.md")).unwrap()
}

/// The rows of the tables under a heading, each as its cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page.split_once(heading).unwrap_or_else(|| panic!("no heading `{heading}`"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).skip(2).collect()
}

/// Where each name leads.
fn places(page: &str) -> BTreeMap<String, PathBuf> {
    let row = |cells: Vec<String>| (cells[0].trim_matches('`').to_owned(), root().join(&cells[1]));
    rows(page, "Where a name leads:").into_iter().map(row).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The tests that a text names, as `place::test`.
fn named(text: &str) -> Vec<(&str, &str)> {
    quoted(text).into_iter().filter_map(|name| name.split_once("::")).collect()
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = page();
    let places = places(&page);
    let mut known = BTreeMap::new();
    for (name, place) in &places {
        let tests: BTreeSet<String> = if name == "ui" {
            let cases = sources(place).into_iter().filter(|case| case.with_extension("stderr").is_file());
            cases.map(|case| case.file_stem().unwrap().to_string_lossy().into_owned()).collect()
        } else {
            tests_at(place)
        };
        known.insert(name.as_str(), tests);
    }
    let mut missing = Vec::new();
    for (place, test) in named(&page) {
        match known.get(place) {
            Some(tests) if tests.contains(test) => {}
            Some(_) => missing.push(format!("{place}::{test}: no such test")),
            None => missing.push(format!("{place}::{test}: no such place")),
        }
    }
    assert!(missing.is_empty(), "the page names what is not there:\n{}", missing.join("\n"));
    assert!(named(&page).len() > 100, "the page is read");
}

#[test]
fn every_row_that_was_asked_for_is_there_and_decided() {
    let page = page();
    let own = (1..=5).chain(18..=29).map(|n| n.to_string());
    let defects = (1..=18).map(|n| format!("B{n}"));
    let crisis = (1..=18).map(|n| n.to_string());
    for (heading, asked) in [
        ("## octonet: its own tests", own.collect::<Vec<_>>()),
        ("## octonet: its defects", defects.collect()),
        ("## TimeCrisis", crisis.collect()),
    ] {
        let rows = rows(&page, heading);
        for number in asked {
            let row = rows.iter().find(|cells| cells[0] == number);
            assert!(row.is_some(), "{heading}: {number} is not there");
        }
    }
    // Of these nothing is left to a later issue alone.
    let now = (1..=18).filter(|n| ![5, 11].contains(n)).map(|n| format!("B{n}"));
    let defects = rows(&page, "## octonet: its defects");
    for number in now {
        let row = defects.iter().find(|cells| cells[0] == number).unwrap();
        assert!(!named(&row[2]).is_empty(), "{number} has no test");
    }
    for heading in [
        "octonet: its own tests",
        "octonet: its defects",
        "octonet: its cron dialect",
        "MoroJS",
        "TimeCrisis",
        "@philjs/jobs and JobFactory",
    ] {
        for cells in rows(&page, &format!("## {heading}")) {
            let held = cells.last().unwrap();
            let decided = !named(held).is_empty()
                || ["DESIGN §", "issue ", "later: "].iter().any(|word| held.contains(word));
            assert!(decided, "{heading}: {cells:?}");
        }
    }
}
