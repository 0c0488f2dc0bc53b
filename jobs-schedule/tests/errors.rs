//! Every mistake: what it is called, where it is, and how to mend it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use jobs_schedule::{Expression, Field, ScheduleErrorKind as Kind, duration, zone};

type Row = (&'static str, &'static str, usize, Option<Field>, Kind);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", "the schedule is empty; write one, as in \"0 9 * * 1-5\", \"5m\" or \"@daily\"", 1, None, Kind::Empty),
    ("60 * * * *", "60 is out of range for the minute, at column 1; write 0-59", 1, Some(Field::Minute), Kind::OutOfRange),
    ("0 25 * * *", "25 is out of range for the hour, at column 3; write 0-23", 3, Some(Field::Hour), Kind::OutOfRange),
    ("* * 32 * *", "32 is out of range for the day of month, at column 5; write 1-31", 5, Some(Field::DayOfMonth), Kind::OutOfRange),
    ("* * * 13 *", "13 is out of range for the month, at column 7; write 1-12 or JAN-DEC", 7, Some(Field::Month), Kind::OutOfRange),
    ("* * * * 8", "8 is out of range for the day of week, at column 9; write 0-7 (0 and 7 are Sunday) or SUN-SAT", 9, Some(Field::DayOfWeek), Kind::OutOfRange),
    ("0 0 0 1 *", "0 is out of range for the day of month, at column 5; write 1-31", 5, Some(Field::DayOfMonth), Kind::OutOfRange),
    ("60 * * * * *", "60 is out of range for the second, at column 1; write 0-59", 1, Some(Field::Second), Kind::OutOfRange),
    ("5-1 * * * *", "the range \"5-1\" of the minute runs backwards, at column 1; write \"5-59,0-1\"", 1, Some(Field::Minute), Kind::ReversedRange),
    ("0 22-2 * * *", "the range \"22-2\" of the hour runs backwards, at column 3; write \"22-23,0-2\"", 3, Some(Field::Hour), Kind::ReversedRange),
    ("0 0 * * FRI-MON", "the range \"FRI-MON\" of the day of week runs backwards, at column 9; write \"5-6,0-1\"", 9, Some(Field::DayOfWeek), Kind::ReversedRange),
    ("*/0 * * * *", "the step of the minute is zero, at column 3; write 1 or more", 3, Some(Field::Minute), Kind::ZeroStep),
    ("5/15 * * * *", "the step in \"5/15\" of the minute has no range, at column 1; write \"5-59/15\"", 1, Some(Field::Minute), Kind::StepWithoutRange),
    ("* * * * MON/2", "the step in \"MON/2\" of the day of week has no range, at column 9; write \"1-6/2\"", 9, Some(Field::DayOfWeek), Kind::StepWithoutRange),
    ("1.5 * * * *", "\"1.5\" is not a value of the minute, at column 1; write 0-59, or lists, ranges and steps of these", 1, Some(Field::Minute), Kind::Syntax),
    ("5abc * * * *", "\"5abc\" is not a value of the minute, at column 1; write 0-59, or lists, ranges and steps of these", 1, Some(Field::Minute), Kind::Syntax),
    ("-1 * * * *", "a value of the minute is missing, at column 1; write 0-59", 1, Some(Field::Minute), Kind::Syntax),
    ("* 2- * * *", "a value of the hour is missing, at column 5; write 0-23", 5, Some(Field::Hour), Kind::Syntax),
    (",1 * * * *", "a value of the minute is missing, at column 1; write 0-59", 1, Some(Field::Minute), Kind::Syntax),
    ("1,,2 * * * *", "a value of the minute is missing, at column 3; write 0-59", 3, Some(Field::Minute), Kind::Syntax),
    ("*-5 * * * *", "\"*\" is not a value of the minute, at column 1; write 0-59, or lists, ranges and steps of these", 1, Some(Field::Minute), Kind::Syntax),
    ("1-5-9 * * * *", "\"5-9\" is not a value of the minute, at column 3; write 0-59, or lists, ranges and steps of these", 3, Some(Field::Minute), Kind::Syntax),
    ("*/ * * * *", "the step \"\" of the minute is not a number, at column 3; write a number behind the slash, as in \"*/5\"", 3, Some(Field::Minute), Kind::Syntax),
    ("0 0 ? * *", "'?' in \"?\" of the day of month is not supported, at column 5; write *", 5, Some(Field::DayOfMonth), Kind::Unsupported),
    ("0 0 L * *", "'L' in \"L\" of the day of month is not supported, at column 5; write 28-31 and let the job look whether tomorrow is the 1st", 5, Some(Field::DayOfMonth), Kind::Unsupported),
    ("0 0 15W * *", "'W' in \"15W\" of the day of month is not supported, at column 5; write the nearest days and 1-5, as in \"0 0 14-16 * 1-5 and\"", 5, Some(Field::DayOfMonth), Kind::Unsupported),
    ("0 0 * * FRI#2", "'#' in \"FRI#2\" of the day of week is not supported, at column 9; write that week's days and the weekday, as in \"0 0 8-14 * FRI and\"", 9, Some(Field::DayOfWeek), Kind::Unsupported),
    ("0 0 * * 5L", "'L' in \"5L\" of the day of week is not supported, at column 9; write the last days and the weekday, as in \"0 0 25-31 * 5 and\"", 9, Some(Field::DayOfWeek), Kind::Unsupported),
    ("0~30 * * * *", "'~' in \"0~30\" of the minute is not supported, at column 1; write a fixed value and give the job a jitter", 1, Some(Field::Minute), Kind::Unsupported),
    ("0 0 * * FOO", "\"FOO\" is not a day of week, at column 9; write 0-7 (0 and 7 are Sunday) or SUN-SAT", 9, Some(Field::DayOfWeek), Kind::UnknownName),
    ("0 0 * MON *", "\"MON\" is not a month, at column 7; write 1-12 or JAN-DEC", 7, Some(Field::Month), Kind::UnknownName),
    ("JAN * * * *", "\"JAN\" is not a minute, at column 1; write 0-59", 1, Some(Field::Minute), Kind::UnknownName),
    ("0 0 30 2 *", "no month of this schedule has that day, so it never fires, at column 5; write a day of month up to 29, or another month", 5, Some(Field::DayOfMonth), Kind::NeverFires),
    ("0 0 31 4,6 *", "no month of this schedule has that day, so it never fires, at column 5; write a day of month up to 30, or another month", 5, Some(Field::DayOfMonth), Kind::NeverFires),
    ("0 0 30 2 1 and", "no month of this schedule has that day, so it never fires, at column 5; write a day of month up to 29, or another month", 5, Some(Field::DayOfMonth), Kind::NeverFires),
    ("* * * *", "a cron text has 5 or 6 fields, this one has 4; write minute, hour, day of month, month, day of week, with the second first if there is one", 1, None, Kind::FieldCount),
    ("* * * * * * *", "a cron text has 5 or 6 fields, this one has 7; there is no year field: leave \"*\" out", 13, None, Kind::FieldCount),
    ("* * * * * * * *", "a cron text has 5 or 6 fields, this one has 8; write minute, hour, day of month, month, day of week, with the second first if there is one", 13, None, Kind::FieldCount),
    ("@reboot", "@reboot is not a time; leave the schedule out and run the job when the program starts", 1, None, Kind::UnknownMacro),
    ("@every-15m", "\"@every-15m\" is not a known macro; write \"every 15m\"", 1, None, Kind::UnknownMacro),
    ("@every", "the duration is empty; write one, as in \"30s\"", 7, None, Kind::Empty),
    ("@foo", "\"@foo\" is not a known macro; write @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or the fields", 1, None, Kind::UnknownMacro),
    ("@daily x", "\"x\" follows the macro @daily; write the macro alone", 8, None, Kind::Syntax),
    ("daily", "\"daily\" is not a schedule; write \"@daily\"", 1, None, Kind::FieldCount),
    ("30", "the duration \"30\" has no unit; write \"30s\"", 1, None, Kind::MissingUnit),
    ("5 parsecs", "\"parsecs\" is not a unit of a duration; write one of ns, us, ms, s, m, h, d, w", 3, None, Kind::UnknownUnit),
    ("1M", "\"M\" is not a unit of a duration; a month has no fixed length: write days (\"30d\"), or \"1m\" for a minute", 2, None, Kind::UnknownUnit),
    ("1y", "\"y\" is not a unit of a duration; a year has no fixed length: write days (\"365d\")", 2, None, Kind::UnknownUnit),
    ("0s", "an interval of zero never ends; write one of 1ms or more, as in \"every 5m\"", 1, None, Kind::TooShort),
    ("500us", "the interval \"500us\" is finer than a tick; write whole milliseconds", 1, None, Kind::TooShort),
    ("400d", "the duration \"400d\" is longer than 366 days; write a shorter one", 1, None, Kind::TooLong),
    ("every 5", "the duration \"5\" has no unit; write \"5s\"", 7, None, Kind::MissingUnit),
    ("every day", "\"day\" is not a duration; write a number and a unit, as in \"30s\" or \"1h 30m\"", 7, None, Kind::Syntax),
    ("1 5m", "a cron text has 5 or 6 fields, this one has 2; write minute, hour, day of month, month, day of week, with the second first if there is one", 1, None, Kind::FieldCount),
    ("5m 30", "the duration \"30\" has no unit; write \"30s\"", 4, None, Kind::MissingUnit),
    ("-5m", "\"-5m\" is not a schedule; write five cron fields (\"0 9 * * 1-5\"), an interval (\"5m\"), an instant (\"2026-12-25T09:00:00Z\") or a macro (\"@daily\")", 1, None, Kind::FieldCount),
    ("PT5M", "\"PT5M\" is not a schedule; write five cron fields (\"0 9 * * 1-5\"), an interval (\"5m\"), an instant (\"2026-12-25T09:00:00Z\") or a macro (\"@daily\")", 1, None, Kind::FieldCount),
    ("2026-12-25T09:00:00", "the instant \"2026-12-25T09:00:00\" has no offset from utc; write \"2026-12-25T09:00:00Z\", or an offset as in \"2026-12-25T09:00:00+01:00\"", 1, None, Kind::MissingOffset),
    ("2026-12-25", "the instant \"2026-12-25\" has no time of day; write \"2026-12-25T00:00:00Z\"", 1, None, Kind::Syntax),
    ("2026-12-25 09:00:00Z", "\"09:00:00Z\" follows the date after a blank; write T between date and time and nothing behind, as in \"2026-12-25T09:00:00Z\"", 12, None, Kind::Syntax),
    ("2026-02-29T00:00:00Z", "the day 29 of the instant \"2026-02-29T00:00:00Z\" is out of range; write 01-28", 9, None, Kind::OutOfRange),
    ("2026-12-25T25:00:00Z", "the hour 25 of the instant \"2026-12-25T25:00:00Z\" is out of range; write 00-23", 12, None, Kind::OutOfRange),
    ("2026-12-25T09:00Z", "the instant \"2026-12-25T09:00Z\" should have ':' here; write one as in \"2026-12-25T09:00:00Z\" or \"2026-12-25T09:00:00+01:00\"", 17, None, Kind::Syntax),
    ("2026-12-25T09:00:60Z", "the second 60 of the instant \"2026-12-25T09:00:60Z\" is out of range; write 00-59", 18, None, Kind::OutOfRange),
    ("2026-12-25T09:00:00.0005Z", "the instant \"2026-12-25T09:00:00.0005Z\" is finer than a tick; write at most 3 digits behind the second", 21, None, Kind::TooShort),
    ("2026-12-25T09:00:00+0100", "the offset's hour of the instant \"2026-12-25T09:00:00+0100\" has not 2 digits; write one as in \"2026-12-25T09:00:00Z\" or \"2026-12-25T09:00:00+01:00\"", 21, None, Kind::Syntax),
    ("2026-12-25T09:00:00Zx", "the instant \"2026-12-25T09:00:00Zx\" should have nothing behind the offset here; write one as in \"2026-12-25T09:00:00Z\" or \"2026-12-25T09:00:00+01:00\"", 21, None, Kind::Syntax),
    ("2026-1-5T00:00:00Z", "the month of the instant \"2026-1-5T00:00:00Z\" has not 2 digits; write one as in \"2026-12-25T09:00:00Z\" or \"2026-12-25T09:00:00+01:00\"", 6, None, Kind::Syntax),
    ("*/99999999999 * * * *", "the step \"99999999999\" of the minute is too large, at column 3; write a number of 0-59", 3, Some(Field::Minute), Kind::OutOfRange),
    ("*/-1 * * * *", "the step \"-1\" of the minute is not a number, at column 3; write a number behind the slash, as in \"*/5\"", 3, Some(Field::Minute), Kind::Syntax),
    ("0 0 * * Sonntag", "\"Sonntag\" is not a day of week, at column 9; write 0-7 (0 and 7 are Sunday) or SUN-SAT", 9, Some(Field::DayOfWeek), Kind::UnknownName),
    ("0 9 * * 1-5 UTC", "\"UTC\" is not a day of week, at column 13; write 0-7 (0 and 7 are Sunday) or SUN-SAT", 13, Some(Field::DayOfWeek), Kind::UnknownName),
    ("0 0 LW * *", "'W' in \"LW\" of the day of month is not supported, at column 5; write the nearest days and 1-5, as in \"0 0 14-16 * 1-5 and\"", 5, Some(Field::DayOfMonth), Kind::Unsupported),
    ("* * * * +FRI", "\"+FRI\" is not a value of the day of week, at column 9; write 0-7 (0 and 7 are Sunday) or SUN-SAT, or lists, ranges and steps of these", 9, Some(Field::DayOfWeek), Kind::Syntax),
];

