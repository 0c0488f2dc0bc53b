//! Leases: who holds which items, and which of them are settled.

use std::{collections::BTreeMap, ops::Range};

use jobs_core::{Body, Chunk, Header, Lease, Millis, OpenItems, Stage, Token};
use sqlx::{Row, postgres::PgRow};

use crate::{
    chunks::{Part, Piece},
    fault::{Done, Fault},
    step::{Step, count, sql, unsigned},
};

/// A lease that is locked.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) session: i64,
    pub(crate) token: Token,
    pub(crate) job: i64,
    pub(crate) header: Header,
    pub(crate) part: Part,
    pub(crate) granted_at: Millis,
    /// Whether its run was cancelled.
    pub(crate) cancelled: bool,
    /// Which of them are still to be settled.
    pub(crate) items: OpenItems,
}

impl Held {
    /// As [`OpenItems::settle`].
    pub(crate) fn settle(&mut self, from: u32, to: u32) -> Vec<Range<u32>> {
        self.items.settle(from, to)
    }

    /// All items that are not settled.
    pub(crate) fn rest(&self) -> Vec<Piece> {
        self.items.rest().into_iter().map(|stretch| self.piece(stretch)).collect()
    }

    /// Some of its items.
    pub(crate) fn piece(&self, stretch: Range<u32>) -> Piece {
        let start = self.header.start + u64::from(stretch.start);
        let part = Part {
            at: self.part.at + stretch.start,
            count: stretch.end.saturating_sub(stretch.start),
            ..self.part
        };
        Piece { header: Header { start, ..self.header.clone() }, part }
    }
}

/// The statements that read leases and lock them.
mod select {
    macro_rules! leases {
        ($of:literal) => {
            concat!(
                "SELECT session, token, lease.job, lease.start, lease.count, lease.body, at, lease.header,
                        body.header AS of_body, granted_at, settled, coalesce(is_cancelled, false) AS is_cancelled
                 FROM lease LEFT JOIN body ON body.id = lease.body
                 LEFT JOIN run ON run.id = lease.number AND NOT lease.tracked WHERE ",
                $of,
                " ORDER BY token FOR UPDATE OF lease"
            )
        };
    }
    pub(super) const NAMED: &str = leases!("session = $1 AND token = ANY ($2)");
    pub(super) const ALL: &str = leases!("session = $1");
    /// The lease of a fill item, its run, and how many items of its job are ready; beyond a hundred thousand chunks nobody
    /// asks how many more.
    pub(super) const FILL: &str = "
        SELECT run.*, session, token, lease.start, lease.count, body, at, header, NULL::text AS of_body, granted_at,
               settled, (SELECT coalesce(sum(count), 0)::bigint FROM (
                   SELECT ready.count FROM line JOIN ready ON ready.line = line.id
                   WHERE line.job = run.job AND line.rank IS NOT NULL LIMIT 100000) AS r) AS ready
        FROM lease JOIN run ON run.id = lease.number WHERE token = $1 AND lease.stage = 0 AND run.ns = $2 FOR UPDATE";
}

const OVER: &str = "
    WITH gone AS (DELETE FROM lease WHERE session = $1 AND token = ANY ($2)) SELECT end_items_1($3, $4)";
const UPDATE: &str =
    "UPDATE lease SET open = $3, settled = $4, header = $5, suspect = $6 WHERE session = $1 AND token = $2";
const AGAIN: &str = "
    SELECT token, lease.job, lease.start, lease.count, at, coalesce(lease.header, body.header) AS header, lease.body,
           items, CASE WHEN stage = 0 THEN cursor END AS cursor
    FROM lease LEFT JOIN body ON body.id = lease.body LEFT JOIN run ON run.id = lease.number AND NOT lease.tracked
    WHERE session = $1 AND token = ANY ($2) ORDER BY token";

impl Step {
    /// Leases of a session, locked.
    pub(crate) async fn held(&mut self, session: i64, tokens: &[Token]) -> Done<BTreeMap<Token, Held>> {
        let tokens: Vec<i64> = tokens.iter().map(|token| token.0.cast_signed()).collect();
        let rows = self.all(sql!(select::NAMED, session, tokens)).await?;
        self.read_held(rows).await
    }

    /// All leases of a session, locked.
    pub(crate) async fn all_held(&mut self, session: i64) -> Done<BTreeMap<Token, Held>> {
        let rows = self.all(sql!(select::ALL, session)).await?;
        self.read_held(rows).await
    }

