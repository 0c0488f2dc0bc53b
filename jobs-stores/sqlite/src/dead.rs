//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use std::sync::Arc;

use jobs_core::{
    DeadItem, Failure, Header, ItemId, PutCell, Requeue, Requeued, RunId, Trigger,
    ledger::{REPEATED, Run, discard_cell},
    requeued_chunks,
};
use rusqlite::Row;

use crate::{
    cells,
    fault::Done,
    pieces::Part,
    rows::{parsed, text},
    step::Step,
};

/// A dead item.
struct DeadRow {
    id: i64,
    header: Header,
    payload: Vec<u8>,
}

const INSERT: &str = "INSERT INTO dead (id, ns, job, number, item, died, header, payload, attempts)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const FIND: &str = "SELECT id, header, payload FROM dead WHERE number = ?1 AND item = ?2 AND ns = ?3";

/// The columns that [`item`] reads.
pub(crate) const COLUMNS: &str = "dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name";

/// A dead item as people see it; `None` if it cannot be read. The job may have another name than when it died.
pub(crate) fn item(row: &Row<'_>) -> rusqlite::Result<Option<DeadItem>> {
    let id = ItemId::new(row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned());
    let Some(header) = parsed::<Header>(format_args!("the dead item {id}"), &text(row, 2)?) else {
        return Ok(None);
    };
    let payload = DeadItem::payload(row.get_ref(3)?.as_bytes()?);
    let mut dead = DeadItem::new(id, text(row, 5)?, payload);
    dead.run = header.run();
    let attempts = parsed(format_args!("the failed attempts of {id}"), &text(row, 4)?);
    dead.attempts = attempts.unwrap_or_default();
    Ok(Some(dead))
}

impl Step<'_> {
    /// Keeps the items of a chunk, whose last attempt has failed.
    pub(crate) fn keep_dead(&mut self, job: i64, header: &Header, part: &Part) -> Done<()> {
        let body = self.body(part)?.unwrap_or_else(jobs_core::Body::unit);
        for (index, payload) in (0..).zip(body.items()) {
            let id = header.item(index);
            let number = id.number().cast_signed();
            let item = id.n().cast_signed();
            let sql = "SELECT failure FROM failure WHERE number = ?1 AND item = ?2 ORDER BY n";
            let failures = self.all(sql, (number, item), |row| text(row, 0))?;
            let what = format_args!("a failed attempt of {id}");
            let attempts: Vec<Failure> = failures.iter().filter_map(|json| parsed(what, json)).collect();
            let header = serde_json::to_string(&Header { start: id.n(), ..header.clone() })?;
            let attempts = serde_json::to_string(&attempts)?;
            let death = self.id()?;
            self.execute(INSERT, (death, self.ns, job, number, item, self.now.0, header, payload, attempts))?;
        }
        self.forget_failures(header, part.count)
    }

    /// Forgets the failed attempts of items that have ended.
    pub(crate) fn forget_failures(&mut self, header: &Header, n: u32) -> Done<()> {
        let number = header.number.cast_signed();
        let first = header.start.cast_signed();
        let sql = "DELETE FROM failure WHERE number = ?1 AND item >= ?2 AND item < ?3";
        self.execute(sql, (number, first, first + i64::from(n)))?;
        Ok(())
    }

    /// Dead items of the namespace with these ids, of that job if one is named, in the order of their deaths.
    fn dead_rows(&mut self, items: &[ItemId], job: Option<&Arc<str>>) -> Done<Vec<DeadRow>> {
        let job = match job {
            Some(name) => match self.known_job(name)? {
                Some(id) => Some(id),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let sql = format!("{FIND} AND (?4 IS NULL OR job = ?4)");
        let mut dead = Vec::new();
        for id in items {
            let values = (id.number().cast_signed(), id.n().cast_signed(), self.ns, job);
            let row = self.one(&sql, values, |row| {
                let header = parsed(format_args!("the dead item {id}"), &text(row, 1)?);
                let payload = row.get_ref(2)?.as_bytes()?.to_vec();
                let id = row.get(0)?;
                Ok(header.map(|header| DeadRow { id, header, payload }))
            })?;
            dead.extend(row.flatten());
        }
        dead.sort_by_key(|dead| dead.id);
        dead.dedup_by_key(|dead| dead.id);
        Ok(dead)
    }

    fn remove_dead(&mut self, dead: &[DeadRow]) -> Done<()> {
        for DeadRow { id, .. } in dead {
            self.execute("DELETE FROM dead WHERE id = ?1", [id])?;
        }
        Ok(())
    }

    pub(crate) fn requeue(&mut self, requeue: &Requeue) -> Done<Option<Requeued>> {
        if let Some(run) = self.run_of_request(requeue.request)? {
            let items = self.run(run)?.map_or(0, |run| run.run.counts.total);
            return Ok(Some(Requeued { run, items }));
        }
        let dead = self.dead_rows(&requeue.items, Some(&requeue.job))?;
        if dead.is_empty() {
            return Ok(None);
        }
        let job = self.job_id(&requeue.job)?;
        let id = RunId::new(self.number()?.0);
        let items = dead.len() as u64;
        // It holds no tick of its job, so nothing of it is fresh.
        let mut run = Run::new(id, Trigger::Requeued, self.now, items);
        run.record.note.clone_from(&requeue.note);
        self.insert_run(job, run, Some(requeue.request))?;
        self.remove_dead(&dead)?;
        let dead = dead.iter().map(|dead| (&dead.header, &*dead.payload));
        for chunk in requeued_chunks(dead, id, &requeue.job, self.now) {
            self.store_new(job, &chunk.header, &chunk.body)?;
        }
        Ok(Some(Requeued { run: id, items }))
    }

    pub(crate) fn discard(&mut self, request: u64, items: &[ItemId]) -> Done<u64> {
        let name = discard_cell(request);
        let before = cells::get(self.conn, self.ns, &name, self.now)?;
        if let Some(count) = before.and_then(|cell| cell.value.as_u64()) {
            return Ok(count);
        }
        let dead = self.dead_rows(items, None)?;
        self.remove_dead(&dead)?;
        let count = dead.len() as u64;
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put(&name, &put)?;
        Ok(count)
    }
}
