//! What the tests of this package share: durations, a log that handlers write, a gate they wait at, a count of how
//! many are inside. The tests themselves are in `tests/`, one file per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.

pub mod sources;

use std::{
    collections::VecDeque,
    fmt::Debug,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::Semaphore;

/// One millisecond.
pub const MILLI: Duration = Duration::from_millis(1);
/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub const HOUR: Duration = Duration::from_secs(3_600);
/// One day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// So many seconds.
#[must_use]
pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An instant, or anything else that is written as text.
///
/// # Panics
/// If the text does not parse.
#[must_use]
pub fn at<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// What handlers have noted, in order. Clones share it.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Log<T> {
    /// Adds a line.
    pub fn note(&self, line: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// All lines.
    #[must_use]
    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines, and forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a line when the returned value is dropped: it proves that a future is gone.
    #[must_use]
    pub fn on_drop(&self, line: T) -> OnDrop<T> {
        OnDrop { log: self.clone(), line }
    }
}

/// Notes that it was dropped.
#[derive(Debug)]
pub struct OnDrop<T: Clone> {
    log: Log<T>,
    line: T,
}

impl<T: Clone> Drop for OnDrop<T> {
    fn drop(&mut self) {
        self.log.note(self.line.clone());
    }
}

/// Where handlers wait until the test lets them through. Clones share it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Waits until it is let through.
    pub async fn pass(&self) {
        self.0.acquire().await.expect("the gate is never closed for good").forget();
    }

    /// Lets so many through.
    pub fn let_through(&self, n: usize) {
        self.0.add_permits(n);
    }

    /// Lets all through, now and later.
    pub fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

/// How many are inside at once, and how many there have been at the most. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Inside(Arc<Mutex<(usize, usize)>>);

impl Inside {
    /// Goes in, until the returned value is dropped.
    #[must_use]
    pub fn enter(&self) -> Entered {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Entered(self.clone())
    }

    /// How many are inside.
    #[must_use]
    pub fn now(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How many there have been at the most.
    #[must_use]
    pub fn most(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Somebody who is inside.
#[derive(Debug)]
pub struct Entered(Inside);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
    }
}

/// A stream of these, which is not ready at every second look.
#[must_use]
pub fn stream<T: Unpin>(items: impl IntoIterator<Item = T>) -> Hesitant<T> {
    Hesitant { items: items.into_iter().collect(), hesitated: false }
}

/// A stream that is not ready at every second look.
#[derive(Debug)]
pub struct Hesitant<T> {
    items: VecDeque<T>,
    hesitated: bool,
}

impl<T: Unpin> Stream for Hesitant<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.hesitated = !self.hesitated;
        if self.hesitated {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.items.pop_front())
    }
}
