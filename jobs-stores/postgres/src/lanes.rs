//! What the lanes of sessions were answered last, for a repeat.

use jobs_core::{Millis, RunId, Settled, Token};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    sessions::Session,
    step::{Step, sql},
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

impl Lane {
    /// Of the columns of a lane, if there is one.
    pub(crate) fn read(row: &PgRow) -> Done<Option<Self>> {
        let Some(n) = row.try_get::<Option<i64>, _>("n")? else { return Ok(None) };
        Ok(Some(Self { n: n.cast_unsigned(), answer: serde_json::from_str(row.try_get("answer")?)? }))
    }
}

const SAVE: &str = "INSERT INTO lane (session, lane, n, answer) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (session, lane) DO UPDATE SET n = $3, answer = $4";

impl Step {
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
