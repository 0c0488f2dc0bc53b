//! Limits of the length of a value, of which every store has one, set so low that a test can pass them.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use servers::{postgres, redis};

/// In bytes.
const LONGEST: usize = 1024 * 1024;

/// A server of Redis breaks off the connection over which a longer argument comes.
pub(crate) fn of_redis(server: &redis::Server) -> io::Result<()> {
    let said = server.says(&format!("CONFIG SET proto-max-bulk-len {LONGEST}"))?;
    if said.starts_with("+OK") { Ok(()) } else { Err(io::Error::other(said)) }
}

/// A constraint of every column that may hold long values; whatever the server itself cannot express is refused alike.
pub(crate) fn of_postgres(server: &postgres::Server) -> io::Result<()> {
    server.execute(&format!(
        "DO $$ DECLARE c record; BEGIN
           FOR c IN SELECT table_schema AS s, table_name AS t, column_name AS n FROM information_schema.columns
                    JOIN information_schema.tables USING (table_schema, table_name)
                    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
                    AND data_type IN ('bytea', 'text', 'jsonb', 'json') LOOP
             EXECUTE format('ALTER TABLE %I.%I ADD CHECK (octet_length(%I::text) < {})', c.s, c.t, c.n);
           END LOOP; END $$",
        2 * LONGEST
    ))
}

/// A trigger of every column.
pub(crate) fn of_sqlite(file: &Path) -> io::Result<()> {
    let columns = sqlite(
        file,
        "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'",
    )?;
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    for (table, column) in columns.lines().filter_map(|line| line.split_once('.')) {
        for what in ["INSERT", "UPDATE"] {
            script += &format!(
                "CREATE TRIGGER \"{what} {table} {column}\" BEFORE {what} ON \"{table}\"
                 WHEN length(NEW.\"{column}\") > {LONGEST} BEGIN SELECT RAISE(ABORT, 'too long'); END;\n"
            );
        }
    }
    sqlite(file, &(script + "COMMIT;")).map(drop)
}

/// What SQLite's own program answers.
fn sqlite(file: &Path, script: &str) -> io::Result<String> {
    let mut program = Command::new("sqlite3");
    program.args(["-batch", "-bail", "-cmd", ".timeout 20000"]).arg(file).arg(script).stdin(Stdio::null());
    let ended = program.output().map_err(|error| {
        io::Error::new(error.kind(), format!("{error}; install it with `apt-get install sqlite3`"))
    })?;
    let said = || io::Error::other(String::from_utf8_lossy(&ended.stderr).into_owned());
    if ended.status.success() { Ok(String::from_utf8_lossy(&ended.stdout).into_owned()) } else { Err(said()) }
}
