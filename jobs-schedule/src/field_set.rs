//! One field of a cron text: parsing it into the set of its values, and printing that set.

use std::fmt::Write as _;

use crate::Field;
use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::unsupported;
use crate::words::Word;

/// The values of one field, and whether its text begins with `*`.
///
/// The star has a meaning of its own in cron: it decides how the day fields combine, and whether a job follows
/// elapsed time through a change of the clock. So `*/2` and `0-58/2` are different fields with the same values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FieldSet {
    field: Field,
    bits: u64,
    star: bool,
}

impl FieldSet {
    /// The one value, as if its number were written.
    pub(crate) fn single(field: Field, value: u32) -> FieldSet {
        FieldSet { field, bits: bit(field, value), star: false }
    }

    /// Parses a whole field.
    pub(crate) fn parse(field: Field, word: Word<'_>) -> Result<FieldSet, ScheduleError> {
        let mut bits = 0;
        for item in word.split(',') {
            bits |= item_bits(field, item).map_err(|error| error.in_field(field))?;
        }
        let mut set = FieldSet { field, bits, star: word.text.starts_with('*') };
        // The star means nothing in these two; forgetting it makes fields of one meaning equal.
        if matches!(field, Field::Second | Field::Month) {
            set.star = bits.count_ones() > 2 && set.step().is_some();
        }
        Ok(set)
    }

    pub(crate) fn begins_with_star(self) -> bool {
        self.star
    }

    pub(crate) fn is_full(self) -> bool {
        self.bits == stepped(self.field, self.field.first(), self.field.last(), 1)
    }

    /// The values in ascending order, Sunday as 0.
    pub(crate) fn values(self) -> impl Iterator<Item = u32> + Clone {
        (0..64).filter(move |value| self.bits & (1 << value) != 0)
    }

    #[cfg(feature = "search")]
    pub(crate) fn contains(self, value: u32) -> bool {
        self.bits & bit(self.field, value) != 0
    }

    /// How many values there are up to this one, itself included.
    #[cfg(feature = "search")]
    pub(crate) fn count_to(self, value: u32) -> u64 {
        u64::from((self.bits & up_to(value)).count_ones())
    }

    /// The last value up to this one, itself included.
    #[cfg(feature = "search")]
    pub(crate) fn last_to(self, value: u32) -> Option<u32> {
        (self.bits & up_to(value)).checked_ilog2()
    }

    /// The values as bits, Sunday as 0.
    #[cfg(feature = "search")]
    pub(crate) fn bits(self) -> u64 {
        self.bits
    }

    /// The `n` for which `*/n` has exactly these values.
    fn step(self) -> Option<u32> {
        let (first, last) = (self.field.first(), self.field.last());
        (1..=last).find(|step| stepped(self.field, first, last, *step) == self.bits)
    }

    /// Writes the shortest canonical text that parses to this same set.
    pub(crate) fn write(self, out: &mut String) {
        if !self.star {
            if self.is_full() && matches!(self.field, Field::Second | Field::Month) {
                out.push('*');
            } else {
                self.write_values(self.bits, out);
            }
            return;
        }
        let (first, last) = (self.field.first(), self.field.last());
        // A field that begins with a star holds its first value, and the largest step is that value alone.
        let fits = |step: &u32| stepped(self.field, first, last, *step) & !self.bits == 0;
        let step = (1..=last).find(fits).unwrap_or(last + 1);
        out.push('*');
        if step > 1 {
            let _ = write!(out, "/{step}");
        }
        let rest = self.bits & !stepped(self.field, first, last, step);
        if rest != 0 {
            out.push(',');
            self.write_values(rest, out);
        }
    }

    fn write_values(self, bits: u64, out: &mut String) {
        let values: Vec<u32> = (0..64).filter(|value| bits & (1 << value) != 0).collect();
        if let [first, second, _, .., last] = values[..] {
            let step = second - first;
            let even = values.windows(2).all(|pair| pair[1] - pair[0] == step);
            if even && step > 1 {
                let _ = write!(out, "{first}-{last}/{step}");
                return;
            }
        }
        let mut rest = &values[..];
        let mut separator = "";
        while let Some(&start) = rest.first() {
            let run = rest.iter().zip(start..).take_while(|(value, expected)| **value == *expected).count();
            // Two neighbours read better as a list.
            let taken = if run > 2 { run } else { 1 };
            let _ = write!(out, "{separator}{start}");
            if taken > 2 {
                let _ = write!(out, "-{}", rest[taken - 1]);
            }
            rest = &rest[taken..];
            separator = ",";
        }
    }
}

