//! Opening a store by its URL.

use std::sync::Arc;

use jobs_core::{Source, Store, StoreError, StoreSource, without_password};

use crate::memory::MemoryStore;

/// A store that is open, and how the banner names it.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) title: String,
}

/// The store of `JOBS_STORE`, or else memory.
pub(crate) fn from_environment() -> StoreSource {
    std::env::var("JOBS_STORE").ok().filter(|url| !url.is_empty()).unwrap_or("memory:".to_owned()).into()
}

/// Opens a store.
pub(crate) async fn open(source: StoreSource) -> Result<Opened, StoreError> {
    let url = match source.into_inner() {
        Source::Open(store) => return Ok(Opened { store, title: "a store of the program's own".into() }),
        Source::Url(url) => url,
    };
    let bad = |message: &str| StoreError::BadUrl { url: without_password(&url), message: message.into() };
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(bad("it has no scheme; write `memory:`"));
    };
    match scheme {
        "memory" if rest.is_empty() || rest.starts_with('?') => {
            let title = "memory (gone when this program ends; give a store to keep runs and items)";
            Ok(Opened { store: Arc::new(MemoryStore::new()), title: title.into() })
        }
        "memory" => Err(bad("a memory store has no path; write `memory:`")),
        "sqlite" => Err(StoreError::MissingFeature { feature: "sqlite" }),
        "redis" | "rediss" => Err(StoreError::MissingFeature { feature: "redis" }),
        "postgres" | "postgresql" => Err(StoreError::MissingFeature { feature: "postgres" }),
        _ => Err(bad("no store has that scheme; write `memory:`")),
    }
}
