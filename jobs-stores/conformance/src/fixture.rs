//! What a store author gives: a place that is empty at first, and connections to it.

use std::sync::Arc;

use jobs_core::{BoxError, BoxFuture, Chunk, Store};

/// One place where a store keeps its data, empty at first.
///
/// Every test makes one of its own, so tests run side by side: use a namespace, a file or a schema of a random
/// name. Whatever has to be cleaned up is cleaned up when it is dropped.
pub trait Fixture: Send + Sync {
    /// Connects to the data, with a clock that is `offset` milliseconds ahead of the store's own (behind it, if
    /// negative). Called several times for one fixture; all connections see the same data.
    ///
    /// The future runs on a current-thread runtime of tokio with everything enabled, and so does every operation
    /// of the store that it gives.
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>>;

    /// Stores a ready chunk as it is, past the operations of the store: a chunk of a newer format cannot be
    /// written through them. `None` if the store has no such door; the rule that needs it is then passed over.
    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        let _ = chunk;
        None
    }
}
