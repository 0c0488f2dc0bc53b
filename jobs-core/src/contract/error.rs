//! Why a store could not do what it was asked.

use std::fmt;

use crate::BoxError;

/// Why a store could not do what it was asked.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store.
    #[error("`{url}` is not the URL of a store: {message}")]
    BadUrl {
        /// The URL, without its password.
        url: String,
        /// What is wrong, and the remedy.
        message: String,
    },
    /// The store is not compiled in.
    #[error(
        "this program is built without the store `{feature}`; add `features = [\"{feature}\"]` to `jobs-runner`"
    )]
    MissingFeature {
        /// The feature that brings it.
        feature: &'static str,
    },
    /// Nothing answers.
    #[error("the store cannot be reached: {message}; it is tried again")]
    Unreachable {
        /// What was tried, and what came of it.
        message: String,
    },
    /// The store was written by a newer version.
    #[error("the store has schema {found}, and this version knows {supported}; upgrade this program")]
    NewerSchema {
        /// The schema found.
        found: u32,
        /// The newest one known.
        supported: u32,
    },
    /// What is there belongs to something else.
    #[error("what is at {location} is not a store of jobs: {message}; choose another place")]
    Foreign {
        /// Where.
        location: String,
        /// What was found instead.
        message: String,
    },
    /// It cannot be written.
    #[error("the store at {location} cannot be written: {message}; a runner needs to write")]
    ReadOnly {
        /// Where.
        location: String,
        /// What came of trying.
        message: String,
    },
    /// There is no room.
    #[error("the store is full: {message}; make room, and it goes on")]
    Full {
        /// What came of trying.
        message: String,
    },
    /// The store does not take a value that it was given: too long, or not what it can express. It is no outage: the same
    /// call would be refused again, and nothing else is.
    #[error("the store refused a value: {message}")]
    Refused {
        /// What the store says.
        message: String,
    },
    /// Anything else.
    #[error("the store failed: {0}")]
    Backend(#[source] BoxError),
}

/// A copy keeps what a backend's error says, and not the error.
impl Clone for StoreError {
    fn clone(&self) -> Self {
        match self {
            Self::BadUrl { url, message } => Self::BadUrl { url: url.clone(), message: message.clone() },
            Self::MissingFeature { feature } => Self::MissingFeature { feature },
            Self::Unreachable { message } => Self::Unreachable { message: message.clone() },
            Self::NewerSchema { found, supported } => {
                Self::NewerSchema { found: *found, supported: *supported }
            }
            Self::Foreign { location, message } => {
                Self::Foreign { location: location.clone(), message: message.clone() }
            }
            Self::ReadOnly { location, message } => {
                Self::ReadOnly { location: location.clone(), message: message.clone() }
            }
            Self::Full { message } => Self::Full { message: message.clone() },
            Self::Refused { message } => Self::Refused { message: message.clone() },
            Self::Backend(error) => Self::Backend(error.to_string().into()),
        }
    }
}

/// Errors are the same that say the same.
impl PartialEq for StoreError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.to_string() == other.to_string()
    }
}

/// `main` prints an error's `Debug`.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
