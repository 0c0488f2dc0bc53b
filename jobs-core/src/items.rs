//! What a query may return.
//!
//! The job's item type is known, so each shape is one impl with a marker parameter that the compiler infers.
//! Only the encoding of an item and the step of a source are generic; the loops are compiled here, once.

use std::{
    array,
    collections::{BTreeSet, HashSet, VecDeque, btree_set, hash_set, vec_deque},
    future::poll_fn,
    iter,
    pin::Pin,
    task::{Context, Poll, Waker},
    vec,
};

use futures_core::Stream;

use crate::{Body, BodyWriter, BoxError, BoxFuture, call::Stored, descriptor::Sink, returns::AnyError};

/// The item type of a job, as a value: it fixes `T` without a turbofish, which would take the error away from the
/// query's return type.
pub struct For<T> {
    encode: Encode<T>,
}

type Encode<T> = fn(&mut BodyWriter, &T) -> serde_json::Result<Option<Body>>;

impl<T> For<T> {
    /// Encodes an item, and gives the body that is full with it.
    pub(crate) fn encode(self, item: &T, out: &mut BodyWriter) -> Result<Option<Body>, BoxError> {
        (self.encode)(out, item).map_err(|error| not_json(&error))
    }
}

impl<T> Clone for For<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for For<T> {}

/// The item type of a job.
pub fn for_item<T: Stored>() -> For<T> {
    For { encode: BodyWriter::push::<T> }
}

fn not_json(error: &serde_json::Error) -> BoxError {
    format!("an item that the query found cannot be written as JSON: {error}").into()
}

/// What a `#[query]` may return for a job that takes `T`.
///
/// Iterators, and not `IntoIterator`: that one is implemented by `Result` and `Option`, so a query that returns
/// one item in a `Result` would lose its errors.
#[diagnostic::on_unimplemented(
    message = "this query does not yield the items its job takes: it returns `{Self}`, and the job takes `{T}`",
    label = "does not yield `{T}`",
    note = "for a job that takes `{T}`, a query returns `Vec<{T}>`, an `Iterator` or `Stream` of `{T}` \
            (or of `Vec<{T}>`, or of `Result`s of these), or a `Result` of any of them"
)]
pub trait Items<T, M> {
    /// Whether a plain `fn` that returns this may block while it is drained.
    const BLOCKING: bool;
    /// Yields the bodies.
    type Source: Source;

    /// Begins.
    fn into_source(self, item: For<T>) -> Result<Self::Source, BoxError>;
}

/// What a query found, encoded body by body.
pub trait Source {
    /// The next full body; `None` at the end, when what is left is in the writer.
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BodyWriter,
    ) -> Poll<Result<Option<Body>, BoxError>>;
}

/// What an iterator or stream may yield for a job that takes `T`: an item, a batch, or a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "this query does not yield the items its job takes: it yields `{Self}`, and the job takes `{T}`",
    label = "yields `{Self}`, not `{T}`",
    note = "for a job that takes `{T}`, an iterator or stream yields `{T}`, `Vec<{T}>`, or `Result`s of these"
)]
pub trait Batch<T, M> {
    /// Its items.
    type Items: Iterator<Item = T>;

    /// Its items, or the error that it is.
    fn into_items(self) -> Result<Self::Items, BoxError>;
}

/// Marks one item.
pub struct One;
/// Marks a batch of items.
pub struct Many;
/// Marks a `Result`.
pub struct Try<M, N>(M, N);

impl<T> Batch<T, One> for T {
    type Items = iter::Once<T>;

    fn into_items(self) -> Result<Self::Items, BoxError> {
        Ok(iter::once(self))
    }
}

impl<T> Batch<T, Many> for Vec<T> {
    type Items = vec::IntoIter<T>;

    fn into_items(self) -> Result<Self::Items, BoxError> {
        Ok(self.into_iter())
    }
}

impl<T, B: Batch<T, M>, E: AnyError<N>, M, N> Batch<T, Try<M, N>> for Result<B, E> {
    type Items = B::Items;

    fn into_items(self) -> Result<Self::Items, BoxError> {
        match self {
            Ok(batch) => batch.into_items(),
            Err(error) => Err(error.boxed()),
        }
    }
}

/// Marks a collection.
pub struct ByItems;
/// Marks an iterator.
pub struct ByIter<M>(M);
/// Marks a stream.
pub struct ByStream<M>(M);

macro_rules! collections {
    ($([$($of:tt)*] $collection:ty => $iter:ty;)*) => { $(
        impl<$($of)*> Items<T, ByItems> for $collection {
            const BLOCKING: bool = true;
            type Source = FromItems<T, $iter>;

            fn into_source(self, item: For<T>) -> Result<Self::Source, BoxError> {
                Ok(FromItems { item, items: self.into_iter() })
            }
        }
    )* };
}

collections! {
    [T] Vec<T> => vec::IntoIter<T>;
    [T] VecDeque<T> => vec_deque::IntoIter<T>;
    [T, const N: usize] [T; N] => array::IntoIter<T, N>;
    [T] BTreeSet<T> => btree_set::IntoIter<T>;
    [T, S] HashSet<T, S> => hash_set::IntoIter<T>;
}

impl<T, I: Iterator<Item = B>, B: Batch<T, M>, M> Items<T, ByIter<M>> for I {
    const BLOCKING: bool = true;
    type Source = FromIter<T, I, B, M>;

    fn into_source(self, item: For<T>) -> Result<Self::Source, BoxError> {
        Ok(FromIter { item, iter: self, batch: None })
    }
}

