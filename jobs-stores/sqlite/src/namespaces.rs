//! The namespaces that this process uses of a file, and who waits for news of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_core::{Marks, Waker};

/// One namespace.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) waker: Waker,
    marks: Mutex<Marks>,
}

impl Namespace {
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
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(Mutex<BTreeMap<String, Arc<Namespace>>>);

impl Namespaces {
    /// The namespace of that name.
    pub(crate) fn of(&self, name: &str) -> Arc<Namespace> {
        let new = || Arc::new(Namespace { name: name.to_owned(), ..Namespace::default() });
        lock(&self.0).entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Whether anybody waits.
    pub(crate) fn are_awaited(&self) -> bool {
        lock(&self.0).values().any(|space| space.waker.is_awaited())
    }

    /// Another process has written, nobody knows what.
    pub(crate) fn raise_all(&self) {
        for space in lock(&self.0).values() {
            space.raise(Marks { work: 1, runs: 1, control: 1 });
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
