//! Why an attempt failed.

use std::error::Error;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Any error of a handler or a query.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// One failed attempt, as it is kept with the item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of end it was.
    pub kind: FailureKind,
    /// The outermost error's text.
    pub message: String,
    /// The texts of its sources, outermost first.
    pub chain: Vec<String>,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// When the attempt ended, by the store's clock.
    pub at: Timestamp,
    /// The node on which it ran.
    pub node: String,
    /// When the item is tried again; `None` if it is dead.
    pub retry_at: Option<Timestamp>,
}

impl Failure {
    /// A failure of this kind, with everything else to be filled in.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>, at: Timestamp) -> Self {
        let (message, node) = (message.into(), String::new());
        Self { kind, message, chain: Vec::new(), attempt: 1, at, node, retry_at: None }
    }

    /// What an error says, and each of its sources.
    #[must_use]
    pub fn from_error(error: &(dyn Error + 'static), at: Timestamp) -> Self {
        let kind = if is_fatal(error) { FailureKind::Fatal } else { FailureKind::Error };
        let chain = sources(error).filter(|e| !e.is::<Marker>()).map(ToString::to_string).collect();
        Self { chain, ..Self::new(kind, error.to_string(), at) }
    }
}

/// What kind of end a failed attempt had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// The handler returned an error made by [`fatal`]: it is not tried again.
    Fatal,
    /// The handler panicked.
    Panic,
    /// One attempt took longer than the job's `timeout`.
    Timeout,
    /// A query, or a job without one, took longer than `max_compute_time`.
    MaxComputeTime,
    /// The stored payload is not what the handler takes.
    Undecodable,
    /// The lease was lost while the attempt ran.
    LeaseLost,
    /// The item was held by nodes that died, again and again.
    Poison,
}

/// An error that is not worth another attempt: the item is dead at once, whatever `retries` says.
///
/// Made by [`fatal`]. It is recognised anywhere in the `source()` chain of what a handler returns, so it may
/// travel inside `anyhow::Error` or behind `#[error(transparent)]`.
#[derive(Debug)]
pub struct Fatal {
    error: Marker,
}

/// Makes an error fatal: the item is dead at once, whatever `retries` says.
///
/// ```
/// # use jobs_core::fatal;
/// fn parse(address: &str) -> Result<(), jobs_core::BoxError> {
///     let (_user, _host) = address.split_once('@').ok_or_else(|| fatal("not an address"))?;
///     Ok(())
/// }
/// assert!(parse("nobody").is_err());
/// ```
pub fn fatal(error: impl Into<BoxError>) -> Fatal {
    Fatal { error: Marker(error.into()) }
}

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Fatal {
    /// A marker first: an error that shows this one transparently hides it from a search, but not its source.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[derive(Debug)]
struct Marker(BoxError);

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Marker {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn is_fatal(error: &(dyn Error + 'static)) -> bool {
    error.is::<Fatal>() || sources(error).any(<dyn Error>::is::<Marker>)
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // An error that is its own source would never end.
    std::iter::successors(error.source(), |error| (*error).source()).take(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] BoxError);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent(Fatal);

    fn of(error: impl Into<BoxError>) -> Failure {
        Failure::from_error(&*error.into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_message_is_the_outermost_error_and_the_chain_its_sources() {
        let failure = of(Outer(Outer("inner".into()).into()));
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Error, "outer"));
        assert_eq!(failure.chain, ["outer", "inner"]);
    }

    #[test]
    fn a_fatal_error_is_found_wherever_it_stands() {
        for fatal in [
            of(fatal("no such user")),
            of(Transparent(fatal("no such user"))),
            of(Outer(fatal("no such user").into())),
            of(anyhow::Error::from(fatal("no such user")).context("sending")),
            of(anyhow::Error::from(fatal("no such user"))),
        ] {
            assert_eq!(fatal.kind, FailureKind::Fatal, "{fatal:?}");
            let texts = std::iter::once(&fatal.message).chain(&fatal.chain);
            assert_eq!(
                texts.filter(|t| *t == "no such user").count(),
                1,
                "the marker is not shown: {fatal:?}"
            );
        }
    }
}
