//! What users of octonet (node-cron 3) and of MoroJS bring along, one row each: where we agree, and where we differ on
//! purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "search")]

use jiff::Timestamp;
use jobs_schedule::{Expression, Schedule, ScheduleErrorKind as Kind};

/// Text, zone, start, the ticks after it.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

fn check(rows: &[Row]) {
    for (text, zone, start, expected) in rows {
        let schedule = Schedule::parse(text, zone).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let mut at: Timestamp = start.parse().unwrap();
        for expected in *expected {
            at = schedule.next_after(at).unwrap();
            assert_eq!(at.to_string(), *expected, "{text:?} in {zone} after {start}");
        }
    }
}

#[test]
fn octonets_dialect_is_read_as_cron_reads_it() {
    check(&[
        // Five fields mean second 0; six have the second first.
        ("0 9 * * *", "UTC", "2026-03-02T08:59:59Z", &["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]),
        ("30 0 9 * * *", "UTC", "2026-03-02T09:00:00Z", &["2026-03-02T09:00:30Z", "2026-03-03T09:00:30Z"]),
        // Monday to Friday, not shifted by a day as the cron crate's own numbers are. 2026-03-06 is a Friday.
        ("0 9 * * 1-5", "UTC", "2026-03-05T10:00:00Z", &["2026-03-06T09:00:00Z", "2026-03-09T09:00:00Z"]),
        // Names, also in full, in any case; 0 and 7 are Sunday.
        ("0 0 * * Sunday", "UTC", "2026-03-02T00:00:00Z", &["2026-03-08T00:00:00Z"]),
        ("0 0 * * sun", "UTC", "2026-03-02T00:00:00Z", &["2026-03-08T00:00:00Z"]),
        ("0 0 * * 0", "UTC", "2026-03-02T00:00:00Z", &["2026-03-08T00:00:00Z"]),
        ("0 0 * * 7", "UTC", "2026-03-02T00:00:00Z", &["2026-03-08T00:00:00Z"]),
        ("0 0 1 Jan *", "UTC", "2026-03-02T00:00:00Z", &["2027-01-01T00:00:00Z"]),
        // node-cron ANDs the day fields; cron fires on either, unless asked to AND.
        (
            "0 0 13 * 5",
            "UTC",
            "2026-03-02T00:00:00Z",
            &["2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z"],
        ),
        ("0 0 13 * 5 and", "UTC", "2026-03-02T00:00:00Z", &["2026-03-13T00:00:00Z", "2026-11-13T00:00:00Z"]),
        // node-cron makes 5-7 into Sunday to Friday.
        (
            "0 0 * * 5-7",
            "UTC",
            "2026-03-02T00:00:00Z",
            &["2026-03-06T00:00:00Z", "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z", "2026-03-13T00:00:00Z"],
        ),
        // node-cron makes 1-31/2 into the even days, and 1-59/2 into the even minutes.
        (
            "0 0 1-31/2 * *",
            "UTC",
            "2026-03-28T00:00:00Z",
            &["2026-03-29T00:00:00Z", "2026-03-31T00:00:00Z", "2026-04-01T00:00:00Z"],
        ),
        ("1-59/2 * * * *", "UTC", "2026-03-02T00:00:00Z", &["2026-03-02T00:01:00Z", "2026-03-02T00:03:00Z"]),
        // node-cron refuses these.
        ("0 0 * * */7", "UTC", "2026-03-02T00:00:00Z", &["2026-03-08T00:00:00Z", "2026-03-15T00:00:00Z"]),
        ("@daily", "UTC", "2026-03-02T00:00:00Z", &["2026-03-03T00:00:00Z"]),
        // The night in which node-cron doesn't run, and the one in which it runs twice.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        // The named schedules.
        ("0 * * * *", "UTC", "2026-03-02T00:10:00Z", &["2026-03-02T01:00:00Z"]),
        ("0 0 * * Sun", "UTC", "2026-03-02T00:10:00Z", &["2026-03-08T00:00:00Z"]),
        ("0 0 1 * *", "UTC", "2026-03-02T00:10:00Z", &["2026-04-01T00:00:00Z"]),
    ]);
}

#[test]
fn what_octonet_accepts_and_means_otherwise_is_refused() {
    for (text, kind) in [
        // Swapped silently to 2-22.
        ("0 22-2 * * *", Kind::ReversedRange),
        // Refused there, too.
        ("5/15 * * * *", Kind::StepWithoutRange),
        ("0 0 ? * *", Kind::Unsupported),
        ("0 0 L * *", Kind::Unsupported),
        ("0 0 15W * *", Kind::Unsupported),
        ("0 0 * * 5#2", Kind::Unsupported),
        // Accepted as minute 1.
        ("1.5 * * * *", Kind::Syntax),
        // The seventh field is ignored.
        ("0 0 0 * * * 2027", Kind::FieldCount),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(error.kind(), kind, "{text:?}: {error}");
    }
}

#[test]
fn moros_parse_table_is_read() {
    for (text, canonical) in [
        ("* * * * *", "* * * * *"),
        ("0 0 * * *", "0 0 * * *"),
        ("1,15,30 * * * *", "1,15,30 * * * *"),
        ("0 9-17 * * *", "0 9-17 * * *"),
        ("*/15 * * * *", "*/15 * * * *"),
        ("0-30/5 * * * *", "0-30/5 * * * *"),
        ("0 9-17/2 * * 1-5", "0 9-17/2 * * 1-5"),
        ("0 0 1,15 * 0,6", "0 0 1,15 * 0,6"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        // Moro refuses 7, names and six fields.
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * JAN-MAR MON-FRI", "0 0 * 1-3 1-5"),
        ("*/10 * * * * *", "*/10 * * * * *"),
        ("0 */5 * * * *", "*/5 * * * *"),
        ("every 15m", "every 15m"),
        ("90 minutes", "every 1h 30m"),
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(expression.to_string(), canonical, "{text:?}");
    }
}

#[test]
fn what_moro_takes_for_a_number_is_refused() {
    for (text, kind) in [
        ("5abc * * * *", Kind::Syntax),
        ("1.9 * * * *", Kind::Syntax),
        ("5-70 * * * *", Kind::OutOfRange),
        ("60 * * * *", Kind::OutOfRange),
        ("0 24 * * *", Kind::OutOfRange),
        ("0 0 32 * *", Kind::OutOfRange),
        ("0 0 0 * *", Kind::OutOfRange),
        ("0 0 * 13 *", Kind::OutOfRange),
        ("*/0 * * * *", Kind::ZeroStep),
        ("* * * *", Kind::FieldCount),
        ("* * * * * * *", Kind::FieldCount),
        ("", Kind::Empty),
        // Blocks Moro's event loop for 0.8 s, then throws.
        ("0 0 30 2 *", Kind::NeverFires),
        // Its own macros.
        ("@every-15m", Kind::UnknownMacro),
        ("@every-30m", Kind::UnknownMacro),
        ("@reboot", Kind::UnknownMacro),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert_eq!(error.kind(), kind, "{text:?}: {error}");
    }
}

#[test]
fn moros_next_runs_come() {
    check(&[
        ("* * * * *", "UTC", "2026-01-01T00:00:30Z", &["2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"]),
        ("30 * * * *", "UTC", "2026-01-01T00:45:00Z", &["2026-01-01T01:30:00Z"]),
        // The next day, the end of a month, February with and without a 29th, the year.
        ("0 9 * * *", "UTC", "2026-01-01T10:00:00Z", &["2026-01-02T09:00:00Z"]),
        ("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("59 23 28-31 * *", "UTC", "2026-02-28T00:00:00Z", &["2026-02-28T23:59:00Z", "2026-03-28T23:59:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 1 1 *", "UTC", "2026-12-31T23:59:59Z", &["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("0 0 * * *", "UTC", "2026-12-31T12:00:00Z", &["2027-01-01T00:00:00Z"]),
        // Strictly after, to the millisecond.
        ("0 9 * * *", "UTC", "2026-01-01T09:00:00Z", &["2026-01-02T09:00:00Z"]),
        ("0 9 * * *", "UTC", "2026-01-01T08:59:59.999Z", &["2026-01-01T09:00:00Z"]),
        // Moro stores the zone and never reads it.
        ("0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z", &["2026-01-02T00:00:00Z"]),
        ("0 9 * * *", "America/New_York", "2026-01-01T00:00:00Z", &["2026-01-01T14:00:00Z"]),
    ]);
}
