//! Deleting, little by little, what was dropped in one piece: what a query staged that failed, and what waited of a run
//! that was cancelled.

use rusqlite::Connection;

use crate::{bodies::Bodies, chunks::end_items, fault::Done, rows::limit};

/// Deletes at most `most` chunks, and says whether any are left.
pub(crate) fn sweep(conn: &Connection, bodies: &mut Bodies, most: usize) -> Done<bool> {
    let line: Option<i64> = {
        let mut select = conn.prepare_cached("SELECT id FROM line WHERE kind = 6 LIMIT 1")?;
        let mut rows = select.query([])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    let Some(line) = line else { return Ok(false) };
    let sql = "SELECT id, body, count FROM chunk WHERE line = ?1 AND line > 0 LIMIT ?2";
    let chunks: Vec<(i64, Option<i64>, u32)> = conn
        .prepare_cached(sql)?
        .query_map((line, limit(most)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if chunks.is_empty() {
        conn.prepare_cached("DELETE FROM line WHERE id = ?1")?.execute([line])?;
    }
    for (id, body, count) in chunks {
        let Some(body) = body.filter(|body| *body == id) else {
            conn.prepare_cached("DELETE FROM chunk WHERE id = ?1")?.execute([id])?;
            if let Some(body) = body {
                end_items(conn, bodies, body, count)?;
            }
            continue;
        };
        // The others of its items may be in flight.
        conn.prepare_cached("UPDATE chunk SET line = 0, count = 0 WHERE id = ?1")?.execute([id])?;
        end_items(conn, bodies, body, count)?;
    }
    Ok(true)
}
