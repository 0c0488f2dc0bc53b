//! When a job is due: one grammar for schedules, durations and zones.
//!
//! The attribute macros judge a literal with [`Expression::parse`], [`zone::check`] and [`duration::parse`], and the
//! runner finds instants with `Schedule`, which parses by the same functions. Without the feature `search` the crate
//! is the grammar alone and depends on neither a calendar nor a zone database.
//!
//! # The grammar
//!
//! | form | examples | meaning |
//! |---|---|---|
//! | five fields | `*/15 9-17 * * 1-5` | minute, hour, day of month, month, day of week; second 0 |
//! | six fields | `0 30 2 * * MON` | the second first, then the same |
//! | macro | `@hourly` `@daily` `@midnight` `@weekly` `@monthly` `@yearly` `@annually` | as in cron |
//! | interval | `5m` `every 1h 30m` `@every 90s` | the multiples since the Unix epoch |
//! | instant | `2026-12-25T09:00:00Z` `2026-12-25T10:00:00+01:00` | once; the offset is required |
//!
//! A field is a list (`,`) of items:
//!
//! | item | meaning |
//! |---|---|
//! | `*` | every value |
//! | `5` `MON` `jan` `Sunday` | one value; names by three letters or in full, for months and weekdays |
//! | `9-17` `MON-FRI` `FRI-SUN` | a range; it may end with Sunday, otherwise never runs backwards |
//! | `*/15` `10-40/5` | every n-th of a range, from its start; n may exceed the range |
//!
//! | field | values |
//! |---|---|
//! | second, minute | 0–59 |
//! | hour | 0–23 |
//! | day of month | 1–31 |
//! | month | 1–12, `JAN`–`DEC` |
//! | day of week | 0–7, `SUN`–`SAT`; 0 and 7 are Sunday |
//!
//! **Days.** If neither day field begins with `*`, a day fits when *either* does: `0 0 13 * 5` is the 13th and every
//! Friday. If one begins with `*` (also `*/2`), both must fit. The suffix ` and` asks for both in any case:
//! `0 0 13 * 5 and` is Friday the 13th.
//!
//! **Changes of the clock**, as cronie's code has them. A schedule whose minute or hour begins with `*` follows
//! elapsed time: it fires whenever the wall reading fits, so not in the skipped hour and twice in the repeated one.
//! Any other fires once per wall time: one that was skipped right after the gap (several of one gap together; none
//! where the clock jumps three hours or more), a repeated one in the first pass.
//!
//! **Refused**, each with a remedy: `L W # ? H ~`, a seventh field, ranges that run backwards, steps of zero or
//! without a range, and dates that no year has (`0 0 30 2 *`).
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod duration;
pub mod patterns;
#[doc(hidden)]
pub mod suggest;
pub mod zone;

mod cron_text;
mod dates;
mod error;
mod expression;
mod field;
mod field_set;
mod instant;
mod interval;
mod unsupported;
mod words;
mod zone_names;

pub use cron_text::Fields;
pub use error::{ScheduleError, ScheduleErrorKind};
pub use expression::Expression;
pub use field::Field;

#[cfg(feature = "search")]
mod civil;
#[cfg(feature = "search")]
mod counting;
#[cfg(feature = "search")]
mod fingerprint;
#[cfg(feature = "search")]
mod fitting;
#[cfg(feature = "search")]
pub mod jitter;
#[cfg(feature = "search")]
pub mod rendezvous;
#[cfg(feature = "search")]
mod rule;
#[cfg(feature = "search")]
mod schedule;
#[cfg(feature = "search")]
mod search;
#[cfg(feature = "search")]
mod values;

#[cfg(feature = "search")]
pub use rule::Rule;
#[cfg(feature = "search")]
pub use schedule::Schedule;
#[cfg(feature = "search")]
pub use values::{Month, Values, Weekday};
