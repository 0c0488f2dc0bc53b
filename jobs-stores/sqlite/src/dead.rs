//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use std::{sync::Arc, time::Duration};

use jobs_core::{
    DeadItem, Failure, Header, ItemId, Link, PutCell, Requeue, Requeued, RunId, Trigger, requeued_chunks,
};
use rusqlite::Row;

use crate::{
    cells,
    chunks::Part,
    fault::Done,
    runs::{Record, unreadable},
    step::Step,
};

/// How long a repeat of a discard is answered as the first was.
const REPEATED: Duration = Duration::from_secs(24 * 3600);

/// A dead item.
struct Grave {
    number: i64,
    header: Header,
    payload: Vec<u8>,
}

const INSERT: &str = "INSERT INTO dead VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const FIND: &str = "SELECT id, header, payload FROM dead WHERE number = ?1 AND item = ?2 AND ns = ?3";

/// The columns that [`item`] reads.
pub(crate) const COLUMNS: &str = "dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name";

/// A dead item as people see it. The job may have another name than when it died.
pub(crate) fn item(row: &Row<'_>) -> rusqlite::Result<DeadItem> {
    let id = ItemId::new(row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned());
    let (header, attempts): (String, String) = (row.get(2)?, row.get(4)?);
    let header: Header = serde_json::from_str(&header).map_err(|error| unreadable(2, error))?;
    let payload = DeadItem::payload(row.get_ref(3)?.as_blob()?);
    let mut dead = DeadItem::new(id, row.get::<_, String>(5)?, payload);
    dead.run = header.run();
    dead.attempts = serde_json::from_str(&attempts).map_err(|error| unreadable(4, error))?;
    Ok(dead)
}

impl Step<'_> {
    /// Keeps the items of a chunk, whose last attempt has failed.
    pub(crate) fn bury(&mut self, job: i64, header: &Header, part: &Part) -> Done<()> {
        let body = self.body(part)?;
        for (index, payload) in (0..).zip(body.items()) {
            let id = header.item(index);
            let (number, item) = (id.number().cast_signed(), id.n().cast_signed());
            let sql = "SELECT failure FROM failure WHERE number = ?1 AND item = ?2 ORDER BY n";
            let mut attempts = Vec::<Failure>::new();
            for failure in self.all(sql, (number, item), |row| row.get::<_, String>(0))? {
                attempts.push(serde_json::from_str(&failure)?);
            }
            let header = serde_json::to_string(&Header { start: id.n(), ..header.clone() })?;
            let attempts = serde_json::to_string(&attempts)?;
            let grave = self.id()?;
            self.execute(INSERT, (grave, self.ns, job, number, item, self.now.0, header, payload, attempts))?;
        }
        self.forget_failures(header, part.count)
    }

    /// Dead items of the namespace with these ids, of that job if one is named, in the order of their deaths.
    fn graves(&mut self, items: &[ItemId], job: Option<&Arc<str>>) -> Done<Vec<Grave>> {
        let job = match job {
            Some(name) => match self.known_job(name)? {
                Some(id) => Some(id),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let mut graves = Vec::new();
        for id in items {
            let sql = format!("{FIND} AND (?4 IS NULL OR job = ?4)");
            let values = (id.number().cast_signed(), id.n().cast_signed(), self.ns, job);
            graves.extend(self.one(&sql, values, |row| {
                let header: String = row.get(1)?;
                let header = serde_json::from_str(&header).map_err(|error| unreadable(1, error))?;
                Ok(Grave { number: row.get(0)?, header, payload: row.get(2)? })
            })?);
        }
        graves.sort_by_key(|grave| grave.number);
        graves.dedup_by_key(|grave| grave.number);
        Ok(graves)
    }

    fn exhume(&mut self, grave: &Grave) -> Done<()> {
        self.execute("DELETE FROM dead WHERE id = ?1", [grave.number])?;
        Ok(())
    }

    pub(crate) fn requeue(&mut self, requeue: &Requeue) -> Done<Option<Requeued>> {
        if let Some(run) = self.run_of_request(requeue.request)? {
            let items = self.run(run)?.map_or(0, |run| run.counts.total);
            return Ok(Some(Requeued { run, items }));
        }
        let graves = self.graves(&requeue.items, Some(&requeue.job))?;
        if graves.is_empty() {
            return Ok(None);
        }
        let (job, run) = (self.job_id(&requeue.job)?, RunId::new(self.number()?.0));
        let items = graves.len() as u64;
        let record = Record { note: requeue.note.clone(), ..Record::new(Trigger::Requeued, self.now) };
        // It holds no tick of its job, so nothing of it is fresh.
        self.insert_run(run, job, (items, 0), Some(requeue.request), record)?;
        for grave in &graves {
            self.exhume(grave)?;
        }
        let dead = graves.iter().map(|grave| (&grave.header, &*grave.payload));
        for chunk in requeued_chunks(dead, run, &requeue.job, self.now) {
            self.store_new(job, &chunk.header, &chunk.body)?;
        }
        Ok(Some(Requeued { run, items }))
    }

    pub(crate) fn discard(&mut self, request: u64, items: &[ItemId]) -> Done<u64> {
        let name = format!("discarded/{request}");
        let before = cells::get(self.conn, self.ns, &name, self.now)?;
        if let Some(count) = before.and_then(|cell| cell.value.as_u64()) {
            return Ok(count);
        }
        let graves = self.graves(items, None)?;
        for grave in &graves {
            self.exhume(grave)?;
        }
        let count = graves.len() as u64;
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put(&name, &put)?;
        Ok(count)
    }

    /// Removes at most `limit` dead items past their time. Looks only at jobs that have any.
    pub(crate) fn prune_dead(&mut self, limit: usize) -> Done<usize> {
        let (mut left, mut after) = (limit, i64::MIN);
        while left > 0 {
            let next = "SELECT dead.job, job.link FROM dead JOIN job ON job.id = dead.job
                        WHERE dead.job > ?1 AND job.ns = ?2 ORDER BY dead.job LIMIT 1";
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            let Some((job, link)) = self.one(next, (after, self.ns), read)? else { break };
            after = job;
            let link: Link = serde_json::from_str(&link)?;
            let sql = "DELETE FROM dead WHERE id IN
                       (SELECT id FROM dead WHERE job = ?1 AND died < ?2 ORDER BY id LIMIT ?3)";
            let most = i64::try_from(left).unwrap_or(i64::MAX);
            left -= self.execute(sql, (job, (self.now - link.keep_dead).0, most))?;
        }
        Ok(limit - left)
    }
}
