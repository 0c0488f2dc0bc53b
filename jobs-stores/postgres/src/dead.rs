//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use std::{collections::BTreeMap, time::Duration};

use jobs_core::{
    DeadFilter, DeadItem, Failure, Header, ItemId, Link, PutCell, Requeue, Requeued, RunId, Trigger,
    requeued_chunks,
};
use sqlx::{Row, postgres::PgRow};

use crate::{
    chunks::Part,
    fault::{Done, Fault},
    runs::Record,
    step::{Step, most, sql, unsigned},
};

/// How long a repeat of a discard is answered as the first was.
const REPEATED: Duration = Duration::from_secs(24 * 3600);

/// A dead item that is taken out of its grave.
struct Exhumed {
    header: Header,
    payload: Vec<u8>,
}

const FAILURES: &str = "
    SELECT item, failure FROM failure WHERE number = $1 AND item >= $2 AND item < $3 ORDER BY item, n";
const INSERT: &str = "
    INSERT INTO dead (ns, job, number, item, died, header, payload, attempts)
    SELECT $1, $2, $3, item, $4, header, payload, attempts
    FROM unnest($5::bigint[], $6::text[], $7::bytea[], $8::text[]) WITH ORDINALITY AS d (item, header, payload, attempts, n)
    ORDER BY n";
const EXHUME: &str = "
    WITH gone AS (
        DELETE FROM dead USING unnest($1::bigint[], $2::bigint[]) AS named (number, item)
        WHERE dead.number = named.number AND dead.item = named.item AND ns = $3 AND ($4::bigint IS NULL OR job = $4)
        RETURNING id, header, payload)
    SELECT header, payload FROM gone ORDER BY id";
const LIST: &str = "
    SELECT dead.id, dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name
    FROM dead JOIN job ON job.id = dead.job WHERE dead.ns = $1 AND dead.id < $2 ORDER BY dead.id DESC LIMIT $3";
const LIST_OF_JOB: &str = "
    SELECT dead.id, dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name
    FROM job JOIN dead ON dead.job = job.id
    WHERE job.ns = $1 AND name = $4 AND dead.id < $2 ORDER BY dead.id DESC LIMIT $3";
const NEXT_JOB: &str = "
    SELECT dead.job, job.link FROM dead JOIN job ON job.id = dead.job WHERE dead.job > $1 AND job.ns = $2
    ORDER BY dead.job LIMIT 1";
const PRUNE: &str = "
    DELETE FROM dead WHERE id = ANY (ARRAY(SELECT id FROM dead WHERE job = $1 AND died < $2 ORDER BY id LIMIT $3))";

/// A dead item as people see it. The job may have another name than when it died.
fn item(row: &PgRow) -> Done<DeadItem> {
    let id = ItemId::new(unsigned(row, "number")?, unsigned(row, "item")?);
    let header: Header = serde_json::from_str(row.try_get("header")?)?;
    let payload = DeadItem::payload(row.try_get("payload")?);
    let mut dead = DeadItem::new(id, row.try_get::<String, _>("name")?, payload);
    dead.run = header.run();
    dead.attempts = serde_json::from_str(row.try_get("attempts")?)?;
    Ok(dead)
}

