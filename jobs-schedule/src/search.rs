//! From wall time to instants: cronie's rules for the nights on which the clock is changed.
//!
//! All times are whole seconds since the Unix epoch; wall times count as if the wall showed UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::civil::CivilSearch;

/// cronie takes a jump forward of three hours or more for a correction of the clock, and drops what it skipped.
const CORRECTION: i64 = 3 * 3_600;

/// A job whose minute or hour begins with `*`: every instant whose wall reading fits.
///
/// Walks over the stretches of time between two changes of the offset; inside of one, wall and instant differ by a
/// constant.
pub(crate) fn next_by_elapsed_time(civil: &CivilSearch, tz: &TimeZone, after: i64) -> Option<i64> {
    let start = Timestamp::from_second(after).ok()?;
    let mut offset = offset_at(tz, after)?;
    let mut wall = after + offset;
    let mut found = civil.after(wall)?;
    let mut changes = tz.following(start);
    loop {
        let Some(change) = changes.next() else { return Some(found - offset) };
        let change_at = change.timestamp().as_second();
        if found - offset < change_at {
            return Some(found - offset);
        }
        offset = i64::from(change.offset().seconds());
        let resumed = change_at + offset - 1;
        // Between `wall` and `found` nothing fits, so only a clock set back, or past `found`, needs another search.
        if resumed < wall || resumed >= found {
            found = civil.after(resumed)?;
        }
        wall = resumed;
    }
}

/// Any other job: once for each fitting wall time, right after a gap that swallowed it, in the first pass of an
/// overlap. (cronie takes a jump *back* of more than three hours for a correction as well, and runs both passes; no zone
/// has made one since 1994, and a test watches.)
pub(crate) fn next_by_wall_time(civil: &CivilSearch, tz: &TimeZone, after: i64) -> Option<i64> {
    let start = Timestamp::from_second(after).ok()?;
    let mut offset = offset_at(tz, after)?;
    let mut found = civil.after(wall_reached(tz, after)?)?;
    for change in tz.following(start) {
        let change_at = change.timestamp().as_second();
        if found - offset < change_at {
            break;
        }
        let before = offset;
        offset = i64::from(change.offset().seconds());
        let resumed = change_at + offset;
        if found < resumed {
            if offset - before < CORRECTION {
                return Some(change_at);
            }
            found = civil.after(resumed - 1)?;
        }
    }
    Some(found - offset)
}

/// The furthest reading the wall clock has shown by now: in the second pass of an overlap, the end of the first.
pub(crate) fn wall_reached(tz: &TimeZone, now: i64) -> Option<i64> {
    let offset = tz.to_offset(Timestamp::from_second(now).ok()?);
    let wall = now + i64::from(offset.seconds());
    match tz.to_ambiguous_timestamp(date_time(wall)?).offset() {
        AmbiguousOffset::Fold { after, .. } if after == offset => {
            let first_pass = last_change(tz, now)? - 1;
            Some(wall.max(first_pass + offset_at(tz, first_pass)?))
        }
        _ => Some(wall),
    }
}

/// The last change of the clock up to `now`.
///
/// Where a zone's table ends off its rule for the years behind it (Ciudad Juárez in November 2022), jiff's `preceding`
/// answers with a change by that rule which never was, so what follows it is looked at too.
pub(crate) fn last_change(tz: &TimeZone, now: i64) -> Option<i64> {
    let instant = Timestamp::new(now, 1).ok()?;
    let found = tz.preceding(instant).next()?.timestamp();
    let last = tz.following(found).map(|change| change.timestamp()).take_while(|at| *at < instant).last();
    Some(last.unwrap_or(found).as_second())
}

/// How far the wall is ahead of UTC, in seconds.
pub(crate) fn offset_at(tz: &TimeZone, at: i64) -> Option<i64> {
    Some(i64::from(tz.to_offset(Timestamp::from_second(at).ok()?).seconds()))
}

fn date_time(wall: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?))
}
