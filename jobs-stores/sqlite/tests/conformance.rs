//! The SQLite store keeps every rule of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::sync::Arc;

use jobs_core::{BoxError, BoxFuture, Chunk, Store};
use jobs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// A directory of its own per test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.0.path().join("jobs.db"))
    }
}

impl jobs_conformance::Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = self.options().clock_offset(offset);
        Box::pin(async move {
            let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options).await?);
            Ok(store)
        })
    }

    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        Some(Box::pin(async move {
            SqliteStore::open(self.options()).await?.plant(chunk).await?;
            Ok(())
        }))
    }
}

jobs_conformance::conformance!(Place::new());

#[test]
fn a_store_that_breaks_a_rule_is_told_so() {
    let unnoticed = jobs_conformance::wrong::unnoticed(&|| Box::new(Place::new()));
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
