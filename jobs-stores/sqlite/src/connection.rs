//! Opening connections, and waiting for other processes that write.

use std::time::{Duration, Instant};

use jobs_core::notice;
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    fault::{Done, Fault},
    options::{Durability, SqliteOptions},
    place::Place,
    schema,
    transaction::Transaction,
};

/// How many statements are kept prepared: all there are.
const STATEMENTS: usize = 256;

/// For so long it is nothing to speak of that another process writes.
const WARN_AFTER: Duration = Duration::from_secs(5);

/// A connection, and the file that it is to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) conn: Connection,
    pub(crate) place: Place,
}

/// Opens the connection that writes; the file and its tables are made if they are not there.
pub(crate) fn open_writer(options: &SqliteOptions) -> Done<Opened> {
    let path = &*options.path;
    let location = path.display().to_string();
    let conn = Connection::open_with_flags(path, flags() | OpenFlags::SQLITE_OPEN_CREATE)?;
    prepare_once(&conn)?;
    conn.busy_timeout(Duration::ZERO)?;
    // What is somebody else's is looked at before anything is written.
    patiently(&location, || schema::examine(&conn, &location))?;
    patiently(&location, || {
        // Before the first page is written, or it has no effect.
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
        check_writable(&conn)?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode.eq_ignore_ascii_case("wal") { Ok(()) } else { Err(no_wal(&location, &mode)) }
    })?;
    let synchronous = match options.durability {
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    conn.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous};
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8192;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 33554432;"
    ))?;
    if let Some(pages) = options.max_pages {
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    let transaction = Transaction::begin(&conn, &location)?;
    schema::migrate(&conn, &location)?;
    transaction.commit()?;
    Ok(Opened { place: Place::now(path), conn })
}

/// Opens a connection that only reads. Not as read-only, for then it could not recover what a killed process left.
pub(crate) fn open_reader(options: &SqliteOptions) -> Done<Opened> {
    let path = &*options.path;
    let location = path.display().to_string();
    let conn = Connection::open_with_flags(path, flags())?;
    prepare_once(&conn)?;
    conn.busy_timeout(WARN_AFTER)?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048")?;
    schema::examine(&conn, &location)?;
    Ok(Opened { place: Place::now(path), conn })
}

/// Statements are prepared once: SQLite would do it again whenever a value is bound by which another plan might do, and
/// that takes longer than most of them do.
fn prepare_once(conn: &Connection) -> Done<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// SQLite opens a file that cannot be written all the same, to read it. Only beginning to write shows it.
fn check_writable(conn: &Connection) -> Done<()> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    conn.execute_batch("ROLLBACK")?;
    Ok(())
}

fn no_wal(location: &str, mode: &str) -> Fault {
    let message = format!(
        "{location}: its file system has no shared memory, so SQLite stays in the mode `{mode}`; put it on a local disk"
    );
    Fault::Told(jobs_core::StoreError::Backend(message.into()))
}

/// Tries again for as long as another process is in the way: it may be stopped inside a commit, and then all wait
/// for it, and nothing is lost. SQLite's own busy handler would serve whoever came last; this one waits for a random
/// time that does not grow beyond some milliseconds, so that nobody is left behind.
pub(crate) fn patiently<T>(location: &str, mut attempt: impl FnMut() -> Done<T>) -> Done<T> {
    let (began, mut wait, mut warn_at) = (Instant::now(), Duration::from_micros(50), WARN_AFTER);
    loop {
        match attempt() {
            Err(fault) if fault.is_busy() => {}
            done => return done,
        }
        let waited = began.elapsed();
        if waited >= warn_at {
            let text = format!(
                "another process has held the store's file {location} for {} s, perhaps because it is stopped inside a \
                 commit; nothing is lost, and it goes on when that process does or dies",
                waited.as_secs()
            );
            notice::warn("sqlite-locked", text);
            warn_at *= 2;
        }
        std::thread::sleep(wait.mul_f64(0.5 + fastrand::f64()));
        wait = (wait * 2).min(Duration::from_millis(4));
    }
}
