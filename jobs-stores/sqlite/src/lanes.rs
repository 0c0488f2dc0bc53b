//! What the lanes of sessions were answered last, for a repeat.

use jobs_core::{Millis, RunId, Settled, Token};
use serde::{Deserialize, Serialize};

use crate::{fault::Done, sessions::Session, step::Step};

/// The last call of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) n: u64,
    answer: Answer,
}

/// What it was answered; the leases are found by their tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Answer {
    leases: Vec<Token>,
    lost: Vec<Token>,
    ended: Vec<u64>,
    next_due: Option<Millis>,
}

impl Step<'_> {
    /// The last call of a lane.
    pub(crate) fn lane(&mut self, session: i64, lane: u32) -> Done<Option<Lane>> {
        if let Some(known) = self.cache.lanes.get(&(session, lane)) {
            return Ok(Some(known.clone()));
        }
        let sql = "SELECT n, answer FROM lane WHERE session = ?1 AND lane = ?2";
        let row =
            self.one(sql, (session, lane), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let Some((n, answer)) = row else { return Ok(None) };
        let lane_of = Lane { n: n.cast_unsigned(), answer: serde_json::from_str(&answer)? };
        self.cache.lanes.insert((session, lane), lane_of.clone());
        Ok(Some(lane_of))
    }

    /// Keeps what a lane is answered.
    pub(crate) fn save_lane(&mut self, session: i64, lane: u32, n: u64, settled: &Settled) -> Done<()> {
        let answer = Answer {
            leases: settled.leases.iter().map(|lease| lease.token).collect(),
            lost: settled.lost.clone(),
            ended: settled.ended.iter().map(|run| run.number()).collect(),
            next_due: settled.next_due,
        };
        let sql = "INSERT INTO lane VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (session, lane) DO UPDATE SET n = ?3, answer = ?4";
        self.execute(sql, (session, lane, n.cast_signed(), serde_json::to_string(&answer)?))?;
        self.cache.lanes.insert((session, lane), Lane { n, answer });
        Ok(())
    }

    /// The same answer again, with those of its leases that are held still.
    pub(crate) fn answer_again(&mut self, session: &Session, lane: &Lane) -> Done<Settled> {
        let mut leases = Vec::new();
        for token in &lane.answer.leases {
            if self.held(session.row, *token)?.is_some() {
                leases.extend(self.lease_again(*token)?);
            }
        }
        Ok(Settled {
            leases,
            lost: lane.answer.lost.clone(),
            ended: lane.answer.ended.iter().copied().map(RunId::new).collect(),
            next_due: lane.answer.next_due,
        })
    }
}
