//! The memory store keeps every rule of the contract.

use std::sync::Arc;

use jobs_core::{BoxError, BoxFuture, Chunk, Store};
use jobs_runner::MemoryStore;

/// A memory store of its own per test.
#[derive(Default)]
struct Memory(MemoryStore);

impl jobs_conformance::Fixture for Memory {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let store: Arc<dyn Store> = Arc::new(self.0.shifted(offset));
        Box::pin(async { Ok(store) })
    }

    fn plant(&self, chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        self.0.plant(chunk);
        Some(Box::pin(async { Ok(()) }))
    }
}

jobs_conformance::conformance!(Memory::default());

fn place() -> Box<dyn jobs_conformance::Fixture> {
    Box::new(Memory::default())
}

#[test]
fn a_store_that_breaks_a_rule_is_told_which() {
    let missed = jobs_conformance::wrong::missed(&place);
    assert!(missed.is_empty(), "{missed:#?}");
}
