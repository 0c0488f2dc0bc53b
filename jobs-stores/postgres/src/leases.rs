//! Leases as they are answered.

use jobs_core::{Body, Chunk, Lease, Token};
use serde::Deserialize;

use crate::{
    facts::{Fact, Facts},
    fault::Done,
    pieces::PieceRow,
    step::{Step, sql},
};

#[derive(Deserialize)]
struct GrantedRow {
    token: i64,
    #[serde(flatten)]
    piece: PieceRow,
}

const SHELVE: &str = "SELECT * FROM shelve_2($1, $2)";

/// A lease; its token alone, if this version cannot read its header, or if its payload was deleted by hand.
fn lease(fact: Fact) -> Option<Result<Lease, i64>> {
    let row: GrantedRow = fact.read()?;
    let Some(piece) = row.piece.piece() else { return Some(Err(row.token)) };
    let (at, items) = (piece.part.at, piece.part.count);
    let body = match (fact.items, piece.part.payload.stored()) {
        (Some(bytes), _) => match Body::from_bytes(bytes) {
            whole if at == 0 && whole.count() == items => whole,
            body => body.range(at, at + items),
        },
        (None, None) => Body::unit(),
        (None, Some(_)) => return Some(Err(row.token)),
    };
    let token = Token(row.token.cast_unsigned());
    Some(Ok(Lease { token, chunk: Chunk { header: piece.header, body }, cursor: fact.cursor }))
}

impl Step {
    /// The leases among some facts. What cannot be read is set aside.
    pub(crate) async fn granted(&mut self, facts: &mut Facts) -> Done<Vec<Lease>> {
        let (mut leases, mut unreadable) = (Vec::new(), Vec::new());
        for read in facts.take("granted").into_iter().filter_map(lease) {
            match read {
                Ok(lease) => leases.push(lease),
                Err(token) => unreadable.push(token),
            }
        }
        self.shelve(unreadable).await?;
        Ok(leases)
    }

    /// Sets leases aside that cannot be read: for a program that can.
    pub(crate) async fn shelve(&mut self, tokens: Vec<i64>) -> Done<()> {
        if !tokens.is_empty() {
            self.rows(sql!(SHELVE, self.ns, tokens)).await?;
        }
        Ok(())
    }
}
