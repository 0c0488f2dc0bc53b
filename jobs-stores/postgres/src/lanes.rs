//! What the lanes of sessions were answered last, for a repeat.

use jobs_core::{Millis, RunId, Settled, Token};
use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::{
    fault::Done,
    sessions::Session,
    step::{Step, sql, unsigned},
};

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

const SAVE: &str = "INSERT INTO lane (session, lane, n, answer) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (session, lane) DO UPDATE SET n = $3, answer = $4";

impl Step {
    /// The last call of a lane. The caller holds the lane.
    pub(crate) async fn lane(&mut self, session: i64, lane: u32) -> Done<Option<Lane>> {
        let sql = "SELECT n, answer FROM lane WHERE session = $1 AND lane = $2";
        let Some(row) = self.one(sql!(sql, session, i64::from(lane))).await? else { return Ok(None) };
        Ok(Some(Lane { n: unsigned(&row, "n")?, answer: serde_json::from_str(row.try_get("answer")?)? }))
    }

    /// Keeps what a lane is answered.
    pub(crate) async fn save_lane(&mut self, session: i64, lane: u32, n: u64, settled: &Settled) -> Done<()> {
        let answer = Answer {
            leases: settled.leases.iter().map(|lease| lease.token).collect(),
            lost: settled.lost.clone(),
            ended: settled.ended.iter().map(|run| run.number()).collect(),
            next_due: settled.next_due,
        };
        let answer = serde_json::to_string(&answer)?;
        self.execute(sql!(SAVE, session, i64::from(lane), n.cast_signed(), answer)).await?;
        Ok(())
    }

    /// The same answer again, with those of its leases that are held still.
    pub(crate) async fn answer_again(&mut self, session: &Session, lane: &Lane) -> Done<Settled> {
        let Answer { leases, lost, ended, next_due } = &lane.answer;
        Ok(Settled {
            leases: self.leases_again(session.row, leases).await?,
            lost: lost.clone(),
            ended: ended.iter().copied().map(RunId::new).collect(),
            next_due: *next_due,
        })
    }
}
