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

/// Opens a store, in the namespace that is asked for: by `namespace`, or else by its URL, or else by
/// `JOBS_NAMESPACE`.
pub(crate) async fn open(source: StoreSource, namespace: Option<&str>) -> Result<Opened, StoreError> {
    let (store, title, of_url): (Arc<dyn Store>, _, _) = match source.into_inner() {
        Source::Open(store) => (store, "a store of the program's own".to_owned(), None),
        Source::Url(url) => by_url(&url).await?,
    };
    let environment = std::env::var("JOBS_NAMESPACE").ok().filter(|name| !name.is_empty());
    let store = match namespace.map(str::to_owned).or(of_url).or(environment) {
        Some(name) => in_namespace(&store, &name)?,
        None => store,
    };
    Ok(Opened { store, title })
}

/// The same store in another namespace.
pub(crate) fn in_namespace(store: &Arc<dyn Store>, name: &str) -> Result<Arc<dyn Store>, StoreError> {
    let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(fit) {
        let message = format!("`{name}` is not a namespace; it is 1 to 100 of A-Z a-z 0-9 - _ .");
        return Err(StoreError::BadUrl { url: format!("namespace={name}"), message });
    }
    let other = store.namespace(name).ok_or_else(|| "this store has one namespace only".into());
    other.map_err(StoreError::Backend)
}

/// The store of a URL, how the banner names it, and the namespace that the URL asks for.
async fn by_url(url: &str) -> Result<(Arc<dyn Store>, String, Option<String>), StoreError> {
    let bad = |message: &str| StoreError::BadUrl { url: without_password(url), message: message.into() };
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(bad("it has no scheme; write `memory:`, `sqlite://jobs.db` or `redis://localhost`"));
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    match scheme {
        "memory" if path.is_empty() => {
            let mut namespace = None;
            for part in query.split('&').filter(|part| !part.is_empty()) {
                match part.split_once('=') {
                    Some(("namespace", name)) => namespace = Some(name.to_owned()),
                    _ => return Err(bad("a memory store knows no such parameter; it takes `namespace=`")),
                }
            }
            let title = "memory (gone when this program ends; give a store to keep runs and items)";
            Ok((Arc::new(MemoryStore::new()), title.to_owned(), namespace))
        }
        "memory" => Err(bad("a memory store has no path; write `memory:`")),
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let options = jobs_sqlite::SqliteOptions::from_url(url)?;
            let namespace = options.asked_namespace().map(str::to_owned);
            let store = Arc::new(jobs_sqlite::SqliteStore::open(options).await?);
            Ok((store, url.split('?').next().unwrap_or(url).to_owned(), namespace))
        }
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(StoreError::MissingFeature { feature: "sqlite" }),
        #[cfg(feature = "redis")]
        "redis" | "rediss" => {
            let options = jobs_redis::RedisOptions::from_url(url)?;
            let namespace = options.asked_namespace().map(str::to_owned);
            let store = Arc::new(jobs_redis::RedisStore::open(options).await?);
            Ok((store, without_password(url.split('?').next().unwrap_or(url)), namespace))
        }
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" => Err(StoreError::MissingFeature { feature: "redis" }),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let options = jobs_postgres::PostgresOptions::from_url(url)?;
            let namespace = options.asked_namespace().map(str::to_owned);
            let store = jobs_postgres::PostgresStore::open(options).await?;
            let title = store.location().to_owned();
            Ok((Arc::new(store), title, namespace))
        }
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(StoreError::MissingFeature { feature: "postgres" }),
        _ => Err(bad("no store has that scheme; write `memory:`, `sqlite://jobs.db` or `redis://localhost`")),
    }
}
