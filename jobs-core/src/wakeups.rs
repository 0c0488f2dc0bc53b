//! What wakes up a waiting runner or client.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll},
};

/// How often each kind of thing has happened in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Items became ready, or will at a new time.
    pub work: u64,
    /// A run is no longer busy, or is over.
    pub runs: u64,
    /// A pause, a cancel or a schedule has changed.
    pub control: u64,
}

impl Marks {
    /// The greater of each.
    fn max(self, other: Self) -> Self {
        Self {
            work: self.work.max(other.work),
            runs: self.runs.max(other.runs),
            control: self.control.max(other.control),
        }
    }
}

/// The store's end: it marks what happens.
///
/// Who waits is woken in the order of waiting, so that a simulation wakes them in the same order every time; tokio's
/// own channels spread their waiters by chance.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Mutex<Shared>>);

/// The other end: it waits for marks. A hint: correctness never depends on one.
#[derive(Clone, Debug)]
pub struct Wakeups(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    marks: Marks,
    waiting: Vec<task::Waker>,
}

impl Waker {
    /// So much has happened so far.
    pub fn raise(&self, marks: Marks) {
        let mut shared = lock(&self.0);
        // Of two that come at once, the older may come last.
        let raised = shared.marks.max(marks);
        if shared.marks == raised {
            return;
        }
        shared.marks = raised;
        let waiting = std::mem::take(&mut shared.waiting);
        drop(shared);
        waiting.into_iter().for_each(task::Waker::wake);
    }

    /// Whether anybody waits right now: a store that has to look for what happens elsewhere need not look for nobody.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        !lock(&self.0).waiting.is_empty()
    }

    /// A receiver of what happens.
    #[must_use]
    pub fn wakeups(&self) -> Wakeups {
        Wakeups(self.0.clone())
    }
}

impl Wakeups {
    /// Waits until `of` gives another number than it gave for `seen`, and gives it back.
    pub async fn changed(&self, of: impl Fn(&Marks) -> u64, seen: u64) -> u64 {
        poll_fn(|cx| {
            let mut shared = lock(&self.0);
            let now = of(&shared.marks);
            if now != seen {
                return Poll::Ready(now);
            }
            if !shared.waiting.iter().any(|waiting| waiting.will_wake(cx.waker())) {
                shared.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// What has happened so far.
    #[must_use]
    pub fn marks(&self) -> Marks {
        lock(&self.0).marks
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
