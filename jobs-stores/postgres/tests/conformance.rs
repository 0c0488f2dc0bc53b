//! The Postgres store keeps every rule of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::sync::Arc;

use jobs_core::{BoxError, BoxFuture, Chunk, Store};
use jobs_postgres::{PostgresOptions, PostgresStore};
use tokio::sync::OnceCell;

/// A schema of its own per test, on one connection that all of its stores share.
struct Place {
    options: PostgresOptions,
    opened: OnceCell<PostgresStore>,
}

impl Place {
    fn new() -> Self {
        Self {
            options: common::options().schema(common::unique("suite")).connections(2),
            opened: OnceCell::new(),
        }
    }

    async fn open(&self) -> Result<&PostgresStore, BoxError> {
        Ok(self.opened.get_or_try_init(|| PostgresStore::open(self.options.clone())).await?)
    }
}

impl jobs_conformance::Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(self.open().await?.shifted(offset));
            Ok(store)
        })
    }

    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        Some(Box::pin(async move {
            self.open().await?.plant(chunk).await?;
            Ok(())
        }))
    }
}

jobs_conformance::conformance!(Place::new());