#[test]
fn every_mistake_has_its_message_its_column_its_field_and_its_kind() {
    assert!(ROWS.len() > 60);
    for (text, message, column, field, kind) in ROWS {
        let error = Expression::parse(text).expect_err(text);
        let found = (error.to_string(), error.column(), error.field(), error.kind());
        assert_eq!(found, ((*message).to_owned(), *column, *field, *kind), "{text:?}");
    }
}

#[test]
fn every_message_is_lower_case_without_a_full_stop_and_names_a_remedy() {
    for (_, message, ..) in ROWS {
        assert!(message.contains("; "), "{message}");
        assert!(!message.ends_with(['.', '?', '!']), "{message}");
        assert!(!message.starts_with(char::is_uppercase), "{message}");
    }
}

#[test]
fn columns_count_characters_not_bytes() {
    let error = Expression::parse("ü,60 * * * *").unwrap_err();
    assert_eq!((error.column(), error.kind()), (1, Kind::UnknownName));
    let error = Expression::parse("\u{a0}0 0 * é,MAY *").unwrap_err();
    assert_eq!((error.column(), error.field()), (8, Some(Field::Month)));
    let error = Expression::parse("   0 24 * * *").unwrap_err();
    assert_eq!(error.column(), 6);
}

#[test]
fn a_long_text_is_not_repeated_in_the_message() {
    let error = Expression::parse(&"9".repeat(1_000_000)).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let error = Expression::parse(&format!("{} * * * *", "9".repeat(1_000_000))).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let error = zone::check(&"a".repeat(1_000_000)).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn what_a_remedy_says_to_write_parses() {
    for (_, message, ..) in ROWS {
        let remedy = message.split_once("; ").unwrap().1;
        for quoted in remedy.split('"').skip(1).step_by(2) {
            let is_whole = quoted.contains(' ') || quoted.contains('T') || quoted.starts_with('@');
            if is_whole {
                Expression::parse(quoted)
                    .unwrap_or_else(|error| panic!("{quoted:?} of {message:?}: {error}"));
            } else if !quoted.is_empty() && !["*", "and"].contains(&quoted) && !quoted.contains("09:") {
                let as_field = format!("{quoted} * * * *");
                let as_weekday = format!("* * * * {quoted}");
                let fits =
                    [quoted, &as_field, &as_weekday].iter().any(|text| Expression::parse(text).is_ok());
                assert!(fits, "{quoted:?} of {message:?}");
            }
        }
    }
}

#[test]
fn a_zone_is_refused_with_a_suggestion() {
    for (name, remedy) in [
        ("Europe/Pariss", "did you mean \"Europe/Paris\""),
        ("Paris", "did you mean \"Europe/Paris\""),
        ("US Eastern", "did you mean \"US/Eastern\""),
        ("america/new-york", "did you mean \"America/New_York\""),
        ("UTF", "did you mean \"UTC\""),
        ("Mars/Base", "write an iana name, as in \"Europe/Paris\" or \"UTC\""),
        ("", "write an iana name, as in \"Europe/Paris\", or leave it out for \"UTC\""),
    ] {
        let error = zone::check(name).expect_err(name);
        assert_eq!(error.to_string().split_once("; ").unwrap().1, remedy, "{name:?}");
        assert_eq!((error.kind(), error.column(), error.field()), (Kind::UnknownZone, 1, None));
    }
}

#[test]
fn a_duration_is_refused_at_the_wrong_character() {
    for (text, column, kind) in [
        ("", 1, Kind::Empty),
        ("30", 1, Kind::MissingUnit),
        ("  30", 3, Kind::MissingUnit),
        ("0", 1, Kind::MissingUnit),
        ("1 5m", 1, Kind::MissingUnit),
        ("1m 30", 4, Kind::MissingUnit),
        ("1M", 2, Kind::UnknownUnit),
        ("2 years", 3, Kind::UnknownUnit),
        ("5 S", 3, Kind::UnknownUnit),
        ("-5m", 1, Kind::Syntax),
        ("1h-5m", 3, Kind::Syntax),
        (".5s", 1, Kind::Syntax),
        ("1.1ns", 1, Kind::Syntax),
        ("367d", 1, Kind::TooLong),
        ("99999999999999999999s", 1, Kind::TooLong),
        ("18446744073709551615s 1000000000ns", 1, Kind::TooLong),
    ] {
        let error = duration::parse(text).expect_err(text);
        assert_eq!((error.column(), error.kind(), error.field()), (column, kind, None), "{text:?}: {error}");
    }
    assert_eq!(duration::parse_positive("0s").unwrap_err().kind(), Kind::TooShort);
}
