//! What the suite says of a store that breaks a rule.

use std::fmt;

use jobs_core::StoreError;

/// A rule that a store broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name, a sentence.
    pub rule: &'static str,
    /// How the operations were sent when it broke.
    pub mode: &'static str,
    /// What was seen, and what the contract says.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store breaks the rule `{}` ({}): {}", self.rule, self.mode, self.what)
    }
}

impl std::error::Error for Violation {}

/// What a rule saw that it may not see.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

/// What a rule finds.
pub(crate) type Check<T = ()> = Result<T, Broken>;

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self(format!("an operation failed: {error}"))
    }
}

/// Goes on if it holds, and else says what was promised.
macro_rules! ensure {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err($crate::violation::Broken(format!($($said)+)));
        }
    };
}

/// Goes on if both are the same, and else says what was promised, and both.
macro_rules! ensure_eq {
    ($seen:expr, $promised:expr, $($said:tt)+) => {
        match (&$seen, &$promised) {
            (seen, promised) => ensure!(
                seen == promised,
                "{}; seen {seen:?}, promised {promised:?}",
                format_args!($($said)+)
            ),
        }
    };
}
