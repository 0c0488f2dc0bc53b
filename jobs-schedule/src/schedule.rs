//! A schedule with its zone, ready to tell its next tick.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::civil::CivilSearch;
use crate::error::{ScheduleError, ScheduleErrorKind as Kind};
use crate::expression::ExpressionKind;
use crate::{Expression, Rule, counting, fingerprint, search, zone};

/// When a job is due: a cron text in a zone, an interval, or one instant.
///
/// It has no state: what comes after an instant depends on that instant alone, so nodes and restarts agree. Two
/// schedules are equal if their canonical texts and zones are. A clone is cheap.
///
/// ```
/// use jobs_schedule::Schedule;
///
/// let schedule = Schedule::parse("30 2 * * *", "Europe/Paris")?;
/// // 2:30 doesn't exist on the last Sunday of March: it runs right after the gap.
/// let next = schedule.next_after("2026-03-28T12:00:00Z".parse()?);
/// assert_eq!(next, Some("2026-03-29T01:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Schedule {
    expression: Expression,
    zone: &'static str,
    finder: Finder,
}

#[derive(Clone)]
enum Finder {
    Utc(Arc<CivilSearch>),
    ElapsedTime(Arc<CivilSearch>, TimeZone),
    WallTime(Arc<CivilSearch>, TimeZone),
    /// Milliseconds between two ticks.
    Interval(i64),
    Instant(Timestamp),
}

const UTC: &str = "UTC";

impl Schedule {
    /// Parses a schedule of any form, and an IANA zone for it.
    ///
    /// # Errors
    /// Those of [`Expression::parse`] and [`zone::check`]; a zone other than UTC beside an interval or an instant.
    pub fn parse(text: &str, tz: &str) -> Result<Schedule, ScheduleError> {
        Schedule::new(Expression::parse(text)?, tz)
    }

    /// Puts a parsed expression into a zone.
    ///
    /// # Errors
    /// An unknown zone, or one other than UTC beside an interval or an instant.
    pub fn new(expression: Expression, tz: &str) -> Result<Schedule, ScheduleError> {
        let zone = zone::canonical(tz)?;
        if !expression.takes_zone() && zone != UTC {
            return Err(ScheduleError::new(
                Kind::ZoneNotAllowed,
                1,
                format!("\"{expression}\" has no use for the time zone \"{zone}\""),
                "leave the zone out, or write a cron text",
            ));
        }
        Schedule::by_rules_of(expression, zone, bundled)
    }

    fn by_rules_of(
        expression: Expression,
        zone: &'static str,
        rules: impl FnOnce(&str) -> Result<TimeZone, ScheduleError>,
    ) -> Result<Schedule, ScheduleError> {
        let finder = match expression.kind() {
            ExpressionKind::Cron(fields) => {
                let civil = Arc::new(CivilSearch::new(fields)?);
                if zone == UTC {
                    Finder::Utc(civil)
                } else if fields.follows_elapsed_time() {
                    Finder::ElapsedTime(civil, rules(zone)?)
                } else {
                    Finder::WallTime(civil, rules(zone)?)
                }
            }
            // Both were judged by the parser: an interval is at most 366 days, an instant fits.
            ExpressionKind::Interval(interval) => {
                Finder::Interval(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
            }
            ExpressionKind::Instant(millis) => Finder::Instant(clamped(*millis)),
        };
        Ok(Schedule { expression, zone, finder })
    }

    /// Ticks at the multiples of `interval` since the Unix epoch, so that all nodes agree and nothing drifts.
    ///
    /// # Errors
    /// Zero, parts of a millisecond, more than 366 days.
    pub fn every(interval: Duration) -> Result<Schedule, ScheduleError> {
        Schedule::new(Expression::every(interval)?, UTC)
    }

    /// One tick; what `instant` has below a millisecond is dropped.
    pub fn at(instant: Timestamp) -> Schedule {
        let millis = whole_millisecond(instant);
        let instant = clamped(millis);
        Schedule { expression: Expression::at_millis(millis), zone: UTC, finder: Finder::Instant(instant) }
    }

    /// A recurrence rule, field by field.
    pub fn builder() -> Rule {
        Rule::new()
    }

    /// The first tick strictly after an instant; `None` when there is none before the end of time (the year 9999).
    ///
    /// The same for every instant from one tick until just before the next.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let second = whole_second(after);
        let found = match &self.finder {
            Finder::Utc(civil) => civil.after(second)?,
            Finder::ElapsedTime(civil, tz) => search::next_by_elapsed_time(civil, tz, second)?,
            Finder::WallTime(civil, tz) => search::next_by_wall_time(civil, tz, second)?,
            Finder::Interval(interval) => {
                let next =
                    whole_millisecond(after).div_euclid(*interval).checked_add(1)?.checked_mul(*interval)?;
                return Timestamp::from_millisecond(next).ok();
            }
            Finder::Instant(instant) => return (*instant > after).then_some(*instant),
        };
        Timestamp::from_second(found).ok()
    }

