//! The text of a schedule, parsed: what the macro checks and the runner searches.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::cron_text::{self, Fields};
use crate::error::{ScheduleError, ScheduleErrorKind as Kind};
use crate::words::words;
use crate::{duration, instant, interval};

/// A schedule's text, parsed and judged, without a zone.
///
/// `Display` is the canonical text: it parses to an equal expression, and equal expressions have equal texts.
///
/// ```
/// use jobs_schedule::Expression;
///
/// assert_eq!(Expression::parse("0 9 * * MON-FRI")?.to_string(), "0 9 * * 1-5");
/// assert_eq!(Expression::parse("@every 90m")?.to_string(), "every 1h 30m");
/// assert_eq!(Expression::parse("2026-12-25T09:00:00+01:00")?.to_string(), "2026-12-25T08:00:00Z");
/// # Ok::<(), jobs_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    kind: ExpressionKind,
}

/// The three forms of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ExpressionKind {
    Cron(Fields),
    Interval(Duration),
    /// Milliseconds since the Unix epoch.
    Instant(i64),
}

impl Expression {
    /// Parses any form of schedule; the grammar is in the [crate's documentation](crate).
    ///
    /// # Errors
    /// Everything the grammar doesn't allow, and cron texts whose dates never come (`0 0 30 2 *`). An instant in the
    /// past is no error: the text is judged without the clock.
    pub fn parse(text: &str) -> Result<Expression, ScheduleError> {
        let words = words(text);
        let Some(&first) = words.first() else {
            return Err(ScheduleError::new(
                Kind::Empty,
                1,
                "the schedule is empty",
                "write one, as in \"0 9 * * 1-5\", \"5m\" or \"@daily\"",
            ));
        };
        let kind = if let Some((body, skipped)) = interval::body(text, &words) {
            ExpressionKind::Interval(interval::parse(body, skipped)?)
        } else if first.text.starts_with('@') {
            let fields = cron_text::expand_macro(first, words.get(1..).unwrap_or_default())?;
            ExpressionKind::Cron(Fields::parse(&crate::words::words(fields))?)
        } else if instant::looks_like_one(first) {
            ExpressionKind::Instant(instant::parse(&words)?)
        } else {
            ExpressionKind::Cron(Fields::parse(&words)?)
        };
        Ok(Expression { kind })
    }

    /// Whether a zone has a say in when it fires: true for cron texts, false for intervals and instants.
    pub fn takes_zone(&self) -> bool {
        matches!(self.kind, ExpressionKind::Cron(_))
    }

    /// The fields, if it is a cron text.
    pub fn as_cron(&self) -> Option<&Fields> {
        match &self.kind {
            ExpressionKind::Cron(fields) => Some(fields),
            _ => None,
        }
    }

    /// The time between two ticks, if it is an interval; whole milliseconds, at least one.
    pub fn as_interval(&self) -> Option<Duration> {
        match self.kind {
            ExpressionKind::Interval(interval) => Some(interval),
            _ => None,
        }
    }

    /// Milliseconds since the Unix epoch, if it is one instant.
    pub fn as_instant_millis(&self) -> Option<i64> {
        match self.kind {
            ExpressionKind::Instant(millis) => Some(millis),
            _ => None,
        }
    }

    /// An interval; the same judgement as of its text.
    #[cfg(feature = "search")]
    pub(crate) fn every(interval: Duration) -> Result<Expression, ScheduleError> {
        interval::check(interval)?;
        Ok(Expression { kind: ExpressionKind::Interval(interval) })
    }

    #[cfg(feature = "search")]
    pub(crate) fn at_millis(millis: i64) -> Expression {
        Expression { kind: ExpressionKind::Instant(millis) }
    }

    #[cfg(feature = "search")]
    pub(crate) fn kind(&self) -> &ExpressionKind {
        &self.kind
    }
}

impl FromStr for Expression {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Expression, ScheduleError> {
        Expression::parse(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ExpressionKind::Cron(fields) => fields.fmt(f),
            ExpressionKind::Interval(interval) => write!(f, "every {}", duration::format(interval)),
            ExpressionKind::Instant(millis) => f.write_str(&instant::format(millis)),
        }
    }
}
