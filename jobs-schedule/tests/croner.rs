//! croner as a second oracle, for the texts that its rules and cronie's read alike: in UTC, and without a step behind
//! the star of a day field (where croner takes only a bare `*` for a star).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use chrono::{DateTime, Utc};
use croner::Cron;
use jiff::Timestamp;
use jobs_schedule::Schedule;
use proptest::collection::vec;
use proptest::prelude::*;

fn field(first: u32, last: u32, steps: bool) -> impl Strategy<Value = String> {
    let value = first..=last;
    let item = prop_oneof![
        3 => value.clone().prop_map(|value| value.to_string()),
        1 => (value.clone(), value).prop_filter_map("empty", |(a, b)| (a < b).then(|| format!("{a}-{b}"))),
    ];
    let star = if steps {
        (2u32..=last / 2).prop_map(|step| format!("*/{step}")).boxed()
    } else {
        Just("*".to_owned()).boxed()
    };
    prop_oneof![2 => Just("*".to_owned()), 1 => star, 3 => vec(item, 1..4).prop_map(|items| items.join(","))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn croner_finds_the_same_ticks_where_its_rules_are_the_same(
        second in prop_oneof![2 => Just(String::new()), 1 => field(0, 59, true).prop_map(|text| text + " ")],
        minute in field(0, 59, true), hour in field(0, 23, true),
        day in field(1, 31, false), month in field(1, 12, true), weekday in field(0, 6, false),
        start in 0i64..4_102_444_800,
    ) {
        let text = format!("{second}{minute} {hour} {day} {month} {weekday}");
        let Ok(schedule) = text.parse::<Schedule>() else { return Ok(()) };
        let croner: Cron = text.parse().map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let mut ours = Timestamp::from_second(start).unwrap();
        let mut theirs = DateTime::<Utc>::from_timestamp(start, 0).unwrap();
        for _ in 0..5 {
            ours = schedule.next_after(ours).unwrap();
            theirs = croner.find_next_occurrence(&theirs, false).unwrap();
            prop_assert_eq!(ours.as_second(), theirs.timestamp(), "{:?} after {}", text, start);
        }
    }
}
