//! Intervals: `5m`, `every 5m`, `@every 5m`; ticks are multiples since the Unix epoch.

use std::time::Duration;

use crate::duration;
use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::words::Word;

/// The duration's text in a schedule that is an interval, with the characters before it; `None` if it is none.
pub(crate) fn body<'a>(text: &'a str, words: &[Word<'a>]) -> Option<(&'a str, usize)> {
    let first = words.first()?;
    if first.text.eq_ignore_ascii_case("every") || first.text.eq_ignore_ascii_case("@every") {
        let skipped = first.column - 1 + first.text.chars().count();
        let at = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
        return Some((&text[at..], skipped));
    }
    // A cron text never has a word in its first two fields, and a duration always has a unit there.
    let starts_with_number = first.text.starts_with(|c: char| c.is_ascii_digit());
    let plain = !text.contains(['*', ',', '-', '/', '?', '#', '~', ':']);
    let unit_follows = match words {
        [_] => true,
        [first, second, ..] => has_letter(first) || second.text.starts_with(char::is_alphabetic),
        [] => false,
    };
    (starts_with_number && plain && unit_follows).then_some((text, 0))
}

/// Parses the duration between two ticks.
pub(crate) fn parse(body: &str, skipped: usize) -> Result<Duration, ScheduleError> {
    let interval = duration::parse(body).map_err(|error| error.moved(skipped))?;
    let column = skipped + 1 + body.chars().take_while(|c| c.is_whitespace()).count();
    check(interval).map_err(|error| error.moved(column - 1))?;
    Ok(interval)
}

/// Refuses what has no ticks of whole milliseconds.
pub(crate) fn check(interval: Duration) -> Result<(), ScheduleError> {
    let shown = quoted(&duration::format(interval));
    if interval.is_zero() {
        return Err(ScheduleError::new(
            Kind::TooShort,
            1,
            "an interval of zero never ends",
            "write one of 1ms or more, as in \"every 5m\"",
        ));
    }
    if !interval.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(ScheduleError::new(
            Kind::TooShort,
            1,
            format!("the interval {shown} is finer than a tick"),
            "write whole milliseconds",
        ));
    }
    if interval > duration::MAX {
        return Err(ScheduleError::new(
            Kind::TooLong,
            1,
            format!("the interval {shown} is longer than 366 days"),
            "write a shorter one, or a cron text",
        ));
    }
    Ok(())
}

fn has_letter(word: &Word<'_>) -> bool {
    word.text.contains(char::is_alphabetic)
}
