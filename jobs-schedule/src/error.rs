//! What is wrong with a text, where, and how to mend it.

use std::fmt;

use crate::Field;

/// Why a schedule, a duration or a zone was refused.
///
/// `Display` is one line in lower case: the problem, then the remedy after `;`.
///
/// ```
/// let error = jobs_schedule::Expression::parse("0 25 * * *").unwrap_err();
/// assert_eq!(error.column(), 3);
/// assert_eq!(error.field(), Some(jobs_schedule::Field::Hour));
/// assert_eq!(error.kind(), jobs_schedule::ScheduleErrorKind::OutOfRange);
/// assert_eq!(error.to_string(), "25 is out of range for the hour, at column 3; write 0-23");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ScheduleError {
    kind: ScheduleErrorKind,
    field: Option<Field>,
    column: usize,
    problem: String,
    remedy: String,
}

/// The sort of mistake a [`ScheduleError`] reports.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleErrorKind {
    /// Nothing is written.
    Empty,
    /// Neither five nor six fields, and no other form of schedule either.
    FieldCount,
    /// A character or a combination that the grammar doesn't know.
    Syntax,
    /// A number outside of its field or of its place in an instant.
    OutOfRange,
    /// A range whose end comes before its start.
    ReversedRange,
    /// A step of zero.
    ZeroStep,
    /// A step behind a single value (`5/15`).
    StepWithoutRange,
    /// Something other cron dialects have: `L W # ? H ~`, a year field.
    Unsupported,
    /// A word that is not a month or a day of the week.
    UnknownName,
    /// A word behind `@` that is not a macro.
    UnknownMacro,
    /// No date of any year fits.
    NeverFires,
    /// A duration's number without a unit.
    MissingUnit,
    /// A unit of time that is unknown or has no fixed length.
    UnknownUnit,
    /// A duration that is zero, or finer than a millisecond, where that makes no sense.
    TooShort,
    /// A duration above 366 days.
    TooLong,
    /// An instant without an offset from UTC.
    MissingOffset,
    /// A zone that is not in the IANA database.
    UnknownZone,
    /// A zone beside an interval or an instant, which need none.
    ZoneNotAllowed,
}

impl ScheduleError {
    pub(crate) fn new(
        kind: ScheduleErrorKind,
        column: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ScheduleError {
        ScheduleError { kind, field: None, column, problem: problem.into(), remedy: remedy.into() }
    }

    pub(crate) fn in_field(mut self, field: Field) -> ScheduleError {
        self.field = Some(field);
        self
    }

    /// The same mistake in a text that has `by` characters before the part that was parsed.
    pub(crate) fn moved(mut self, by: usize) -> ScheduleError {
        self.column += by;
        self
    }

    /// Where the offending value starts in the text, in characters, from 1.
    ///
    /// 1 where the text as a whole is wrong. Of a zone's name it counts in that name.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The cron field that is wrong, if one is.
    pub fn field(&self) -> Option<Field> {
        self.field
    }

    /// The sort of mistake.
    pub fn kind(&self) -> ScheduleErrorKind {
        self.kind
    }
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        // Without a field the problem quotes all there is to see, and a column would be noise.
        if self.field.is_some() {
            write!(f, ", at column {}", self.column)?;
        }
        write!(f, "; {}", self.remedy)
    }
}

impl std::error::Error for ScheduleError {}

/// Quotes what the user wrote, shortened: a megabyte of garbage must not fill a log.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    if text.chars().count() <= SHOWN {
        format!("{text:?}")
    } else {
        let start: String = text.chars().take(SHOWN).collect();
        format!("{:?}", start + "…")
    }
}
