//! What an attempt comes to.

use std::time::Duration;

/// What a handler may say besides success and failure.
///
/// ```
/// # use jobs_core::Outcome;
/// # use std::time::Duration;
/// async fn poll(ready: bool) -> Outcome {
///     if ready { Outcome::Done } else { Outcome::Snooze(Duration::from_secs(30)) }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The item is done.
    Done,
    /// The attempt failed, and the next one comes after this wait instead of the job's backoff.
    /// It counts against `retries`: when none is left the item is dead.
    RetryIn(Duration),
    /// The item is settled without another attempt and without being dead; counted as `discarded`.
    Discard(String),
    /// The item comes back after this wait. It costs no attempt.
    Snooze(Duration),
}

/// An attempt's end as the runner sees it: an outcome, and the value to keep as the result of a tracked item.
#[doc(hidden)]
#[derive(Debug)]
pub struct Finish {
    /// What the handler said.
    pub outcome: Outcome,
    /// What `Result<T: Serialize, E>` returned, for an item that has a record of its own.
    pub value: Option<serde_json::Value>,
}

impl From<Outcome> for Finish {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, value: None }
    }
}
