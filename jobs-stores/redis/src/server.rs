//! The connection to a server, renewed when it is lost.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jobs_core::StoreError;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult,
    TlsCertificates, Value,
    aio::{ConnectionManager, MultiplexedConnection},
};

use crate::{fault::ends_connection, options::RedisOptions};

/// A server, and how it is reached.
pub(crate) enum Server {
    /// By a connection of the store's own.
    Own(Box<Own>),
    /// By a connection that the program lends, which is renewed by itself.
    Lent(ConnectionManager),
}

/// A connection that all operations share. It is made by whoever finds none, and dropped by whoever finds that it is
/// of no use any more.
pub(crate) struct Own {
    client: Client,
    current: Mutex<Current>,
    /// Held by whoever connects.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    /// Grows with each connection.
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl Server {
    pub(crate) fn own(client: Client) -> Self {
        let (current, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Self::Own(Box::new(Own { client, current, connecting }))
    }

    /// Which connection is in use: for [`renew`](Self::renew).
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Own(own) => own.current().number,
            Self::Lent(_) => 0,
        }
    }

    /// Sends one command, and waits for its answer without end.
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Own(own) => own.send(command).await,
            Self::Lent(manager) => command.query_async(&mut manager.clone()).await,
        }
    }

    /// Drops a connection that nothing is heard of any more, unless another one has taken its place.
    pub(crate) fn renew(&self, number: u64) {
        if let Self::Own(own) = self {
            own.drop_connection(number);
        }
    }
}

impl Own {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Option<(u64, MultiplexedConnection)> {
        let current = self.current();
        Some((current.number, current.connection.clone()?))
    }

    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let (number, mut connection) = match self.connection() {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        let answer = command.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(ends_connection) {
            self.drop_connection(number);
        }
        answer
    }

    async fn connect(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let _alone = self.connecting.lock().await;
        if let Some(connected) = self.connection() {
            return Ok(connected);
        }
        // Whoever waits has a deadline of its own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut current = self.current();
        current.number += 1;
        current.connection = Some(connection.clone());
        Ok((current.number, connection))
    }

    fn drop_connection(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            current.connection = None;
        }
    }
}

/// What makes connections to the server that the options name.
pub(crate) fn client(options: &RedisOptions) -> Result<Client, StoreError> {
    let bad = |message: String| StoreError::BadUrl { url: options.shown_url(), message };
    let url = options.url.as_deref().unwrap_or_default();
    let info = address(url).map_err(bad)?;
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if is_tls {
        // One that the program has chosen stays.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
    }
    let client = match &options.authority {
        None => Client::open(info),
        Some(_) if !is_tls => {
            return Err(bad("a certificate authority goes with TLS; write `rediss://`".to_owned()));
        }
        Some(file) => {
            let read = fs::read(file).map_err(|error| bad(format!("{}: {error}", file.display())))?;
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(read) })
        }
    };
    client.map_err(|error| bad(error.to_string()))
}

/// Where a URL says that the server is.
fn address(url: &str) -> Result<ConnectionInfo, String> {
    let wrong = "it names no server; write `redis://host:6379`, or `rediss://` for TLS";
    let rest = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://")).ok_or(wrong)?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let (host, database) = host.split_once('/').unwrap_or((host, ""));
    if host.is_empty() {
        return Err(wrong.to_owned());
    }
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return Err(format!("its database `{database}` is no number; write `redis://host:6379/0`"));
    }
    // What it says of a URL might show the password.
    url.into_connection_info().map_err(|_| wrong.to_owned())
}
