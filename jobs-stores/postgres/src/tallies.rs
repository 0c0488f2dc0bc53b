//! What settling adds to the counts of runs.
//!
//! It is inserted into `tally`, one row per call and run, so that many settle items of one run at once. Whoever ends what
//! may be the last item of a run locks the run and adds those rows up; so does upkeep, little by little.

use jobs_core::{Counts, ErrorGroup, RunId};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    runs::{Run, key, run_id},
    step::{Step, most, sql, unsigned},
};

/// What a step adds to the counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// First attempts that were settled.
    pub(crate) fresh: u64,
    pub(crate) errors: Vec<ErrorGroup>,
}

impl Tally {
    pub(crate) fn read(row: &PgRow) -> Done<Self> {
        let errors: Option<&str> = row.try_get("errors")?;
        Ok(Self {
            counts: counts(row)?,
            fresh: unsigned(row, "fresh")?,
            errors: errors.map(serde_json::from_str).transpose()?.unwrap_or_default(),
        })
    }
}

/// The counts in the columns of `run` or `tally`.
pub(crate) fn counts(row: &PgRow) -> Done<Counts> {
    Ok(Counts {
        total: 0,
        ok: unsigned(row, "ok")?,
        retries: unsigned(row, "retries")?,
        dead: unsigned(row, "dead")?,
        discarded: unsigned(row, "discarded")?,
        expired: unsigned(row, "expired")?,
        cancelled: unsigned(row, "cancelled")?,
    })
}

pub(crate) const FOLD: &str = "DELETE FROM tally WHERE ns = $1 AND run = $2 RETURNING *";
/// Inserts what was counted of runs, but of those of which nothing waits for a slot and whose query is through: what is
/// settled of them may be the last. Gives these.
const TALLY: &str = "
    WITH counted AS MATERIALIZED (
        SELECT t.*, NOT filling AND NOT EXISTS (
            SELECT FROM line JOIN ready ON ready.line = line.id
            WHERE line.job = run.job AND line.kind = 1 AND line.run = run.id AND line.builds = '') AS may_be_over
        FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                    $9::bigint[], $10::text[])
             AS t (run, ok, retries, dead, discarded, expired, cancelled, fresh, errors)
        JOIN run ON run.id = t.run),
    inserted AS (
        INSERT INTO tally (ns, run, ok, retries, dead, discarded, expired, cancelled, fresh, errors)
        SELECT $1, run, ok, retries, dead, discarded, expired, cancelled, fresh, errors FROM counted
        WHERE NOT may_be_over)
    SELECT run FROM counted WHERE may_be_over ORDER BY run";

impl Step {
    /// A run with all that was counted of it, locked from now on. In two statements: the second sees what others have
    /// counted who held the lock before.
    pub(crate) async fn folded(&mut self, id: RunId) -> Done<Option<&mut Run>> {
        if self.run(id).await?.is_none() {
            return Ok(None);
        }
        let rows = self.all(sql!(FOLD, self.ns, key(id))).await?;
        let own = self.tallies.remove(&id);
        let Some(run) = self.runs.get_mut(&id) else { return Ok(None) };
        for row in &rows {
            run.add(Tally::read(row)?);
        }
        own.into_iter().for_each(|own| run.add(own));
        Ok(Some(run))
    }

    /// What this step adds to the counts of a run.
    pub(crate) fn tally(&mut self, run: RunId) -> &mut Tally {
        self.tallies.entry(run).or_default()
    }

    /// Writes what this step has counted. What may be the end of a run is added up.
    pub(crate) async fn write_tallies(&mut self) -> Done<()> {
        for (id, run) in &mut self.runs {
            self.tallies.remove(id).into_iter().for_each(|tally| run.add(tally));
        }
        if self.tallies.is_empty() {
            return Ok(());
        }
        let mut columns: [Vec<i64>; 8] = Default::default();
        let mut errors = Vec::new();
        for (id, tally) in &self.tallies {
            let Counts { ok, retries, dead, discarded, expired, cancelled, .. } = tally.counts;
            let values = [id.number(), ok, retries, dead, discarded, expired, cancelled, tally.fresh];
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value.cast_signed()));
            errors.push(if tally.errors.is_empty() {
                None
            } else {
                Some(serde_json::to_string(&tally.errors)?)
            });
        }
        let [runs, ok, retries, dead, discarded, expired, cancelled, fresh] = columns;
        let statement =
            sql!(TALLY, self.ns, runs, ok, retries, dead, discarded, expired, cancelled, fresh, errors);
        for row in self.all(statement).await? {
            self.folded(run_id(&row)?).await?;
        }
        self.tallies.clear();
        Ok(())
    }

    /// Adds up what was counted of some runs, and says which may be over: what nobody noticed who settled.
    pub(crate) async fn completable(&mut self, limit: usize) -> Done<Vec<RunId>> {
        let counted: Vec<i64> = self
            .values(sql!("SELECT DISTINCT run FROM tally WHERE ns = $1 ORDER BY run LIMIT 100", self.ns))
            .await?;
        let free = "SELECT id FROM run WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED";
        for row in self.all(sql!(free, counted)).await? {
            self.folded(run_id(&row)?).await?;
        }
        self.write_runs().await?;
        let sql = "SELECT id FROM run WHERE ns = $1 AND ended ORDER BY id LIMIT $2";
        let rows = self.all(sql!(sql, self.ns, most(limit))).await?;
        rows.iter().map(run_id).collect()
    }
}
