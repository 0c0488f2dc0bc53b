//! How many civil seconds of a range fit a cron text, and which is the last: by arithmetic over whole months and days,
//! so that the cost does not grow with the seconds.
//!
//! Civil time is counted in seconds since 1970-01-01T00:00:00 on the wall's own calendar.

use crate::cron_text::{DayRule, Fields};
use crate::dates::{date_of, day_number, days_in};

const DAY: i64 = 86_400;
/// The calendar repeats itself after 400 years, so a date that is possible has come within them.
const MONTHS_OF_ALL_CALENDARS: usize = 400 * 12;

impl Fields {
    /// How many civil seconds in (`after`, `until`] fit.
    pub(crate) fn count(&self, after: i64, until: i64) -> u64 {
        if until <= after {
            return 0;
        }
        let first_day = after.div_euclid(DAY);
        let last_day = until.div_euclid(DAY);
        let before = self.count_in_day(first_day, after.rem_euclid(DAY));
        let last = self.count_in_day(last_day, until.rem_euclid(DAY));
        let per_day = self.count_to_second(DAY - 1);
        self.count_days(first_day, last_day) * per_day + last - before
    }

    /// The last fitting civil second at or before `at`.
    pub(crate) fn last(&self, at: i64) -> Option<i64> {
        let day = at.div_euclid(DAY);
        if self.fits_day(day)
            && let Some(second) = self.last_second(at.rem_euclid(DAY))
        {
            return Some(day * DAY + second);
        }
        Some(self.last_day_before(day)? * DAY + self.last_second(DAY - 1)?)
    }

    /// How many seconds of a day fit, up to this second of it.
    fn count_in_day(&self, day: i64, second: i64) -> u64 {
        if self.fits_day(day) { self.count_to_second(second) } else { 0 }
    }

    /// How many seconds of a day that fits are fitting, up to this one.
    fn count_to_second(&self, second: i64) -> u64 {
        let (hour, minute, second) = clock(second);
        let per_minute = self.second.count_to(59);
        let per_hour = self.minute.count_to(59) * per_minute;
        let mut count = per_hour * hour.checked_sub(1).map_or(0, |hour| self.hour.count_to(hour));
        if self.hour.contains(hour) {
            count += per_minute * minute.checked_sub(1).map_or(0, |minute| self.minute.count_to(minute));
            if self.minute.contains(minute) {
                count += self.second.count_to(second);
            }
        }
        count
    }

    /// The last fitting second of a day that fits, up to this one.
    fn last_second(&self, second: i64) -> Option<i64> {
        let (hour, minute, second) = clock(second);
        let at = |hour: u32, minute: u32, second: u32| {
            i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second)
        };
        if self.hour.contains(hour) {
            if self.minute.contains(minute)
                && let Some(second) = self.second.last_to(second)
            {
                return Some(at(hour, minute, second));
            }
            let earlier = minute.checked_sub(1).and_then(|minute| self.minute.last_to(minute));
            if let Some(minute) = earlier {
                return Some(at(hour, minute, self.second.last_to(59)?));
            }
        }
        let hour = hour.checked_sub(1).and_then(|hour| self.hour.last_to(hour))?;
        Some(at(hour, self.minute.last_to(59)?, self.second.last_to(59)?))
    }

    fn fits_day(&self, day: i64) -> bool {
        let (year, month, date) = date_of(day);
        self.days_of_month(year, month) & (1 << date) != 0
    }

    /// How many days fit in `from..to`.
    fn count_days(&self, from: i64, to: i64) -> u64 {
        let (mut year, mut month, first) = date_of(from);
        let (last_year, last_month, end) = date_of(to);
        // The days before `from` in its month are left out, then those from `to` on in its month.
        let mut mask = u32::MAX << first;
        let mut count = 0;
        while (year, month) < (last_year, last_month) {
            count += u64::from((self.days_of_month(year, month) & mask).count_ones());
            mask = u32::MAX;
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        count + u64::from((self.days_of_month(year, month) & mask & !(u32::MAX << end)).count_ones())
    }

    fn last_day_before(&self, day: i64) -> Option<i64> {
        let (mut year, mut month, date) = date_of(day);
        let mut mask = !(u32::MAX << date);
        for _ in 0..=MONTHS_OF_ALL_CALENDARS {
            if let Some(date) = (self.days_of_month(year, month) & mask).checked_ilog2() {
                return Some(day_number(year, month, i64::from(date)));
            }
            mask = u32::MAX;
            (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
        }
        None
    }

    /// The days of a month that fit, as bits 1 to 31.
    fn days_of_month(&self, year: i64, month: i64) -> u32 {
        if !u32::try_from(month).is_ok_and(|month| self.month.contains(month)) {
            return 0;
        }
        // 1970-01-01 was a Thursday.
        let first_weekday = (day_number(year, month, 1) + 4).rem_euclid(7);
        // Five weeks of weekdays, of which the first begins with the month's first day.
        let week = self.day_of_week.bits();
        let week = (week >> first_weekday | week << (7 - first_weekday)) & 0x7f;
        let by_weekday = (week | week << 7 | week << 14 | week << 21 | week << 28) << 1;
        let by_date = self.day_of_month.bits();
        let days = match self.days {
            DayRule::And => by_weekday & by_date,
            DayRule::Or => by_weekday | by_date,
        };
        let length = (2 << days_in(year, month)) - 2;
        u32::try_from(days & length).unwrap_or_default()
    }
}

/// Hour, minute and second of a second of the day.
fn clock(second: i64) -> (u32, u32, u32) {
    let part = |value: i64| u32::try_from(value).unwrap_or_default();
    (part(second / 3_600), part(second / 60 % 60), part(second % 60))
}
