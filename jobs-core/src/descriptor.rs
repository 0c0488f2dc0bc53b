//! What the attributes register at link time: groups, jobs, and how to call them.
//!
//! One [`GroupBlock`] per `#[cron_group]` impl block, in a `static` that `inventory` finds. Everything here is
//! written by macros and read by the runner; users meet none of it.

pub use inventory;
use std::{
    any::{Any, TypeId},
    collections::BTreeSet,
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{Body, BoxError, JobContext, options::Declared, outcome::Finish};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The one shared instance of a group's type.
pub type AnyGroup = Arc<dyn Any + Send + Sync>;

/// How a handler's call ended.
pub type Finished = Result<Finish, BoxError>;

/// A place in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: u32,
    /// The column, counted from 1.
    pub column: u32,
}

impl<'de> Deserialize<'de> for Location {
    /// A place in another binary. Its file's name is kept for ever, so that it is like any other place; there are
    /// as many as a program has files.
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        static FILES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let Place { file, line, column } = Place::deserialize(d)?;
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match files.get(&*file) {
            Some(known) => *known,
            None => {
                let kept: &'static str = file.leak();
                files.insert(kept);
                kept
            }
        };
        Ok(Self { file, line, column })
    }
}

#[derive(Deserialize)]
struct Place {
    file: String,
    line: u32,
    column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One `#[cron_group]` impl block.
#[derive(Debug)]
pub struct GroupBlock {
    /// The group's name.
    pub name: &'static str,
    /// The type of the impl block.
    pub type_id: fn() -> TypeId,
    /// Its name, for errors.
    pub type_name: fn() -> &'static str,
    /// Makes the instance, where the type has a `Default`.
    pub default: Option<fn() -> AnyGroup>,
    /// Takes the instance out of a provided `Arc` of the type: [`shared`].
    pub shared: fn(&dyn Any) -> Option<AnyGroup>,
    /// Where the group's name stands.
    pub location: Location,
    /// The options that `#[cron_group]` sets for its jobs.
    pub options: Declared,
    /// The jobs of the block, in the order of the source.
    pub jobs: &'static [JobDef],
}

inventory::collect!(GroupBlock);

impl GroupBlock {
    /// Every block that this binary links, in the order of files, lines and columns: `inventory` has none.
    #[must_use]
    pub fn linked() -> Vec<&'static Self> {
        let mut blocks: Vec<_> = inventory::iter::<Self>().collect();
        blocks.sort_by_key(|block| block.location);
        blocks
    }
}

/// One `#[job]` method, with the `#[query]` that finds its items.
#[derive(Debug)]
pub struct JobDef {
    /// The job's name within its group.
    pub name: &'static str,
    /// The name it had before, `was = ".."`.
    pub was: Option<&'static str>,
    /// What `#[job]` wrote, its schedule included.
    pub options: Declared,
    /// Where the job's name stands.
    pub location: Location,
    /// The name of the item's type; `None` for a job that takes no item.
    pub item: Option<fn() -> &'static str>,
    /// How to call the method.
    pub handler: Handler,
    /// How to find its items.
    pub query: Option<Query>,
}

/// How to call a job's method with a stored item.
///
/// The item is decoded before the call is made, so that a payload of another type is told from a failure.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// An `async fn`.
    Async(for<'a> fn(&'a AnyGroup, &'a JobContext, &[u8]) -> Result<BoxFuture<'a, Finished>, DecodeError>),
    /// A plain `fn`, to be called where blocking is allowed.
    Blocking(fn(&AnyGroup, JobContext, &[u8]) -> Result<BlockingCall, DecodeError>),
}

/// A plain `fn` with its arguments.
pub type BlockingCall = Box<dyn FnOnce() -> Finished + Send>;

/// How to find the items of a job.
#[derive(Clone, Copy, Debug)]
pub enum Query {
    /// All at once: what it returns is drained into the sink.
    Items(for<'a> fn(&'a AnyGroup, &'a JobContext, &'a mut dyn Sink) -> BoxFuture<'a, Result<(), BoxError>>),
    /// Page by page, from an encoded cursor.
    Page(fn(AnyGroup, JobContext, Option<Vec<u8>>) -> BoxFuture<'static, Result<FoundPage, BoxError>>),
    /// The same by a plain `fn`, to be called where blocking is allowed.
    BlockingPage(fn(AnyGroup, JobContext, Option<Vec<u8>>) -> Result<FoundPage, BoxError>),
}

/// One page of a query, encoded.
#[derive(Debug)]
pub struct FoundPage {
    /// The items, cut into bodies.
    pub bodies: Vec<Body>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// Where a query puts what it finds. It waits while the store is behind, so the memory of a query is bounded.
pub trait Sink: Send {
    /// Stores the items of one body.
    fn push(&mut self, body: Body) -> BoxFuture<'_, Result<(), BoxError>>;

    /// Drains a query that blocks, where blocking is allowed.
    fn push_blocking(&mut self, drain: BlockingDrain) -> BoxFuture<'_, Result<(), BoxError>>;
}

/// The draining of a blocking query: it is given the place to put each body.
pub type BlockingDrain =
    Box<dyn FnOnce(&mut dyn FnMut(Body) -> Result<(), BoxError>) -> Result<(), BoxError> + Send>;

/// A stored payload that is not what the handler takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored item is not a `{item}`: {message}")]
pub struct DecodeError {
    /// The name of the type that the handler takes.
    pub item: &'static str,
    /// What the decoder says.
    pub message: String,
}

/// The instance in an `Arc` of the group's type, if that is what was provided.
pub fn shared<G: Send + Sync + 'static>(provided: &dyn Any) -> Option<AnyGroup> {
    provided.downcast_ref::<Arc<G>>().map(|group| group.clone() as AnyGroup)
}

/// Whether a group's type has a `Default`.
///
/// The inherent constant shadows the trait's wherever its bound holds (the probes of pyo3), and both can be
/// evaluated inside a `static`.
pub struct DefaultProbe<G>(PhantomData<G>);

/// The answer of [`DefaultProbe`] for a type without `Default`.
pub trait NoDefault {
    /// No way to make one.
    const FACTORY: Option<fn() -> AnyGroup> = None;
}

impl<G> NoDefault for DefaultProbe<G> {}

impl<G: Default + Send + Sync + 'static> DefaultProbe<G> {
    /// Makes the instance.
    pub const FACTORY: Option<fn() -> AnyGroup> = Some(|| Arc::new(G::default()));
}
