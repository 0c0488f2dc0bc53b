//! The tables, and how a database comes to have them.

use std::time::{Duration, Instant};

use jobs_core::StoreError;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, postgres::PgConnectOptions, raw_sql,
};

use crate::{
    connection::migration_lock,
    fault::{Done, Fault},
    options::Settings,
};

/// The steps from one schema to the next; the schema of a database is how many of them it has seen.
const MIGRATIONS: &[&str] = &[
    concat!(include_str!("sql/schema_1.sql"), include_str!("sql/functions_1.sql")),
    concat!(
        include_str!("sql/schema_2.sql"),
        include_str!("sql/load_2.sql"),
        include_str!("sql/lines_2.sql"),
        include_str!("sql/tally_2.sql"),
        include_str!("sql/cells_2.sql"),
        include_str!("sql/write_2.sql"),
        include_str!("sql/grant_2.sql"),
        include_str!("sql/prune_2.sql"),
    ),
];

/// The newest schema that this version knows.
const VERSION: u32 = 2;
const _: () = assert!(MIGRATIONS.len() == VERSION as usize);

/// The oldest server that knows all that is used here.
const OLDEST: i32 = 13;

/// Waiting for another node that migrates, and migrating, may take so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is found where the store is to be.
enum Found {
    Nothing,
    Store(u32),
}

/// What was done to have the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepared {
    /// It was there.
    There,
    /// It was brought to the newest version.
    Migrated,
    /// It was made.
    Made,
}

/// Brings the schema to the newest version, on a connection of its own.
pub(crate) async fn prepare_at(
    connect: &PgConnectOptions,
    settings: &Settings,
    location: &str,
) -> Done<Prepared> {
    let late = |_| Fault::Late(settings.deadline.as_millis());
    let began = Instant::now();
    loop {
        let mut conn = tokio::time::timeout(settings.deadline, connect.connect()).await.map_err(late)??;
        // What is left of the session goes with the connection.
        match prepare(&mut conn, &settings.schema, location).await {
            // A program of an older version works beside, and the server has ended this transaction for that one's.
            Err(fault) if fault.is_conflict() && began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..500))).await;
            }
            prepared => return prepared,
        }
    }
}

/// Brings a schema to the newest version. In one transaction: behind a pooler, what follows it may be on another
/// connection.
async fn prepare(conn: &mut PgConnection, schema: &str, location: &str) -> Done<Prepared> {
    let mut transaction = conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    check_server(&mut transaction, location).await?;
    let found = examine(&mut transaction, schema, location).await?;
    check_writable(&mut transaction, location).await?;
    let prepared = match found {
        Found::Store(VERSION) => Prepared::There,
        Found::Store(_) | Found::Nothing => migrate(&mut transaction, schema, location).await?,
    };
    check_grants(&mut transaction, schema, location).await?;
    transaction.commit().await?;
    Ok(prepared)
}

/// Goes the steps that are missing. Under a lock, so that of many nodes that start at once one does it, and the others
/// wait for it.
async fn migrate(conn: &mut PgConnection, schema: &str, location: &str) -> Done<Prepared> {
    let millis = PATIENCE.as_millis();
    let patience = format!("SET LOCAL lock_timeout = {millis}; SET LOCAL statement_timeout = {millis}");
    raw_sql(AssertSqlSafe(patience)).execute(&mut *conn).await?;
    raw_sql(AssertSqlSafe(migration_lock(schema))).execute(&mut *conn).await?;
    // Another node may have done it meanwhile.
    let seen = match examine(conn, schema, location).await? {
        Found::Nothing => {
            make(conn, schema).await?;
            0
        }
        Found::Store(version) => version,
    };
    let path = format!("SET LOCAL search_path TO \"{schema}\"");
    raw_sql(AssertSqlSafe(path)).execute(&mut *conn).await?;
    for step in MIGRATIONS.iter().skip(seen as usize) {
        raw_sql(*step).execute(&mut *conn).await?;
    }
    let version = format!("UPDATE jobs_store SET schema = {VERSION}");
    raw_sql(AssertSqlSafe(version)).execute(conn).await?;
    Ok(if seen == 0 { Prepared::Made } else { Prepared::Migrated })
}

/// Makes the schema, if it is not there, and what marks it as a store.
async fn make(conn: &mut PgConnection, schema: &str) -> Done<()> {
    let exists = sqlx::query("SELECT FROM pg_namespace WHERE nspname = $1").persistent(false).bind(schema);
    if exists.fetch_optional(&mut *conn).await?.is_none() {
        raw_sql(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).execute(&mut *conn).await?;
    }
    let mark = format!(
        "CREATE TABLE \"{schema}\".jobs_store (schema integer NOT NULL);
         INSERT INTO \"{schema}\".jobs_store VALUES (0)"
    );
    raw_sql(AssertSqlSafe(mark)).execute(conn).await?;
    Ok(())
}

