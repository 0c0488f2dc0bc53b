//! What becomes of items: settled by attempts, given back, dead.

use std::{ops::Range, sync::Arc};

use jobs_core::{
    DeadItem, End, ErrorGroup, Failure, FailureKind, Header, ItemId, RunId, Settle, Settled, Settlement,
    Stage, Token, count,
};

use crate::{
    chunks::{Part, Piece},
    fault::Done,
    leases::Held,
    sessions::{Session, Settling},
    step::{Step, sql},
};

/// An item that a store killed, as a reap tells it.
pub(crate) type Killed = (Arc<str>, Option<RunId>, ItemId, Failure);

const FAILED: &str =
    "INSERT INTO failure (number, item, failure) SELECT $1, item, $2 FROM unnest($3::bigint[]) AS i (item)";
/// Only the last ones are kept.
const FORGET_EARLIEST: &str = "
    DELETE FROM failure WHERE number = $1 AND item = $2 AND n <= (
        SELECT n FROM failure WHERE number = $1 AND item = $2 ORDER BY n DESC LIMIT 1 OFFSET $3)";

impl Step {
    pub(crate) async fn settle(&mut self, settle: &Settle) -> Done<Settled> {
        let Some(Settling { session, lane, due }) = self.settling(settle.session, settle.lane).await? else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Ok(Settled { lost, ..Settled::default() });
        };
        if let Some(lane) = lane.filter(|lane| lane.n >= settle.n) {
            let again = lane.n == settle.n;
            return if again { self.answer_again(&session, &lane).await } else { Ok(Settled::default()) };
        }
        let mut answer = Settled::default();
        self.settle_all(&session, settle, &mut answer).await?;
        if due.is_some_and(|due| due <= self.now) {
            self.promote().await?;
        }
        answer.leases = self.grant(&session, &settle.want).await?;
        if due.is_some() || self.delayed {
            answer.next_due = self.next_due(session.row).await?;
        }
        self.save_lane(session.row, settle.lane, settle.n, &answer).await?;
        Ok(answer)
    }

    /// Applies what is settled, and finds which runs may be over.
    async fn settle_all(&mut self, session: &Session, settle: &Settle, answer: &mut Settled) -> Done<()> {
        if settle.settlements.is_empty() {
            return Ok(());
        }
        let tokens: Vec<Token> = settle.settlements.iter().map(|settlement| settlement.token).collect();
        let mut held = self.held(session.row, &tokens).await?;
        let mut runs = Vec::new();
        for (index, settlement) in settle.settlements.iter().enumerate() {
            let Some(held) = held.get_mut(&settlement.token) else {
                if !answer.lost.contains(&settlement.token) {
                    answer.lost.push(settlement.token);
                }
                continue;
            };
            if self.settle_one(session, settlement, held).await? {
                runs.extend(held.header.run().filter(|run| runs.last() != Some(run)));
                for (_, effect) in settle.effects.iter().filter(|(of, _)| *of == index) {
                    self.effect(effect).await?;
                }
            }
        }
        self.write_leases(session.row, &held.values().collect::<Vec<_>>()).await?;
        self.flush().await?;
        self.write_tallies().await?;
        self.write_runs().await?;
        answer.ended = self.over(runs);
        Ok(())
    }

    /// Which of these runs are over, as far as this step knows.
    pub(crate) fn over(&self, runs: Vec<RunId>) -> Vec<RunId> {
        let mut over: Vec<RunId> = Vec::new();
        for id in runs {
            if self.runs.get(&id).is_some_and(crate::runs::Run::has_ended) && !over.contains(&id) {
                over.push(id);
            }
        }
        over
    }

    /// Whether anything of it was still to be settled.
    async fn settle_one(
        &mut self,
        session: &Session,
        settlement: &Settlement,
        held: &mut Held,
    ) -> Done<bool> {
        let Settlement { from, to, end, .. } = settlement;
        let stretches = held.settle(*from, *to);
        let pieces: Vec<Piece> =
            stretches.into_iter().map(|Range { start, end }| held.piece(start..end)).collect();
        let applied = !pieces.is_empty();
        for mut piece in pieces {
            if let End::Undecodable(message) = end {
                piece.header.not_decoded(&session.node.build, message, self.now);
            }
            self.end_held(held, piece, end).await?;
        }
        Ok(applied)
    }

    /// Ends an attempt of items that were leased until now. Those whose effect was committed are done, whatever became of
    /// the attempt.
    pub(crate) async fn end_held(&mut self, held: &Held, piece: Piece, end: &End) -> Done<()> {
        let (done, open) = match end {
            End::Done(_) => (Vec::new(), vec![piece]),
            _ => self.split_recorded(piece).await?,
        };
        for piece in done {
            self.end(held.job, piece, held.cancelled, &End::Done(None)).await?;
        }
        for piece in open {
            self.end(held.job, piece, held.cancelled, end).await?;
        }
        Ok(())
    }

    /// Ends an attempt of the items of a piece, which no lease covers any more. Their payload is looked at only if
    /// they are dead. `cancelled`: whether their run was.
    pub(crate) async fn end(&mut self, job: i64, piece: Piece, cancelled: bool, end: &End) -> Done<()> {
        let Piece { header, part } = piece;
        let end = match end {
            // Nothing of a cancelled run is tried again.
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) if cancelled => {
                &End::Cancelled
            }
            end => end,
        };
        if let End::Retry { failure, .. } | End::Dead(failure) = end {
            self.failed(&header, part.count, failure).await?;
        }
        match header.stage {
            Stage::Work => {
                if let Some(run) = header.run() {
                    let items = u64::from(part.count);
                    let (tally, mut fresh) = (self.tally(run), items);
                    count(&mut tally.counts, &mut fresh, &header, items, end);
                    tally.fresh += items - fresh;
                }
            }
            Stage::Fill => self.filled(&header, end).await?,
            Stage::Finish => {}
        }
        self.go_on(job, header, part, end).await
    }

    /// Stores items again that go on, and takes leave of the others.
    async fn go_on(&mut self, job: i64, header: Header, part: Part, end: &End) -> Done<()> {
        let settled = |header: Header, due| {
            let header = Header { due, fresh: false, suspect: false, undecodable: None, ..header };
            Piece { header, part: Part { own: false, ..part } }
        };
        match end {
            End::Retry { at, .. } => {
                let header = Header { attempt: header.attempt + 1, ..header };
                self.store(job, settled(header, *at));
                return Ok(());
            }
            End::Snooze { at } => {
                self.store(job, settled(header, *at));
                return Ok(());
            }
            End::Back => {
                self.store(job, Piece { header, part });
                return Ok(());
            }
            End::Undecodable(_) => {
                self.store(job, Piece { header, part: Part { own: false, ..part } });
                return Ok(());
            }
            End::Dead(_) if header.stage == Stage::Work => self.bury(job, &header, &part).await?,
            _ if header.attempt > 0 || header.crashes > 0 => {
                self.forget_failures(&header, part.count).await?;
            }
            _ => {}
        }
        self.has_ended(part.body, part.count);
        Ok(())
    }

    async fn failed(&mut self, header: &Header, n: u32, failure: &Failure) -> Done<()> {
        if let Some(run) = header.run() {
            let tally = self.tally(run);
            for index in 0..n {
                ErrorGroup::count_in(&mut tally.errors, header.item(index), failure);
            }
        }
        if header.stage != Stage::Work {
            return Ok(());
        }
        let number = header.number.cast_signed();
        let items: Vec<i64> = (0..n).map(|index| header.item(index).n().cast_signed()).collect();
        self.execute(sql!(FAILED, number, serde_json::to_string(failure)?, items.clone())).await?;
        if header.attempt as usize >= DeadItem::MAX_ATTEMPTS {
            for item in items {
                self.execute(sql!(FORGET_EARLIEST, number, item, DeadItem::MAX_ATTEMPTS as i64)).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn forget_failures(&mut self, header: &Header, n: u32) -> Done<()> {
        let (number, first) = (header.number.cast_signed(), header.start.cast_signed());
        let sql = "DELETE FROM failure WHERE number = $1 AND item >= $2 AND item < $3";
        self.execute(sql!(sql, number, first, first + i64::from(n))).await?;
        Ok(())
    }

    /// Kills an item that nobody can decode, or that kills its nodes.
    pub(crate) async fn kill(
        &mut self,
        job: i64,
        one: Piece,
        kind: FailureKind,
        message: String,
        node: &str,
    ) -> Done<Killed> {
        let mut failure = Failure::new(kind, message, self.now.timestamp());
        failure.attempt = one.header.attempt + 1;
        failure.node = node.to_owned();
        let told = (one.header.job.clone(), one.header.run(), one.header.item(0), failure.clone());
        self.end(job, one, false, &End::Dead(Box::new(failure))).await?;
        Ok(told)
    }
}
