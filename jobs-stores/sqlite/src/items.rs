//! What becomes of items whose attempt has ended.

use std::sync::Arc;

use jobs_core::{
    DeadItem, End, Failure, FailureKind, Header, ItemId, RunId, Stage,
    ledger::{Fate, Tally, fate},
};

use crate::{
    fault::Done,
    pieces::{Part, Piece},
    step::Step,
};

/// An item that a store killed, as a reap reports it.
pub(crate) type Killed = (Arc<str>, Option<RunId>, ItemId, Failure);

/// Keeps the newest failures of an item.
const FORGET_OLDER: &str = "DELETE FROM failure WHERE number = ?1 AND item = ?2 AND n <=
                            (SELECT n FROM failure WHERE number = ?1 AND item = ?2 ORDER BY n DESC LIMIT 1 OFFSET ?3)";

impl Step<'_> {
    /// Ends an attempt of the items of a piece, which no lease covers any more. Their payload is looked at only if
    /// they are dead.
    pub(crate) fn end(&mut self, job: i64, piece: Piece, end: End, over: &mut Vec<RunId>) -> Done<()> {
        let Piece { header, part } = piece;
        let run = header.run();
        let cancelled = match run {
            Some(run) => self.run(run)?.is_some_and(|run| run.run.is_cancelled()),
            None => false,
        };
        let (end, fate) = fate(header.clone(), end, cancelled, self.now);
        if let (Stage::Work, End::Retry { failure, .. } | End::Dead(failure)) = (header.stage, &end) {
            self.keep_failure(&header, part.count, failure)?;
        }
        if let Some(run) = run {
            let mut tally = Tally::default();
            tally.end(&header, part.count, &end);
            self.add(run, tally)?;
            if header.stage == Stage::Fill {
                self.fill_ended(job, run, &end)?;
            }
        }
        match fate {
            Fate::Stored { header, changed } => {
                let part = Part { own: part.own && !changed, ..part };
                return self.store(job, &Piece { header: *header, part }).and_then(|()| self.note(run, over));
            }
            Fate::Dead => self.keep_dead(job, &header, &part)?,
            Fate::Ended { failed_before: true } => self.forget_failures(&header, part.count)?,
            Fate::Ended { .. } => {}
        }
        self.has_ended(part.body, part.count);
        self.note(run, over)
    }

    /// Notes a run that may be over.
    pub(crate) fn note(&mut self, run: Option<RunId>, over: &mut Vec<RunId>) -> Done<()> {
        if let Some(run) = run
            && over.last() != Some(&run)
            && self.may_be_over(run)?
        {
            over.push(run);
        }
        Ok(())
    }

    /// What the end of an attempt of the fill item means for its run.
    fn fill_ended(&mut self, job: i64, run: RunId, end: &End) -> Done<()> {
        match self.change_run(run)? {
            Some(row) => {
                let staged = row.run.fill_ended(end);
                self.end_staging(job, run, staged)
            }
            None => self.drop_staged_of(job, run),
        }
    }

    /// Keeps a failed attempt of items that may be tried again.
    fn keep_failure(&mut self, header: &Header, n: u32, failure: &Failure) -> Done<()> {
        let json = serde_json::to_string(failure)?;
        for item in (0..n).map(|index| header.item(index)) {
            let attempt = self.id()?;
            let number = item.number().cast_signed();
            let item = item.n().cast_signed();
            let sql = "INSERT INTO failure (number, item, n, failure) VALUES (?1, ?2, ?3, ?4)";
            self.execute(sql, (number, item, attempt, &json))?;
            if header.attempt as usize >= DeadItem::MAX_ATTEMPTS {
                self.execute(FORGET_OLDER, (number, item, DeadItem::MAX_ATTEMPTS as i64))?;
            }
        }
        Ok(())
    }

    /// Kills an item that nobody can decode, or that kills its nodes.
    pub(crate) fn kill(
        &mut self,
        job: i64,
        one: Piece,
        kind: FailureKind,
        message: String,
        node: &str,
        over: &mut Vec<RunId>,
    ) -> Done<Killed> {
        let header = &one.header;
        let failure = Failure::of_store(kind, message, header, node, self.now);
        let killed = (header.job.clone(), header.run(), header.item(0), failure.clone());
        self.end(job, one, End::Dead(Box::new(failure)), over)?;
        Ok(killed)
    }
}
