//! What becomes of items: settled by attempts, given back, dead.

use std::{ops::Range, sync::Arc};

use jobs_core::{
    Body, DeadItem, End, Failure, FailureKind, Header, ItemId, Millis, RunId, Stage, Token,
    ledger::{self, OpenItems},
};
use serde::Deserialize;

use crate::{
    facts::{Facts, readable},
    fault::Done,
    pieces::{Part, Piece, PieceRow},
    records::{DeadNew, FailureNew, FailuresCut, FailuresGone, LeaseWrite},
    step::Step,
};

/// An item that a store killed, as a reap tells it.
pub(crate) type Killed = (Arc<str>, Option<RunId>, ItemId, Failure);

/// A lease that is locked.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) session: i64,
    pub(crate) token: Token,
    pub(crate) job: i64,
    pub(crate) granted_at: Millis,
    /// Whether its run was cancelled.
    cancelled: bool,
    pub(crate) piece: Piece,
    /// Which of them are still to be settled.
    items: OpenItems,
    /// The numbers of items whose effect was committed by the handler: they are done, whatever became of the attempt.
    recorded: Vec<i64>,
}

#[derive(Deserialize)]
struct LeaseRow {
    session: i64,
    token: i64,
    granted_at: i64,
    settled: Option<String>,
    recorded: Option<Vec<i64>>,
    #[serde(flatten)]
    piece: PieceRow,
}

impl Held {
    /// The leases among some facts, in the order of their tokens, and the tokens of those that this version cannot read.
    pub(crate) fn all(facts: &mut Facts) -> (Vec<Self>, Vec<i64>) {
        let (mut held, mut unreadable) = (Vec::new(), Vec::new());
        for row in facts.read::<LeaseRow>("lease") {
            let Some(piece) = row.piece.piece() else {
                unreadable.push(row.token);
                continue;
            };
            let settled = row.settled.as_deref().map(bytes);
            held.push(Self {
                session: row.session,
                token: Token(row.token.cast_unsigned()),
                job: row.piece.job,
                granted_at: Millis(row.granted_at),
                cancelled: row.piece.is_cancelled == Some(true),
                items: OpenItems::from_bytes(piece.part.count, settled.as_deref()),
                recorded: row.recorded.unwrap_or_default(),
                piece,
            });
        }
        held.sort_by_key(|held| held.token);
        (held, unreadable)
    }

    /// Marks items as settled, and returns those that were not.
    pub(crate) fn settle(&mut self, from: u32, to: u32) -> Vec<Piece> {
        self.items.settle(from, to).into_iter().map(|stretch| self.piece.range(stretch)).collect()
    }

    /// All items that are not settled.
    pub(crate) fn rest(&self) -> Vec<Piece> {
        self.items.rest().into_iter().map(|stretch| self.piece.range(stretch)).collect()
    }

    /// Whether all are settled.
    pub(crate) fn is_over(&self) -> bool {
        self.items.left() == 0
    }

    /// As it is written when some of its items are settled.
    pub(crate) fn written(&self) -> Done<LeaseWrite> {
        Ok(LeaseWrite {
            token: self.token.0.cast_signed(),
            open: self.items.left(),
            settled: self.items.to_bytes().map(|bytes| hex(&bytes)),
            header: self.piece.own_header()?,
            suspect: self.piece.header.suspect,
        })
    }

    /// A piece of it in those items whose effect was committed, and the others.
    fn split(&self, piece: Piece) -> (Vec<Piece>, Vec<Piece>) {
        let first = piece.header.start.cast_signed();
        let last = first + i64::from(piece.part.count);
        let (mut done, mut open, mut at) = (Vec::new(), Vec::new(), first);
        let range = |from: i64, to: i64| {
            let number = |n: i64| u32::try_from(n - first).unwrap_or(u32::MAX);
            piece.range(Range { start: number(from), end: number(to) })
        };
        if piece.header.stage == Stage::Work {
            for item in self.recorded.iter().copied().filter(|item| (first..last).contains(item)) {
                open.push(range(at, item));
                done.push(range(item, item + 1));
                at = item + 1;
            }
        }
        open.push(range(at, last));
        open.retain(|piece| piece.part.count > 0);
        (done, open)
    }
}

