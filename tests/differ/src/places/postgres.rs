//! A namespace of a server of Postgres.

use std::sync::{Arc, Mutex, PoisonError};

use jobs_core::{BoxError, BoxFuture, Millis, Store};
use jobs_postgres::{PostgresOptions, PostgresStore};
use servers::postgres::{Options, Server};

use super::{Place, offset};

#[derive(Default)]
pub(super) struct Lazy(Mutex<Option<Server>>);

impl Lazy {
    pub(super) async fn open(&self, namespace: &str) -> Result<OnPostgres, BoxError> {
        let options = PostgresOptions::from_url(&self.url()?)?.namespace(namespace).connections(2);
        let store = PostgresStore::open(options.clone()).await?;
        Ok(OnPostgres { options, store })
    }

    fn url(&self) -> Result<String, BoxError> {
        let mut server = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &*server {
            return Ok(server.url());
        }
        Ok(server.insert(Server::start(Options::new().setting("fsync", "off"))?).url())
    }
}

pub(super) struct OnPostgres {
    options: PostgresOptions,
    store: PostgresStore,
}

impl Place for OnPostgres {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        Arc::new(self.store.shifted(offset(now)))
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            self.store = PostgresStore::open(self.options.clone()).await?;
            Ok(())
        })
    }
}
