//! The nights on which a zone's clock is changed, as cronie's code runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jobs_schedule::Schedule;

fn ticks(text: &str, zone: &str, start: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(text, zone).unwrap();
    let mut at: Timestamp = start.parse().unwrap();
    let next = || {
        at = schedule.next_after(at)?;
        Some(at.to_string())
    };
    std::iter::from_fn(next).take(count).collect()
}

#[test]
fn a_fixed_time_in_the_gap_runs_once_right_after_it() {
    assert_eq!(
        ticks("30 2 * * *", "Europe/Paris", "2026-03-28T12:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // Half an hour in Lord Howe.
    assert_eq!(
        ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", 1),
        ["2026-10-03T15:30:00Z"]
    );
    // Midnight itself.
    assert_eq!(
        ticks("0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", 2),
        ["2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"]
    );
    assert_eq!(ticks("0 0 4 11 *", "America/Sao_Paulo", "2018-11-01T12:00:00Z", 1), ["2018-11-04T03:00:00Z"]);
}

#[test]
fn a_change_of_rules_that_leaves_the_wall_alone_loses_no_tick() {
    // In October 2023 Greenland left its summer time for a new standard time that reads the same.
    assert_eq!(
        ticks("0,30 22-23 * * *", "America/Godthab", "2023-10-28T12:00:00Z", 4),
        ["2023-10-29T00:00:00Z", "2023-10-29T00:30:00Z", "2023-10-29T01:00:00Z", "2023-10-29T01:30:00Z"]
    );
}

#[test]
fn several_fixed_times_in_one_gap_are_one_tick() {
    assert_eq!(
        ticks("0,15,30,45 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", 2),
        ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]
    );
    assert_eq!(
        ticks("*/10 30 2,3 * * *", "America/New_York", "2026-03-08T00:00:00Z", 3),
        ["2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z", "2026-03-08T07:30:10Z"]
    );
}

#[test]
fn a_fixed_time_in_the_overlap_runs_in_the_first_pass_only() {
    assert_eq!(
        ticks("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
        ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
    );
    // Asked in the second pass, it is over.
    assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-11-01T06:00:00Z", 1), ["2026-11-02T06:30:00Z"]);
    assert_eq!(ticks("30 1 * * *", "America/New_York", "2026-11-01T06:29:59Z", 1), ["2026-11-02T06:30:00Z"]);
    assert_eq!(
        ticks("0 0-4 * * *", "America/New_York", "2026-11-01T03:00:00Z", 5),
        [
            "2026-11-01T04:00:00Z",
            "2026-11-01T05:00:00Z",
            "2026-11-01T07:00:00Z",
            "2026-11-01T08:00:00Z",
            "2026-11-01T09:00:00Z"
        ]
    );
}

#[test]
fn a_job_that_begins_with_a_star_follows_elapsed_time() {
    // Not in the hour that is left out.
    assert_eq!(
        ticks("*/15 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", 1),
        ["2026-03-09T06:00:00Z"]
    );
    // In both passes of the one that is repeated, and never back in time.
    assert_eq!(
        ticks("*/30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 5),
        [
            "2026-11-01T05:00:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-02T06:00:00Z"
        ]
    );
    assert_eq!(
        ticks("@hourly", "Europe/London", "2026-10-24T23:30:00Z", 3),
        ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]
    );
    // A star in the second alone is not one of these: once per wall minute.
    assert_eq!(
        ticks("*/30 30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 3),
        ["2026-11-01T05:30:00Z", "2026-11-01T05:30:30Z", "2026-11-02T06:30:00Z"]
    );
}

#[test]
fn a_jump_of_three_hours_or_more_drops_what_it_skipped() {
    // Samoa left out the whole of 30 December 2011.
    assert_eq!(
        ticks("0 12 * * *", "Pacific/Apia", "2011-12-28T12:00:00Z", 3),
        ["2011-12-28T22:00:00Z", "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"]
    );
    assert_eq!(ticks("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1), ["2012-12-29T22:00:00Z"]);
}

/// The rule for an overlap has no upper bound in our code; cronie's is three hours, which Vostok exceeded in 1994.
#[test]
fn no_zone_has_moved_back_by_more_than_three_hours_since_2000() {
    let database = TimeZoneDatabase::bundled();
    for name in jobs_schedule::zone::names() {
        let zone: TimeZone = database.get(name).unwrap();
        let start: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
        let mut before = zone.to_offset(start);
        let end: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
        for change in zone.following(start).take_while(|change| change.timestamp() < end) {
            assert!(
                before.seconds() - change.offset().seconds() <= 3 * 3_600,
                "{name} at {}",
                change.timestamp()
            );
            assert_eq!(change.timestamp().subsec_nanosecond(), 0);
            before = change.offset();
        }
    }
}

#[test]
fn equal_schedules_in_two_zones_are_two_schedules() {
    let paris = Schedule::parse("0 9 * * MON-FRI", "europe/paris").unwrap();
    assert_eq!(paris, Schedule::parse("0  9 * * 1-5", "Europe/Paris").unwrap());
    assert_eq!(paris.zone(), "Europe/Paris");
    let utc = Schedule::parse("0 9 * * 1-5", "UTC").unwrap();
    assert_ne!(paris, utc);
    assert_ne!(paris.fingerprint(), utc.fingerprint());
    assert_eq!(format!("{paris:?}"), "Schedule(\"0 9 * * 1-5\", \"Europe/Paris\")");
}
