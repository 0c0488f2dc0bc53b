//! What tells waiting nodes that something has changed: in a fixed order, and not to those that are cut off.

use std::sync::{Arc, Mutex};

use jobs_core::{Store, Waker, Wakeups};
use jobs_runner::MemoryStore;

use crate::{log::lock, wire::Wire};

/// All that wait. Each has a waker of its own, because tokio wakes those of one in a random order.
#[derive(Clone, Default)]
pub(crate) struct Hints(Arc<Mutex<Vec<(Arc<Wire>, Waker)>>>);

impl Hints {
    pub(crate) fn wakeups(&self, wire: &Arc<Wire>, store: &MemoryStore) -> Wakeups {
        let waker = Waker::default();
        let wakeups = waker.wakeups();
        if !wire.is_deaf() {
            waker.raise(store.wakeups().marks());
            lock(&self.0).push((wire.clone(), waker));
        }
        wakeups
    }

    /// Tells those who can hear of the store's last step.
    pub(crate) fn tell(&self, store: &MemoryStore) {
        let marks = store.wakeups().marks();
        for (wire, waker) in lock(&self.0).iter() {
            if !wire.is_cut() {
                waker.raise(marks);
            }
        }
    }
}