/// Whether there is a store that this version knows, or nothing; says so if it is neither.
async fn examine(conn: &mut PgConnection, schema: &str, location: &str) -> Done<Found> {
    let marked = "SELECT relname = 'jobs_store' AS marked FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                  WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY 1 DESC LIMIT 1";
    let statement = sqlx::query(marked).persistent(false).bind(schema);
    let Some(row) = statement.fetch_optional(&mut *conn).await? else { return Ok(Found::Nothing) };
    if !row.try_get::<bool, _>("marked")? {
        let message = format!("the schema `{schema}` has tables of another program");
        return Err(Fault::Told(StoreError::Foreign { location: location.to_owned(), message }));
    }
    let version = raw_sql(AssertSqlSafe(format!("SELECT schema FROM \"{schema}\".jobs_store")));
    let version: i32 = version.fetch_one(conn).await?.try_get(0)?;
    match u32::try_from(version).unwrap_or(u32::MAX) {
        found if found > VERSION => Err(Fault::Told(StoreError::NewerSchema { found, supported: VERSION })),
        found => Ok(Found::Store(found)),
    }
}

async fn check_server(conn: &mut PgConnection, location: &str) -> Done<()> {
    let row = raw_sql("SHOW server_encoding").fetch_one(&mut *conn).await?;
    let encoding: &str = row.try_get(0)?;
    if encoding != "UTF8" {
        let message = format!(
            "the database's encoding is {encoding}, which cannot keep every text; make one with `CREATE DATABASE jobs \
             ENCODING 'UTF8' TEMPLATE template0`"
        );
        return Err(Fault::Told(StoreError::Foreign { location: location.to_owned(), message }));
    }
    let row = raw_sql("SHOW server_version_num").fetch_one(conn).await?;
    let number: &str = row.try_get(0)?;
    let major = number.parse::<i32>().unwrap_or_default() / 10_000;
    if major < OLDEST {
        let message = format!("the server is Postgres {major}; upgrade it to {OLDEST} or newer");
        return Err(Fault::Told(StoreError::Backend(message.into())));
    }
    Ok(())
}

async fn check_writable(conn: &mut PgConnection, location: &str) -> Done<()> {
    let sql = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
    let row = sqlx::query(sql).persistent(false).fetch_one(conn).await?;
    let message = match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => "the server is a standby; connect to the primary",
        (_, true) => "its transactions are read-only; turn `default_transaction_read_only` off for this role",
        (false, false) => return Ok(()),
    };
    Err(Fault::Told(StoreError::ReadOnly { location: location.to_owned(), message: message.to_owned() }))
}

/// What the role may not do that it has to.
async fn check_grants(conn: &mut PgConnection, schema: &str, location: &str) -> Done<()> {
    let sql = "
        SELECT format('GRANT %s ON %s %I.%I TO %I',
                      CASE relkind WHEN 'S' THEN 'USAGE, UPDATE' ELSE 'SELECT, INSERT, UPDATE, DELETE' END,
                      CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, nspname, relname, current_user)
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = $1 AND relname <> 'jobs_store' AND (
            relkind = 'r' AND NOT (has_table_privilege(pg_class.oid, 'SELECT') AND has_table_privilege(pg_class.oid, 'INSERT')
                AND has_table_privilege(pg_class.oid, 'UPDATE') AND has_table_privilege(pg_class.oid, 'DELETE'))
            OR relkind = 'S' AND NOT (has_sequence_privilege(pg_class.oid, 'USAGE')
                AND has_sequence_privilege(pg_class.oid, 'UPDATE')))
        ORDER BY relname LIMIT 1";
    let usable = "SELECT has_schema_privilege($1, 'USAGE'), current_user::text";
    let row = sqlx::query(usable).persistent(false).bind(schema).fetch_one(&mut *conn).await?;
    let grant = if row.try_get(0)? {
        let missing = sqlx::query(sql).persistent(false).bind(schema).fetch_optional(conn).await?;
        missing.map(|row| row.try_get::<String, _>(0)).transpose()?
    } else {
        Some(format!("GRANT USAGE ON SCHEMA \"{schema}\" TO \"{}\"", row.try_get::<String, _>(1)?))
    };
    let Some(grant) = grant else { return Ok(()) };
    let message =
        format!("the role lacks a privilege; its owner says `{grant}`, and the same for the other tables");
    Err(Fault::Told(StoreError::ReadOnly { location: location.to_owned(), message }))
}
