//! What holds for every schedule and every instant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

mod common;

use std::time::Duration;

use common::{ZONES, any_schedule, cron, field, instant, near_a_change, value};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use jobs_schedule::{Expression, Schedule, duration, zone};
use proptest::collection::vec;
use proptest::prelude::*;

/// From 1983 to 2122: offsets of whole minutes, and no zone leaves its own day out but Apia and its neighbours.
fn recent() -> impl Strategy<Value = Timestamp> {
    (410_000_000i64..4_799_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// A minute and an hour, one of which begins with a star.
fn starred() -> impl Strategy<Value = (String, String)> {
    let star = prop_oneof![Just("*".to_owned()), (1u32..40).prop_map(|step| format!("*/{step}"))];
    (star, field(0, 59), field(0, 23), any::<bool>()).prop_map(|(star, minute, hour, minute_starred)| {
        if minute_starred { (star, hour) } else { (minute, star) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ticks_strictly_increase(schedule in any_schedule(), start in instant(), minutes in -240i64..240) {
        for start in [start, near_a_change(&schedule, start, minutes)] {
            let mut at = start;
            for _ in 0..12 {
                let Some(next) = schedule.next_after(at) else { break };
                prop_assert!(next > at, "{schedule:?}: {next} after {at}");
                at = next;
            }
        }
    }

    #[test]
    fn from_one_tick_until_just_before_the_next_the_answer_is_the_same(
        schedule in any_schedule(), start in instant(), minutes in -240i64..240, part in 0.0f64..1.0,
    ) {
        for start in [start, near_a_change(&schedule, start, minutes)] {
            let Some(first) = schedule.next_after(start) else { continue };
            let Some(second) = schedule.next_after(first) else { continue };
            let between = first.as_millisecond() as f64 * (1.0 - part) + second.as_millisecond() as f64 * part;
            let between = Timestamp::from_millisecond(between as i64).unwrap().clamp(first, second);
            if between < second {
                prop_assert_eq!(schedule.next_after(between), Some(second), "{:?} after {}", schedule, between);
            }
            let just_before = second - SignedDuration::from_nanos(1);
            prop_assert_eq!(schedule.next_after(just_before), Some(second));
            // And from before the first one, however close.
            prop_assert_eq!(schedule.next_after(first - SignedDuration::from_nanos(1)), Some(first));
        }
    }

    #[test]
    fn the_canonical_text_is_the_same_schedule(schedule in any_schedule(), start in instant()) {
        let text = schedule.to_string();
        let again = Schedule::parse(&text, schedule.zone()).unwrap();
        prop_assert_eq!(&again, &schedule, "{}", text);
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(again.fingerprint(), schedule.fingerprint());
        prop_assert_eq!(again.next_after(start), schedule.next_after(start));
    }

    #[test]
    fn a_minute_or_hour_that_begins_with_a_star_fires_at_every_fitting_reading_of_the_wall(
        (minute, hour) in starred(), day in proptest::sample::select(&["*", "*/2", "1-31"][..]),
        zone in proptest::sample::select(ZONES), start in recent(), minutes in -240i64..240,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} {day} * *"), zone).unwrap();
        let by_utc: Schedule = schedule.to_string().parse().unwrap();
        let tz = TimeZone::get(zone).unwrap();
        let start = near_a_change(&schedule, start, minutes);
        let start = Timestamp::from_second(start.as_second() / 60 * 60).unwrap();
        // The civil search in UTC is checked against croner; here it says whether one wall minute fits.
        let fits = |at: Timestamp| {
            let wall = at.as_second() + i64::from(tz.to_offset(at).seconds());
            by_utc.next_after(Timestamp::from_second(wall - 1).unwrap()) == Some(Timestamp::from_second(wall).unwrap())
        };
        let expected = (1..=3 * 1_440).map(|minute| start + SignedDuration::from_mins(minute)).find(|at| fits(*at));
        let found = schedule.next_after(start);
        match expected {
            Some(expected) => prop_assert_eq!(found, Some(expected), "{:?} after {}", schedule, start),
            None => prop_assert!(found.is_none_or(|found| found > start + SignedDuration::from_hours(72))),
        }
    }

    #[test]
    fn any_other_fires_once_for_each_fitting_reading_of_the_wall(
        minute in vec(value(0, 59), 1..3).prop_map(|items| items.join(",")),
        hour in vec(value(0, 5), 1..4).prop_map(|items| items.join(",")),
        zone in proptest::sample::select(ZONES), start in recent(), minutes in -240i64..240,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone).unwrap();
        let by_utc: Schedule = schedule.to_string().parse().unwrap();
        let tz = TimeZone::get(zone).unwrap();
        let start = near_a_change(&schedule, start, minutes);
        // All readings of some days around, each resolved by itself.
        let wall = start.as_second() + i64::from(tz.to_offset(start).seconds());
        let mut reading = Timestamp::from_second(wall - 86_400).unwrap();
        let mut expected = None;
        while reading.as_second() < wall + 3 * 86_400 {
            reading = by_utc.next_after(reading).unwrap();
            let civil = TimeZone::UTC.to_datetime(reading);
            let ambiguous = tz.to_ambiguous_timestamp(civil);
            let instant = match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().unwrap(),
                AmbiguousOffset::Gap { before, after } if after.seconds() - before.seconds() < 3 * 3_600 => {
                    // The later reading of a gap is before the change plus the gap; step back to the change itself.
                    let inside = ambiguous.later().unwrap();
                    tz.preceding(inside + SignedDuration::from_secs(1)).next().unwrap().timestamp()
                }
                AmbiguousOffset::Gap { .. } => continue,
            };
            if instant > start {
                expected = expected.into_iter().chain([instant]).min();
            }
        }
        prop_assert_eq!(schedule.next_after(start), expected, "{:?} after {}", schedule, start);
    }

    #[test]
    fn a_fixed_time_runs_once_a_day_in_every_zone(
        minute in 0u32..60, hour in 0u32..24, zone in proptest::sample::select(ZONES), start in recent(),
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *"), zone).unwrap();
        let tz = TimeZone::get(zone).unwrap();
        let mut days = Vec::new();
        let mut at = near_a_change(&schedule, start, -4_000);
        for _ in 0..8 {
            at = schedule.next_after(at).unwrap();
            days.push(tz.to_datetime(at).date());
        }
        for pair in days.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            // Apia and a few others left a whole day out.
            let skipped_day = (a.tomorrow().unwrap().tomorrow().unwrap() == b)
                && tz.to_ambiguous_timestamp(a.tomorrow().unwrap().at(12, 0, 0, 0)).is_ambiguous();
            prop_assert!(a.tomorrow().unwrap() == b || skipped_day, "{:?}: {} then {}", schedule, a, b);
        }
    }

    #[test]
    fn an_interval_ticks_at_the_multiples_since_the_epoch(millis in 1u64..31_622_400_000, start in instant()) {
        let schedule = Schedule::every(Duration::from_millis(millis)).unwrap();
        let Some(next) = schedule.next_after(start) else { return Ok(()) };
        prop_assert_eq!(next.as_millisecond().rem_euclid(millis as i64), 0);
        prop_assert!(next > start && next.as_nanosecond() - start.as_nanosecond() <= i128::from(millis) * 1_000_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_macro_accepts_what_the_runner_accepts(text in text(), zone in proptest::sample::select(&["UTC", "Europe/Paris"][..])) {
        let by_macro = Expression::parse(&text);
        let by_runner = Schedule::parse(&text, zone);
        match (&by_macro, &by_runner) {
            (Ok(expression), Ok(schedule)) => prop_assert_eq!(expression, schedule.expression()),
            (Err(a), Err(b)) => prop_assert_eq!(a, b),
            // Only a zone beside what takes none is the runner's to refuse, and the macro asks `takes_zone`.
            (Ok(expression), Err(_)) => prop_assert!(!expression.takes_zone() && zone != "UTC", "{text:?}"),
            (Err(_), Ok(_)) => prop_assert!(false, "{text:?}"),
        }
        if let Ok(schedule) = by_runner {
            let _ = schedule.next_after(Timestamp::MIN);
            let _ = schedule.next_after(Timestamp::MAX);
            let _ = schedule.next_after(Timestamp::UNIX_EPOCH);
        }
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(text in any::<String>()) {
        for error in [Expression::parse(&text).err(), duration::parse(&text).err(), zone::check(&text).err()].into_iter().flatten() {
            prop_assert!(error.column() >= 1 && error.column() <= text.chars().count() + 1);
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_duration_written_is_the_duration_read(millis in 0u64..31_622_400_000, nanos in 0u64..1_000_000) {
        let duration = Duration::from_millis(millis) + Duration::from_nanos(nanos);
        prop_assert_eq!(duration::parse(&duration::format(duration)), Ok(duration));
    }

    #[test]
    fn an_instant_is_read_as_jiff_reads_it(ms in -62_167_219_200_000i64..253_402_207_200_000, minutes in -1_439i32..1_440, upper in any::<bool>()) {
        let instant = Timestamp::from_millisecond(ms).unwrap();
        let text = instant.display_with_offset(jiff::tz::Offset::from_seconds(minutes * 60).unwrap()).to_string();
        prop_assume!(!text.starts_with('-'));
        let text = if upper { text } else { text.to_lowercase() };
        let expression = Expression::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(expression.as_instant_millis(), Some(ms), "{}", text);
        prop_assert_eq!(expression.to_string().parse::<Timestamp>().unwrap(), instant);
        prop_assert_eq!(Schedule::at(instant).to_string(), expression.to_string());
    }
}

/// Texts near the grammar: valid ones, and mixtures of its signs.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[0-9*,/-]{1,6}",
        "[a-zA-Z]{1,4}",
        "[0-9]{1,3}(ns|us|ms|s|m|h|d|w|M|y| hours)",
        "@[a-z]{1,8}",
        "(every|@every|@daily|and|MON|sun-fri|L|15W|5#2|\\?|H|0~9)",
        "20[0-9]{2}-[0-9]{1,2}-[0-9]{1,2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,4})?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
    ];
    prop_oneof![
        2 => cron(),
        3 => vec(word, 0..8).prop_map(|words| words.join(" ")),
        1 => "[ -~]{0,40}",
    ]
}

#[test]
fn a_megabyte_of_anything_is_judged_at_once() {
    let started = std::time::Instant::now();
    for piece in ["1,", "*/", "1-", "0 ", "5m ", "@", "9", "MON,", " ", "1h", "2026-", "é", "-", "1.5"] {
        let text = piece.repeat(1_000_000 / piece.len());
        let _ = Expression::parse(&text);
        let _ = Expression::parse(&format!("{text} * * * *"));
        let _ = duration::parse(&text);
        let _ = zone::check(&text);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
}
