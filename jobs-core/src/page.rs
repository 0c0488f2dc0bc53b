//! A query's result page by page.

use std::any::type_name;

use crate::{
    BodyWriter, BoxError,
    call::Stored,
    descriptor::FoundPage,
    items::{For, Try},
    returns::AnyError,
};

/// One page of a query, and where the next one begins.
///
/// A query whose one owned parameter is an `Option<C>` is called page by page, first with `None`. The items of a
/// page and the cursor to the next are stored in one step, so a crash resumes the query where it stopped.
///
/// ```
/// # use jobs_core::{BoxError, Page};
/// # struct Users(Vec<String>);
/// # impl Users {
/// async fn users(&self, after: Option<usize>) -> Result<Page<String, usize>, BoxError> {
///     let from = after.unwrap_or(0);
///     let items: Vec<_> = self.0.iter().skip(from).take(1_000).cloned().collect();
///     Ok(if items.is_empty() { Page::last(items) } else { Page::new(items, Some(from + 1_000)) })
/// }
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The items of this page; it may be empty and still not be the last.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page, and where the next one begins; `None` at the end.
    #[must_use]
    pub fn new(items: Vec<T>, next: Option<C>) -> Self {
        Self { items, next }
    }

    /// The last page.
    #[must_use]
    pub fn last(items: Vec<T>) -> Self {
        Self::new(items, None)
    }
}

/// What the owned parameter of a query may be.
#[diagnostic::on_unimplemented(
    message = "the one owned parameter of a query is the cursor of its pages, and `{Self}` is not an `Option`",
    label = "expected `Option<{Self}>`",
    note = "the first page is asked for with `None`; a query that does not go page by page takes no owned parameter"
)]
pub trait Cursor: Sized {
    /// Reads a stored cursor.
    fn read(stored: Option<&[u8]>) -> Result<Self, BoxError>;

    /// Writes a cursor to be stored.
    fn write(&self) -> serde_json::Result<Option<Vec<u8>>>;
}

impl<C: Stored> Cursor for Option<C> {
    fn read(stored: Option<&[u8]>) -> Result<Self, BoxError> {
        match stored.map(serde_json::from_slice).transpose() {
            Ok(cursor) => Ok(cursor),
            Err(error) => Err(other_cursor(type_name::<C>(), &error)),
        }
    }

    fn write(&self) -> serde_json::Result<Option<Vec<u8>>> {
        self.as_ref().map(serde_json::to_vec).transpose()
    }
}

fn other_cursor(cursor: &str, error: &serde_json::Error) -> BoxError {
    format!("the stored cursor of the query is not a `{cursor}`: {error}").into()
}

/// The cursor with which a query is called.
pub fn cursor<P: Cursor>(stored: Option<&[u8]>) -> Result<P, BoxError> {
    P::read(stored)
}

/// What a query may return that takes the cursor `P`, for a job that takes `T`.
#[diagnostic::on_unimplemented(
    message = "this query does not yield pages of the items its job takes: it returns `{Self}`, and the job takes `{T}`",
    label = "does not yield pages of `{T}`",
    note = "for a job that takes `{T}`, a query that takes the cursor `{P}` returns `Result<Page<{T}, C>>` with \
            `{P}` = `Option<C>`"
)]
pub trait Pages<T, P, M> {
    /// The page, encoded.
    fn encode(self, item: For<T>, by: By<P>) -> Result<FoundPage, BoxError>;
}

/// Marks a page without a `Result`.
pub struct Bare;

impl<T, C> Pages<T, Option<C>, Bare> for Page<T, C> {
    fn encode(self, item: For<T>, by: By<Option<C>>) -> Result<FoundPage, BoxError> {
        let (mut out, mut bodies) = (BodyWriter::default(), Vec::new());
        for found in &self.items {
            bodies.extend(item.encode(found, &mut out)?);
        }
        bodies.extend(out.finish());
        let next = (by.write)(&self.next).map_err(|error| not_json(&error))?;
        Ok(FoundPage { bodies, next })
    }
}

impl<T, P, X: Pages<T, P, M>, E: AnyError<N>, M, N> Pages<T, P, Try<M, N>> for Result<X, E> {
    fn encode(self, item: For<T>, by: By<P>) -> Result<FoundPage, BoxError> {
        match self {
            Ok(page) => page.encode(item, by),
            Err(error) => Err(error.boxed()),
        }
    }
}

fn not_json(error: &serde_json::Error) -> BoxError {
    format!("the cursor of the query cannot be written as JSON: {error}").into()
}

/// The cursor's type, as a value: it fixes `P` as [`For`] fixes `T`.
pub struct By<P> {
    write: fn(&P) -> serde_json::Result<Option<Vec<u8>>>,
}

/// The cursor's type.
pub fn by_cursor<P: Cursor>() -> By<P> {
    By { write: P::write }
}

/// The page that a query found, encoded.
pub fn page<T, P, M>(item: For<T>, by: By<P>, found: impl Pages<T, P, M>) -> Result<FoundPage, BoxError> {
    found.encode(item, by)
}
