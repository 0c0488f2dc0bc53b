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
    let mut offset = i64::from(tz.to_offset(start).seconds());
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
    let mut wall = wall_reached(tz, after)?;
    loop {
        let found = civil.after(wall)?;
        wall = found;
        let instant = match tz.to_ambiguous_timestamp(date_time(found)?).offset() {
            AmbiguousOffset::Unambiguous { offset } => found - i64::from(offset.seconds()),
            AmbiguousOffset::Fold { before, .. } => found - i64::from(before.seconds()),
            AmbiguousOffset::Gap { before, after: behind } => {
                let behind = i64::from(behind.seconds());
                let gap = behind - i64::from(before.seconds());
                let change = tz.following(Timestamp::from_second(found - behind).ok()?).next()?;
                let change_at = change.timestamp().as_second();
                if gap >= CORRECTION {
                    wall = change_at + behind - 1;
                    continue;
                }
                change_at
            }
        };
        if instant > after {
            return Some(instant);
        }
    }
}

/// The furthest reading the wall clock has shown by now: in the second pass of an overlap, the end of the first.
fn wall_reached(tz: &TimeZone, now: i64) -> Option<i64> {
    let instant = Timestamp::from_second(now).ok()?;
    let offset = tz.to_offset(instant);
    let wall = now + i64::from(offset.seconds());
    match tz.to_ambiguous_timestamp(date_time(wall)?).offset() {
        AmbiguousOffset::Fold { before, after } if after == offset => {
            let change = tz.preceding(Timestamp::from_second(now + 1).ok()?).next()?;
            Some(wall.max(change.timestamp().as_second() + i64::from(before.seconds()) - 1))
        }
        _ => Some(wall),
    }
}

fn date_time(wall: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?))
}
