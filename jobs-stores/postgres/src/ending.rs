//! Ends of runs: completed, or cancelled.

use std::collections::{BTreeMap, BTreeSet};

use jobs_core::{Body, Cancellation, Complete, Completion, End, Header, RunId, STEP_RECORDS};

use crate::{
    facts::Facts,
    fault::Done,
    pieces::PieceRow,
    records::JobWrite,
    runs::key,
    step::{Step, most, sql},
};

const ENDING: &str = "SELECT * FROM ending_2($1, $2)";
const CANCEL: &str = "SELECT * FROM named_runs_2($1, $2) UNION ALL SELECT * FROM waiting_2($1, $3, $4)";
const UNCOUNTED: &str = "SELECT * FROM uncounted_2($1, $2)";

impl Step {
    pub(crate) async fn complete(&mut self, runs: &[Complete]) -> Done<Vec<Completion>> {
        let ids: Vec<i64> = runs.iter().map(|complete| key(complete.run)).collect();
        self.load(sql!(ENDING, self.ns, ids)).await?;
        let (mut answers, mut finished) = (Vec::with_capacity(runs.len()), BTreeMap::<i64, usize>::new());
        for Complete { run, finish } in runs {
            let now = self.now;
            let Some(of) = self.run(*run) else {
                answers.push(Completion::Unknown);
                continue;
            };
            if of.run.record.over.is_some() {
                answers.push(Completion::Already(Box::new(of.report())));
                continue;
            }
            if !of.run.has_ended() {
                answers.push(Completion::Open);
                continue;
            }
            of.run.end(now);
            of.sweep = false;
            of.changed = true;
            let report = of.report();
            let (job, name) = (of.job, of.name.clone());
            let priority = of.link.as_ref().map_or(0, |link| link.priority);
            *finished.entry(job).or_default() += 1;
            self.marks.runs += 1;
            if *finish {
                let header = Header::of_finish(&report, &name, priority, now);
                let body = Body::one(&report)?;
                for piece in self.pieces(&header, &[&body])? {
                    self.store(job, &piece)?;
                }
            }
            answers.push(Completion::Completed(Box::new(report)));
        }
        for (id, finished) in finished {
            self.writes.jobs.push(JobWrite { id, finished, ..JobWrite::default() });
        }
        self.write().await?;
        Ok(answers)
    }

    pub(crate) async fn cancel(&mut self, id: RunId) -> Done<Cancellation> {
        let load = sql!(CANCEL, self.ns, vec![key(id)], key(id), most(STEP_RECORDS));
        let mut facts = self.load(load).await?;
        let Some(of) = self.run(id) else { return Ok(Cancellation::Unknown) };
        let over = of.run.record.over.is_some() || of.run.has_ended();
        if over {
            self.write().await?;
            return Ok(Cancellation::Over);
        }
        if !of.run.record.cancelled && !of.run.has_ended() {
            of.run.record.cancelled = true;
            let dropped = of.run.drop_staged();
            self.drop_staged(dropped);
            self.marks.control += 1;
        }
        let more = self.cancel_waiting(id, &mut facts)?;
        self.write().await?;
        Ok(Cancellation::Cancelled { more })
    }

    /// Ends what waits of a run, as far as it was taken out. Returns whether there is more.
    pub(crate) fn cancel_waiting(&mut self, id: RunId, facts: &mut Facts) -> Done<bool> {
        let mut stood = BTreeSet::new();
        for row in facts.read::<PieceRow>("waiting") {
            stood.extend(row.line);
            match row.piece() {
                Some(piece) => self.end(row.job, piece, true, End::Cancelled)?,
                None => self.writes.shelve(&row),
            }
        }
        let (more, held) = (facts.has("more"), facts.has("held"));
        self.writes.restood.extend(stood);
        if let Some(of) = self.run(id) {
            of.changed = true;
            // What is held may come back by somebody who read the run before it was cancelled.
            of.sweep = more || held;
        }
        Ok(more)
    }

    /// Adds up what was counted of some runs, and returns which have ended: what nobody noticed who settled.
    pub(crate) async fn completable(&mut self, limit: usize) -> Done<Vec<RunId>> {
        let mut facts = self.load(sql!(UNCOUNTED, self.ns, most(limit))).await?;
        let mut ended = self.over();
        ended.extend(facts.read::<u64>("ended").into_iter().map(RunId::new));
        ended.sort_unstable();
        ended.dedup();
        ended.truncate(limit);
        self.write().await?;
        Ok(ended)
    }
}
