//! The compiled-in list of names is the one that the search knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use std::collections::BTreeSet;

use jiff::tz::TimeZoneDatabase;
use jobs_schedule::{Schedule, zone};

#[test]
fn the_list_of_names_is_the_bundled_databases() {
    let database = TimeZoneDatabase::bundled();
    let bundled: BTreeSet<String> = database.available().map(|name| name.to_string()).collect();
    let listed: BTreeSet<String> = zone::names().iter().map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = bundled.difference(&listed).collect();
    let extra: Vec<_> = listed.difference(&bundled).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
    assert_eq!(listed.len(), zone::names().len());
}

#[test]
fn the_list_is_sorted_by_lower_case() {
    assert!(zone::names().is_sorted_by_key(|name| name.to_lowercase()));
}

#[test]
fn every_name_in_any_case_is_a_zone_that_schedules() {
    for name in zone::names() {
        for spelled in [(*name).to_owned(), name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(zone::canonical(&spelled), Ok(*name));
        }
        let schedule = Schedule::parse("0 9 * * *", name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(schedule.next_after("2026-06-01T00:00:00Z".parse().unwrap()).is_some());
        assert_eq!(schedule.zone(), *name);
    }
}
