//! Random schedules and instants.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use jobs_schedule::Schedule;
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) const ZONES: &[&str] = &[
    "UTC",
    "America/New_York",
    "Europe/London",
    "Australia/Lord_Howe",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Tehran",
];

pub(crate) fn value(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (first..=last).prop_map(|value| value.to_string()),
        1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (first..=last, first..=last, 1u32..70)
            .prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

pub(crate) fn field(first: u32, last: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => (1u32..40).prop_map(|step| format!("*/{step}")),
        4 => vec(value(first, last), 1..4).prop_map(|items| items.join(",")),
        1 => (value(first, last), 1u32..40).prop_map(|(item, step)| format!("*/{step},{item}")),
        1 => value(first, last).prop_map(|item| format!("{item},*")),
    ]
}

pub(crate) fn cron() -> impl Strategy<Value = String> {
    let second = prop_oneof![3 => Just(String::new()), 1 => field(0, 59).prop_map(|text| text + " ")];
    let and = prop_oneof![4 => Just(""), 1 => Just(" and")];
    (second, field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7), and).prop_map(
        |(second, minute, hour, day, month, weekday, and)| {
            format!("{second}{minute} {hour} {day} {month} {weekday}{and}")
        },
    )
}

pub(crate) fn any_schedule() -> impl Strategy<Value = Schedule> {
    let cron = (cron(), proptest::sample::select(ZONES))
        .prop_filter_map("never fires", |(text, zone)| Schedule::parse(&text, zone).ok());
    let interval = (1u64..40_000_000_000)
        .prop_filter_map("too long", |millis| Schedule::every(Duration::from_millis(millis)).ok());
    prop_oneof![8 => cron, 1 => interval]
}

pub(crate) fn instant() -> impl Strategy<Value = Timestamp> {
    // From 1975 to 2125 mostly, and near the ends of time.
    prop_oneof![
        8 => (157_766_400_000i64..4_891_363_200_000).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap()),
        1 => (-3_000_000_000_000i64..0).prop_map(|ms| Timestamp::from_millisecond(ms).unwrap()),
        1 => (0i64..4_000_000_000).prop_map(|ms| Timestamp::MAX - SignedDuration::from_millis(ms)),
        1 => (0i64..4_000_000_000).prop_map(|ms| Timestamp::MIN + SignedDuration::from_millis(ms)),
    ]
}

/// An instant within some hours of a change of the zone's clock.
pub(crate) fn near_a_change(schedule: &Schedule, instant: Timestamp, hours: i64) -> Timestamp {
    let tz = TimeZone::get(schedule.zone()).unwrap();
    let change = tz.following(instant).next().map(|change| change.timestamp());
    change.and_then(|at| at.checked_add(SignedDuration::from_mins(hours)).ok()).unwrap_or(instant)
}
