//! What an operation answers.

use jiff::Timestamp;

use crate::{BoxFuture, Millis, StoreError};

/// A reply of a store: what was asked for, and the store's time when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The store's clock in the step.
    pub now: Millis,
    /// What was asked for.
    pub value: T,
}

impl<T> Reply<T> {
    /// The same reply with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Reply<U> {
        Reply { now: self.now, value: f(self.value) }
    }

    /// The store's time as a timestamp.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.now.timestamp()
    }
}

/// What every operation of a store returns.
pub type StoreResult<'a, T> = BoxFuture<'a, Result<Reply<T>, StoreError>>;
