//! Durations as people write them: `30s`, `1h 30m`, `250ms`, `7 days`.
//!
//! The text is humantime's, with two differences. Months and years are refused, because they have no fixed length
//! (humantime's `1M` is 30.44 days, and one slip of the shift key away from a minute). And a blank inside a number is
//! an error: humantime reads `1 5m` as 15 minutes.

use std::fmt::Write as _;
use std::time::Duration;

use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::words::Word;

/// The longest duration that is accepted: 366 days.
pub const MAX: Duration = Duration::from_secs(366 * 86_400);

/// Far beyond any that is meant; it bounds the work that garbage makes.
const MAX_TEXT: usize = 1_024;

const UNITS: &[&str] = &[
    "ns", "nsec", "nanos", "us", "usec", "µs", "ms", "msec", "millis", "s", "sec", "secs", "second",
    "seconds", "m", "min", "mins", "minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day",
    "days", "w", "wk", "wks", "week", "weeks",
];

/// Parses numbers with units, from nanoseconds to weeks; zero is allowed.
///
/// # Errors
/// Empty text, a number without unit, an unknown unit, months and years, more than [`MAX`], a text above 1,024 bytes.
///
/// ```
/// use std::time::Duration;
/// use jobs_schedule::duration;
///
/// assert_eq!(duration::parse("1h 30m")?, Duration::from_secs(5_400));
/// assert_eq!(duration::parse("0s")?, Duration::ZERO);
/// assert_eq!(
///     duration::parse("30").unwrap_err().to_string(),
///     "the duration \"30\" has no unit; write \"30s\""
/// );
/// # Ok::<(), jobs_schedule::ScheduleError>(())
/// ```
pub fn parse(text: &str) -> Result<Duration, ScheduleError> {
    let word = Word { text, column: 1 };
    if text.trim().is_empty() {
        return Err(ScheduleError::new(Kind::Empty, 1, "the duration is empty", "write one, as in \"30s\""));
    }
    if text.len() > MAX_TEXT {
        return Err(ScheduleError::new(
            Kind::TooLong,
            1,
            format!("the text of a duration has more than {MAX_TEXT} bytes"),
            "write each unit once, as in \"1h 30m\"",
        ));
    }
    let mut sum = Duration::ZERO;
    let mut at = 0;
    while let Some(pair) = next_pair(word, &mut at)? {
        sum = sum.saturating_add(pair);
    }
    if sum > MAX { Err(too_long(text)) } else { Ok(sum) }
}

/// The same, where zero makes no sense.
///
/// # Errors
/// As [`parse`], and [`TooShort`](Kind::TooShort) for zero.
pub fn parse_positive(text: &str) -> Result<Duration, ScheduleError> {
    let duration = parse(text)?;
    if duration.is_zero() {
        return Err(ScheduleError::new(
            Kind::TooShort,
            column_of_first(text),
            format!("the duration {} is zero", quoted(text.trim())),
            "write a longer one, as in \"1s\"",
        ));
    }
    Ok(duration)
}

/// Writes a duration so that [`parse`] reads the same one: `90 minutes` is `1h 30m`, zero is `0s`.
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanos = duration.subsec_nanos();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(nanos / 1_000_000), "ms"),
        (u64::from(nanos / 1_000 % 1_000), "us"),
        (u64::from(nanos % 1_000), "ns"),
    ];
    let mut text = String::new();
    for (count, unit) in parts {
        if count > 0 {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn too_long(text: &str) -> ScheduleError {
    ScheduleError::new(
        Kind::TooLong,
        column_of_first(text),
        format!("the duration {} is longer than 366 days", quoted(text.trim())),
        "write a shorter one",
    )
}

fn column_of_first(text: &str) -> usize {
    text.chars().take_while(|c| c.is_whitespace()).count() + 1
}

/// One number with its unit. Each is given to humantime alone, so that every mistake has its place and its remedy, and
/// because the sum of a long text overflows there into a panic.
fn next_pair(word: Word<'_>, at: &mut usize) -> Result<Option<Duration>, ScheduleError> {
    let Some((number, start)) = next_number(word, at)? else { return Ok(None) };
    let rest = &word.text[*at..];
    let blanks = rest.len() - rest.trim_start().len();
    let letters = rest[blanks..].find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len() - blanks);
    let end = *at + blanks + letters;
    let unit = word.part(*at + blanks, end);
    if unit.text.is_empty() {
        return Err(ScheduleError::new(
            Kind::MissingUnit,
            number.column,
            format!("the duration {} has no unit", quoted(number.text)),
            if number.text.len() < 10 {
                format!("write \"{}s\"", number.text)
            } else {
                "write one behind".to_owned()
            },
        ));
    }
    check_unit(unit)?;
    *at = end;
    let pair = word.part(start, end).text;
    // 366 days have 17 digits even in nanoseconds.
    let whole = number.text.split('.').next().unwrap_or_default().trim_start_matches('0');
    if whole.len() > 17 {
        return Err(too_long(pair).moved(number.column - 1));
    }
    match humantime::parse_duration(pair) {
        Ok(duration) => Ok(Some(duration)),
        Err(_) if number.text.contains('.') => Err(ScheduleError::new(
            Kind::Syntax,
            number.column,
            format!("the fraction in {} cannot be represented", quoted(pair)),
            "write a smaller unit, as in \"1500ms\"",
        )),
        Err(_) => Err(too_long(pair).moved(number.column - 1)),
    }
}

fn next_number<'a>(word: Word<'a>, at: &mut usize) -> Result<Option<(Word<'a>, usize)>, ScheduleError> {
    let rest = &word.text[*at..];
    let start = *at + rest.len() - rest.trim_start().len();
    if start == word.text.len() {
        return Ok(None);
    }
    let rest = &word.text[start..];
    let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number = word.part(start, start + length);
    let (whole, fraction) = number.text.split_once('.').unwrap_or((number.text, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        return Err(ScheduleError::new(
            Kind::Syntax,
            number.column,
            format!("{} is not a duration", quoted(&rest[..end])),
            "write a number and a unit, as in \"30s\" or \"1h 30m\"",
        ));
    }
    *at = start + length;
    Ok(Some((number, start)))
}

fn check_unit(unit: Word<'_>) -> Result<(), ScheduleError> {
    if UNITS.contains(&unit.text) {
        return Ok(());
    }
    let remedy = match unit.text {
        "M" | "month" | "months" => {
            "a month has no fixed length: write days (\"30d\"), or \"1m\" for a minute"
        }
        "y" | "yr" | "yrs" | "year" | "years" => "a year has no fixed length: write days (\"365d\")",
        _ => "write one of ns, us, ms, s, m, h, d, w",
    };
    Err(ScheduleError::new(
        Kind::UnknownUnit,
        unit.column,
        format!("{} is not a unit of a duration", quoted(unit.text)),
        remedy,
    ))
}
