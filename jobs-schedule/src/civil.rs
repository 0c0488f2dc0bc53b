//! The next fitting date and time on the civil line, found by the `cron` crate.
//!
//! The crate is only ever handed canonical text with explicit lists (its own dialect counts Sunday as 1, ANDs the day
//! fields and refuses steps above a field's range) and civil seconds dressed as UTC (in zoned time it goes back).

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use crate::cron_text::{DayRule, Fields};
use crate::error::{ScheduleError, ScheduleErrorKind as Kind};
use crate::field_set::FieldSet;

/// The years that the `cron` crate knows.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2100;
/// jiff's timestamps end here, so no civil time beyond it can become an instant.
const LAST_YEAR: i32 = 9999;

/// Civil time is counted in seconds since 1970-01-01T00:00:00 on the wall's own calendar.
#[derive(Debug)]
pub(crate) struct CivilSearch {
    fields: Fields,
    either: cron::Schedule,
    /// Where one of two day fields suffices, the crate needs a schedule for each.
    or: Option<cron::Schedule>,
}

impl CivilSearch {
    pub(crate) fn new(fields: &Fields) -> Result<CivilSearch, ScheduleError> {
        let fields = *fields;
        let every_weekday = "*".to_owned();
        let weekdays =
            if fields.day_of_week.is_full() { every_weekday.clone() } else { list(fields.day_of_week, 1) };
        let days = list(fields.day_of_month, 0);
        let build = |days: &str, weekdays: &str| {
            let (second, minute, hour) =
                (list(fields.second, 0), list(fields.minute, 0), list(fields.hour, 0));
            let text = format!("{second} {minute} {hour} {days} {} {weekdays}", list(fields.month, 0));
            cron::Schedule::from_str(&text).map_err(|error| {
                ScheduleError::new(
                    Kind::Unsupported,
                    1,
                    format!("\"{fields}\" cannot be searched ({error})"),
                    "please report this text",
                )
            })
        };
        Ok(match fields.days {
            DayRule::And => CivilSearch { fields, either: build(&days, &weekdays)?, or: None },
            DayRule::Or => {
                let either = build(&days, &every_weekday)?;
                CivilSearch { fields, either, or: Some(build("*", &weekdays)?) }
            }
        })
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The first fitting civil second after `civil`.
    pub(crate) fn after(&self, civil: i64) -> Option<i64> {
        let mut from = civil;
        let mut year = DateTime::from_timestamp(civil, 0)?.year();
        while year <= LAST_YEAR {
            let found = if YEARS.contains(&year) {
                year = *YEARS.end();
                self.search(from)
            } else {
                self.search_twin(year, from)
            };
            if found.is_some() {
                return found;
            }
            year += 1;
            from = start_of(year)? - 1;
        }
        None
    }

    /// A year outside of the crate's is searched as one inside that has the same calendar.
    fn search_twin(&self, year: i32, after: i64) -> Option<i64> {
        let twin = twin_of(year)?;
        let shift = start_of(year)? - start_of(twin)?;
        let found = self.search(after - shift)?;
        (found < start_of(twin + 1)?).then_some(found + shift)
    }

    fn search(&self, after: i64) -> Option<i64> {
        let after = DateTime::<Utc>::from_timestamp(after, 0)?;
        let next = |schedule: &cron::Schedule| schedule.after(&after).next().map(|found| found.timestamp());
        let found = next(&self.either);
        match &self.or {
            None => found,
            Some(or) => [found, next(or)].into_iter().flatten().min(),
        }
    }
}

fn start_of(year: i32) -> Option<i64> {
    Some(NaiveDate::from_ymd_opt(year, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

/// A year whose dates fall on the same weekdays; 28 years in a row without an omitted leap day hold all 14 calendars.
fn twin_of(year: i32) -> Option<i32> {
    let calendar = |year: i32| {
        Some((NaiveDate::from_ymd_opt(year, 1, 1)?.weekday(), start_of(year + 1)? - start_of(year)?))
    };
    let wanted = calendar(year)?;
    (2000..2028).find(|twin| calendar(*twin) == Some(wanted))
}

fn list(set: FieldSet, added: u32) -> String {
    if set.is_full() {
        return "*".to_owned();
    }
    let values: Vec<String> = set.values().map(|value| (value + added).to_string()).collect();
    values.join(",")
}