    /// The last tick at or before an instant; `None` when there is none since the beginning of time (the year -9999).
    ///
    /// ```
    /// use jobs_schedule::Schedule;
    ///
    /// let schedule: Schedule = "0 9 * * MON-FRI".parse()?;
    /// let sunday = "2026-03-01T12:00:00Z".parse()?;
    /// assert_eq!(schedule.last_at_or_before(sunday), Some("2026-02-27T09:00:00Z".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn last_at_or_before(&self, at: Timestamp) -> Option<Timestamp> {
        let second = whole_second(at);
        let found = match &self.finder {
            Finder::Utc(civil) => civil.fields().last(second)?,
            Finder::ElapsedTime(civil, tz) => counting::last_by_elapsed_time(civil.fields(), tz, second)?,
            Finder::WallTime(civil, tz) => counting::last_by_wall_time(civil, tz, second)?,
            Finder::Interval(interval) => {
                let last = whole_millisecond(at).div_euclid(*interval).checked_mul(*interval)?;
                return Timestamp::from_millisecond(last).ok();
            }
            Finder::Instant(instant) => return (*instant <= at).then_some(*instant),
        };
        Timestamp::from_second(found).ok()
    }

    /// How many ticks there are after `after`, up to and including `until`.
    ///
    /// They are not walked through: a year of seconds costs no more than a year of hours.
    ///
    /// ```
    /// use jobs_schedule::Schedule;
    ///
    /// let schedule = Schedule::parse("* * * * * *", "Europe/Paris")?;
    /// let year = schedule.count_between("2026-01-01T00:00:00Z".parse()?, "2027-01-01T00:00:00Z".parse()?);
    /// assert_eq!(year, 365 * 86_400);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count_between(&self, after: Timestamp, until: Timestamp) -> u64 {
        if until <= after {
            return 0;
        }
        let from = whole_second(after);
        let to = whole_second(until);
        let count = match &self.finder {
            Finder::Utc(civil) => Some(civil.fields().count(from, to)),
            Finder::ElapsedTime(civil, tz) => counting::count_by_elapsed_time(civil.fields(), tz, from, to),
            Finder::WallTime(civil, tz) => counting::count_by_wall_time(civil, tz, from, to),
            Finder::Interval(interval) => {
                let multiples = |at| whole_millisecond(at).div_euclid(*interval);
                u64::try_from(multiples(until) - multiples(after)).ok()
            }
            Finder::Instant(instant) => Some(u64::from(after < *instant && *instant <= until)),
        };
        count.unwrap_or_default()
    }

    /// The parsed text.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The zone's IANA name as the database spells it; `UTC` for intervals and instants.
    pub fn zone(&self) -> &'static str {
        self.zone
    }

    /// The instant, if it is the schedule of one.
    pub fn instant(&self) -> Option<Timestamp> {
        match self.finder {
            Finder::Instant(instant) => Some(instant),
            _ => None,
        }
    }

    /// A short text that is the same for equal schedules, on every node and in every build: `v1-` and 16 hex digits.
    ///
    /// Stored beside a schedule, it tells whether the code's declaration has changed since.
    pub fn fingerprint(&self) -> String {
        let text = self.expression.to_string();
        format!("v1-{:016x}", fingerprint::hash(&[b"schedule v1", text.as_bytes(), self.zone.as_bytes()]))
    }
}

/// The second of an instant, without what is finer.
fn whole_second(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

/// The millisecond of an instant, without what is finer.
fn whole_millisecond(at: Timestamp) -> i64 {
    at.as_millisecond() - i64::from(at.subsec_nanosecond() % 1_000_000 < 0)
}

fn clamped(millis: i64) -> Timestamp {
    let last = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(last)
}

/// From the bundled database alone: the machine's own may be older, or newer than its neighbour's.
fn bundled(name: &str) -> Result<TimeZone, ScheduleError> {
    static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    DATABASE.get(name).map_err(|error| {
        ScheduleError::new(
            Kind::UnknownZone,
            1,
            format!("\"{name}\" cannot be loaded ({error})"),
            "write another iana name of the same region",
        )
    })
}

#[cfg(test)]
mod corpus_test;

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// In UTC.
    fn from_str(text: &str) -> Result<Schedule, ScheduleError> {
        Schedule::parse(text, UTC)
    }
}

/// The canonical text, without the zone.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?}, {:?})", self.expression.to_string(), self.zone)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.expression == other.expression && self.zone == other.zone
    }
}

impl Eq for Schedule {}
