//! Dead items: kept with their failures, until they are tried again, discarded or pruned.

use std::sync::Arc;

use jobs_core::{
    DeadFilter, DeadItem, Header, ItemId, PutCell, Requeue, Requeued, RunId, Trigger, cut_text,
    ledger::{self, REPEATED, discard_cell},
    requeued_chunks,
};
use sqlx::{Row, postgres::PgRow};

use crate::{
    cells::CellRow,
    facts::readable,
    fault::{Done, Fault},
    jobs::Jobs,
    runs::new_run,
    step::{Step, most, sql},
};

const REQUEUE: &str = "
    SELECT * FROM jobs_2($1, $2, '{}', NULL, false, $3) UNION ALL SELECT * FROM requested_2($1, ARRAY[$4])
    UNION ALL SELECT * FROM exhumed_2($1, $5, $6, $7, $4) UNION ALL SELECT * FROM numbers_2($3, 1)";
const DISCARD: &str = "SELECT * FROM discard_2($1, $2, $3, $4, $5)";
const LIST: &str = "
    SELECT dead.id, dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name
    FROM dead JOIN job ON job.id = dead.job WHERE dead.ns = $1 AND dead.id < $2 ORDER BY dead.id DESC LIMIT $3";
const LIST_OF_JOB: &str = "
    SELECT dead.id, dead.number, dead.item, dead.header, dead.payload, dead.attempts, job.name
    FROM job JOIN dead ON dead.job = job.id
    WHERE job.ns = $1 AND name = $4 AND dead.id < $2 ORDER BY dead.id DESC LIMIT $3";

#[derive(serde::Deserialize)]
struct DeadRow {
    id: i64,
    header: String,
}

/// So many are looked at in one statement.
const PAGE: i64 = 200;

/// A dead item as people see it. The job may have another name than when it died.
fn item(row: &PgRow) -> Done<Option<DeadItem>> {
    let number = |column| Ok::<_, Fault>(row.try_get::<i64, _>(column)?.cast_unsigned());
    let id = ItemId::new(number("number")?, number("item")?);
    let Some(header) = readable::<Header>(row.try_get("header")?) else { return Ok(None) };
    let payload = DeadItem::payload(row.try_get("payload")?);
    let mut dead = DeadItem::new(id, row.try_get::<String, _>("name")?, payload);
    dead.run = header.run();
    dead.attempts = readable(row.try_get("attempts")?).unwrap_or_default();
    Ok(Some(dead))
}

fn places(items: &[ItemId]) -> (Vec<i64>, Vec<i64>) {
    items.iter().map(|id| (id.number().cast_signed(), id.n().cast_signed())).unzip()
}

impl Step {
    pub(crate) async fn requeue(&mut self, requeue: &Requeue) -> Done<Option<Requeued>> {
        let (numbers, items) = places(&requeue.items);
        let request = requeue.request.cast_signed();
        let (names, job) = (vec![requeue.job.to_string()], requeue.job.to_string());
        let load = sql!(REQUEUE, self.ns, names, self.now.0, request, numbers, items, job);
        let mut facts = self.load(load).await?;
        if let Some((_, run, items)) = facts.one::<(i64, u64, u64)>("requested") {
            return Ok(Some(Requeued { run: RunId::new(run), items }));
        }
        let jobs = Jobs::of(&mut facts);
        let Some(job) = jobs.known.get(&requeue.job).map(|job| job.id) else { return Ok(None) };
        let mut exhumed: Vec<(Header, Vec<u8>)> = Vec::new();
        for fact in facts.take("dead") {
            let Some(row) = fact.read::<DeadRow>() else { continue };
            let Some(header) = readable(&row.header) else { continue };
            self.writes.dead_gone.push(row.id);
            exhumed.push((header, fact.items.unwrap_or_default()));
        }
        let number = facts.one::<u64>("number").ok_or(Fault::Missing("a number"))?;
        if exhumed.is_empty() {
            return Ok(None);
        }
        let (run, items) = (RunId::new(number), exhumed.len() as u64);
        let mut made = ledger::Run::new(run, Trigger::Requeued, self.now, items);
        made.record.note = requeue.note.as_ref().map(cut_text);
        self.writes.runs_new.push(new_run(&made, job, Some(requeue.request))?);
        let dead = exhumed.iter().map(|(header, payload)| (header, &**payload));
        for chunk in requeued_chunks(dead, run, &Arc::clone(&requeue.job), self.now) {
            for piece in self.pieces(&chunk.header, &[&chunk.body])? {
                self.store(job, &piece)?;
            }
        }
        self.write().await?;
        Ok(Some(Requeued { run, items }))
    }

    pub(crate) async fn discard(&mut self, request: u64, items: &[ItemId]) -> Done<u64> {
        let name = discard_cell(request);
        let (numbers, places) = places(items);
        let mut facts = self.load(sql!(DISCARD, self.ns, &*name, self.now.0, numbers, places)).await?;
        let before = facts.one::<CellRow>("cell").and_then(CellRow::cell);
        if let Some(count) = before.and_then(|(_, cell)| cell.value.as_u64()) {
            return Ok(count);
        }
        let count: u64 = facts.one("discarded").unwrap_or_default();
        let put = PutCell { value: Some(count.into()), expires_in: Some(REPEATED), owner: None };
        self.put_cell(&name, &put)?;
        self.write().await?;
        Ok(count)
    }

    /// Dead items, newest first.
    pub(crate) async fn dead(&mut self, filter: &DeadFilter) -> Done<Vec<DeadItem>> {
        let (mut listed, mut before) = (Vec::new(), i64::MAX);
        loop {
            let statement = match filter.job_id() {
                Some(job) => sql!(LIST_OF_JOB, self.ns, before, PAGE, job),
                None => sql!(LIST, self.ns, before, PAGE),
            };
            let rows = self.rows(statement).await?;
            for row in &rows {
                before = row.try_get("id")?;
                let Some(dead) = item(row)? else { continue };
                if listed.len() < filter.max() && filter.matches(&dead) {
                    listed.push(dead);
                }
            }
            if listed.len() >= filter.max() || most(rows.len()) < PAGE {
                return Ok(listed);
            }
        }
    }
}
