//! Leap years, the turn of 2100, and the ends of time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use jobs_schedule::{Schedule, ScheduleErrorKind as Kind};

fn after(text: &str, start: &str) -> Option<String> {
    let schedule: Schedule = text.parse().unwrap();
    schedule.next_after(start.parse().unwrap()).map(|tick| tick.to_string())
}

#[test]
fn the_29th_of_february_comes_in_leap_years_and_not_in_2100() {
    assert_eq!(after("0 0 29 2 *", "2096-02-28T00:00:00Z").as_deref(), Some("2096-02-29T00:00:00Z"));
    assert_eq!(after("0 0 29 2 *", "2096-02-29T00:00:00Z").as_deref(), Some("2104-02-29T00:00:00Z"));
    assert_eq!(after("0 0 29 2 *", "1996-03-01T00:00:00Z").as_deref(), Some("2000-02-29T00:00:00Z"));
    assert_eq!(after("0 0 29 2 *", "1897-01-01T00:00:00Z").as_deref(), Some("1904-02-29T00:00:00Z"));
    // A Sunday that is one: 40 years apart over 2100.
    assert_eq!(after("0 0 29 2 0 and", "2088-03-01T00:00:00Z").as_deref(), Some("2128-02-29T00:00:00Z"));
    let zoned = Schedule::parse("* 12 29 2 *", "America/New_York").unwrap();
    let tick = zoned.next_after("2097-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(tick, Some("2104-02-29T17:00:00Z".parse().unwrap()));
}

#[test]
fn the_calendar_goes_on_beyond_the_years_of_the_cron_crate() {
    assert_eq!(after("0 0 1 1 *", "2100-06-01T00:00:00Z").as_deref(), Some("2101-01-01T00:00:00Z"));
    assert_eq!(after("59 23 31 12 *", "2100-12-31T23:59:00Z").as_deref(), Some("2101-12-31T23:59:00Z"));
    assert_eq!(after("* * * * *", "2100-12-31T23:59:00Z").as_deref(), Some("2101-01-01T00:00:00Z"));
    assert_eq!(after("0 9 * * 1", "2500-01-01T00:00:00Z").as_deref(), Some("2500-01-04T09:00:00Z"));
    assert_eq!(after("* * * * *", "1969-12-31T23:59:00Z").as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(after("0 0 1 6 *", "1969-07-01T00:00:00Z").as_deref(), Some("1970-06-01T00:00:00Z"));
    assert_eq!(after("0 9 * * 1", "1950-01-01T00:00:00Z").as_deref(), Some("1950-01-02T09:00:00Z"));
}

#[test]
fn a_weekday_falls_right_in_every_year_until_2600() {
    let schedule: Schedule = "0 0 1 1 *".parse().unwrap();
    let monday: Schedule = "0 0 * * 1".parse().unwrap();
    let mut at: Timestamp = "1899-12-31T00:00:00Z".parse().unwrap();
    for year in 1900..2600 {
        at = schedule.next_after(at).unwrap();
        let date = TimeZone::UTC.to_datetime(at).date();
        assert_eq!((date.year(), date.month(), date.day()), (year, 1, 1));
        let first = TimeZone::UTC.to_datetime(monday.next_after(at).unwrap()).date();
        assert_eq!(first.weekday(), jiff::civil::Weekday::Monday);
        assert!((1..=7).contains(&date.until(first).unwrap().get_days()));
    }
}

#[test]
fn at_the_ends_of_time_there_is_none_instead_of_a_panic() {
    for text in [
        "* * * * *",
        "*/5 * * * * *",
        "0 0 29 2 *",
        "0 0 29 2 1 and",
        "0 9 * * 1-5",
        "every 1ms",
        "every 366d",
    ] {
        for zone in ["UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            let Ok(schedule) = Schedule::parse(text, zone) else { continue };
            assert_eq!(schedule.next_after(Timestamp::MAX), None, "{text} {zone}");
            let first = schedule.next_after(Timestamp::MIN);
            assert!(first.is_none_or(|first| first > Timestamp::MIN), "{text} {zone}");
        }
    }
    let last = Schedule::at(Timestamp::MAX);
    assert_eq!(last.next_after(Timestamp::UNIX_EPOCH), last.instant());
    let again: Schedule = last.to_string().parse().unwrap();
    assert_eq!(again, last);
    let first = Schedule::at(Timestamp::MIN);
    assert!(first.next_after(Timestamp::MIN).is_none());
}

#[test]
fn dates_that_never_come_are_refused() {
    for text in [
        "0 0 30 2 *",
        "0 0 31 2 *",
        "0 0 30,31 FEB *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 6 1 and",
        "0 0 0 30 2 *",
        "0 0 30-31 2 */2",
    ] {
        assert_eq!(text.parse::<Schedule>().unwrap_err().kind(), Kind::NeverFires, "{text}");
    }
    // Possible: in leap years, in one of the months, or on the weekdays that count as well.
    for text in ["0 0 29 2 *", "0 0 30 1,2 *", "0 0 30 2 1", "0 0 31 */2 *"] {
        let schedule: Schedule = text.parse().unwrap();
        assert!(schedule.next_after(Timestamp::UNIX_EPOCH).is_some(), "{text}");
    }
}

#[test]
fn an_instant_comes_once() {
    let schedule: Schedule = "2026-12-25T10:00:00.250+01:00".parse().unwrap();
    let instant: Timestamp = "2026-12-25T09:00:00.250Z".parse().unwrap();
    assert_eq!(schedule.instant(), Some(instant));
    assert_eq!(schedule.next_after(Timestamp::MIN), Some(instant));
    assert_eq!(schedule.next_after(instant - Duration::from_nanos(1)), Some(instant));
    assert_eq!(schedule.next_after(instant), None);
    assert_eq!(Schedule::at(instant + Duration::from_nanos(999_999)), schedule);
    assert_eq!(Schedule::parse("2026-12-25T09:00:00.250Z", "UTC"), Ok(schedule));
}

#[test]
fn an_interval_or_an_instant_takes_no_zone_but_utc() {
    for text in ["5m", "every 5m", "2026-12-25T09:00:00Z"] {
        assert!(Schedule::parse(text, "UTC").is_ok());
        assert!(Schedule::parse(text, "utc").is_ok());
        let error = Schedule::parse(text, "Europe/Paris").unwrap_err();
        assert_eq!(error.kind(), Kind::ZoneNotAllowed);
    }
    let error = Schedule::parse("5m", "Europe/Paris").unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"every 5m\" has no use for the time zone \"Europe/Paris\"; leave the zone out, or write a cron text"
    );
}

#[test]
fn an_interval_is_whole_milliseconds_from_one_to_366_days() {
    for (interval, kind) in [
        (Duration::ZERO, Kind::TooShort),
        (Duration::from_micros(1), Kind::TooShort),
        (Duration::from_micros(1_500), Kind::TooShort),
        (Duration::from_secs(366 * 86_400 + 1), Kind::TooLong),
        (Duration::MAX, Kind::TooShort),
    ] {
        assert_eq!(Schedule::every(interval).unwrap_err().kind(), kind, "{interval:?}");
    }
    let schedule = Schedule::every(Duration::from_millis(1)).unwrap();
    assert_eq!(schedule.next_after(Timestamp::UNIX_EPOCH), Some(Timestamp::from_millisecond(1).unwrap()));
    let before: Timestamp = "1969-12-31T23:59:59.9995Z".parse().unwrap();
    assert_eq!(schedule.next_after(before), Some(Timestamp::UNIX_EPOCH));
    let five = Schedule::every(Duration::from_secs(300)).unwrap();
    assert_eq!(five.to_string(), "every 5m");
    assert_eq!(five, "5m".parse().unwrap());
    assert_eq!(five, "@every 300s".parse().unwrap());
}
