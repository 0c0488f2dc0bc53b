//! The records of runs that an operation holds.
//!
//! What settling counts stands in `tally` at first, so that many settle items of one run at once; whoever holds a run adds
//! that up.

use std::sync::Arc;

use jobs_core::{Counts, Link, RunId, RunReport, Token, ledger};
use serde::Deserialize;

use crate::{
    facts::{Fact, Facts, readable},
    fault::Done,
    records::{RunNew, RunWrite, TallyWrite},
    writes::Writes,
};

/// A run that is held, and what is kept beside it.
#[derive(Debug)]
pub(crate) struct OfRun {
    pub(crate) run: ledger::Run,
    pub(crate) job: i64,
    pub(crate) name: Arc<str>,
    /// How its job was linked last.
    pub(crate) link: Option<Link>,
    /// Whether something that waits is still to be ended, because it was cancelled.
    pub(crate) sweep: bool,
    busy: bool,
    ended: bool,
    pub(crate) changed: bool,
}

#[derive(Deserialize)]
struct Row {
    id: i64,
    job: i64,
    job_name: Option<Arc<str>>,
    link: Option<String>,
    #[serde(flatten)]
    counts: CountsRow,
    total: i64,
    filled: Option<i64>,
    begun: bool,
    is_cancelled: bool,
    busy: bool,
    ended: bool,
    sweep: bool,
    record: String,
}

#[derive(Deserialize)]
struct CountsRow {
    ok: i64,
    retries: i64,
    dead: i64,
    discarded: i64,
    expired: i64,
    cancelled: i64,
    fresh: i64,
}

#[derive(Deserialize)]
struct TallyRow {
    run: i64,
    #[serde(flatten)]
    counts: CountsRow,
    errors: Option<String>,
}

impl CountsRow {
    fn counts(&self, total: i64) -> Counts {
        Counts {
            total: total.cast_unsigned(),
            ok: self.ok.cast_unsigned(),
            retries: self.retries.cast_unsigned(),
            dead: self.dead.cast_unsigned(),
            discarded: self.discarded.cast_unsigned(),
            expired: self.expired.cast_unsigned(),
            cancelled: self.cancelled.cast_unsigned(),
        }
    }
}

impl OfRun {
    fn read(fact: &Fact) -> Option<Self> {
        let row: Row = fact.read()?;
        let mut record: ledger::RunRecord = readable(&row.record)?;
        record.begun |= row.begun;
        record.cancelled |= row.is_cancelled;
        let run = ledger::Run {
            id: RunId::new(row.id.cast_unsigned()),
            counts: row.counts.counts(row.total),
            fresh: row.counts.fresh.cast_unsigned(),
            filled: row.filled.map(|token| Token(token.cast_unsigned())),
            cursor: fact.cursor.clone(),
            record,
        };
        Some(Self {
            run,
            job: row.job,
            name: row.job_name.unwrap_or_default(),
            link: row.link.as_deref().and_then(readable),
            sweep: row.sweep,
            busy: row.busy,
            ended: row.ended,
            changed: false,
        })
    }

    /// All runs among some facts, each with what was counted of it; and what was counted of runs that this version cannot
    /// read, which is counted again by one that can.
    pub(crate) fn all(facts: &mut Facts) -> (Vec<Self>, Vec<TallyWrite>) {
        let mut runs: Vec<Self> = facts.take("run").iter().filter_map(Self::read).collect();
        // One that was read twice is the same: it is held.
        runs.sort_by_key(|of| of.run.id);
        runs.dedup_by_key(|of| of.run.id);
        let mut unread = Vec::new();
        for row in facts.read::<TallyRow>("tally") {
            let id = RunId::new(row.run.cast_unsigned());
            let (counts, fresh) = (row.counts.counts(0), row.counts.fresh.cast_unsigned());
            match runs.iter_mut().find(|of| of.run.id == id) {
                Some(of) => {
                    let errors = row.errors.as_deref().and_then(readable).unwrap_or_default();
                    of.run.add(ledger::Tally { counts, fresh, errors });
                    of.changed = true;
                }
                None => unread.push(TallyWrite { run: row.run, counts, fresh, errors: row.errors }),
            }
        }
        (runs, unread)
    }

    pub(crate) fn report(&self) -> RunReport {
        self.run.report(&self.name)
    }

    /// Writes it. Returns whether somebody who waits for it has to know.
    pub(crate) fn write(&self, writes: &mut Writes) -> Done<bool> {
        let ledger::Run { counts, record, .. } = &self.run;
        let page = self.run.cursor.clone().map(|cursor| writes.blob(cursor));
        let busy = self.run.is_busy();
        let ended = self.run.has_ended();
        writes.runs.push(RunWrite {
            id: key(self.run.id),
            counts: *counts,
            fresh: self.run.fresh,
            filling: record.fill.is_some(),
            busy,
            ended,
            filled: self.run.filled.map(|token| token.0.cast_signed()),
            page,
            is_cancelled: record.cancelled,
            sweep: self.sweep,
            begun: record.begun,
            over: record.over.is_some(),
            record: serde_json::to_string(record)?,
        });
        Ok((busy, ended) != (self.busy, self.ended))
    }
}

/// A run that is new.
pub(crate) fn new_run(run: &ledger::Run, job: i64, request: Option<u64>) -> Done<RunNew> {
    Ok(RunNew {
        id: key(run.id),
        job,
        request: request.map(u64::cast_signed),
        total: run.counts.total,
        fresh: run.fresh,
        filling: run.record.fill.is_some(),
        busy: run.is_busy(),
        begun: run.record.begun,
        record: serde_json::to_string(&run.record)?,
    })
}

/// What is added to the counts of a run that is not held.
pub(crate) fn tally(run: RunId, tally: &ledger::Tally) -> Done<TallyWrite> {
    let errors = if tally.errors.is_empty() { None } else { Some(serde_json::to_string(&tally.errors)?) };
    Ok(TallyWrite { run: key(run), counts: tally.counts, fresh: tally.fresh, errors })
}

pub(crate) fn key(run: RunId) -> i64 {
    run.number().cast_signed()
}
