//! What becomes of items: settled by attempts, given back, dead.

use std::{ops::Range, sync::Arc};

use jobs_core::{
    DeadItem, End, ErrorGroup, Failure, FailureKind, Header, ItemId, RunId, Settle, Settled, Settlement,
    Stage, count,
};

use crate::{
    chunks::{Part, Piece},
    fault::Done,
    sessions::Session,
    step::Step,
};

/// An item that a store killed, as a reap tells it.
pub(crate) type Killed = (Arc<str>, Option<RunId>, ItemId, Failure);

impl Step<'_> {
    pub(crate) fn settle(&mut self, settle: &Settle) -> Done<Settled> {
        let Some(session) = self.session(settle.session)? else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Ok(Settled { lost, ..Settled::default() });
        };
        if let Some(lane) = self.lane(session.row, settle.lane)?.filter(|lane| lane.n >= settle.n) {
            let again = lane.n == settle.n;
            return if again { self.answer_again(&session, &lane) } else { Ok(Settled::default()) };
        }
        let mut answer = Settled::default();
        for (index, settlement) in settle.settlements.iter().enumerate() {
            let applied = self.settle_one(&session, settlement, &mut answer)?;
            if applied {
                for (_, effect) in settle.effects.iter().filter(|(of, _)| *of == index) {
                    self.effect(effect)?;
                }
            }
        }
        self.write_leases()?;
        self.promote()?;
        answer.leases = self.grant(&session, &settle.want)?;
        answer.next_due = self.next_due_of(&session)?;
        self.save_lane(session.row, settle.lane, settle.n, &answer)?;
        Ok(answer)
    }

    /// Whether anything of it was still to be settled.
    fn settle_one(&mut self, session: &Session, settlement: &Settlement, answer: &mut Settled) -> Done<bool> {
        let Settlement { token, from, to, end } = settlement;
        let Some(held) = self.held(session.row, *token)? else {
            if !answer.lost.contains(token) {
                answer.lost.push(*token);
            }
            return Ok(false);
        };
        let stretches = held.settle(*from, *to);
        let job = held.job;
        let pieces: Vec<Piece> =
            stretches.into_iter().map(|Range { start, end }| held.piece(start..end)).collect();
        if pieces.is_empty() {
            return Ok(false);
        }
        self.dirty_leases.insert(*token);
        for mut piece in pieces {
            if let End::Undecodable(message) = end {
                piece.header.not_decoded(&session.node.build, message, self.now);
            }
            self.end(job, piece, end, &mut answer.ended)?;
        }
        Ok(true)
    }

    /// When the next item of a job that the session links is due.
    fn next_due_of(&mut self, session: &Session) -> Done<Option<jobs_core::Millis>> {
        if self.next_due()?.is_none() {
            return Ok(None);
        }
        self.write_jobs()?;
        let sql = "SELECT next_due FROM job JOIN link ON link.session = ?2 AND link.job = job.name
                   WHERE ns = ?1 AND next_due IS NOT NULL ORDER BY next_due LIMIT 1";
        self.one(sql, (self.ns, session.row), |row| row.get(0).map(jobs_core::Millis))
    }

    /// Ends an attempt of the items of a piece, which no lease covers any more. Their payload is looked at only if
    /// they are dead.
    pub(crate) fn end(&mut self, job: i64, piece: Piece, end: &End, over: &mut Vec<RunId>) -> Done<()> {
        let Piece { header, part } = piece;
        let run = header.run();
        let cancelled = match run {
            Some(run) => self.run(run)?.is_some_and(|run| run.record().cancelled),
            None => false,
        };
        let end = match end {
            // Nothing of a cancelled run is tried again.
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) if cancelled => {
                &End::Cancelled
            }
            end => end,
        };
        if let End::Retry { failure, .. } | End::Dead(failure) = end {
            self.failed(&header, part.count, failure)?;
        }
        match header.stage {
            Stage::Work => {
                if let Some(run) = run
                    && let Some(run) = self.run_mut(run)?
                {
                    count(&mut run.counts, &mut run.fresh, &header, u64::from(part.count), end);
                }
            }
            Stage::Fill => self.filled(&header, end)?,
            Stage::Finish => {}
        }
        self.go_on(job, header, part, end)?;
        if let Some(run) = run
            && self.may_be_over(run)?
            && over.last() != Some(&run)
        {
            over.push(run);
        }
        Ok(())
    }

    /// Stores items again that go on, and takes leave of the others.
    fn go_on(&mut self, job: i64, header: Header, part: Part, end: &End) -> Done<()> {
        let settled = |header: Header, due| {
            let header = Header { due, fresh: false, suspect: false, undecodable: None, ..header };
            Piece { header, part: Part { own: false, ..part } }
        };
        match end {
            End::Retry { at, .. } => {
                let header = Header { attempt: header.attempt + 1, ..header };
                return self.store(job, &settled(header, *at));
            }
            End::Snooze { at } => return self.store(job, &settled(header, *at)),
            End::Back => return self.store(job, &Piece { header, part }),
            End::Undecodable(_) => {
                return self.store(job, &Piece { header, part: Part { own: false, ..part } });
            }
            End::Dead(_) if header.stage == Stage::Work => self.bury(job, &header, &part)?,
            _ if header.attempt > 0 || header.crashes > 0 => self.forget_failures(&header, part.count)?,
            _ => {}
        }
        self.has_ended(part.body, part.count);
        Ok(())
    }

    fn failed(&mut self, header: &Header, n: u32, failure: &Failure) -> Done<()> {
        if let Some(run) = header.run()
            && let Some(run) = self.run_mut(run)?
        {
            for index in 0..n {
                ErrorGroup::count_in(&mut run.record_mut().errors, header.item(index), failure);
            }
        }
        if header.stage != Stage::Work {
            return Ok(());
        }
        let json = serde_json::to_string(failure)?;
        for item in (0..n).map(|index| header.item(index)) {
            let attempt = self.id()?;
            let (number, item) = (item.number().cast_signed(), item.n().cast_signed());
            self.execute("INSERT INTO failure VALUES (?1, ?2, ?3, ?4)", (number, item, attempt, &json))?;
            if header.attempt as usize >= DeadItem::MAX_ATTEMPTS {
                let sql = "DELETE FROM failure WHERE number = ?1 AND item = ?2 AND n <=
                           (SELECT n FROM failure WHERE number = ?1 AND item = ?2 ORDER BY n DESC LIMIT 1 OFFSET ?3)";
                self.execute(sql, (number, item, DeadItem::MAX_ATTEMPTS as i64))?;
            }
        }
        Ok(())
    }

    pub(crate) fn forget_failures(&mut self, header: &Header, n: u32) -> Done<()> {
        let (number, first) = (header.number.cast_signed(), header.start.cast_signed());
        let sql = "DELETE FROM failure WHERE number = ?1 AND item >= ?2 AND item < ?3";
        self.execute(sql, (number, first, first + i64::from(n)))?;
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
        let mut failure = Failure::new(kind, message, self.now.timestamp());
        failure.attempt = one.header.attempt + 1;
        failure.node = node.to_owned();
        let told = (one.header.job.clone(), one.header.run(), one.header.item(0), failure.clone());
        self.end(job, one, &End::Dead(Box::new(failure)), over)?;
        Ok(told)
    }
}
