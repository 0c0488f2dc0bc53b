//! The options of one job, from all the places that set them.

use std::time::Duration;

use jobs_schedule::Schedule;

use super::Waits;
use crate::{Backoff, CatchUp, JobOptions, Overlap};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The options of one job, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// When it is due; `None` for a job that runs on demand.
    pub schedule: Option<Schedule>,
    /// The zone that was set, whether the schedule reads it or not.
    pub tz: String,
    /// Attempts after the first.
    pub retries: u32,
    /// The waits between attempts.
    pub waits: Waits,
    /// The bound of one attempt, if one is set.
    pub timeout: Option<Duration>,
    /// The bound of what runs under the job's exclusivity.
    pub max_compute_time: Duration,
    /// Items at once in one runner.
    pub concurrency: u32,
    /// Items at once over all runners.
    pub global_concurrency: Option<u32>,
    /// Higher is served first.
    pub priority: i16,
    /// What a tick does while the last run is busy.
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// Older ticks are not caught up.
    pub catch_up_window: Option<Duration>,
    /// The most by which a firing is delayed.
    pub jitter: Duration,
    /// A tick fired later than this is late.
    pub late_after: Duration,
    /// Finished runs kept.
    pub keep_runs: u32,
    /// Verdict records kept.
    pub keep_ticks: u32,
    /// How long a dead item is kept.
    pub keep_dead: Duration,
    /// Whether the job runs, as the code says.
    pub enabled: bool,
}

/// An option that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadOption {
    /// Its key.
    pub key: &'static str,
    /// What is wrong, and the remedy.
    pub message: String,
}

impl Policy {
    /// Puts the options of a job together, weakest layer first, and says everything that is wrong with them.
    ///
    /// `query`: whether a query finds the job's items.
    ///
    /// # Errors
    /// Every option that cannot be.
    pub fn resolve(layers: &[JobOptions], query: bool) -> Result<Self, Vec<BadOption>> {
        let mut problems = Problems::default();
        let schedule = schedule(layers, &mut problems);
        let all = layers.iter().fold(JobOptions::new(), |weaker, layer| layer.clone().or(weaker));
        let default = JobOptions::new().resolve_defaults();

        let both_written = all.timeout.zip(all.max_compute_time).filter(|_| !query);
        if let Some((timeout, bound)) = both_written.filter(|(timeout, bound)| timeout > bound) {
            problems.add(
                "timeout",
                format!("{timeout:?} is above `max_compute_time`, {bound:?}; lower it, or raise the bound"),
            );
        }
        for (key, value) in [("concurrency", all.concurrency), ("global_concurrency", all.global_concurrency)]
        {
            if value == Some(0) {
                problems.add(key, "0 would never run anything; use 1 or more, or `enabled = false`".into());
            }
        }
        for (key, value) in [("timeout", all.timeout), ("max_compute_time", all.max_compute_time)] {
            if value == Some(Duration::ZERO) {
                problems.add(key, "0 would fail every attempt; leave it out for no bound of your own".into());
            }
        }

        let policy = Self {
            schedule,
            tz: all.tz.unwrap_or(default.tz),
            retries: all.retries.unwrap_or(default.retries),
            waits: Waits {
                backoff: problems.word("backoff", all.backoff, Backoff::parse),
                retry_delay: all.retry_delay.unwrap_or(default.waits.retry_delay),
                max_retry_delay: all.max_retry_delay.unwrap_or(default.waits.max_retry_delay),
            },
            timeout: all.timeout,
            // Unwritten, it never contradicts a written timeout.
            max_compute_time: all.max_compute_time.unwrap_or(HOUR.max(all.timeout.unwrap_or_default())),
            concurrency: all.concurrency.unwrap_or(default.concurrency),
            global_concurrency: all.global_concurrency,
            priority: all.priority.unwrap_or(default.priority),
            overlap: problems.word("overlap", all.overlap, Overlap::parse),
            catch_up: problems.word("catch_up", all.catch_up, CatchUp::parse),
            catch_up_window: all.catch_up_window,
            jitter: all.jitter.unwrap_or(default.jitter),
            late_after: all.late_after.unwrap_or(default.late_after),
            keep_runs: all.keep_runs.unwrap_or(default.keep_runs),
            keep_ticks: all.keep_ticks.unwrap_or(default.keep_ticks),
            keep_dead: all.keep_dead.unwrap_or(default.keep_dead),
            enabled: all.enabled.unwrap_or(default.enabled),
        };
        if problems.0.is_empty() { Ok(policy) } else { Err(problems.0) }
    }
}

impl JobOptions {
    /// What holds where nothing is set.
    pub(crate) fn resolve_defaults(self) -> Policy {
        Policy {
            schedule: None,
            tz: "UTC".into(),
            retries: 0,
            waits: Waits {
                backoff: Backoff::Exponential,
                retry_delay: Duration::from_secs(10),
                max_retry_delay: HOUR,
            },
            timeout: None,
            max_compute_time: HOUR,
            concurrency: 10,
            global_concurrency: None,
            priority: 0,
            overlap: Overlap::Skip,
            catch_up: CatchUp::Once,
            catch_up_window: None,
            jitter: Duration::ZERO,
            late_after: Duration::from_secs(30),
            keep_runs: 100,
            keep_ticks: 1_000,
            keep_dead: 90 * DAY,
            enabled: true,
        }
    }
}

/// The strongest layer's schedule, read in the strongest layer's zone. A zone set beside an interval or instant
/// is an error; one that comes from a weaker layer does not concern them.
fn schedule(layers: &[JobOptions], problems: &mut Problems) -> Option<Schedule> {
    let layer = layers.iter().rev().find(|layer| layer.schedule.is_some())?;
    let text = layer.schedule.as_deref()?;
    let zoned = match jobs_schedule::Expression::parse(text) {
        Ok(expression) => expression.takes_zone(),
        Err(error) => {
            problems.add("schedule", format!("`{text}`: {error}"));
            return None;
        }
    };
    let tz = if zoned {
        layers.iter().rev().find_map(|layer| layer.tz.as_deref()).unwrap_or("UTC")
    } else {
        if layer.tz.is_some() {
            problems.add(
                "tz",
                format!("`{text}` has no use for a zone; leave it out, or write a cron expression"),
            );
        }
        "UTC"
    };
    match Schedule::parse(text, tz) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            problems.add(if zoned { "tz" } else { "schedule" }, error.to_string());
            None
        }
    }
}

#[derive(Default)]
struct Problems(Vec<BadOption>);

impl Problems {
    fn add(&mut self, key: &'static str, message: String) {
        self.0.push(BadOption { key, message });
    }

    fn word<T: Default>(
        &mut self,
        key: &'static str,
        word: Option<String>,
        parse: fn(&str) -> Result<T, String>,
    ) -> T {
        word.map_or_else(|| Ok(T::default()), |word| parse(&word)).unwrap_or_else(|message| {
            self.add(key, message);
            T::default()
        })
    }
}
