//! The options of a job: one list for the attributes, the builder and the defaults.

use std::time::Duration;

/// Declares [`JobOptions`] and [`Declared`] from one list, so that a key has one name everywhere.
macro_rules! options {
    ($($(#[$doc:meta])* $key:ident: $given:ty => $kept:ty, $literal:ty;)*) => {
        /// Options of a job, each unset until its method is called.
        ///
        /// The same keys as in `#[job(..)]` and `#[cron_group(..)]`. Precedence, weakest first: built in,
        /// `RunnerBuilder::defaults`, `#[cron_group]`, `#[job]`, `RunnerBuilder::configure`. Nothing is checked
        /// here: a value that cannot be is a `BadOption` when the runner starts.
        ///
        /// ```
        /// # use jobs_core::JobOptions;
        /// # use std::time::Duration;
        /// let nightly = JobOptions::new().schedule("0 3 * * *").retries(5).timeout(Duration::from_secs(30));
        /// ```
        #[derive(Clone, Debug, Default, PartialEq)]
        #[must_use]
        pub struct JobOptions {
            $(pub(crate) $key: Option<$kept>,)*
        }

        impl JobOptions {
            $(
                $(#[$doc])*
                pub fn $key(mut self, $key: $given) -> Self {
                    self.$key = Some($key.into());
                    self
                }
            )*

            /// These, and what `weaker` sets where these set nothing.
            pub(crate) fn or(self, weaker: Self) -> Self {
                Self { $($key: self.$key.or(weaker.$key),)* }
            }
        }

        /// What an attribute wrote, in a form that a `static` can hold.
        #[doc(hidden)]
        #[derive(Clone, Copy, Debug)]
        pub struct Declared {
            $(pub $key: Option<$literal>,)*
        }

        impl Declared {
            /// Nothing was written.
            pub const NONE: Self = Self { $($key: None,)* };
        }

        impl From<Declared> for JobOptions {
            fn from(declared: Declared) -> Self {
                Self { $($key: declared.$key.map(Into::into),)* }
            }
        }
    };
}

options! {
    /// When the job is due, in any form that the attribute takes.
    schedule: impl Into<String> => String, &'static str;
    /// The zone of a cron schedule, an IANA name. Default `"UTC"`.
    tz: impl Into<String> => String, &'static str;
    /// Attempts after the first. Default 0: a failure is not repeated (a crash always redelivers).
    retries: u32 => u32, u32;
    /// The least wait before the first retry. Default 10 s.
    retry_delay: Duration => Duration, Duration;
    /// How the wait grows: `"exponential"` (the default), `"linear"` or `"fixed"`; a [`Backoff`](crate::Backoff)
    /// or its name.
    backoff: impl Into<String> => String, &'static str;
    /// The longest wait before a retry. Default 1 h.
    max_retry_delay: Duration => Duration, Duration;
    /// The bound of one attempt of the handler. Default none.
    timeout: Duration => Duration, Duration;
    /// The bound of one call of the query, or of one attempt of a job without one. Default 1 h.
    max_compute_time: Duration => Duration, Duration;
    /// Items of this job at once in one runner, at least 1. Default 10.
    concurrency: u32 => u32, u32;
    /// Items of this job at once over all runners, at least 1. Default: not limited.
    global_concurrency: u32 => u32, u32;
    /// Higher is served first. Default 0.
    priority: i16 => i16, i16;
    /// What a tick does while the last run is busy: `"skip"` (the default), `"queue"` or `"allow"`; an
    /// [`Overlap`](crate::Overlap) or its name.
    overlap: impl Into<String> => String, &'static str;
    /// What becomes of ticks missed while nothing ran: `"skip"`, `"once"` (the default) or `"all"`; a
    /// [`CatchUp`](crate::CatchUp) or its name.
    catch_up: impl Into<String> => String, &'static str;
    /// Ticks older than this are not caught up. Default: not bounded.
    catch_up_window: Duration => Duration, Duration;
    /// Delays each firing by a fixed share of this, the same on every node. Default none.
    jitter: Duration => Duration, Duration;
    /// A tick fired later than this is late. Default 30 s.
    late_after: Duration => Duration, Duration;
    /// Finished runs kept per job. Default 100.
    keep_runs: u32 => u32, u32;
    /// Verdict records kept per schedule. Default 1,000.
    keep_ticks: u32 => u32, u32;
    /// How long a dead item is kept. Default 90 days.
    keep_dead: Duration => Duration, Duration;
    /// Whether the job runs. When it turns false in the code the job is paused with the note "disabled in code".
    enabled: bool => bool, bool;
}

impl JobOptions {
    /// No option set.
    pub fn new() -> Self {
        Self::default()
    }
}

/// An option that is one of a few words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident ($what:literal) { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The words it can be, in the order of their declaration.
            pub const WORDS: &[&str] = &[$($word),*];

            /// The word that stands for it in an attribute.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            pub(crate) fn parse(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!(concat!("`{}` is not ", $what, "; use one of {}"), word, Self::WORDS.join(", "))),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().into()
            }
        }
    };
}

words! {
    /// How the wait before a retry grows.
    Backoff ("a backoff") {
        /// `retry_delay` × 2ⁿ⁻¹ before retry n.
        #[default]
        Exponential = "exponential",
        /// `retry_delay` × n before retry n.
        Linear = "linear",
        /// `retry_delay` before each retry.
        Fixed = "fixed",
    }
}

words! {
    /// What a tick does while the job's last run is busy: still filling, or with an item whose first attempt is
    /// not settled.
    Overlap ("an overlap policy") {
        /// It is skipped.
        #[default]
        Skip = "skip",
        /// It waits for the run; a newer tick takes its place.
        Queue = "queue",
        /// It fires all the same.
        Allow = "allow",
    }
}

words! {
    /// What becomes of ticks that were missed while nothing ran.
    CatchUp ("a catch-up policy") {
        /// They are recorded as missed.
        Skip = "skip",
        /// The latest fires and stands for all.
        #[default]
        Once = "once",
        /// Each fires, oldest first, one after the other; at most the newest 1,000.
        All = "all",
    }
}