impl Step {
    /// Ends an attempt of items that were leased until now. Those whose effect was committed are done, whatever became of
    /// the attempt.
    pub(crate) fn end_held(&mut self, held: &Held, piece: Piece, end: &End) -> Done<()> {
        let open = self.end_recorded(held, piece)?;
        for piece in open {
            self.end(held.job, piece, held.cancelled, end.clone())?;
        }
        Ok(())
    }

    /// Ends those items of a piece whose effect was committed, and returns the others.
    pub(crate) fn end_recorded(&mut self, held: &Held, piece: Piece) -> Done<Vec<Piece>> {
        let (done, open) = held.split(piece);
        for piece in done {
            self.end(held.job, piece, held.cancelled, End::Done(None))?;
        }
        Ok(open)
    }

    /// Gives all of a lease back, uncharged.
    pub(crate) fn give_back(&mut self, held: &Held) -> Done<()> {
        self.writes.leases_gone.push(held.token.0.cast_signed());
        for piece in held.rest() {
            self.end_held(held, piece, &End::Back)?;
        }
        Ok(())
    }

    /// Takes back what a dead session held of a lease. Returns the items that are dead now, and how many are ready again.
    pub(crate) fn bring_back(&mut self, held: &Held, node: &str) -> Done<(Vec<Killed>, u64)> {
        self.writes.leases_gone.push(held.token.0.cast_signed());
        let (mut dead, mut items) = (Vec::new(), 0);
        for piece in held.rest() {
            for mut piece in self.end_recorded(held, piece)? {
                items += u64::from(piece.part.count);
                let killed = ledger::after_crash_of(&mut piece.header);
                piece.part.own = false;
                match killed {
                    Some(message) => {
                        dead.push(self.kill(held.job, piece, FailureKind::Poison, message, node)?);
                    }
                    None => self.end(held.job, piece, held.cancelled, End::Back)?,
                }
            }
        }
        Ok((dead, items))
    }

    /// Kills an item that nobody can decode, or that kills its nodes.
    pub(crate) fn kill(
        &mut self,
        job: i64,
        one: Piece,
        kind: FailureKind,
        message: String,
        node: &str,
    ) -> Done<Killed> {
        let header = &one.header;
        let failure = Failure::of_store(kind, message, header, node, self.now);
        let told = (header.job.clone(), header.run(), header.item(0), failure.clone());
        self.end(job, one, false, End::Dead(Box::new(failure)))?;
        Ok(told)
    }

    /// Ends an attempt of the items of a piece, which no lease covers any more. `cancelled`: whether their run was.
    pub(crate) fn end(&mut self, job: i64, piece: Piece, cancelled: bool, end: End) -> Done<()> {
        let Piece { header, part } = piece;
        let before = header.clone();
        // A run that is held is known better.
        let of_held = before.run().and_then(|run| self.runs.get(&run));
        let cancelled = cancelled || of_held.is_some_and(|of| of.run.is_cancelled());
        let (end, fate) = ledger::fate(header, end, cancelled, self.now);
        self.count(&before, &part, &end)?;
        match fate {
            ledger::Fate::Stored { header, changed } => {
                let part = Part { own: part.own && !changed, ..part };
                return self.store(job, &Piece { header: *header, part });
            }
            ledger::Fate::Dead => self.bury(job, &before, &part, &end)?,
            ledger::Fate::Ended { failed_before: true } => self.forget_failures(&before, part.count),
            ledger::Fate::Ended { failed_before: false } => {}
        }
        self.writes.has_ended(part.payload, part.count);
        Ok(())
    }

