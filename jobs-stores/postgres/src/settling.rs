//! Settling items, and leasing more.

use std::collections::BTreeMap;

use jobs_core::{
    Effect, End, FORMAT, Millis, STEP_RECORDS, Settle, Settled, Settlement, Token, Want, ledger,
};
use serde::Serialize;

use crate::{
    cells::{CellRow, pauses},
    facts::readable,
    fault::Done,
    items::Held,
    pieces::PieceRow,
    sessions::{SessionRow, session_key},
    step::{Step, most, sql},
};

const LOAD: &str = "
    SELECT * FROM session_2($1, $2, false) UNION ALL SELECT * FROM lane_2($1, $2, $3)
    UNION ALL SELECT * FROM held_2($1, $2, $4, $5) UNION ALL SELECT * FROM pauses_2($1)
    UNION ALL SELECT * FROM due_2($1, $2, $3, $8, $6, $7)";
const AGAIN: &str = "SELECT * FROM granted_2($1, $2, $3, NULL)";
const SETTLE: &str =
    "SELECT * FROM settle_2($1, $2, $3::jsonb, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12::json)";

/// What is wanted, as `grant_2` takes it.
#[derive(Serialize)]
struct Wants<'a> {
    slots: u32,
    jobs: Vec<&'a str>,
    job_slots: Vec<u32>,
    per_slot: Vec<u32>,
    leases: usize,
}

impl<'a> Wants<'a> {
    fn of(want: &'a Want) -> Self {
        Self {
            slots: want.slots.min(i32::MAX.cast_unsigned()),
            jobs: want.jobs.iter().map(|job| &*job.job).collect(),
            job_slots: want.jobs.iter().map(|job| job.slots).collect(),
            per_slot: want.jobs.iter().map(|job| job.per_slot).collect(),
            leases: STEP_RECORDS,
        }
    }
}

impl Step {
    pub(crate) async fn settle(&mut self, settle: &Settle) -> Done<Settled> {
        let of = |settlements: &mut dyn Iterator<Item = &Settlement>| -> Vec<i64> {
            let mut tokens: Vec<i64> =
                settlements.map(|settlement| settlement.token.0.cast_signed()).collect();
            tokens.dedup();
            tokens
        };
        let tokens = of(&mut settle.settlements.iter());
        let is_dead = |settlement: &&Settlement| matches!(settlement.end, End::Dead(_));
        let dead = of(&mut settle.settlements.iter().filter(is_dead));
        let id = session_key(settle.session);
        let lane = i64::from(settle.lane);
        let n = settle.n.cast_signed();
        let load = sql!(LOAD, self.ns, id, lane, tokens, dead, self.now.0, most(STEP_RECORDS), n);
        let mut facts = self.load(load).await?;
        let Some(row) = facts.one::<SessionRow>("session") else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Ok(Settled { lost, ..Settled::default() });
        };
        let last: Option<(i64, String)> = facts.one("lane");
        match ledger::Turn::of(last.as_ref().map(|(n, _)| n.cast_unsigned()), settle.n) {
            ledger::Turn::Next => {}
            ledger::Turn::Late => return Ok(Settled::default()),
            ledger::Turn::Repeat => {
                let answer = last.and_then(|(_, answer)| readable(&answer)).unwrap_or_default();
                return self.answer_again(id, &answer).await;
            }
        }
        self.promote(&facts.read::<PieceRow>("due"))?;
        let (held, unreadable) = Held::all(&mut facts);
        // Who holds what cannot be read is another program by now: what it holds is set aside.
        self.shelve(unreadable).await?;
        let session = row.session();
        let mut answer = Settled::default();
        self.apply(settle, held, &session, &mut answer)?;
        let pauses = pauses(facts.read::<CellRow>("cell"));
        self.grant(settle, &row, &session, &pauses, answer).await
    }

    /// Applies what is settled.
    fn apply(
        &mut self,
        settle: &Settle,
        held: Vec<Held>,
        session: &ledger::Session,
        answer: &mut Settled,
    ) -> Done<()> {
        let mut held: BTreeMap<Token, Held> = held.into_iter().map(|held| (held.token, held)).collect();
        for (index, settlement) in settle.settlements.iter().enumerate() {
            let Some(held) = held.get_mut(&settlement.token) else {
                if !answer.lost.contains(&settlement.token) {
                    answer.lost.push(settlement.token);
                }
                continue;
            };
            let pieces = held.settle(settlement.from, settlement.to);
            if pieces.is_empty() {
                continue;
            }
            let mut end = settlement.end.clone();
            end.cut();
            for mut piece in pieces {
                if let End::Undecodable(message) = &end {
                    piece.header.not_decoded(&session.node.build, message, self.now);
                }
                self.end_held(held, piece, &end)?;
            }
            for (_, effect) in settle.effects.iter().filter(|(of, _)| *of == index) {
                let Effect::PutCell { name, put } = effect;
                self.put_cell(name, put)?;
            }
        }
        for held in held.values() {
            if held.is_over() {
                self.writes.leases_gone.push(held.token.0.cast_signed());
            } else {
                let written = held.written()?;
                self.writes.leases.push(written);
            }
        }
        Ok(())
    }

    /// Writes all, leases what is wanted, and keeps the answer for a repeat.
    async fn grant(
        &mut self,
        settle: &Settle,
        row: &SessionRow,
        session: &ledger::Session,
        pauses: &ledger::Pauses,
        mut answer: Settled,
    ) -> Done<Settled> {
        // What an expired session held would not be counted: it has to be renewed first.
        let wants = session.is_alive(self.now).then(|| serde_json::to_string(&Wants::of(&settle.want)));
        let over = self.over();
        self.writes.over = over.iter().map(|run| run.number().cast_signed()).collect();
        let (text, blobs) = self.sent()?.unwrap_or_else(|| ("{}".to_owned(), Vec::new()));
        let patterns: Vec<String> =
            pauses.patterns(self.now).into_iter().map(|(pattern, _)| pattern).collect();
        // As JSON: a token that nobody granted may be beyond what a column holds.
        let lost = serde_json::to_string(&answer.lost)?;
        let newest = i16::try_from(FORMAT).unwrap_or(i16::MAX);
        let statement = sql!(
            SETTLE,
            self.ns,
            self.now.0,
            text,
            blobs,
            row.id,
            wants.transpose()?,
            &*session.node.build,
            patterns,
            newest,
            i64::from(settle.lane),
            settle.n.cast_signed(),
            lost
        );
        let mut facts = self.load(statement).await?;
        answer.ended = self.ended(&mut facts, over);
        answer.next_due = facts.one("next_due").map(Millis);
        answer.leases = self.granted(&mut facts).await?;
        Ok(answer)
    }

    /// The same answer again, with those of its leases that are still held.
    async fn answer_again(&mut self, session: i64, lane: &ledger::Lane) -> Done<Settled> {
        let tokens: Vec<i64> = lane.leases.iter().map(|token| token.0.cast_signed()).collect();
        let mut facts = self.load(sql!(AGAIN, self.ns, session, tokens)).await?;
        let mut leases = self.granted(&mut facts).await?;
        // In the order in which they were granted.
        leases.sort_by_key(|lease| lane.leases.iter().position(|token| *token == lease.token));
        Ok(lane.repeated(leases))
    }
}
