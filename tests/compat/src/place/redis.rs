//! A server of Redis.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use jobs_conformance::Fixture;
use jobs_core::{BoxError, BoxFuture, Store};
use jobs_redis::{RedisOptions, RedisStore};
use redis::Script;
use serde::Deserialize;
use servers::redis::{Options, Server};

use super::{Place, packed};
use crate::{kept::offset, teller::Told};

/// What a server calls its snapshot.
const SNAPSHOT: &str = "dump.rdb";
/// What a kept snapshot is called.
const KEPT: &str = "dump.rdb.gz";

/// What a process has sent that went on.
const BESIDE: &str = "beside.scripts.json.gz";

/// What a process has sent that went on: scripts are made of parts, and known by their hashes.
#[derive(Deserialize)]
struct Sent {
    parts: HashMap<String, String>,
    scripts: HashMap<String, Vec<String>>,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    script: String,
    arguments: Vec<String>,
}

impl Sent {
    /// The text of a script.
    fn script(&self, hash: &str) -> Told<Script> {
        let missing = || format!("the script {hash} was not kept");
        let names = self.scripts.get(hash).ok_or_else(missing)?;
        let parts: Option<Vec<&str>> =
            names.iter().map(|name| self.parts.get(name).map(String::as_str)).collect();
        let constants = self.parts.get("constants").ok_or_else(missing)?;
        let script = Script::new(&format!("{constants}{}", parts.ok_or_else(missing)?.join("\n")));
        if script.get_hash() == hash { Ok(script) } else { Err(missing().into()) }
    }
}

/// A server that begins with a snapshot, and keeps nothing else.
#[derive(Debug)]
pub struct RedisPlace {
    server: Server,
}

impl RedisPlace {
    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }
}

impl Fixture for RedisPlace {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = RedisOptions::new(self.url()).clock_offset(offset).deadline(Duration::from_secs(30));
        Box::pin(async move { Ok(Arc::new(RedisStore::open(options).await?) as Arc<dyn Store>) })
    }
}

impl Place for RedisPlace {
    const STORE: &str = "redis";

    fn empty() -> Told<Self> {
        Ok(Self { server: Server::start(Options::new().setting("appendonly", "no"))? })
    }

    async fn copy(folder: &Path) -> Told<Self> {
        let mut place = Self::empty()?;
        place.server.kill();
        let snapshot = place.server.folder().join(SNAPSHOT);
        fs::write(snapshot, packed::unpacked(&folder.join(KEPT))?)?;
        place.server.restart()?;
        Ok(place)
    }

    fn keep(&self, folder: &Path) -> Told {
        self.server.says("SAVE")?;
        packed::pack(&fs::read(self.server.folder().join(SNAPSHOT))?, &folder.join(KEPT))
    }

    async fn play(&self, folder: &Path, seconds: i64) -> Told {
        let sent: Sent = serde_json::from_slice(&packed::unpacked(&folder.join(BESIDE))?)?;
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        for call in &sent.calls {
            // The clock's offset comes first: it is the only thing that does not depend on the story.
            let script = sent.script(&call.script)?;
            let mut invocation = script.key("{jobs}:meta");
            invocation.arg(offset(seconds));
            for argument in &call.arguments {
                invocation.arg(argument);
            }
            let _answer: redis::Value = invocation.invoke(&mut connection)?;
        }
        Ok(())
    }
}
