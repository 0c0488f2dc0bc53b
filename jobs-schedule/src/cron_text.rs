//! Cron texts: macros, five and six fields, how the day fields combine, and dates that never come.

use std::fmt;

use crate::error::{ScheduleError, ScheduleErrorKind as Kind, quoted};
use crate::field_set::FieldSet;
use crate::words::Word;
use crate::{Field, patterns};

/// A parsed cron text.
///
/// `Display` is its canonical text, which parses to an equal value: names become numbers, lists are sorted, a second
/// of 0 is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fields {
    pub(crate) second: FieldSet,
    pub(crate) minute: FieldSet,
    pub(crate) hour: FieldSet,
    pub(crate) day_of_month: FieldSet,
    pub(crate) month: FieldSet,
    pub(crate) day_of_week: FieldSet,
    pub(crate) days: DayRule,
}

/// How day of month and day of week decide together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DayRule {
    And,
    Or,
}

impl Fields {
    /// Whether the schedule follows elapsed time through a change of the clock: its minute or hour begins with `*`.
    ///
    /// Such a job runs at every minute whose wall reading fits, so never in the hour that is skipped in spring and
    /// twice in the one that is repeated in autumn. Any other runs once for each wall time: right after the gap, and
    /// in the first of the two passes.
    pub fn follows_elapsed_time(&self) -> bool {
        self.minute.begins_with_star() || self.hour.begins_with_star()
    }

    /// Whether it fires only where *both* day fields fit, rather than where one does.
    pub fn needs_both_days(&self) -> bool {
        self.days == DayRule::And
    }

    pub(crate) fn parse(words: &[Word<'_>]) -> Result<Fields, ScheduleError> {
        let (words, suffix) = match words {
            [fields @ .., last] if last.text.eq_ignore_ascii_case("and") => (fields, true),
            _ => (words, false),
        };
        let missing_second = FieldSet::single(Field::Second, 0);
        let (second, [minute, hour, day_of_month, month, day_of_week]) = match words {
            [minute, hour, day, month, weekday] => (missing_second, [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => {
                (FieldSet::parse(Field::Second, *second)?, [minute, hour, day, month, weekday])
            }
            _ => return Err(wrong_count(words)),
        };
        let minute = FieldSet::parse(Field::Minute, *minute)?;
        let hour = FieldSet::parse(Field::Hour, *hour)?;
        let day_column = day_of_month.column;
        let day_of_month = FieldSet::parse(Field::DayOfMonth, *day_of_month)?;
        let month = FieldSet::parse(Field::Month, *month)?;
        let day_of_week = FieldSet::parse(Field::DayOfWeek, *day_of_week)?;
        let starred = day_of_month.begins_with_star() || day_of_week.begins_with_star();
        let days = if suffix || starred { DayRule::And } else { DayRule::Or };
        let fields = Fields { second, minute, hour, day_of_month, month, day_of_week, days };
        fields.check_dates(day_column)?;
        Ok(fields)
    }

    /// Refuses days that none of the months has. A day of the week alone, or beside a possible date, always comes:
    /// every date falls on every weekday within the calendar's 400 years.
    fn check_dates(&self, column: usize) -> Result<(), ScheduleError> {
        let possible = self
            .month
            .values()
            .any(|month| self.day_of_month.values().any(|day| day <= longest_month(month)));
        if possible || self.days == DayRule::Or {
            return Ok(());
        }
        let longest = self.month.values().map(longest_month).max().unwrap_or(31);
        Err(ScheduleError::new(
            Kind::NeverFires,
            column,
            "no month of this schedule has that day, so it never fires".to_owned(),
            format!("write a day of month up to {longest}, or another month"),
        )
        .in_field(Field::DayOfMonth))
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if self.second != FieldSet::single(Field::Second, 0) {
            self.second.write(&mut text);
            text.push(' ');
        }
        for field in [self.minute, self.hour, self.day_of_month, self.month] {
            field.write(&mut text);
            text.push(' ');
        }
        self.day_of_week.write(&mut text);
        let starred = self.day_of_month.begins_with_star() || self.day_of_week.begins_with_star();
        if self.days == DayRule::And && !starred {
            text.push_str(" and");
        }
        f.write_str(&text)
    }
}

/// What a macro such as `@daily` stands for.
pub(crate) fn expand_macro(word: Word<'_>, rest: &[Word<'_>]) -> Result<&'static str, ScheduleError> {
    let unknown = |problem: String, remedy: String| {
        ScheduleError::new(Kind::UnknownMacro, word.column, problem, remedy)
    };
    let lower = word.text.to_ascii_lowercase();
    let text = match lower.as_str() {
        "@hourly" => patterns::HOURLY,
        "@daily" | "@midnight" => patterns::DAILY,
        "@weekly" => patterns::WEEKLY,
        "@monthly" => patterns::MONTHLY,
        "@yearly" | "@annually" => patterns::YEARLY,
        "@reboot" => {
            return Err(unknown(
                "@reboot is not a time".to_owned(),
                "leave the schedule out and run the job when the program starts".to_owned(),
            ));
        }
        other => {
            let remedy = match other.strip_prefix("@every").map(|rest| rest.trim_start_matches(['-', '_'])) {
                Some(interval) if crate::duration::parse_positive(interval).is_ok() => {
                    format!("write \"every {interval}\"")
                }
                Some(_) => "write an interval behind it, as in \"every 15m\"".to_owned(),
                None => {
                    "write @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or the fields"
                        .to_owned()
                }
            };
            return Err(unknown(format!("{} is not a known macro", quoted(word.text)), remedy));
        }
    };
    match rest.first() {
        None => Ok(text),
        Some(extra) => Err(ScheduleError::new(
            Kind::Syntax,
            extra.column,
            format!("{} follows the macro {lower}", quoted(extra.text)),
            "write the macro alone",
        )),
    }
}

fn wrong_count(words: &[Word<'_>]) -> ScheduleError {
    if let [word] = words {
        let lower = word.text.to_ascii_lowercase();
        let is_macro = ["hourly", "daily", "midnight", "weekly", "monthly", "yearly", "annually"];
        let remedy = if is_macro.contains(&lower.as_str()) {
            format!("write \"@{lower}\"")
        } else {
            "write five cron fields (\"0 9 * * 1-5\"), an interval (\"5m\"), an instant (\"2026-12-25T09:00:00Z\") or a macro (\"@daily\")".to_owned()
        };
        return ScheduleError::new(
            Kind::FieldCount,
            word.column,
            format!("{} is not a schedule", quoted(word.text)),
            remedy,
        );
    }
    let order = "minute, hour, day of month, month, day of week, with the second first if there is one";
    let remedy = match words {
        [_, _, _, _, _, _, year] => format!("there is no year field: leave {} out", quoted(year.text)),
        _ => format!("write {order}"),
    };
    ScheduleError::new(
        Kind::FieldCount,
        // The first field too many, or the text as a whole.
        words.get(6).map_or(1, |word| word.column),
        format!("a cron text has 5 or 6 fields, this one has {}", words.len()),
        remedy,
    )
}

/// Days of the month in the longest of its years.
fn longest_month(month: u32) -> u32 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
