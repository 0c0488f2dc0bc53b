//! What may be long: read page by page, and done part by part, so that nobody else has to wait for all of it.

use std::collections::BTreeMap;

use jobs_core::{
    Complete, Completion, DeadFilter, DeadItem, ItemId, ItemInfo, JobRecord, Reply, RunFilter, RunId,
    RunReport, STEP_RECORDS, StoreError, ledger::discard_cell,
};
use serde_json::{Map, Value, json};

use crate::{
    answers::{self, ItemPage},
    reply::List,
    reports, request, script,
    store::{RedisStore, bounded},
};

/// Records in a page of runs or jobs.
const PAGE: usize = 100;
/// Dead items in a page: each may have a hundred failed attempts of some kilobytes.
const DEAD_PAGE: usize = 20;
/// Runs that one step ends.
const COMPLETED: usize = 250;

impl RedisStore {
    /// The runs that a filter lets through, newest first.
    pub(crate) async fn all_runs(self, filter: RunFilter) -> Result<Reply<Vec<RunReport>>, StoreError> {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let asked = page_of(PAGE, filter.job_id(), before.as_deref());
            let read = |mut of: List| Ok((of.text()?, of.list()?.readable(reports::report)?));
            let Reply { now, value: (end, page) } = self.ask(&script::RUNS_OF, asked, read).await?;
            listed.extend(page.into_iter().filter(|run| filter.matches(run)));
            if end.is_empty() || listed.len() >= filter.max() {
                listed.truncate(filter.max());
                return Ok(Reply { now, value: listed });
            }
            before = Some(end);
        }
    }

    /// The dead items that a filter lets through, newest first.
    pub(crate) async fn all_dead(self, filter: DeadFilter) -> Result<Reply<Vec<DeadItem>>, StoreError> {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let asked = page_of(DEAD_PAGE, filter.job_id(), before.as_deref());
            let read = |mut of: List| Ok((of.text()?, of.list()?.readable(reports::dead)?));
            let Reply { now, value: (end, page) } = self.ask(&script::DEAD_OF, asked, read).await?;
            listed.extend(page.into_iter().filter(|dead| filter.matches(dead)));
            if end.is_empty() || listed.len() >= filter.max() {
                listed.truncate(filter.max());
                return Ok(Reply { now, value: listed });
            }
            before = Some(end);
        }
    }

    /// All jobs, in the order of their names. One that is renamed meanwhile may be listed under both names.
    pub(crate) async fn all_jobs(self) -> Result<Reply<Vec<JobRecord>>, StoreError> {
        let (mut listed, mut cursor) = (BTreeMap::new(), "0".to_owned());
        loop {
            let asked = json!({ "cursor": cursor, "limit": PAGE });
            let read = |mut of: List| Ok((of.text()?, of.list()?.readable(reports::job)?));
            let Reply { now, value: (next, page) } = self.ask(&script::JOBS_OF, asked, read).await?;
            listed.extend(page.into_iter().map(|job| (job.link.job.clone(), job)));
            if next == "0" {
                return Ok(Reply { now, value: listed.into_values().collect() });
            }
            cursor = next;
        }
    }

    /// Items of a run that have not ended, at most so many. Beyond some thousand chunks of a kind they are not read all to
    /// be put in order: those that are shown are alike.
    pub(crate) async fn all_items(
        self,
        run: RunId,
        limit: usize,
    ) -> Result<Reply<Vec<ItemInfo>>, StoreError> {
        let (mut listed, mut at) = (Vec::new(), (1, "0".to_owned()));
        loop {
            let (place, mark) = &at;
            // A fill or finish item is numbered like the first item of the run.
            let limit_of_chunk = bounded(limit.saturating_add(2));
            let asked =
                json!({ "run": run.to_string(), "limit": limit_of_chunk, "place": place, "at": mark });
            let read = |of: List| answers::items(of);
            let Reply { now, value } = self.ask(&script::ITEMS_OF, asked, read).await?;
            let (next, page): ItemPage = value;
            listed.extend(page);
            match next {
                Some(next) if listed.len() < limit => at = next,
                _ => {
                    listed.sort_by_key(|item| (reports::rank_of(&item.state), item.stage, item.id));
                    listed.truncate(limit);
                    return Ok(Reply { now, value: listed });
                }
            }
        }
    }

    /// Ends runs, some in each step.
    pub(crate) async fn complete_all(
        self,
        runs: Vec<Complete>,
    ) -> Result<Reply<Vec<Completion>>, StoreError> {
        let mut parts = runs.chunks(COMPLETED);
        let mut all = Vec::with_capacity(runs.len());
        loop {
            let part = parts.next().unwrap_or_default();
            let read = |mut of: List| of.each_list(answers::completion);
            // Done again, it would say that the runs were over before, and nobody would say that they are over now.
            let request = Ok(request::complete(part));
            let Reply { now, value } = self.send(&script::COMPLETE, request, Vec::new(), false, read).await?;
            all.extend(value);
            if parts.len() == 0 {
                return Ok(Reply { now, value: all });
            }
        }
    }

    /// Removes dead items, so many in each step.
    pub(crate) async fn discard_all(
        self,
        request: u64,
        items: Vec<ItemId>,
    ) -> Result<Reply<u64>, StoreError> {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        let mut parts = items.chunks(STEP_RECORDS);
        let (cell, mut removed) = (discard_cell(request), 0);
        loop {
            let part = parts.next().unwrap_or_default();
            let is_last = parts.len() == 0;
            let asked = json!({ "cell": cell, "items": part, "before": removed, "is_last": is_last });
            let reply = self.ask(&script::DISCARD, asked, |mut of| of.number::<u64>()).await?;
            if is_last {
                return Ok(reply);
            }
            removed = reply.value;
        }
    }
}

/// Asks for the page that comes before a record.
fn page_of(limit: usize, job: Option<&str>, before: Option<&str>) -> Value {
    let mut asked = Map::new();
    asked.insert("limit".to_owned(), json!(limit));
    for (name, value) in [("job", job), ("before", before)] {
        if let Some(value) = value {
            asked.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(asked)
}
