//! Dead items batch by batch, however many there are.

use std::{collections::BTreeSet, sync::Arc};

use jobs_core::{DeadFilter, ItemId, RunId, Store, StoreError};

/// So many at once: one step of the store, and one run.
const BATCH: usize = 1_000;

/// Goes through the dead items that a filter matches, while whoever asks takes them away.
pub(crate) struct Sweep<'a> {
    store: &'a dyn Store,
    filter: DeadFilter,
    /// How many more may be taken.
    left: usize,
    /// Runs of items that this one took: who dies there again is not taken again.
    made: BTreeSet<RunId>,
}

impl<'a> Sweep<'a> {
    /// Begins with what is dead now.
    pub(crate) async fn begin(store: &'a dyn Store, filter: DeadFilter) -> Result<Self, StoreError> {
        let now = store.sessions().await?.now.timestamp();
        let until = filter.latest().map_or(now, |until| until.min(now));
        let left = filter.bound().unwrap_or(usize::MAX);
        Ok(Self { store, filter: filter.until(until), left, made: BTreeSet::new() })
    }

    /// The next of them, all of one job; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<(Arc<str>, Vec<ItemId>)>, StoreError> {
        let filter = self.filter.clone().limit(self.left.min(BATCH));
        let mut dead = self.store.dead(filter).await?.value;
        dead.retain(|item| item.run.is_none_or(|run| !self.made.contains(&run)));
        let Some(first) = dead.first() else { return Ok(None) };
        let job: Arc<str> = first.job.as_str().into();
        let items: Vec<ItemId> = dead.iter().filter(|item| *item.job == *job).map(|item| item.id).collect();
        self.left -= items.len();
        Ok(Some((job, items)))
    }

    /// Leaves out what dies in a run that was made of items of this sweep.
    pub(crate) fn leave_out(&mut self, run: RunId) {
        self.made.insert(run);
    }
}