    /// What the end of an attempt means for the run.
    fn count(&mut self, header: &Header, part: &Part, end: &End) -> Done<()> {
        if let (End::Retry { failure, .. }, Stage::Work) = (end, header.stage) {
            self.failed(header, part.count, failure)?;
        }
        let Some(id) = header.run() else { return Ok(()) };
        self.tallies.entry(id).or_default().end(header, part.count, end);
        if header.stage == Stage::Fill
            && let Some(of) = self.run(id)
        {
            of.changed = true;
            let dropped = of.run.fill_ended(end);
            self.drop_staged(dropped);
        }
        Ok(())
    }

    /// Drops what was staged, if that is what is to be done with it.
    pub(crate) fn drop_staged(&mut self, end: ledger::FillEnd) {
        if let ledger::FillEnd::Drop(ledger::Fill { place: Some(line), .. }) = end {
            self.drop_line(line);
        }
    }

    fn failed(&mut self, header: &Header, n: u32, failure: &Failure) -> Done<()> {
        let text = serde_json::to_string(failure)?;
        let number = header.number.cast_signed();
        for index in 0..n {
            let item = header.item(index).n().cast_signed();
            self.writes.failures.push(FailureNew { number, item, failure: text.clone() });
            if header.attempt as usize >= DeadItem::MAX_ATTEMPTS {
                let keep = DeadItem::MAX_ATTEMPTS;
                self.writes.failures_cut.push(FailuresCut { number, item, keep });
            }
        }
        Ok(())
    }

    fn forget_failures(&mut self, header: &Header, n: u32) {
        let from = header.start.cast_signed();
        let number = header.number.cast_signed();
        self.writes.failures_gone.push(FailuresGone { number, from, to: from + i64::from(n) });
    }

    /// Keeps items whose last attempt has failed.
    fn bury(&mut self, job: i64, header: &Header, part: &Part, end: &End) -> Done<()> {
        let body = match part.payload.stored() {
            None => Some(Body::unit()),
            Some(body) => self
                .payloads
                .get(&body)
                .map(|items| Body::from_bytes(items.clone()).range(part.at, part.at + part.count)),
        };
        let items: Vec<&[u8]> = body.iter().flat_map(Body::items).collect();
        let number = header.number.cast_signed();
        for index in 0..part.count {
            let item = header.item(index).n();
            let before = self.failures.remove(&(number, item.cast_signed())).unwrap_or_default();
            let mut attempts: Vec<Failure> = before.iter().filter_map(|text| readable(text)).collect();
            if let End::Dead(failure) = end {
                attempts.push((**failure).clone());
            }
            attempts.drain(..attempts.len().saturating_sub(DeadItem::MAX_ATTEMPTS));
            // A payload that somebody deleted by hand is none.
            let payload = items.get(index as usize).copied().unwrap_or(b"null");
            let payload = self.writes.blob(payload.to_vec());
            self.writes.dead.push(DeadNew {
                job,
                number,
                item: item.cast_signed(),
                header: serde_json::to_string(&Header { start: item, ..header.clone() })?,
                payload,
                attempts: serde_json::to_string(&attempts)?,
            });
        }
        if header.attempt > 0 || header.crashes > 0 {
            self.forget_failures(header, part.count);
        }
        Ok(())
    }

    /// What was due goes back among what is ready; what cannot be read stands aside for a program that can.
    pub(crate) fn promote(&mut self, rows: &[PieceRow]) -> Done<()> {
        for row in rows {
            match row.piece() {
                Some(piece) if row.is_cancelled == Some(true) && !piece.header.tracked => {
                    self.end(row.job, piece, true, End::Cancelled)?;
                }
                Some(mut piece) => {
                    // The column is right when a clock of the future was set right.
                    if let Some(due) = row.due.filter(|due| *due != piece.header.due.0) {
                        piece.header.due = Millis(due);
                        piece.part.own = false;
                    }
                    self.marks.work += 1;
                    self.writes.ready(row.job, &piece)?;
                }
                None => self.writes.shelve(row),
            }
        }
        Ok(())
    }
}

/// The bytes that row_to_json writes as `\x` and hexadecimal digits.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.trim_start_matches("\\x").as_bytes();
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default();
    let pair = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte * 16 + value(digit));
    digits.chunks(2).map(|digits| u8::try_from(pair(digits)).unwrap_or_default()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
