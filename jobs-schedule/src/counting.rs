//! How many ticks a range has, and which is the last, without walking through them.
//!
//! Between two changes of a zone's clock, wall and instant differ by a constant: such a stretch is counted on the wall.
//! So the cost grows with the months and the changes of the clock, not with the ticks. The rules are those of
//! [`search`], which tests hold this module to. All times are whole seconds since the Unix epoch.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::civil::CivilSearch;
use crate::cron_text::Fields;
use crate::search::{self, offset_at};

/// The ticks in (`after`, `until`] of a job whose minute or hour begins with `*`.
pub(crate) fn count_by_elapsed_time(fields: &Fields, tz: &TimeZone, after: i64, until: i64) -> Option<u64> {
    let mut offset = offset_at(tz, after)?;
    let mut from = after;
    let mut count = 0;
    for change in tz.following(Timestamp::from_second(after).ok()?) {
        let change_at = change.timestamp().as_second();
        if change_at > until {
            break;
        }
        count += fields.count(from + offset, change_at - 1 + offset);
        offset = i64::from(change.offset().seconds());
        from = change_at - 1;
    }
    Some(count + fields.count(from + offset, until + offset))
}

/// The last tick up to `at` of a job whose minute or hour begins with `*`.
pub(crate) fn last_by_elapsed_time(fields: &Fields, tz: &TimeZone, mut at: i64) -> Option<i64> {
    loop {
        let offset = offset_at(tz, at)?;
        let found = fields.last(at + offset)? - offset;
        match search::last_change(tz, at) {
            Some(change_at) if found < change_at => at = change_at - 1,
            _ => return Some(found),
        }
    }
}

/// The ticks in (`after`, `until`] of any other job.
pub(crate) fn count_by_wall_time(civil: &CivilSearch, tz: &TimeZone, after: i64, until: i64) -> Option<u64> {
    let fields = civil.fields();
    let mut offset = offset_at(tz, after)?;
    let mut reached = search::wall_reached(tz, after)?;
    let mut count = 0;
    for change in tz.following(Timestamp::from_second(after).ok()?) {
        let change_at = change.timestamp().as_second();
        if change_at > until {
            break;
        }
        count += fields.count(reached, change_at - 1 + offset);
        reached = reached.max(change_at - 1 + offset);
        offset = i64::from(change.offset().seconds());
        if change_at + offset > reached + 1 {
            count += u64::from(ticks_at_the_end_of_a_gap(civil, tz, change_at));
            reached = change_at + offset;
        }
    }
    Some(count + fields.count(reached, until + offset))
}

/// The last tick up to `at` of any other job.
pub(crate) fn last_by_wall_time(civil: &CivilSearch, tz: &TimeZone, mut at: i64) -> Option<i64> {
    loop {
        let offset = offset_at(tz, at)?;
        let found = civil.fields().last(at + offset)?;
        let Some(change_at) = search::last_change(tz, at) else { return Some(found - offset) };
        // In the first second of the stretch the wall has been read up to here.
        let reached = search::wall_reached(tz, change_at)?;
        if found > reached {
            return Some(found - offset);
        }
        if ticks_at_the_end_of_a_gap(civil, tz, change_at) {
            return Some(change_at);
        }
        at = change_at - 1;
    }
}

/// Whether a job runs at the instant of a change: for the first reading behind it, or for one that it swallowed.
fn ticks_at_the_end_of_a_gap(civil: &CivilSearch, tz: &TimeZone, change_at: i64) -> bool {
    search::next_by_wall_time(civil, tz, change_at - 1) == Some(change_at)
}
