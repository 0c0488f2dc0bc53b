//! The items of a run, as people see them.

use jobs_core::{Body, DeadItem, Header, ItemInfo, ItemState, Millis, RunId};
use rusqlite::{OptionalExtension, Row};

use crate::{
    fault::Done,
    reading::Snapshot,
    rows::{limit, parsed, run_key, text},
};

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
const HELD: &str = "SELECT lease.header, body, start, at, count, settled, granted_at,
                           CASE WHEN json_valid(node) THEN node ->> 'name' END
                    FROM lease JOIN session ON session.id = lease.session
                    WHERE job = ?1 AND number = ?2 AND tracked = 0 ORDER BY start LIMIT ?3";
/// What its query found and nobody has touched, in the run's own line.
const UNTOUCHED: &str = "SELECT header, body, start, at, count, NULL, 0, '' FROM chunk
                         WHERE line = (SELECT id FROM line WHERE job = ?1 AND kind = 1 AND run = ?2 AND builds = '')
                               AND line > 0 AND header IS NULL
                         ORDER BY rank, number, place LIMIT ?3";
/// All else that is ready of it, but for what is dropped.
const TOUCHED: &str = "SELECT header, body, start, at, count, NULL, 0, '' FROM chunk
                       WHERE number = ?2 AND header IS NOT NULL AND line > 0 AND ?1 IS NOT NULL
                             AND EXISTS (SELECT 1 FROM line WHERE line.id = chunk.line AND rank IS NOT NULL)
                       ORDER BY start LIMIT ?3";
/// Its finish item, which is stored with a body.
const FINISH: &str = "SELECT header, body, start, at, count, NULL, 0, '' FROM chunk
                      WHERE line = (SELECT id FROM line WHERE job = ?1 AND kind = 0 AND run = 0 AND builds = '')
                            AND line > 0 AND number = ?2 AND header IS NULL LIMIT ?3";
/// All of it that waits for its time.
const DELAYED: &str = "SELECT header, body, start, at, count, NULL, due, '' FROM chunk
                       WHERE number = ?2 AND header IS NOT NULL AND line IS NULL AND ?1 IS NOT NULL
                       ORDER BY start LIMIT ?3";

impl Snapshot<'_> {
    pub(crate) fn items(&self, run: RunId, most: usize) -> Done<Vec<ItemInfo>> {
        let sql = "SELECT job, name FROM run JOIN job ON job.id = run.job WHERE run.id = ?1 AND run.ns = ?2";
        let mut select = self.conn.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, text(row, 1)?));
        let Some((job, name)) = select.query_row((run_key(run), self.ns), read).optional()? else {
            return Ok(Vec::new());
        };
        let ready: State = |_, _| ItemState::Ready;
        let kinds: [(&[&str], State); 3] =
            [(&[HELD], in_flight), (&[UNTOUCHED, TOUCHED, FINISH], ready), (&[DELAYED], delayed)];
        let mut shown = Vec::new();
        for (queries, state) in kinds {
            let mut items = Vec::new();
            for sql in queries {
                let mut select = self.conn.prepare_cached(sql)?;
                // A fill or finish item is numbered like the first item of the run.
                let values = (job, run_key(run), limit(most).saturating_add(2));
                let stored = select.query_map(values, |row| read_stored(row, state))?;
                for stored in stored.collect::<rusqlite::Result<Vec<Stored>>>()? {
                    self.show(&stored, &name, run, &mut items)?;
                }
            }
            items.sort_by_key(|item: &ItemInfo| (item.stage, item.id));
            shown.extend(items);
            if shown.len() >= most {
                break;
            }
        }
        shown.truncate(most);
        Ok(shown)
    }

    fn show(&self, stored: &Stored, name: &str, run: RunId, items: &mut Vec<ItemInfo>) -> Done<()> {
        let body = match stored.body {
            Some(id) => {
                let mut select = self.conn.prepare_cached("SELECT header, items FROM body WHERE id = ?1")?;
                let read = |row: &Row<'_>| Ok((text(row, 0)?, row.get::<_, Vec<u8>>(1)?));
                // One that is gone is noticed when its items are to be leased.
                let Some(body) = select.query_row([id], read).optional()? else { return Ok(()) };
                Some(body)
            }
            None => None,
        };
        let (of_body, bytes) = body.unzip();
        let Some(json) = stored.header.as_ref().or(of_body.as_ref()) else { return Ok(()) };
        let Some(header) = parsed::<Header>("the header of a chunk", json) else { return Ok(()) };
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
    let header = match row.get_ref(0)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(text(row, 0)?),
    };
    Ok(Stored {
        state: state(Millis(row.get(6)?), text(row, 7)?),
        header,
        body: row.get(1)?,
        start: row.get::<_, i64>(2)?.cast_unsigned(),
        at: row.get(3)?,
        count: row.get(4)?,
        settled: row.get(5)?,
    })
}
