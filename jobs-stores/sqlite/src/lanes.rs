//! What the lanes of sessions were answered last, for a repeat.

use jobs_core::{Settled, ledger::Lane};

use crate::{
    fault::Done,
    rows::{LaneRow, parsed, text},
    step::Step,
};

impl Step<'_> {
    /// The last call of a lane.
    pub(crate) fn lane(&mut self, session: i64, lane: u32) -> Done<Option<LaneRow>> {
        if let Some(known) = self.cache.lanes.get(&(session, lane)) {
            return Ok(Some(known.clone()));
        }
        let sql = "SELECT n, answer FROM lane WHERE session = ?1 AND lane = ?2";
        let row = self.one(sql, (session, lane), |row| {
            let answer = parsed("what a lane was answered", &text(row, 1)?).unwrap_or_default();
            Ok(LaneRow { n: row.get::<_, i64>(0)?.cast_unsigned(), answer })
        })?;
        if let Some(row) = &row {
            self.cache.lanes.insert((session, lane), row.clone());
        }
        Ok(row)
    }

    /// Keeps what a lane is answered.
    pub(crate) fn save_lane(&mut self, session: i64, lane: u32, n: u64, settled: &Settled) -> Done<()> {
        let answer = Lane::of(settled);
        let sql = "INSERT INTO lane (session, lane, n, answer) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (session, lane) DO UPDATE SET n = ?3, answer = ?4";
        self.execute(sql, (session, lane, n.cast_signed(), serde_json::to_string(&answer)?))?;
        self.cache.lanes.insert((session, lane), LaneRow { n, answer });
        Ok(())
    }

    /// The same answer again, with those of its leases that are still held.
    pub(crate) fn answer_again(&mut self, session: i64, lane: &LaneRow) -> Done<Settled> {
        let mut leases = Vec::new();
        for token in &lane.answer.leases {
            leases.extend(self.lease_again(session, *token)?);
        }
        Ok(lane.answer.repeated(leases))
    }
}
