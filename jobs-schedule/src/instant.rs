//! One instant, in the strict form of RFC 3339, read without a calendar library so that the macros can.

use std::fmt::Write as _;

use crate::dates::{date_of, day_number, days_in};
use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::words::Word;

/// The last second that [`jiff::Timestamp`] can hold.
///
/// [`jiff::Timestamp`]: https://docs.rs/jiff/1/jiff/struct.Timestamp.html
const LAST_SECOND: i64 = 253_402_207_200;

/// Whether a text wants to be an instant: it begins with a year and a hyphen, which no other form does.
pub(crate) fn looks_like_one(word: Word<'_>) -> bool {
    let digits = word.text.bytes().take_while(u8::is_ascii_digit).count();
    digits >= 4 && word.text.as_bytes().get(digits) == Some(&b'-')
}

/// Milliseconds since the Unix epoch.
pub(crate) fn parse(words: &[Word<'_>]) -> Result<i64, ScheduleError> {
    let Some(&word) = words.first() else {
        return Err(ScheduleError::new(Kind::Empty, 1, "the instant is empty", EXAMPLE));
    };
    if let Some(extra) = words.get(1) {
        return Err(syntax(
            *extra,
            format!("{} follows the date after a blank", quoted(extra.text)),
            "write T between date and time and nothing behind, as in \"2026-12-25T09:00:00Z\"",
        ));
    }
    Reader { word, at: 0 }.instant()
}

/// The canonical text: UTC, milliseconds only where there are any.
pub(crate) fn format(millis: i64) -> String {
    let (seconds, millis) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let (year, month, day) = date_of(seconds.div_euclid(86_400));
    let second = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if millis > 0 {
        let _ = write!(text, ".{millis:03}");
    }
    text.push('Z');
    text
}

const EXAMPLE: &str = "write one as in \"2026-12-25T09:00:00Z\" or \"2026-12-25T09:00:00+01:00\"";

fn syntax(word: Word<'_>, problem: String, remedy: &str) -> ScheduleError {
    ScheduleError::new(Kind::Syntax, word.column, problem, remedy)
}

struct Reader<'a> {
    word: Word<'a>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn instant(mut self) -> Result<i64, ScheduleError> {
        let year = self.number(4, "year", 0, 9_999)?;
        self.sign(&['-'])?;
        let month = self.number(2, "month", 1, 12)?;
        self.sign(&['-'])?;
        let day = self.number(2, "day", 1, days_in(year, month))?;
        if self.rest().is_empty() {
            return Err(ScheduleError::new(
                Kind::Syntax,
                self.word.column,
                format!("the instant {} has no time of day", quoted(self.word.text)),
                format!("write \"{}T00:00:00Z\"", self.word.text),
            ));
        }
        self.sign(&['T', 't'])?;
        let hour = self.number(2, "hour", 0, 23)?;
        self.sign(&[':'])?;
        let minute = self.number(2, "minute", 0, 59)?;
        self.sign(&[':'])?;
        let second = self.number(2, "second", 0, 59)?;
        let millis = self.fraction()?;
        let offset = self.offset()?;
        if !self.rest().is_empty() {
            return Err(self.unexpected("nothing behind the offset"));
        }
        let seconds = day_number(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        if seconds > LAST_SECOND {
            return Err(ScheduleError::new(
                Kind::OutOfRange,
                self.word.column,
                format!("the instant {} is past the end of time", quoted(self.word.text)),
                "write one before 9999-12-30T22:00:00Z",
            ));
        }
        Ok(seconds * 1_000 + millis)
    }

    fn rest(&self) -> &'a str {
        self.word.text.get(self.at..).unwrap_or_default()
    }

    fn here(&self) -> Word<'a> {
        self.word.part(self.at, self.word.text.len())
    }

    fn number(&mut self, width: usize, name: &str, low: i64, high: i64) -> Result<i64, ScheduleError> {
        let here = self.here();
        let digits = here.text.bytes().take_while(u8::is_ascii_digit).count();
        let number = here.part(0, digits);
        if digits != width {
            return Err(syntax(
                here,
                format!("the {name} of the instant {} has not {width} digits", quoted(self.word.text)),
                EXAMPLE,
            ));
        }
        self.at += width;
        match number.text.parse::<i64>() {
            Ok(value) if (low..=high).contains(&value) => Ok(value),
            _ => Err(ScheduleError::new(
                Kind::OutOfRange,
                here.column,
                format!(
                    "the {name} {} of the instant {} is out of range",
                    number.text,
                    quoted(self.word.text)
                ),
                format!("write {low:0width$}-{high:0width$}"),
            )),
        }
    }

    fn sign(&mut self, signs: &[char]) -> Result<char, ScheduleError> {
        match self.rest().chars().next() {
            Some(found) if signs.contains(&found) => {
                self.at += found.len_utf8();
                Ok(found)
            }
            _ => {
                let wanted = signs.first().copied().unwrap_or(' ');
                Err(self.unexpected(&format!("{wanted:?}")))
            }
        }
    }

    fn unexpected(&self, wanted: &str) -> ScheduleError {
        let here = self.here();
        syntax(here, format!("the instant {} should have {wanted} here", quoted(self.word.text)), EXAMPLE)
    }

    /// Ticks are whole milliseconds, so further digits may only be zeros.
    fn fraction(&mut self) -> Result<i64, ScheduleError> {
        if !self.rest().starts_with('.') {
            return Ok(0);
        }
        self.at += 1;
        let here = self.here();
        let digits = here.text.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return Err(syntax(
                here,
                format!("the fraction of the instant {} has not 1 to 9 digits", quoted(self.word.text)),
                "write milliseconds, as in \"09:00:00.250Z\"",
            ));
        }
        self.at += digits;
        let nanos = format!("{:0<9}", here.part(0, digits).text).parse::<i64>().unwrap_or(0);
        if nanos % 1_000_000 != 0 {
            return Err(ScheduleError::new(
                Kind::TooShort,
                here.column,
                format!("the instant {} is finer than a tick", quoted(self.word.text)),
                "write at most 3 digits behind the second",
            ));
        }
        Ok(nanos / 1_000_000)
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i64, ScheduleError> {
        if self.rest().is_empty() {
            return Err(ScheduleError::new(
                Kind::MissingOffset,
                self.word.column,
                format!("the instant {} has no offset from utc", quoted(self.word.text)),
                format!("write \"{0}Z\", or an offset as in \"{0}+01:00\"", self.word.text),
            ));
        }
        let sign = match self.sign(&['Z', 'z', '+', '-'])? {
            '+' => 1,
            '-' => -1,
            _ => return Ok(0),
        };
        let hours = self.number(2, "offset's hour", 0, 23)?;
        self.sign(&[':'])?;
        let minutes = self.number(2, "offset's minute", 0, 59)?;
        Ok(sign * (hours * 3_600 + minutes * 60))
    }
}
