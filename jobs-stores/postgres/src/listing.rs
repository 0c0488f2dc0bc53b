//! The items of a run, as people see them.

use jobs_core::{Body, DeadItem, Header, ItemInfo, ItemState, Millis, RunId};
use sqlx::{Row, postgres::PgRow};

use crate::{
    facts::readable,
    fault::Done,
    runs::key,
    step::{Step, most, sql},
};

/// All in flight of a run.
const HELD: &str = "
    SELECT coalesce(lease.header, body.header) AS header, items, lease.start, at, lease.count, settled, granted_at AS time,
           node_name AS node
    FROM lease JOIN session ON session.id = lease.session LEFT JOIN body ON body.id = lease.body
    WHERE job = $1 AND number = $2 AND NOT tracked AND ns = $3 ORDER BY lease.start LIMIT $4";
/// All that is ready of it, but for what is staged or dropped.
const READY: &str = "
    SELECT coalesce(ready.header, body.header) AS header, items, ready.start, at, ready.count, NULL::bytea AS settled,
           0::bigint AS time, '' AS node
    FROM line JOIN ready ON ready.line = line.id LEFT JOIN body ON body.id = ready.body
    WHERE job = $1 AND ns = $3 AND line.rank IS NOT NULL AND (line.run = 0 OR line.run = $2) AND ready.number = $2 ORDER BY ready.start LIMIT $4";
/// All of it that waits for its time.
const DELAYED: &str = "
    SELECT coalesce(delayed.header, body.header) AS header, items, delayed.start, at, delayed.count,
           NULL::bytea AS settled, due AS time, '' AS node
    FROM delayed LEFT JOIN body ON body.id = delayed.body
    WHERE job = $1 AND number = $2 AND ns = $3 ORDER BY delayed.start LIMIT $4";

const JOB_OF_RUN: &str =
    "SELECT job, name FROM run JOIN job ON job.id = run.job WHERE run.id = $1 AND run.ns = $2";

/// What the time and the node of a row say.
type State = fn(Millis, String) -> ItemState;

fn in_flight(since: Millis, node: String) -> ItemState {
    ItemState::InFlight { node, since: since.timestamp() }
}

fn delayed(due: Millis, _: String) -> ItemState {
    ItemState::Delayed { until: due.timestamp() }
}

impl Step {
    pub(crate) async fn items(&mut self, run: RunId, limit: usize) -> Done<Vec<ItemInfo>> {
        let Some(found) = self.rows(sql!(JOB_OF_RUN, key(run), self.ns)).await?.pop() else {
            return Ok(Vec::new());
        };
        let (job, name): (i64, String) = (found.try_get(0)?, found.try_get(1)?);
        // A fill or finish item is numbered like the first item of the run.
        let limit_of_each = most(limit).saturating_add(2);
        let ready: State = |_, _| ItemState::Ready;
        let mut shown = Vec::new();
        for (statement, state) in [(HELD, in_flight as State), (READY, ready), (DELAYED, delayed)] {
            let rows = self.rows(sql!(statement, job, key(run), self.ns, limit_of_each)).await?;
            let mut items = Vec::new();
            for row in &rows {
                show(row, state, &name, run, &mut items)?;
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
}

/// The items of a row that have not ended.
fn show(row: &PgRow, state: State, name: &str, run: RunId, items: &mut Vec<ItemInfo>) -> Done<()> {
    let state = state(Millis(row.try_get("time")?), row.try_get("node")?);
    let text: Option<&str> = row.try_get("header")?;
    let Some(header) = readable::<Header>(text.unwrap_or_default()) else { return Ok(()) };
    let header = Header { start: row.try_get::<i64, _>("start")?.cast_unsigned(), ..header };
    let at = row.try_get::<i32, _>("at")?.cast_unsigned();
    let n = row.try_get::<i32, _>("count")?.cast_unsigned();
    let bytes: Option<Vec<u8>> = row.try_get("items")?;
    let body = bytes.map_or_else(Body::unit, Body::from_bytes).range(at, at + n);
    let settled: Option<&[u8]> = row.try_get("settled")?;
    let is_open =
        |index: u32| settled.and_then(|settled| settled.get(index as usize)).is_none_or(|byte| *byte == 0);
    for (index, payload) in (0..).zip(body.items()).filter(|(index, _)| is_open(*index)) {
        items.push(ItemInfo {
            id: header.item(index),
            job: name.to_owned(),
            run: Some(run),
            stage: header.stage,
            state: state.clone(),
            attempt: header.attempt + 1,
            redelivered: header.redelivered,
            enqueued_at: header.enqueued_at.timestamp(),
            payload: DeadItem::payload(payload),
        });
    }
    Ok(())
}
