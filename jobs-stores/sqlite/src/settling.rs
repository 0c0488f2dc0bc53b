//! Settling what a session holds, and leasing more.

use jobs_core::{
    Effect, End, Settle, Settled, Settlement,
    ledger::{self, Turn},
};

use crate::{fault::Done, pieces::Piece, rows::SessionRow, step::Step};

impl Step<'_> {
    pub(crate) fn settle(&mut self, settle: &Settle) -> Done<Settled> {
        let Some(session) = self.session(settle.session)? else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|settlement| settlement.token).collect();
            return Ok(Settled { lost, ..Settled::default() });
        };
        if let Some(lane) = self.lane(session.row, settle.lane)? {
            match Turn::of(Some(lane.n), settle.n) {
                Turn::Next => {}
                Turn::Repeat => return self.answer_again(session.row, &lane),
                Turn::Late => return Ok(Settled::default()),
            }
        }
        let mut answer = Settled::default();
        for (index, settlement) in settle.settlements.iter().enumerate() {
            if self.settle_one(&session, settlement, &mut answer)? {
                for (_, effect) in settle.effects.iter().filter(|(of, _)| *of == index) {
                    self.effect(effect)?;
                }
            }
        }
        self.write_leases()?;
        self.promote()?;
        answer.leases = self.grant(&session, &settle.want)?;
        answer.next_due = ledger::next_due(&answer.leases, self.next_due_of(session.row)?, self.now);
        self.save_lane(session.row, settle.lane, settle.n, &answer)?;
        Ok(answer)
    }

    /// Whether anything of it was still to be settled.
    fn settle_one(
        &mut self,
        session: &SessionRow,
        settlement: &Settlement,
        answer: &mut Settled,
    ) -> Done<bool> {
        let Settlement { token, from, to, end } = settlement;
        let Some(held) = self.held(session.row, *token)? else {
            if !answer.lost.contains(token) {
                answer.lost.push(*token);
            }
            return Ok(false);
        };
        let stretches = held.items.settle(*from, *to);
        let job = held.job;
        let pieces: Vec<Piece> = stretches.into_iter().map(|stretch| held.piece(stretch)).collect();
        if pieces.is_empty() {
            return Ok(false);
        }
        self.dirty_leases.insert(*token);
        for mut piece in pieces {
            if let End::Undecodable(message) = end {
                piece.header.not_decoded(&session.state.node.build, message, self.now);
            }
            self.end(job, piece, end.clone(), &mut answer.ended)?;
        }
        Ok(true)
    }

    fn effect(&mut self, effect: &Effect) -> Done<()> {
        match effect {
            Effect::PutCell { name, put } => self.put(name, put).map(drop),
        }
    }
}
