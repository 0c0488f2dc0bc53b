//! One transaction on a connection of a pool: how it begins, how it ends, and what becomes of the connection.

use std::{sync::Arc, time::Duration};

use jobs_core::Millis;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Row, pool::PoolConnection, raw_sql};

use crate::fault::{Done, Fault};

/// What tells the store's advisory locks from those of others: "jobs" in ASCII, and a number for each kind of lock.
const LOCKS: i32 = 0x6a6f_6273;

/// What a transaction holds while it lasts, besides rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lock {
    /// Nothing: it only reads.
    Read,
    /// The namespace together with others that do the same. Rows say who does what.
    Shared,
    /// As [`Shared`](Self::Shared), and its commit does not wait for the disk: for what is begun anew if it is lost. The next
    /// commit that waits is behind it on the disk, so it is durable whenever something is that builds on it.
    Staging,
    /// The namespace alone: for what is rare and touches much.
    Alone,
    /// As [`Shared`](Self::Shared), and one lane or one cell alone, told by a hash.
    Keyed(i32),
}

/// The settings of every transaction: where the tables are, how long it may take, and no plan that depends on
/// statistics. With these, a statement is planned once.
pub(crate) fn settings(schema: &str, deadline: Duration) -> Vec<(&'static str, String)> {
    let millis = deadline.as_millis().to_string();
    let timeouts = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
    let plans = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"];
    let mut settings =
        vec![("search_path", schema.to_owned()), ("plan_cache_mode", "force_generic_plan".to_owned())];
    settings.extend(timeouts.map(|name| (name, millis.clone())));
    settings.extend(plans.map(|name| (name, "off".to_owned())));
    settings
}

/// What every transaction of a store begins with.
#[derive(Debug)]
pub(crate) struct Preamble {
    /// The statement that makes the settings until the end of the transaction; empty where the sessions have them.
    settings: String,
}

impl Preamble {
    /// For connections whose sessions have the settings already.
    pub(crate) fn of_own_sessions() -> Self {
        Self { settings: String::new() }
    }

    /// For connections that are used by others too: all settings end with the transaction.
    pub(crate) fn of_shared_sessions(settings: &[(&'static str, String)]) -> Self {
        let calls: Vec<String> =
            settings.iter().map(|(name, value)| format!("set_config('{name}', '{value}', true)")).collect();
        Self { settings: format!("SELECT {};", calls.join(", ")) }
    }

    /// One query without values, so that it is one round trip. The last column of its last row is the clock, read when
    /// the locks are held.
    pub(crate) fn text(&self, lock: Lock, namespace: i32) -> String {
        // Whatever the database's default is: one look for who reads, and a look per statement for who writes, so that
        // what others have committed is seen once a lock is held.
        let begin = match lock {
            Lock::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            _ => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        let locks = match lock {
            Lock::Read => String::new(),
            Lock::Alone => format!("pg_advisory_xact_lock({LOCKS}, {namespace}),"),
            Lock::Shared | Lock::Staging => format!("pg_advisory_xact_lock_shared({LOCKS}, {namespace}),"),
            Lock::Keyed(key) => format!(
                "pg_advisory_xact_lock_shared({LOCKS}, {namespace}), pg_advisory_xact_lock({}, {key}),",
                LOCKS + 1
            ),
        };
        let settings = &self.settings;
        let durability =
            if matches!(lock, Lock::Staging) { "SET LOCAL synchronous_commit TO off;" } else { "" };
        format!(
            "{begin};{settings}{durability}SELECT {locks} floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock"
        )
    }
}

/// A connection that is lent by a pool. Dropped before it is given back it is closed: nobody knows what it is doing.
#[derive(Debug)]
pub(crate) struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    pub(crate) async fn from(pool: &PgPool) -> Done<Self> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// The connection. It is there until it is given back.
    pub(crate) fn get(&mut self) -> Done<&mut PgConnection> {
        self.0.as_deref_mut().ok_or(Fault::Missing("the connection"))
    }

    /// Begins a transaction, and gives the server's clock.
    pub(crate) async fn begin(&mut self, text: String) -> Done<Millis> {
        let rows = raw_sql(AssertSqlSafe(text)).fetch_all(self.get()?).await?;
        let last = rows.last().ok_or(Fault::Missing("the clock"))?;
        Ok(Millis(last.try_get("clock")?))
    }

    /// Commits, and gives the connection back.
    pub(crate) async fn commit(mut self) -> Done<()> {
        raw_sql("COMMIT").execute(self.get()?).await?;
        drop(self.0.take());
        Ok(())
    }

    /// Rolls back what a statement has failed in, and gives the connection back.
    pub(crate) async fn roll_back(mut self) -> Done<()> {
        raw_sql("ROLLBACK").execute(self.get()?).await?;
        drop(self.0.take());
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(lent) = self.0.take() {
            drop(lent.detach());
        }
    }
}

/// A key of an advisory lock: the same for the same text, in every version of every program.
pub(crate) fn key(parts: &[&[u8]]) -> i32 {
    // FNV-1a: whoever meets another's key by chance only waits for it.
    let bytes = parts.iter().flat_map(|part| part.iter().chain([&0]));
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.cast_signed()
}

/// The lock of a migration of a schema.
pub(crate) fn migration_lock(schema: &str) -> Arc<str> {
    format!("SELECT pg_advisory_xact_lock({}, {})", LOCKS + 2, key(&[schema.as_bytes()])).into()
}
