//! Giving back what sessions hold that leave, and taking back what dead ones held.

use jobs_core::{
    End, FailureKind, Reaped, SessionId, Token,
    ledger::{Session, after_crash_of},
};

use crate::{fault::Done, pieces::LeaseRow, pieces::Piece, rows::SessionRow, step::Step};

impl Step<'_> {
    /// Ends a session, and says whether there is more to give back.
    pub(crate) fn detach(&mut self, id: SessionId) -> Done<bool> {
        self.drop_owned(id)?;
        let Some(session) = self.session(id)? else { return Ok(false) };
        self.ends_at(&session, Session::LEFT)?;
        self.give_all_back(&session)
    }

    /// A session whose process is gone for certain has expired; one that has left goes on leaving.
    pub(crate) fn declare_gone(&mut self, id: SessionId) -> Done<()> {
        match self.session(id)? {
            Some(session) if !session.state.has_left() => self.ends_at(&session, Session::GONE),
            _ => Ok(()),
        }
    }

    fn ends_at(&mut self, session: &SessionRow, until: jobs_core::Millis) -> Done<()> {
        if session.state.until == until {
            return Ok(());
        }
        let state = Session { until, ..session.state.clone() };
        self.save_life(&SessionRow { row: session.row, state })
    }

    /// Gives back what a session holds that has left, and forgets it once nothing is left. Says whether there is more.
    fn give_all_back(&mut self, session: &SessionRow) -> Done<bool> {
        let tokens = self.tokens(session.row, self.left + 1)?;
        for token in tokens {
            if !self.may_touch() {
                return Ok(true);
            }
            self.give_back(session.row, token)?;
        }
        self.forget_session(session.row, Some(session.state.id))?;
        Ok(false)
    }

    /// Gives back what a session holds under a token, uncharged.
    pub(crate) fn give_back(&mut self, session: i64, token: Token) -> Done<()> {
        let Some(held) = self.take_back(session, token)? else { return Ok(()) };
        for piece in self.pieces_of(&held) {
            self.end(held.job, piece, End::Back, &mut Vec::new())?;
        }
        Ok(())
    }

    /// The pieces of a lease that are not settled; each but the first is a record more that the step touches.
    fn pieces_of(&mut self, held: &LeaseRow) -> Vec<Piece> {
        let pieces = held.rest();
        self.left = self.left.saturating_sub(pieces.len().saturating_sub(1));
        pieces
    }

    /// Takes back what a session held that is dead or has left, and forgets it once nothing is left. Says whether there
    /// is more.
    pub(crate) fn bring_back(&mut self, id: SessionId, reaped: &mut Reaped) -> Done<bool> {
        let Some(session) = self.session(id)? else { return Ok(false) };
        if session.state.has_left() {
            return self.give_all_back(&session);
        }
        let node = &session.state.node.name;
        if self.bring_back_row(session.row, node, reaped)? {
            return Ok(true);
        }
        self.forget_session(session.row, Some(id))?;
        reaped.nodes.push(node.clone());
        Ok(false)
    }

    /// Takes back what a session held of which nothing else is left.
    pub(crate) fn bring_back_lost(&mut self, row: i64, reaped: &mut Reaped) -> Done<bool> {
        if self.bring_back_row(row, "", reaped)? {
            return Ok(true);
        }
        self.forget_session(row, None)?;
        Ok(false)
    }

    fn bring_back_row(&mut self, row: i64, node: &str, reaped: &mut Reaped) -> Done<bool> {
        for token in self.tokens(row, self.left + 1)? {
            if !self.may_touch() {
                return Ok(true);
            }
            let Some(held) = self.take_back(row, token)? else { continue };
            for piece in self.pieces_of(&held) {
                reaped.items += u64::from(piece.part.count);
                self.after_crash(held.job, piece, node, reaped)?;
            }
        }
        Ok(false)
    }

    fn after_crash(&mut self, job: i64, mut piece: Piece, node: &str, reaped: &mut Reaped) -> Done<()> {
        piece.part.own = false;
        match after_crash_of(&mut piece.header) {
            Some(poison) => {
                let dead = self.kill(job, piece, FailureKind::Poison, poison, node, &mut reaped.ended)?;
                reaped.dead.push(dead);
                Ok(())
            }
            None => self.end(job, piece, End::Back, &mut reaped.ended),
        }
    }

    /// Forgets a session, its links, its lanes and its cells; its leases are gone already.
    fn forget_session(&mut self, row: i64, id: Option<SessionId>) -> Done<()> {
        self.remove_session(row, id)?;
        match id {
            Some(id) => self.drop_owned(id),
            None => Ok(()),
        }
    }
}