impl<T, S: Stream<Item = B>, B: Batch<T, M>, M> Items<T, ByStream<M>> for S {
    const BLOCKING: bool = false;
    type Source = FromStream<T, S, B, M>;

    fn into_source(self, item: For<T>) -> Result<Self::Source, BoxError> {
        Ok(FromStream { item, stream: Box::pin(self), batch: None })
    }
}

impl<T, X: Items<T, M>, E: AnyError<N>, M, N> Items<T, Try<M, N>> for Result<X, E> {
    const BLOCKING: bool = X::BLOCKING;
    type Source = X::Source;

    fn into_source(self, item: For<T>) -> Result<Self::Source, BoxError> {
        match self {
            Ok(found) => found.into_source(item),
            Err(error) => Err(error.boxed()),
        }
    }
}

/// Items that are all there.
pub struct FromItems<T, I> {
    item: For<T>,
    items: I,
}

impl<T, I: Iterator<Item = T>> Source for FromItems<T, I> {
    fn poll_body(
        &mut self,
        _cx: &mut Context<'_>,
        out: &mut BodyWriter,
    ) -> Poll<Result<Option<Body>, BoxError>> {
        Poll::Ready(fill(self.item, &mut self.items, out))
    }
}

/// Batches from an iterator.
pub struct FromIter<T, I, B: Batch<T, M>, M> {
    item: For<T>,
    iter: I,
    batch: Option<B::Items>,
}

impl<T, I: Iterator<Item = B>, B: Batch<T, M>, M> Source for FromIter<T, I, B, M> {
    fn poll_body(
        &mut self,
        _cx: &mut Context<'_>,
        out: &mut BodyWriter,
    ) -> Poll<Result<Option<Body>, BoxError>> {
        loop {
            if let Some(full) = rest(self.item, &mut self.batch, out)? {
                return Poll::Ready(Ok(Some(full)));
            }
            let Some(batch) = self.iter.next() else { return Poll::Ready(Ok(None)) };
            self.batch = Some(batch.into_items()?);
        }
    }
}

/// Batches from a stream. It is boxed, once per query, because it may not be `Unpin`.
pub struct FromStream<T, S, B: Batch<T, M>, M> {
    item: For<T>,
    stream: Pin<Box<S>>,
    batch: Option<B::Items>,
}

impl<T, S: Stream<Item = B>, B: Batch<T, M>, M> Source for FromStream<T, S, B, M> {
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BodyWriter,
    ) -> Poll<Result<Option<Body>, BoxError>> {
        loop {
            if let Some(full) = rest(self.item, &mut self.batch, out)? {
                return Poll::Ready(Ok(Some(full)));
            }
            match self.stream.as_mut().poll_next(cx) {
                Poll::Ready(Some(batch)) => self.batch = Some(batch.into_items()?),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Encodes items until a body is full.
fn fill<T>(
    item: For<T>,
    items: &mut impl Iterator<Item = T>,
    out: &mut BodyWriter,
) -> Result<Option<Body>, BoxError> {
    for found in items {
        if let Some(full) = item.encode(&found, out)? {
            return Ok(Some(full));
        }
    }
    Ok(None)
}

/// Encodes what is left of a batch; a batch may fill many bodies.
fn rest<T>(
    item: For<T>,
    batch: &mut Option<impl Iterator<Item = T>>,
    out: &mut BodyWriter,
) -> Result<Option<Body>, BoxError> {
    let Some(items) = batch else { return Ok(None) };
    let full = fill(item, items, out)?;
    if full.is_none() {
        *batch = None;
    }
    Ok(full)
}

/// Stores what a query found.
pub fn drain<'a, T, M, X>(
    item: For<T>,
    found: X,
    sink: &'a mut (dyn Sink + '_),
) -> BoxFuture<'a, Result<(), BoxError>>
where
    X: Items<T, M>,
    X::Source: Send + 'a,
{
    let source: Result<Box<dyn Source + Send + 'a>, _> = match found.into_source(item) {
        Ok(source) => Ok(Box::new(source)),
        Err(error) => Err(error),
    };
    Box::pin(push_all(source, sink))
}

async fn push_all(
    source: Result<Box<dyn Source + Send + '_>, BoxError>,
    sink: &mut dyn Sink,
) -> Result<(), BoxError> {
    let (mut source, mut out) = (source?, BodyWriter::default());
    while let Some(full) = poll_fn(|cx| source.poll_body(cx, &mut out)).await? {
        sink.push(full).await?;
    }
    match out.finish() {
        Some(last) => sink.push(last).await,
        None => Ok(()),
    }
}

/// Stores what a query found that blocks.
pub fn drain_blocking<T, M>(
    item: For<T>,
    found: impl Items<T, M>,
    push: &mut dyn FnMut(Body) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    push_all_blocking(&mut found.into_source(item)?, push)
}

fn push_all_blocking(
    source: &mut dyn Source,
    push: &mut dyn FnMut(Body) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut out = BodyWriter::default();
    // Only streams wait, and a stream is not drained here.
    while let Poll::Ready(found) = source.poll_body(&mut Context::from_waker(Waker::noop()), &mut out) {
        match found? {
            Some(full) => push(full)?,
            None => break,
        }
    }
    out.finish().map_or(Ok(()), push)
}

/// Whether a plain `fn` blocks while what it returns is drained, told from its type: the call is never made.
pub fn is_blocking<T, M, X: Items<T, M>>(_item: For<T>, _call: &impl FnOnce() -> X) -> bool {
    X::BLOCKING
}