fn bit(field: Field, value: u32) -> u64 {
    // Seven is Sunday again.
    let value = if field == Field::DayOfWeek && value == 7 { 0 } else { value };
    1u64.checked_shl(value).unwrap_or(0)
}

/// The bits of all values up to this one.
#[cfg(feature = "search")]
fn up_to(value: u32) -> u64 {
    u64::MAX >> (63 - value.min(63))
}

fn stepped(field: Field, low: u32, high: u32, step: u32) -> u64 {
    let step = usize::try_from(step).unwrap_or(usize::MAX).max(1);
    (low..=high).step_by(step).fold(0, |bits, value| bits | bit(field, value))
}

/// One item of a list: `*`, `5`, `MON-FRI`, and the latter two or a star with a step.
fn item_bits(field: Field, item: Word<'_>) -> Result<u64, ScheduleError> {
    unsupported::check(field, item)?;
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let (low, high, is_range) = if range.text == "*" {
        (field.first(), field.last(), true)
    } else if let Some((low, high)) = range.split_once('-') {
        let (low, high_word) = (value(field, low)?, high);
        let high = value(field, high_word)?;
        // cronie reads Sunday at the end of a range as 7: FRI-SUN.
        let high = if field == Field::DayOfWeek && high == 0 && low > 0 { 7 } else { high };
        if low > high {
            return Err(ScheduleError::new(
                Kind::ReversedRange,
                range.column,
                format!("the range {} of the {field} runs backwards", quoted(range.text)),
                format!("write \"{low}-{last},{first}-{high}\"", last = last(field), first = field.first()),
            ));
        }
        (low, high, true)
    } else {
        let value = value(field, range)?;
        (value, value, false)
    };
    let Some(step) = step else { return Ok(stepped(field, low, high, 1)) };
    if !is_range {
        return Err(ScheduleError::new(
            Kind::StepWithoutRange,
            item.column,
            format!("the step in {} of the {field} has no range", quoted(item.text)),
            format!("write \"{low}-{}/{}\"", last(field), step_shown(step)),
        ));
    }
    Ok(stepped(field, low, high, step_of(field, step)?))
}

/// The highest value that isn't another name of a lower one.
fn last(field: Field) -> u32 {
    if field == Field::DayOfWeek { 6 } else { field.last() }
}

fn step_shown(step: Word<'_>) -> &str {
    if step.text.len() < 4 && step.text.bytes().all(|b| b.is_ascii_digit()) && !step.text.is_empty() {
        step.text
    } else {
        "n"
    }
}

/// A step may exceed its field, as in cronie: `*/40` is 0 and 40, `*/90` is 0.
fn step_of(field: Field, word: Word<'_>) -> Result<u32, ScheduleError> {
    if word.text.is_empty() || !word.text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ScheduleError::new(
            Kind::Syntax,
            word.column,
            format!("the step {} of the {field} is not a number", quoted(word.text)),
            "write a number behind the slash, as in \"*/5\"",
        ));
    }
    match word.text.parse::<u32>() {
        Ok(0) => Err(ScheduleError::new(
            Kind::ZeroStep,
            word.column,
            format!("the step of the {field} is zero"),
            "write 1 or more",
        )),
        Ok(step) => Ok(step),
        Err(_) => Err(ScheduleError::new(
            Kind::OutOfRange,
            word.column,
            format!("the step {} of the {field} is too large", quoted(word.text)),
            format!("write a number of {}", field.allowed()),
        )),
    }
}

fn value(field: Field, word: Word<'_>) -> Result<u32, ScheduleError> {
    let text = word.text;
    let syntax =
        |problem: String, remedy: String| ScheduleError::new(Kind::Syntax, word.column, problem, remedy);
    if text.is_empty() {
        return Err(syntax(
            format!("a value of the {field} is missing"),
            format!("write {}", field.allowed()),
        ));
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<u32>() {
            Ok(number) if (field.first()..=field.last()).contains(&number) => Ok(number),
            _ => Err(ScheduleError::new(
                Kind::OutOfRange,
                word.column,
                format!("{} is out of range for the {field}", quoted(text).trim_matches('"')),
                format!("write {}", field.allowed()),
            )),
        };
    }
    if text.chars().all(char::is_alphabetic) {
        return field.number_of(text).ok_or_else(|| {
            ScheduleError::new(
                Kind::UnknownName,
                word.column,
                format!("{} is not a {field}", quoted(text)),
                format!("write {}", field.allowed()),
            )
        });
    }
    Err(syntax(
        format!("{} is not a value of the {field}", quoted(text)),
        format!("write {}, or lists, ranges and steps of these", field.allowed()),
    ))
}
