//! Cron texts by name, for those who would rather read a word.
//!
//! ```
//! let expression = jobs_schedule::Expression::parse(jobs_schedule::patterns::WEEKDAYS_AT_9)?;
//! assert_eq!(expression.to_string(), "0 9 * * 1-5");
//! # Ok::<(), jobs_schedule::ScheduleError>(())
//! ```

/// At second 0 of each minute.
pub const EVERY_MINUTE: &str = "* * * * *";
/// At minutes 0, 5, 10 … 55.
pub const EVERY_5_MINUTES: &str = "*/5 * * * *";
/// At minutes 0, 10, 20 … 50.
pub const EVERY_10_MINUTES: &str = "*/10 * * * *";
/// At minutes 0, 15, 30, 45.
pub const EVERY_15_MINUTES: &str = "*/15 * * * *";
/// At minutes 0 and 30.
pub const EVERY_30_MINUTES: &str = "*/30 * * * *";
/// At minute 0 of each hour.
pub const HOURLY: &str = "0 * * * *";
/// At hours 0, 2, 4 … 22.
pub const EVERY_2_HOURS: &str = "0 */2 * * *";
/// At hours 0, 6, 12, 18.
pub const EVERY_6_HOURS: &str = "0 */6 * * *";
/// At hours 0 and 12.
pub const EVERY_12_HOURS: &str = "0 */12 * * *";
/// At midnight of each day.
pub const DAILY: &str = "0 0 * * *";
/// At noon of each day.
pub const DAILY_AT_NOON: &str = "0 12 * * *";
/// At midnight from Saturday to Sunday.
pub const WEEKLY: &str = "0 0 * * 0";
/// At midnight on the first of each month.
pub const MONTHLY: &str = "0 0 1 * *";
/// At midnight on the first of January, April, July and October.
pub const QUARTERLY: &str = "0 0 1 1,4,7,10 *";
/// At midnight on the first of January.
pub const YEARLY: &str = "0 0 1 1 *";
/// At 9:00, Monday to Friday.
pub const WEEKDAYS_AT_9: &str = "0 9 * * 1-5";
/// At midnight on Saturday and Sunday.
pub const WEEKENDS: &str = "0 0 * * 0,6";
