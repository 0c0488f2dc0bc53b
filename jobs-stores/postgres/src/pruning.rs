//! Removing what is past what its job keeps.

use std::time::Duration;

use jobs_core::{
    Link, Pruned,
    ledger::{over, share_of},
};
use serde::{Deserialize, Serialize};

use crate::{
    facts::readable,
    fault::Done,
    step::{Step, most, sql},
};

/// For so long the row of an effect stays at least.
const EFFECTS_KEPT: Duration = Duration::from_secs(24 * 3600);

const OVERFULL: &str = "SELECT * FROM overfull_2($1)";
const PRUNE: &str = "SELECT * FROM prune_2($1, $2, $3, $4::jsonb, $5::jsonb, $6)";
const SWEEP: &str = "SELECT * FROM sweep_2($1, $2)";

#[derive(Deserialize, Serialize)]
struct Overfull {
    id: i64,
    ticks: i64,
    runs: i64,
}

#[derive(Deserialize)]
struct DeadOf {
    id: i64,
    link: String,
    died: i64,
}

#[derive(Serialize)]
struct DeadShare {
    id: i64,
    before: i64,
    most: usize,
}

impl Step {
    pub(crate) async fn prune(&mut self, limit: usize) -> Done<Pruned> {
        let mut facts = self.load(sql!(OVERFULL, self.ns)).await?;
        let mut jobs: Vec<Overfull> = facts.read("overfull");
        let mut more = share(&mut jobs, limit, |job| &mut job.ticks);
        more |= share(&mut jobs, limit, |job| &mut job.runs);
        let mut dead: Vec<DeadShare> = Vec::new();
        for row in facts.read::<DeadOf>("dead") {
            let Some(link) = readable::<Link>(&row.link) else { continue };
            let before = (self.now - link.keep_dead).0;
            if row.died < before {
                dead.push(DeadShare { id: row.id, before, most: 0 });
            }
        }
        let each = share_of(limit, dead.len());
        dead.truncate(limit);
        dead.iter_mut().for_each(|of| of.most = each);
        let (jobs, of_dead) = (serde_json::to_string(&jobs)?, serde_json::to_string(&dead)?);
        let effects_before = (self.now - EFFECTS_KEPT).0;
        let prune = sql!(PRUNE, self.ns, self.now.0, most(limit), jobs, of_dead, effects_before);
        let mut facts = self.load(prune).await?;
        let removed: Vec<usize> = facts.read("pruned");
        let full = |kind: usize| removed.get(kind).is_some_and(|removed| *removed >= limit.max(1));
        more |= full(0) || full(4) || facts.has("swept");
        more |= removed.get(3).is_some_and(|removed| !dead.is_empty() && *removed >= each);
        Ok(Pruned { removed: removed.iter().sum(), more })
    }

    /// Deletes at most `limit` chunks of what was dropped, and says whether any may be left.
    pub(crate) async fn sweep(&mut self, limit: i64) -> Done<bool> {
        let facts = self.load(sql!(SWEEP, self.ns, limit)).await?;
        Ok(facts.has("swept"))
    }
}

/// Holds what is removed of each job to its share of the limit. Returns whether more is left of any.
fn share(jobs: &mut [Overfull], limit: usize, of: fn(&mut Overfull) -> &mut i64) -> bool {
    let full = |job: &mut Overfull| over(u64::try_from(*of(job)).unwrap_or_default(), 0);
    let count = jobs.iter_mut().filter_map(|job| Some(full(job)).filter(|over| *over > 0)).count();
    let each = share_of(limit, count);
    let (mut left, mut more) = (limit, false);
    for job in jobs {
        let too_many = full(job);
        let gone = too_many.min(each).min(left);
        left -= gone;
        more |= gone < too_many;
        *of(job) = most(gone);
    }
    more
}
