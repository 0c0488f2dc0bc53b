//! Lists that may be long: read page by page, so that nobody else has to wait for all of it.

use jobs_core::{DeadFilter, DeadItem, Reply, RunFilter, RunReport, StoreError};
use serde_json::{Map, Value, json};

use crate::{reply::List, reports, script, store::RedisStore};

/// So many records are in a page.
const PAGE: usize = 200;

impl RedisStore {
    /// The runs that a filter lets through, newest first.
    pub(crate) async fn all_runs(self, filter: RunFilter) -> Result<Reply<Vec<RunReport>>, StoreError> {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let asked = page_of(filter.job_id(), before.as_deref());
            let read = |mut of: List| of.each_list(reports::report);
            let Reply { now, value: page } = self.ask(&script::RUNS_OF, asked, read).await?;
            let is_last = page.len() < PAGE;
            before = page.last().map(|run| run.id.to_string());
            listed.extend(page.into_iter().filter(|run| filter.matches(run)));
            if is_last || listed.len() >= filter.max() {
                listed.truncate(filter.max());
                return Ok(Reply { now, value: listed });
            }
        }
    }

    /// The dead items that a filter lets through, newest first.
    pub(crate) async fn all_dead(self, filter: DeadFilter) -> Result<Reply<Vec<DeadItem>>, StoreError> {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let asked = page_of(filter.job_id(), before.as_deref());
            let read = |mut of: List| of.each_list(reports::dead);
            let Reply { now, value: page } = self.ask(&script::DEAD_OF, asked, read).await?;
            let is_last = page.len() < PAGE;
            before = page.last().map(|(number, _)| number.clone());
            listed.extend(page.into_iter().map(|(_, dead)| dead).filter(|dead| filter.matches(dead)));
            if is_last || listed.len() >= filter.max() {
                listed.truncate(filter.max());
                return Ok(Reply { now, value: listed });
            }
        }
    }
}

/// Asks for the page that comes before a record.
fn page_of(job: Option<&str>, before: Option<&str>) -> Value {
    let mut asked = Map::new();
    asked.insert("limit".to_owned(), json!(PAGE));
    for (name, value) in [("job", job), ("before", before)] {
        if let Some(value) = value {
            asked.insert(name.to_owned(), json!(value));
        }
    }
    Value::Object(asked)
}
