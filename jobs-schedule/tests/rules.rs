//! The typed builder, and what a rule leaves unsaid.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use jobs_schedule::Month::{December, January, June, March};
use jobs_schedule::Weekday::{Friday, Monday, Saturday, Sunday, Wednesday};
use jobs_schedule::{Expression, Field, Rule, Schedule, ScheduleErrorKind as Kind, Values};

#[test]
fn a_rule_is_the_cron_text_that_says_the_same() {
    let rule = Schedule::builder;
    for (rule, text) in [
        (rule(), "* * * * *"),
        (rule().minute(0), "0 * * * *"),
        (rule().minute(Values::every(5)), "*/5 * * * *"),
        (rule().minute(0..60), "0-59 * * * *"),
        (rule().minute(Values::from(0..=60).step(5)), "0-55/5 * * * *"),
        (rule().second(Values::every(10)), "*/10 * * * * *"),
        (rule().second(Values::any()), "* * * * * *"),
        (rule().hour(2).minute(30), "30 2 * * *"),
        (rule().hour(0).minute(0), "0 0 * * *"),
        (rule().hour(9..=17), "0 9-17 * * *"),
        (rule().hour([9, 12, 17]).minute([0, 30]), "0,30 9,12,17 * * *"),
        (rule().day_of_week([Monday, Wednesday, Friday]), "0 0 * * 1,3,5"),
        (rule().day_of_week(Monday..=Friday).hour(9), "0 9 * * 1-5"),
        (rule().day_of_week(Friday..=Sunday), "0 0 * * 0,5,6"),
        (rule().day_of_week([Saturday, Sunday]), "0 0 * * 0,6"),
        (rule().day_of_week(7), "0 0 * * 0"),
        (rule().day_of_month(15), "0 0 15 * *"),
        (rule().month(June), "0 0 1 6 *"),
        (rule().month(January..=March), "0 0 1 1-3 *"),
        (rule().month([1, 12]).day_of_month(24).hour(18), "0 18 24 1,12 *"),
        (rule().month(December).day_of_week(Monday), "0 0 * 12 1"),
        (rule().month(June).hour(9), "0 9 1 6 *"),
        // Said to be any, rather than left unsaid.
        (rule().day_of_week(Monday).hour(Values::any()).minute(Values::any()), "* * * * 1"),
        (rule().hour(Values::every(6)), "0 */6 * * *"),
        // Both day fields: both must fit.
        (rule().day_of_month(13).day_of_week(Friday), "0 0 13 * 5 and"),
        (rule().day_of_month(1..=7).day_of_week(Monday).hour(8), "0 8 1-7 * 1 and"),
        (rule().day_of_month(Values::every(2)).day_of_week(Monday), "0 0 */2 * 1"),
    ] {
        let schedule = rule.clone().build().unwrap_or_else(|error| panic!("{rule:?}: {error}"));
        assert_eq!(schedule.to_string(), text);
        assert_eq!(text.parse::<Schedule>().as_ref(), Ok(&schedule));
        assert_eq!(Expression::parse(text).as_ref(), Ok(schedule.expression()));
    }
}

#[test]
fn a_rule_with_both_day_fields_fires_on_friday_the_13th() {
    let schedule =
        Schedule::builder().day_of_month(13).day_of_week(Friday).tz("Europe/Paris").build().unwrap();
    let mut at = "2026-03-01T00:00:00Z".parse().unwrap();
    for expected in ["2026-03-12T23:00:00Z", "2026-11-12T23:00:00Z", "2027-08-12T22:00:00Z"] {
        at = schedule.next_after(at).unwrap();
        assert_eq!(at, expected.parse().unwrap());
    }
    assert!(schedule.expression().as_cron().unwrap().needs_both_days());
    let either: Schedule = "0 0 13 * 5".parse().unwrap();
    assert_ne!(schedule.expression(), either.expression());
    assert!(!either.expression().as_cron().unwrap().needs_both_days());
}

#[test]
fn a_rule_knows_its_zone() {
    let schedule = Rule::new().hour(9).tz("asia/tokyo").build().unwrap();
    assert_eq!(schedule, Schedule::parse("0 9 * * *", "Asia/Tokyo").unwrap());
    assert_eq!(schedule.zone(), "Asia/Tokyo");
    assert_eq!(Rule::new().tz("Asia/Tokio").build().unwrap_err().kind(), Kind::UnknownZone);
}

#[test]
fn a_wrong_rule_is_refused_at_its_field() {
    let rule = Schedule::builder;
    for (rule, field, kind) in [
        (rule().second(60), Field::Second, Kind::OutOfRange),
        (rule().minute(60), Field::Minute, Kind::OutOfRange),
        (rule().minute(0..=61), Field::Minute, Kind::OutOfRange),
        (rule().hour(24), Field::Hour, Kind::OutOfRange),
        (rule().day_of_month(0), Field::DayOfMonth, Kind::OutOfRange),
        (rule().month(0), Field::Month, Kind::OutOfRange),
        (rule().month(13), Field::Month, Kind::OutOfRange),
        (rule().day_of_week(8), Field::DayOfWeek, Kind::OutOfRange),
        (rule().day_of_week(Friday..=Monday), Field::DayOfWeek, Kind::ReversedRange),
        (rule().minute(Values::every(0)), Field::Minute, Kind::ZeroStep),
        (rule().minute(Vec::<u32>::new()), Field::Minute, Kind::Empty),
        (rule().hour(5..5), Field::Hour, Kind::Empty),
        (rule().month(2).day_of_month(30), Field::DayOfMonth, Kind::NeverFires),
        (rule().month(2).day_of_month(30).day_of_week(Monday), Field::DayOfMonth, Kind::NeverFires),
        (rule().hour(u32::MAX), Field::Hour, Kind::OutOfRange),
        (rule().hour(0..=u32::MAX), Field::Hour, Kind::OutOfRange),
    ] {
        let error = rule.clone().build().expect_err(&format!("{rule:?}"));
        assert_eq!((error.field(), error.kind()), (Some(field), kind), "{rule:?}: {error}");
    }
}

#[test]
fn every_named_pattern_is_a_schedule_in_its_canonical_text() {
    use jobs_schedule::patterns::*;
    for pattern in [
        EVERY_MINUTE,
        EVERY_5_MINUTES,
        EVERY_10_MINUTES,
        EVERY_15_MINUTES,
        EVERY_30_MINUTES,
        HOURLY,
        EVERY_2_HOURS,
        EVERY_6_HOURS,
        EVERY_12_HOURS,
        DAILY,
        DAILY_AT_NOON,
        WEEKLY,
        MONTHLY,
        YEARLY,
        WEEKDAYS_AT_9,
        WEEKENDS,
    ] {
        assert_eq!(Expression::parse(pattern).unwrap().to_string(), pattern);
    }
    assert_eq!(Expression::parse(QUARTERLY), Expression::parse("0 0 1 */3 *"));
}
