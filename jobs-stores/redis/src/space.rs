//! The namespaces that a store uses of a server, and who waits for news of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_core::{Marks, Waker};
use tokio::sync::Notify;

/// One namespace.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) waker: Waker,
    marks: Mutex<Marks>,
}

impl Space {
    /// The key that the scripts know the namespace by: in braces, so that all of its keys are in one slot.
    pub(crate) fn key(&self) -> String {
        format!("{{{}}}:meta", self.name)
    }

    /// Where news of it are published.
    pub(crate) fn channel(&self) -> String {
        format!("{{{}}}:wake", self.name)
    }

    /// Tells those who wait what has happened: `w` work, `r` runs, `c` control.
    pub(crate) fn raise(&self, told: &str) {
        let mut marks = lock(&self.marks);
        let more = |letter| u64::from(told.contains(letter));
        marks.work += more('w');
        marks.runs += more('r');
        marks.control += more('c');
        self.waker.raise(*marks);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    by_name: Mutex<BTreeMap<String, Arc<Space>>>,
    /// Told when one is added.
    pub(crate) added: Notify,
}

impl Spaces {
    /// The namespace of that name.
    pub(crate) fn of(&self, name: &str) -> Arc<Space> {
        let mut by_name = lock(&self.by_name);
        if let Some(known) = by_name.get(name) {
            return known.clone();
        }
        let space = Arc::new(Space { name: name.to_owned(), ..Space::default() });
        by_name.insert(name.to_owned(), space.clone());
        self.added.notify_one();
        space
    }

    /// The channels of all.
    pub(crate) fn channels(&self) -> Vec<String> {
        lock(&self.by_name).values().map(|space| space.channel()).collect()
    }

    /// News came by a channel.
    pub(crate) fn heard(&self, channel: &str, told: &str) {
        let name = channel.strip_prefix('{').and_then(|rest| rest.strip_suffix("}:wake"));
        let space = name.and_then(|name| lock(&self.by_name).get(name).cloned());
        if let Some(space) = space {
            space.raise(told);
        }
    }

    /// Something may have been missed.
    pub(crate) fn raise_all(&self) {
        let all: Vec<_> = lock(&self.by_name).values().cloned().collect();
        all.iter().for_each(|space| space.raise("wrc"));
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
