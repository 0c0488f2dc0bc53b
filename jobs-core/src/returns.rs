//! What a handler may return.
//!
//! The impls overlap, so each has a marker parameter that the compiler infers: it stands for the way that a type
//! is read, and means nothing else.

use std::{error::Error, fmt};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    BoxError, Failure, FailureKind, JobContext, Outcome, descriptor::Finished, failure::fatal,
    outcome::Finish,
};

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not what a handler returns",
    note = "a handler returns `()`, `Outcome`, or a `Result` of these or of a value to keep; \
            for a value write `Result<{Self}>` and `Ok(value)`"
)]
pub trait Returned<M> {
    /// How the call ended; a value is kept only when asked for.
    fn finish(self, keep: bool) -> Finished;
}

/// Marks what is returned without a `Result`.
pub struct Bare;
/// Marks a `Result` of an [`Outcome`].
pub struct OfOutcome<N>(N);
/// Marks a `Result` of a value.
pub struct OfValue<N>(N);

impl Returned<Bare> for () {
    fn finish(self, _keep: bool) -> Finished {
        Ok(Outcome::Done.into())
    }
}

impl Returned<Bare> for Outcome {
    fn finish(self, _keep: bool) -> Finished {
        Ok(self.into())
    }
}

impl<E: AnyError<N>, N> Returned<OfOutcome<N>> for Result<Outcome, E> {
    fn finish(self, _keep: bool) -> Finished {
        match self {
            Ok(outcome) => Ok(outcome.into()),
            Err(error) => Err(error.boxed()),
        }
    }
}

impl<T: Value, E: AnyError<N>, N> Returned<OfValue<N>> for Result<T, E> {
    fn finish(self, keep: bool) -> Finished {
        match self {
            Ok(value) if keep => finish_with(value.json()),
            Ok(_) => Ok(Outcome::Done.into()),
            Err(error) => Err(error.boxed()),
        }
    }
}

/// A value that is kept as the result of a tracked item.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return a `Result` of `{Self}`: the value of `Ok` is kept as the item's result, in JSON",
    label = "`{Self}` cannot be kept",
    note = "derive `serde::Serialize` for `{Self}`, or return `Result<()>`"
)]
pub trait Value {
    /// The value as JSON.
    fn json(&self) -> serde_json::Result<serde_json::Value>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Value for T {
    fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(self)
    }
}

/// `()` says nothing, and neither does the `null` that stands for it.
fn finish_with(value: serde_json::Result<serde_json::Value>) -> Finished {
    match value {
        Ok(serde_json::Value::Null) => Ok(Outcome::Done.into()),
        Ok(value) => Ok(Finish { outcome: Outcome::Done, value: Some(value) }),
        // The work is done: another attempt would repeat it and fail in the same way.
        Err(error) => Err(fatal(format!("the handler's result cannot be kept: {error}")).into()),
    }
}

/// Any error type, `Box<dyn Error>` included, which converts into nothing because it need not be `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error type",
    label = "not an error",
    note = "implement `std::error::Error` for `{Self}`, or use `BoxError`, `String` or `anyhow::Error`"
)]
pub trait AnyError<N> {
    /// The error as it is recorded.
    fn boxed(self) -> BoxError;
}

/// Marks an error that converts by `Into`.
pub struct Converts;
/// Marks a `Box<dyn Error>`.
pub struct Dynamic;

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> AnyError<Converts> for E {
    fn boxed(self) -> BoxError {
        self.into()
    }
}

impl AnyError<Dynamic> for Box<dyn Error> {
    fn boxed(self) -> BoxError {
        let Failure { kind, message, chain, .. } = Failure::from_error(&*self, Timestamp::UNIX_EPOCH);
        let source =
            chain.into_iter().rev().fold(None, |source, message| Some(Box::new(Told { message, source })));
        let told = Told { message, source };
        if kind == FailureKind::Fatal { fatal(told).into() } else { told.into() }
    }
}

/// What is left of an error that could not be sent to another thread: what it said, and its sources.
#[derive(Debug)]
struct Told {
    message: String,
    source: Option<Box<Told>>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What a method returned, on its way to [`finish`].
pub struct Returns<R>(pub R);

/// A `Result` within a `Result`. Serde serialises a `Result`, so without this one the inner error would be kept
/// as the value of a success.
pub struct Nested<R>(pub R);

impl<T, E, F> Returns<Result<Result<T, E>, F>> {
    /// Shadows [`Single::single`] where the type is nested, also behind aliases.
    pub fn single(self) -> Nested<Result<Result<T, E>, F>> {
        Nested(self.0)
    }
}

/// The other half of the probe: everything that is not nested.
pub trait Single: Sized {
    /// The same.
    #[must_use]
    fn single(self) -> Self {
        self
    }
}

impl<R> Single for Returns<R> {}

/// What [`finish`] takes.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return a `Result` within a `Result`: the inner error would pass for a success",
    label = "a `Result` within a `Result`",
    note = "return one `Result`: take the inner one out with `?`"
)]
pub trait Finishes<M> {
    /// How the call ended.
    fn finish(self, keep: bool) -> Finished;
}

impl<R: Returned<M>, M> Finishes<M> for Returns<R> {
    fn finish(self, keep: bool) -> Finished {
        self.0.finish(keep)
    }
}

/// How a handler's call ended. A value is kept for an item that has a record of its own, so outside a run.
pub fn finish<M>(returned: impl Finishes<M>, cx: &JobContext) -> Finished {
    returned.finish(cx.run_id().is_none())
}
