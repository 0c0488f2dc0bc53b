//! The tables, and how a file comes to have them.

use jobs_core::StoreError;
use rusqlite::Connection;

use crate::fault::{Done, Fault};

/// What marks a file as a store of jobs: "jobs" in ASCII.
const APPLICATION: i64 = 0x6a6f_6273;

/// The steps from one schema to the next; the schema of a file is how many of them it has seen.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The newest schema that this version knows.
const VERSION: u32 = 2;
const _: () = assert!(MIGRATIONS.len() == VERSION as usize);

/// Whether the file is a store that this version knows, or empty; says so if it is neither.
pub(crate) fn examine(conn: &Connection, location: &str) -> Done<u32> {
    let pragma = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == APPLICATION {
        let found = u32::try_from(version).unwrap_or(u32::MAX);
        return match found {
            0 => Err(foreign(location, "it says that it is one, and has no schema")),
            found if found > VERSION => Err(newer(found)),
            found => Ok(found),
        };
    }
    if application == 0 && version == 0 && tables == 0 {
        return Ok(0);
    }
    Err(foreign(location, "it is another program's database"))
}

/// Looks again at the schema of a file that is open: another process may have brought it to a newer one, or put an older
/// file back. In a transaction that writes.
pub(crate) fn keep_up(conn: &Connection, location: &str) -> Done<()> {
    match version(conn)? {
        found if found > VERSION => Err(newer(found)),
        found if found < VERSION => migrate(conn, location),
        _ => Ok(()),
    }
}

/// Whether this version knows the schema of a file that is open.
pub(crate) fn is_known(conn: &Connection) -> Done<()> {
    match version(conn)? {
        found if found > VERSION => Err(newer(found)),
        _ => Ok(()),
    }
}

fn version(conn: &Connection) -> Done<u32> {
    let version: i64 = conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

fn newer(found: u32) -> Fault {
    Fault::Told(StoreError::NewerSchema { found, supported: VERSION })
}

/// Brings the file to the newest schema. In a transaction that writes, so that of several processes one does it.
pub(crate) fn migrate(conn: &Connection, location: &str) -> Done<()> {
    let seen = examine(conn, location)?;
    for step in MIGRATIONS.iter().skip(seen as usize) {
        conn.execute_batch(step)?;
    }
    if seen < VERSION {
        conn.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}"
        ))?;
    }
    Ok(())
}

fn foreign(location: &str, message: &str) -> Fault {
    Fault::Told(StoreError::Foreign { location: location.to_owned(), message: message.to_owned() })
}
