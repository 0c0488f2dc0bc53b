//! A recurrence rule, field by field, in the manner of node-schedule's `RecurrenceRule`.

use std::fmt::Write as _;

use crate::error::{ScheduleError, ScheduleErrorKind as Kind};
use crate::values::{Item, Values};
use crate::{Field, Schedule};

/// Builds a [`Schedule`] from typed fields.
///
/// **Fields left out.** A field *coarser* than all that are set is any; a *finer* one is its first value. So
/// `.hour(2)` is each day at 2:00:00, `.day_of_week(Monday)` each Monday at 0:00:00, `.month(June)` each June 1st at
/// 0:00:00, and a rule without any field is each minute at second 0. (In node-schedule a rule with a day of the week
/// alone fires in each minute of that day, which nobody means; write `.minute(Values::any()).hour(Values::any())` if
/// you do.) A field set to [`Values::any`] is set.
///
/// **Both day fields set** means both must fit, as in node-schedule: `.day_of_month(13).day_of_week(Friday)` is
/// Friday the 13th. Cron text would fire on either; the rule's text says so by the suffix ` and`, and parses.
///
/// Months count from 1. A range in seconds, minutes or hours that ends one past the last value (`0..=60`, as
/// node-schedule's documentation has it) ends at the last.
///
/// ```
/// use jobs_schedule::{Schedule, Weekday::{Monday, Friday}};
///
/// let schedule = Schedule::builder().minute(30).hour(9).day_of_week(Monday..=Friday).tz("Europe/Paris").build()?;
/// assert_eq!(schedule.to_string(), "30 9 * * 1-5");
///
/// let friday_13th = Schedule::builder().day_of_month(13).day_of_week(Friday).build()?;
/// assert_eq!(friday_13th.to_string(), "0 0 13 * 5 and");
/// # Ok::<(), jobs_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a rule is nothing until `build` makes a schedule of it"]
pub struct Rule {
    second: Option<Values>,
    minute: Option<Values>,
    hour: Option<Values>,
    day_of_month: Option<Values>,
    month: Option<Values>,
    day_of_week: Option<Values>,
    tz: Option<String>,
}

impl Rule {
    /// A rule without any field: each minute at second 0.
    pub fn new() -> Rule {
        Rule::default()
    }

    /// Seconds, 0–59.
    pub fn second(mut self, values: impl Into<Values>) -> Rule {
        self.second = Some(values.into());
        self
    }

    /// Minutes, 0–59.
    pub fn minute(mut self, values: impl Into<Values>) -> Rule {
        self.minute = Some(values.into());
        self
    }

    /// Hours, 0–23.
    pub fn hour(mut self, values: impl Into<Values>) -> Rule {
        self.hour = Some(values.into());
        self
    }

    /// Days of the month, 1–31.
    pub fn day_of_month(mut self, values: impl Into<Values>) -> Rule {
        self.day_of_month = Some(values.into());
        self
    }

    /// Months: [`Month`](crate::Month), or 1–12.
    pub fn month(mut self, values: impl Into<Values>) -> Rule {
        self.month = Some(values.into());
        self
    }

    /// Days of the week: [`Weekday`](crate::Weekday), or 0–7, where 0 and 7 are Sunday.
    pub fn day_of_week(mut self, values: impl Into<Values>) -> Rule {
        self.day_of_week = Some(values.into());
        self
    }

    /// The zone by its IANA name; UTC if left out.
    pub fn tz(mut self, name: impl Into<String>) -> Rule {
        self.tz = Some(name.into());
        self
    }

    /// Makes the schedule.
    ///
    /// # Errors
    /// Those of the equal cron text (columns count in that text), an unknown zone, and a field set to no value at all.
    pub fn build(self) -> Result<Schedule, ScheduleError> {
        let text = self.text()?;
        Schedule::parse(&text, self.tz.as_deref().unwrap_or("UTC"))
    }

    /// The rule as the grammar's own text, so that there is one judge of both.
    fn text(&self) -> Result<String, ScheduleError> {
        let days_set = self.day_of_month.is_some() || self.day_of_week.is_some();
        let day_finer = self.month.is_some() && !days_set;
        let hour_finer = self.month.is_some() || days_set;
        let minute_finer = hour_finer || self.hour.is_some();
        let fields = [
            // An unset second is 0 even where nothing coarser is set.
            (Field::Second, &self.second, true),
            (Field::Minute, &self.minute, minute_finer),
            (Field::Hour, &self.hour, hour_finer),
            (Field::DayOfMonth, &self.day_of_month, day_finer),
            (Field::Month, &self.month, false),
            (Field::DayOfWeek, &self.day_of_week, false),
        ];
        let mut text = String::new();
        for (field, values, finer) in fields {
            match values {
                Some(values) => write_values(field, values, &mut text)?,
                None if finer => {
                    let _ = write!(text, "{} ", field.first());
                }
                None => text.push_str("* "),
            }
        }
        text.push_str("and");
        Ok(text)
    }
}

fn write_values(field: Field, values: &Values, text: &mut String) -> Result<(), ScheduleError> {
    if values.items.is_empty() {
        let problem = format!("the {field} of the rule has no value");
        return Err(
            ScheduleError::new(Kind::Empty, 1, problem, "set one, or leave the field out").in_field(field)
        );
    }
    for (position, item) in values.items.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        let _ = match *item {
            Item::Star { step: 1 } => write!(text, "*"),
            Item::Star { step } => write!(text, "*/{step}"),
            Item::One(value) => write!(text, "{value}"),
            Item::Span { low, high, step } => {
                let zero_based = matches!(field, Field::Second | Field::Minute | Field::Hour);
                let high = if zero_based && high == field.last() + 1 { field.last() } else { high };
                if step == 1 { write!(text, "{low}-{high}") } else { write!(text, "{low}-{high}/{step}") }
            }
        };
    }
    text.push(' ');
    Ok(())
}
