//! The namespaces that this process uses of a schema, and who waits for news of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
};

use jobs_core::{Marks, Waker};

/// One namespace.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) waker: Waker,
    marks: Mutex<Marks>,
    /// Its number in the schema; 0 until it was looked up.
    id: AtomicI32,
}

impl Space {
    /// Tells those who wait that so much more has happened.
    pub(crate) fn raise(&self, more: Marks) {
        if more == Marks::default() {
            return;
        }
        let mut marks = lock(&self.marks);
        marks.work += more.work;
        marks.runs += more.runs;
        marks.control += more.control;
        self.waker.raise(*marks);
    }

    /// Its number in the schema, if it was looked up.
    pub(crate) fn id(&self) -> Option<i32> {
        Some(self.id.load(Ordering::Acquire)).filter(|id| *id != 0)
    }

    /// Remembers its number; 0 forgets it.
    pub(crate) fn set_id(&self, id: i32) {
        self.id.store(id, Ordering::Release);
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Spaces(Mutex<BTreeMap<String, Arc<Space>>>);

impl Spaces {
    /// The namespace of that name.
    pub(crate) fn of(&self, name: &str) -> Arc<Space> {
        let new = || Arc::new(Space { name: name.to_owned(), ..Space::default() });
        lock(&self.0).entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// The namespace of that name, if it is used here.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Space>> {
        lock(&self.0).get(name).cloned()
    }

    /// Something may have happened, nobody knows what.
    pub(crate) fn raise_all(&self) {
        for space in lock(&self.0).values() {
            space.raise(Marks { work: 1, runs: 1, control: 1 });
        }
    }

    /// Forgets all numbers: the database may be another one than before, from a backup say.
    pub(crate) fn forget_ids(&self) {
        for space in lock(&self.0).values() {
            space.set_id(0);
        }
    }
}

pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
