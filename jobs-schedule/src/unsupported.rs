//! Signs that other cron dialects have and this one refuses, each with what to write instead.

use crate::Field;
use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::words::Word;

/// Refuses one item of a field's list if it uses `L W # ? H ~`.
pub(crate) fn check(field: Field, item: Word<'_>) -> Result<(), ScheduleError> {
    let Some((sign, remedy)) = sign(field, item.text) else { return Ok(()) };
    Err(ScheduleError::new(
        Kind::Unsupported,
        item.column,
        format!("{sign:?} in {} of the {field} is not supported", quoted(item.text)),
        remedy,
    ))
}

fn sign(field: Field, item: &str) -> Option<(char, String)> {
    if item.contains('?') {
        return Some(('?', "write *".to_owned()));
    }
    if item.contains('~') {
        return Some(('~', "write a fixed value and give the job a jitter".to_owned()));
    }
    if let Some((day, nth)) = item.split_once('#') {
        return Some(('#', nth_weekday(day, nth)));
    }
    let letters: String = item.chars().filter(|c| c.is_alphabetic()).collect();
    match letters.to_ascii_uppercase().as_str() {
        "H" => Some(('H', "write a fixed value and give the job a jitter".to_owned())),
        "L" if field == Field::DayOfWeek => {
            Some(('L', "write the last days and the weekday, as in \"0 0 25-31 * 5 and\"".to_owned()))
        }
        "L" => Some(('L', "write 28-31 and let the job look whether tomorrow is the 1st".to_owned())),
        "W" | "LW" | "WL" => {
            Some(('W', "write the nearest days and 1-5, as in \"0 0 14-16 * 1-5 and\"".to_owned()))
        }
        _ => None,
    }
}

/// The n-th weekday of a month is a week's worth of days ANDed with the weekday, which this dialect can say.
fn nth_weekday(day: &str, nth: &str) -> String {
    let known = Field::DayOfWeek.number_of(day).is_some() || matches!(day.parse(), Ok(0..=7u32));
    match nth.parse::<u32>() {
        Ok(nth @ 1..=5) if known => {
            let (from, to) = (nth * 7 - 6, (nth * 7).min(31));
            format!("write that week's days and the weekday, as in \"0 0 {from}-{to} * {day} and\"")
        }
        _ => "write a week's days and the weekday, as in \"0 0 8-14 * FRI and\"".to_owned(),
    }
}
