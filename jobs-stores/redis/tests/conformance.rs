//! The Redis store keeps every rule of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::sync::Arc;

use jobs_core::{BoxError, BoxFuture, Chunk, Store};
use jobs_redis::{RedisOptions, RedisStore};

/// A namespace of its own per test.
struct Place(RedisOptions);

impl jobs_conformance::Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = self.0.clone().clock_offset(offset);
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(RedisStore::open(options).await?);
            Ok(store)
        })
    }

    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        Some(Box::pin(async move {
            RedisStore::open(self.0.clone()).await?.plant(&chunk).await?;
            Ok(())
        }))
    }
}

jobs_conformance::conformance!(Place(common::place()));
