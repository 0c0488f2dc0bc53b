//! Why an attempt failed.

use std::error::Error;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::text::{self, Texts};

/// Any error of a handler or a query.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// One failed attempt, as it is kept with the item.
///
/// Its texts together are cut at [`MAX_TEXT`](crate::MAX_TEXT) bytes, and say so at their end.
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
        let mut message = message.into();
        text::cut(&mut message);
        Self { kind, message, chain: Vec::new(), attempt: 1, at, node: String::new(), retry_at: None }
    }

    /// What an error says, and each of its sources.
    #[must_use]
    pub fn from_error(error: &(dyn Error + 'static), at: Timestamp) -> Self {
        let kind = if is_fatal(error) { FailureKind::Fatal } else { FailureKind::Error };
        let mut texts = Texts::default();
        texts.push(&error);
        sources(error).filter(|e| !e.is::<Marker>()).for_each(|source| texts.push(&source));
        let mut chain = texts.finish();
        let message = if chain.is_empty() { String::new() } else { chain.remove(0) };
        Self { chain, ..Self::new(kind, message, at) }
    }

    /// Cuts the texts of a failure that was made elsewhere.
    pub fn cut(&mut self) {
        let bytes = self.chain.iter().map(String::len).sum::<usize>() + self.message.len();
        if bytes <= text::MAX_TEXT {
            return;
        }
        let mut texts = vec![std::mem::take(&mut self.message)];
        texts.append(&mut self.chain);
        let kept = text::cut_together(&mut texts, bytes);
        texts.truncate(kept);
        self.message = texts.remove(0);
        self.chain = texts;
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
    fn the_texts_of_a_failure_are_cut_together() {
        let failure = of(Outer("x".repeat(10 << 20).into()));
        assert_eq!(failure.message, "outer");
        let [inner] = &failure.chain[..] else { panic!("{failure:?}") };
        assert!(inner.len() <= text::MAX_TEXT && inner.ends_with("x… (cut, 10,485,765 bytes in all)"));
        let deep = of((0..1_000).fold(BoxError::from("x".repeat(5_000)), |e, _| Outer(e).into()));
        assert_eq!(deep.chain.len(), 64);

        let long = of("y".repeat(10_000));
        assert!(long.message.ends_with("y… (cut, 10,000 bytes in all)") && long.chain.is_empty());
        assert_eq!(Failure::new(FailureKind::Error, "y".repeat(10_000), long.at), long);
    }

    #[test]
    fn a_failure_that_was_made_elsewhere_is_cut_alike() {
        let made = |message: &str, chain: &[&str]| Failure {
            message: message.into(),
            chain: chain.iter().map(|text| (*text).to_owned()).collect(),
            ..Failure::new(FailureKind::Error, "", Timestamp::UNIX_EPOCH)
        };
        let third = &*"z".repeat(4_000);
        let mut cut = made("outer", &[third, third, third, "the last"]);
        cut.cut();
        assert_eq!((&*cut.message, cut.chain.len()), ("outer", 3));
        assert!(cut.chain[2].ends_with("z… (cut, 12,013 bytes in all)"), "{cut:?}");
        let once = cut.clone();
        cut.cut();
        assert_eq!(cut, once);
        let mut short = made("outer", &[third]);
        short.cut();
        assert_eq!(short, made("outer", &[third]));
        let mut long = made(&"z".repeat(10_000), &["inner"]);
        long.cut();
        assert!(long.message.ends_with("(cut, 10,005 bytes in all)") && long.chain.is_empty());
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