    /// The lease of a fill item, locked, and its run too; and how many items of its job are ready.
    pub(crate) async fn held_fill(&mut self, token: Token) -> Done<Option<(Held, u64)>> {
        let rows = self.all(sql!(select::FILL, token.0.cast_signed(), self.ns)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.know_run(row)?;
        let ready = unsigned(row, "ready")?;
        Ok(self.read_held(rows).await?.into_values().next().map(|held| (held, ready)))
    }

    async fn read_held(&mut self, rows: Vec<PgRow>) -> Done<BTreeMap<Token, Held>> {
        let mut held = BTreeMap::new();
        for row in rows {
            let job = row.try_get("job")?;
            let Piece { header, part } = self.read_piece(job, &row).await?;
            let token = Token(unsigned(&row, "token")?);
            let settled: Option<&[u8]> = row.try_get("settled")?;
            let one = Held {
                session: row.try_get("session")?,
                token,
                job,
                header,
                part,
                granted_at: Millis(row.try_get("granted_at")?),
                cancelled: row.try_get("is_cancelled")?,
                items: OpenItems::from_bytes(part.count, settled),
            };
            held.insert(token, one);
        }
        Ok(held)
    }

    /// The tokens of a session, in their order.
    pub(crate) async fn tokens(&mut self, session: i64) -> Done<Vec<Token>> {
        let sql = "SELECT token FROM lease WHERE session = $1 ORDER BY token";
        let tokens: Vec<i64> = self.values(sql!(sql, session)).await?;
        Ok(tokens.into_iter().map(|token| Token(token.cast_unsigned())).collect())
    }

    /// Leases of a session that are held still, as they were granted.
    pub(crate) async fn leases_again(&mut self, session: i64, tokens: &[Token]) -> Done<Vec<Lease>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let named: Vec<i64> = tokens.iter().map(|token| token.0.cast_signed()).collect();
        let mut found = BTreeMap::new();
        for row in self.all(sql!(AGAIN, session, named)).await? {
            let lease = self.read_lease(row.try_get("job")?, &row).await?;
            let cursor = row.try_get("cursor")?;
            found.insert(lease.token, Lease { cursor, ..lease });
        }
        // In the order in which they were granted.
        Ok(tokens.iter().filter_map(|token| found.remove(token)).collect())
    }

    /// A lease with its payload, as the columns of a granted one say it.
    pub(crate) async fn read_lease(&mut self, job: i64, row: &PgRow) -> Done<Lease> {
        let header = match row.try_get::<Option<String>, _>("header")? {
            Some(text) => self.header(job, Some(text), unsigned(row, "start")?).await?,
            None => return Err(Fault::Missing("the header of a lease")),
        };
        let (at, items) = (count(row, "at")?, count(row, "count")?);
        let body = match row.try_get::<Option<Vec<u8>>, _>("items")? {
            Some(bytes) => match Body::from_bytes(bytes) {
                whole if at == 0 && whole.count() == items => whole,
                body => body.range(at, at + items),
            },
            None => Body::unit(),
        };
        Ok(Lease { token: Token(unsigned(row, "token")?), chunk: Chunk { header, body }, cursor: None })
    }

    /// Writes leases of a session that were changed: those of which all items are settled are gone, and bodies of which
    /// all items have ended.
    pub(crate) async fn write_leases(&mut self, session: i64, changed: &[&Held]) -> Done<()> {
        let over = changed.iter().filter(|held| held.items.left() == 0);
        let over: Vec<i64> = over.map(|held| held.token.0.cast_signed()).collect();
        let (bodies, ends): (Vec<i64>, Vec<i32>) = std::mem::take(&mut self.ended).into_iter().unzip();
        self.execute(sql!(OVER, session, over, bodies, ends)).await?;
        for held in changed.iter().filter(|held| held.items.left() > 0) {
            let settled = held.items.to_bytes();
            let header = if held.part.own { None } else { Some(serde_json::to_string(&held.header)?) };
            let (token, open) = (held.token.0.cast_signed(), held.items.left().cast_signed());
            self.execute(sql!(UPDATE, held.session, token, open, settled, header, held.header.suspect))
                .await?;
        }
        Ok(())
    }

    /// Forgets a lease that is lost or given back.
    pub(crate) async fn forget(&mut self, held: &Held) -> Done<()> {
        let token = held.token.0.cast_signed();
        self.execute(sql!("DELETE FROM lease WHERE session = $1 AND token = $2", held.session, token))
            .await?;
        Ok(())
    }

    /// Items of a job in flight over all live sessions. In a statement of its own, after the job was locked: it has to see
    /// what others have leased meanwhile.
    pub(crate) async fn in_flight(&mut self, job: i64, of_runs: bool) -> Done<u32> {
        let sql =
            "SELECT coalesce(sum(open), 0)::bigint FROM lease JOIN session ON session.id = lease.session
                   WHERE job = $1 AND stage = 1 AND until >= $2 AND NOT ($3 AND tracked)";
        let open: i64 = self.value(sql!(sql, job, self.now.0, of_runs)).await?;
        Ok(u32::try_from(open).unwrap_or(u32::MAX))
    }

    /// Whether a session holds a suspect. The session is locked, so that two of its calls do not both take one.
    pub(crate) async fn holds_suspect(&mut self, session: i64) -> Done<bool> {
        self.execute(sql!("SELECT FROM session WHERE id = $1 FOR NO KEY UPDATE", session)).await?;
        self.is_any(sql!("SELECT FROM lease WHERE session = $1 AND suspect LIMIT 1", session)).await
    }
}

pub(crate) fn stage(stage: Stage) -> i16 {
    match stage {
        Stage::Fill => 0,
        Stage::Work => 1,
        Stage::Finish => 2,
    }
}
