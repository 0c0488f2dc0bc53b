//! Which store: a value, or a URL.

use std::{fmt, sync::Arc};

use crate::Store;

/// Which store to use: a URL, or a store that is open already.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | in this process, gone with it |
/// | `sqlite://jobs.db`, `sqlite:///var/lib/jobs.db` | a file of SQLite, for all processes of one machine; takes `durability=normal` (the default) or `full` |
/// | `redis://user:password@host:6379/0`, `rediss://` by TLS | a server of Redis, for any number of machines; takes `deadline=` (`5s`) and `ca=` (a certificate file) |
/// | `postgres://user:password@host/database` | a schema of Postgres, for all processes that reach it; takes `schema=` (`jobs`), `pooler=transaction`, `deadline=` (`5s`), `connections=` (8), and what libpq knows |
///
/// Every URL takes `namespace=` (default `jobs`); nothing is shared between namespaces.
#[derive(Clone)]
pub struct StoreSource(Source);

#[doc(hidden)]
#[derive(Clone)]
pub enum Source {
    Url(String),
    Open(Arc<dyn Store>),
}

impl StoreSource {
    #[doc(hidden)]
    #[must_use]
    pub fn into_inner(self) -> Source {
        self.0
    }
}

/// The URL as it may be shown: without its password, also one that should have been written in another way.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The name of a file may have an `@`; elsewhere all before the last one is the user's.
    let end = if scheme == "sqlite" { rest.find(['/', '?']) } else { None };
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            format!("{}:***@{host}", user.split([':', '/', '?', '#']).next().unwrap_or_default())
        }
        None => authority.to_owned(),
    };
    // A password may also stand in the query.
    let shown = format!("{host}{path}");
    let parts = shown.split('&').map(|part| match part.split_once("password=") {
        Some((before, _)) => format!("{before}password=***"),
        None => part.to_owned(),
    });
    format!("{scheme}://{}", parts.collect::<Vec<_>>().join("&"))
}

impl fmt::Debug for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Url(url) => f.debug_tuple("StoreSource").field(&without_password(url)).finish(),
            Source::Open(_) => f.debug_tuple("StoreSource").field(&"an open store").finish(),
        }
    }
}

impl From<&str> for StoreSource {
    fn from(url: &str) -> Self {
        url.to_owned().into()
    }
}

impl From<String> for StoreSource {
    fn from(url: String) -> Self {
        Self(Source::Url(url))
    }
}

impl From<Arc<dyn Store>> for StoreSource {
    fn from(store: Arc<dyn Store>) -> Self {
        Self(Source::Open(store))
    }
}

impl<S: Store> From<S> for StoreSource {
    fn from(store: S) -> Self {
        Self(Source::Open(Arc::new(store)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("redis://me:secret@host:1/0", "redis://me:***@host:1/0"),
            ("redis://:secret@host?namespace=a", "redis://:***@host?namespace=a"),
            ("redis://me:a/secret?b@host", "redis://me:***@host"),
            ("postgres://host/db?user=me&password=secret&x=1", "postgres://host/db?user=me&password=***&x=1"),
            ("memory:", "memory:"),
            ("sqlite://a@b/c.db", "sqlite://a:***@b/c.db"),
        ] {
            assert_eq!(without_password(url), shown);
            assert!(!format!("{:?}", StoreSource::from(url)).contains("secret"));
        }
    }
}
