//! Counting the ticks of a range, and finding the last, against walking through them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

mod common;

use std::collections::BTreeSet;

use common::{any_schedule, instant, near_a_change};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use jobs_schedule::{Schedule, zone};
use proptest::prelude::*;

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// Holds every prefix of the next `most` ticks against what is counted and found.
fn held_against_walking(schedule: &Schedule, start: Timestamp, most: usize, until: Timestamp) {
    let before = schedule.last_at_or_before(start);
    assert!(
        before
            .is_none_or(|before| before <= start && schedule.next_after(before - NANOSECOND) == Some(before))
    );
    let mut last = before;
    let mut at = start;
    for walked in 1..=most as u64 {
        let Some(tick) = schedule.next_after(at).filter(|tick| *tick <= until) else { break };
        let just_before = tick - NANOSECOND;
        assert_eq!(schedule.count_between(start, tick), walked, "{schedule:?} in {start}..={tick}");
        assert_eq!(schedule.count_between(start, just_before), walked - 1, "{schedule:?} in {start}..{tick}");
        assert_eq!(schedule.last_at_or_before(tick), Some(tick), "{schedule:?}");
        assert_eq!(schedule.last_at_or_before(just_before), last, "{schedule:?} before {tick}");
        last = Some(tick);
        at = tick;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_counted_is_what_would_be_walked(
        schedule in any_schedule(), start in instant(), minutes in -2_000i64..240,
    ) {
        held_against_walking(&schedule, start, 30, Timestamp::MAX);
        held_against_walking(&schedule, near_a_change(&schedule, start, minutes), 60, Timestamp::MAX);
    }

    #[test]
    fn two_ranges_side_by_side_count_as_one(
        schedule in any_schedule(), mut instants in proptest::array::uniform3(instant()),
    ) {
        instants.sort();
        let [first, middle, last] = instants;
        let parts = schedule.count_between(first, middle) + schedule.count_between(middle, last);
        prop_assert_eq!(schedule.count_between(first, last), parts, "{:?} {:?}", schedule, instants);
        prop_assert_eq!(schedule.count_between(last, first), 0);
    }
}

#[test]
fn around_every_change_of_every_clock_what_is_counted_is_what_would_be_walked() {
    let database = TimeZoneDatabase::bundled();
    let first: Timestamp = "1970-01-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
    let mut seen = BTreeSet::new();
    for name in zone::names() {
        let tz: TimeZone = database.get(name).unwrap();
        let changes: Vec<_> = tz.following(first).take_while(|change| change.timestamp() < end).collect();
        let rules: Vec<_> = changes.iter().map(|change| (change.timestamp(), change.offset())).collect();
        // Many zones are other names of the same rules.
        if !seen.insert(rules) {
            continue;
        }
        for text in ["10 */2 * * *", "0,30 0-23 * * *", "17 1,2 * * *"] {
            let schedule = Schedule::parse(text, name).unwrap();
            for change in &changes {
                let start = change.timestamp() - SignedDuration::from_hours(13);
                let until = change.timestamp() + SignedDuration::from_hours(13);
                held_against_walking(&schedule, start, 200, until);
            }
        }
    }
    assert!(seen.len() > 150, "{} zones", seen.len());
}

#[test]
fn decades_of_seconds_are_counted_as_fast_as_they_are_asked_for() {
    let end: Timestamp = "2066-01-01T00:00:00Z".parse().unwrap();
    let seconds = 40 * 365 * 86_400 + 10 * 86_400;
    for (text, zone) in [("* * * * * *", "Europe/Paris"), ("* * * * * *", "UTC"), ("1s", "UTC")] {
        let schedule = Schedule::parse(text, zone).unwrap();
        // Walked through, these would be 12 × 10¹² ticks.
        for part in 0..10_000 {
            let start =
                "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(part);
            assert_eq!(schedule.count_between(start, end), seconds - part as u64);
            assert_eq!(schedule.last_at_or_before(start), Some(start));
        }
    }
}