impl Step {
    /// Keeps the items of a chunk, whose last attempt has failed.
    pub(crate) async fn bury(&mut self, job: i64, header: &Header, part: &Part) -> Done<()> {
        let body = self.body(part).await?;
        let (number, first) = (header.number.cast_signed(), header.start.cast_signed());
        let mut failures = BTreeMap::<i64, Vec<Failure>>::new();
        for row in self.all(sql!(FAILURES, number, first, first + i64::from(part.count))).await? {
            let failure = serde_json::from_str(row.try_get("failure")?)?;
            failures.entry(row.try_get("item")?).or_default().push(failure);
        }
        let (mut items, mut headers, mut payloads, mut attempts) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, payload) in (0..).zip(body.items()) {
            let n = header.item(index).n();
            items.push(n.cast_signed());
            headers.push(serde_json::to_string(&Header { start: n, ..header.clone() })?);
            payloads.push(payload);
            attempts.push(serde_json::to_string(&failures.remove(&n.cast_signed()).unwrap_or_default())?);
        }
        let statement = sql!(INSERT, self.ns, job, number, self.now.0, items, headers, payloads, attempts);
        self.execute(statement).await?;
        self.forget_failures(header, part.count).await
    }

    /// The payload of some items.
    async fn body(&mut self, part: &Part) -> Done<jobs_core::Body> {
        let Some(body) = part.body else { return Ok(jobs_core::Body::unit()) };
        let row = self.one(sql!("SELECT items FROM body WHERE id = $1", body)).await?;
        let items: Vec<u8> = row.ok_or(Fault::Missing("a body"))?.try_get(0)?;
        Ok(jobs_core::Body::from_bytes(items).range(part.at, part.at + part.count))
    }

    /// Takes dead items with these ids out of their graves, of that job if one is named, in the order of their deaths.
    async fn exhume(&mut self, items: &[ItemId], job: Option<i64>) -> Done<Vec<Exhumed>> {
        let (numbers, places): (Vec<i64>, Vec<i64>) =
            items.iter().map(|id| (id.number().cast_signed(), id.n().cast_signed())).unzip();
        let rows = self.all(sql!(EXHUME, numbers, places, self.ns, job)).await?;
        let read = |row: &PgRow| {
            Ok(Exhumed {
                header: serde_json::from_str(row.try_get("header")?)?,
                payload: row.try_get("payload")?,
            })
        };
        rows.iter().map(read).collect()
    }

    pub(crate) async fn requeue(&mut self, requeue: &Requeue) -> Done<Option<Requeued>> {
        if let Some(run) = self.run_of_request(requeue.request).await? {
            let items = self.run(run).await?.map_or(0, |run| run.counts.total);
            return Ok(Some(Requeued { run, items }));
        }
        let Some(job) = self.known_job(&requeue.job).await? else { return Ok(None) };
        let exhumed = self.exhume(&requeue.items, Some(job)).await?;
        if exhumed.is_empty() {
            return Ok(None);
        }
        let (run, items) = (RunId::new(self.number().await?.0), exhumed.len() as u64);
        let record = Record { note: requeue.note.clone(), ..Record::new(Trigger::Requeued, self.now) };
        self.insert_run(run, job, (items, 0), Some(requeue.request), record).await?;
        let dead = exhumed.iter().map(|grave| (&grave.header, &*grave.payload));
        for chunk in requeued_chunks(dead, run, &requeue.job, self.now) {
            self.store_new(job, &chunk.header, &[chunk.body]).await?;
        }
        Ok(Some(Requeued { run, items }))
    }

    pub(crate) async fn discard(&mut self, request: u64, items: &[ItemId]) -> Done<u64> {
        let name = format!("discarded/{request}");
        let before = self.get(&name).await?;
        if let Some(count) = before.and_then(|cell| cell.value.as_u64()) {
            return Ok(count);
        }
        let count = self.exhume(items, None).await?.len() as u64;
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put(&name, &put).await?;
        Ok(count)
    }

    /// Dead items, newest first.
    pub(crate) async fn dead(&mut self, filter: &DeadFilter) -> Done<Vec<DeadItem>> {
        let (mut listed, mut before) = (Vec::new(), i64::MAX);
        let page = 200_i64;
        loop {
            let statement = match filter.job_id() {
                Some(job) => sql!(LIST_OF_JOB, self.ns, before, page, job),
                None => sql!(LIST, self.ns, before, page),
            };
            let rows = self.all(statement).await?;
            for row in &rows {
                let dead = item(row)?;
                before = row.try_get("id")?;
                if listed.len() < filter.max() && filter.matches(&dead) {
                    listed.push(dead);
                }
            }
            if listed.len() >= filter.max() || most(rows.len()) < page {
                return Ok(listed);
            }
        }
    }

    /// Removes at most `limit` dead items past their time. Looks only at jobs that have any.
    pub(crate) async fn prune_dead(&mut self, limit: usize) -> Done<usize> {
        let (mut left, mut after) = (limit, i64::MIN);
        while left > 0 {
            let Some(row) = self.one(sql!(NEXT_JOB, after, self.ns)).await? else { break };
            after = row.try_get("job")?;
            let link: Link = serde_json::from_str(row.try_get("link")?)?;
            let statement = sql!(PRUNE, after, (self.now - link.keep_dead).0, most(left));
            left -= usize::try_from(self.execute(statement).await?).unwrap_or(left);
        }
        Ok(limit - left)
    }
}
