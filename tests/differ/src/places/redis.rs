//! A namespace of a server of Redis.

use std::sync::{Arc, Mutex, PoisonError};

use jobs_core::{BoxError, BoxFuture, Millis, Store};
use jobs_redis::{RedisOptions, RedisStore};
use servers::redis::{Options, Server};

use super::{Place, offset};

#[derive(Default)]
pub(super) struct Lazy(Mutex<Option<Server>>);

impl Lazy {
    pub(super) async fn open(&self, namespace: &str) -> Result<OnRedis, BoxError> {
        let options = RedisOptions::from_url(&format!("{}/?namespace={namespace}", self.url()?))?;
        let store = RedisStore::open(options.clone()).await?;
        Ok(OnRedis { options, store })
    }

    fn url(&self) -> Result<String, BoxError> {
        let mut server = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &*server {
            return Ok(server.url());
        }
        Ok(server.insert(Server::start(Options::new().setting("save", ""))?).url())
    }
}

pub(super) struct OnRedis {
    options: RedisOptions,
    store: RedisStore,
}

impl Place for OnRedis {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        Arc::new(self.store.shifted(offset(now)))
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            self.store = RedisStore::open(self.options.clone()).await?;
            Ok(())
        })
    }
}
