//! The items of a run, as people see them.

use jobs_core::{Body, DeadItem, Header, ItemInfo, ItemState, Millis, RunId};
use rusqlite::{OptionalExtension, Row};

use crate::{fault::Done, reading::Look};

/// Neighbouring items as they are stored.
struct Stored {
    state: ItemState,
    header: Option<String>,
    body: Option<i64>,
    start: u64,
    at: u32,
    count: u32,
    /// A byte per item, once some and not all are settled.
    settled: Option<Vec<u8>>,
}

/// All in flight of a run.
const HELD: &str = "SELECT lease.header, body, start, at, count, settled, granted_at, node ->> 'name'
                    FROM lease JOIN session ON session.id = lease.session
                    WHERE job = ?1 AND number = ?2 AND tracked = 0 AND ns = ?3 ORDER BY start LIMIT ?4";
/// All that is ready of it, but for what is staged or dropped.
const READY: &str = "SELECT header, body, start, at, count, NULL, 0, '' FROM chunk
                     WHERE line IN (SELECT id FROM line WHERE job = ?1 AND ns = ?3 AND rank IS NOT NULL) AND line > 0
                           AND number = ?2 ORDER BY start LIMIT ?4";
/// All of it that waits for its time.
const DELAYED: &str = "SELECT header, body, start, at, count, NULL, due, '' FROM chunk
                       WHERE job = ?1 AND line IS NULL AND number = ?2 AND ?3 IS NOT NULL ORDER BY start LIMIT ?4";

impl Look<'_> {
    pub(crate) fn items(&self, run: RunId, limit: usize) -> Done<Vec<ItemInfo>> {
        let number = run.number().cast_signed();
        let sql = "SELECT job, name FROM run JOIN job ON job.id = run.job WHERE run.id = ?1 AND run.ns = ?2";
        let mut select = self.conn.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let Some((job, name)) = select.query_row((number, self.ns), read).optional()? else {
            return Ok(Vec::new());
        };
        // A fill or finish item is numbered like the first item of the run.
        let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(2);
        let mut shown = Vec::new();
        for (sql, state) in [(HELD, in_flight as State), (READY, |_, _| ItemState::Ready), (DELAYED, delayed)]
        {
            let mut select = self.conn.prepare_cached(sql)?;
            let stored = select.query_map((job, number, self.ns, most), |row| read_stored(row, state))?;
            let stored: Vec<Stored> = stored.collect::<rusqlite::Result<_>>()?;
            let mut items = Vec::new();
            for stored in stored {
                self.show(&stored, &name, run, &mut items)?;
            }
            items.sort_by_key(|item: &ItemInfo| (item.stage, item.id));
            shown.extend(items);
            if shown.len() >= limit {
                break;
            }
        }
        shown.truncate(limit);
        Ok(shown)
    }

    fn show(&self, stored: &Stored, name: &str, run: RunId, items: &mut Vec<ItemInfo>) -> Done<()> {
        let body = match stored.body {
            Some(id) => {
                let mut select = self.conn.prepare_cached("SELECT header, items FROM body WHERE id = ?1")?;
                Some(
                    select
                        .query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?,
                )
            }
            None => None,
        };
        let (of_body, bytes) = body.unzip();
        let text = stored.header.as_ref().or(of_body.as_ref()).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let header: Header = serde_json::from_str(text)?;
        let header = Header { start: stored.start, ..header };
        let body = bytes.map_or_else(Body::unit, Body::from_bytes).range(stored.at, stored.at + stored.count);
        let is_open = |index: u32| {
            let settled = stored.settled.as_ref().and_then(|settled| settled.get(index as usize));
            settled.is_none_or(|byte| *byte == 0)
        };
        for (index, payload) in (0..).zip(body.items()).filter(|(index, _)| is_open(*index)) {
            items.push(ItemInfo {
                id: header.item(index),
                job: name.to_owned(),
                run: Some(run),
                stage: header.stage,
                state: stored.state.clone(),
                attempt: header.attempt + 1,
                redelivered: header.redelivered,
                enqueued_at: header.enqueued_at.timestamp(),
                payload: DeadItem::payload(payload),
            });
        }
        Ok(())
    }
}

/// What the time and the node of a row say.
type State = fn(Millis, String) -> ItemState;

fn in_flight(since: Millis, node: String) -> ItemState {
    ItemState::InFlight { node, since: since.timestamp() }
}

fn delayed(due: Millis, _: String) -> ItemState {
    ItemState::Delayed { until: due.timestamp() }
}

fn read_stored(row: &Row<'_>, state: State) -> rusqlite::Result<Stored> {
    Ok(Stored {
        state: state(Millis(row.get(6)?), row.get(7)?),
        header: row.get(0)?,
        body: row.get(1)?,
        start: row.get::<_, i64>(2)?.cast_unsigned(),
        at: row.get(3)?,
        count: row.get(4)?,
        settled: row.get(5)?,
    })
}
