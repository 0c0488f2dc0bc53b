//! What callers send to the threads that own connections, and how they are answered.

use jobs_core::{Millis, Reply, StoreError};
use std::sync::Arc;
use tokio::sync::oneshot;

use crate::{fault::Done, namespaces::Namespace, reading::Snapshot, step::Step};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<Reply<T>, StoreError>>;

/// A step that writes. It may be done more than once before it is answered: a transaction that is lost takes all of
/// its steps with it.
pub(crate) trait Write: Send {
    /// About how many bytes it writes.
    fn size(&self) -> usize;
    /// The namespace that it belongs to.
    fn space(&self) -> &Arc<Namespace>;
    /// The store's clock, as its caller set it.
    fn now(&self) -> Millis;
    /// Does it.
    fn run(&mut self, step: &mut Step<'_>) -> Done<()>;
    /// Answers its caller, once what it did is committed.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

/// A step that writes, and where its answer goes.
pub(crate) struct Writing<T, F> {
    pub(crate) work: F,
    pub(crate) size: usize,
    pub(crate) space: Arc<Namespace>,
    pub(crate) offset: i64,
    pub(crate) done: Option<Reply<T>>,
    pub(crate) to: Answer<T>,
}

impl<T: Send, F: FnMut(&mut Step<'_>) -> Done<T> + Send> Write for Writing<T, F> {
    fn size(&self) -> usize {
        self.size
    }

    fn space(&self) -> &Arc<Namespace> {
        &self.space
    }

    fn now(&self) -> Millis {
        clock(self.offset)
    }

    fn run(&mut self, step: &mut Step<'_>) -> Done<()> {
        let value = (self.work)(step)?;
        self.done = Some(Reply { now: step.now, value });
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let told = match (failed, self.done) {
            (None, Some(reply)) => Ok(reply),
            (Some(error), _) => Err(error),
            (None, None) => Err(closed()),
        };
        // Who does not wait any more wants no answer.
        let _gone = self.to.send(told);
    }
}

/// A step that only reads.
pub(crate) trait Read: Send {
    /// Does it, and answers its caller.
    fn run(self: Box<Self>, snapshot: Result<Snapshot<'_>, StoreError>);
    /// The namespace that it belongs to.
    fn space(&self) -> &Arc<Namespace>;
    /// The store's clock, as its caller set it.
    fn now(&self) -> Millis;
}

/// A step that only reads, and where its answer goes.
pub(crate) struct Reading<T, F> {
    pub(crate) work: F,
    pub(crate) space: Arc<Namespace>,
    pub(crate) offset: i64,
    pub(crate) to: Answer<T>,
}

impl<T: Send, F: FnOnce(&Snapshot<'_>) -> Done<T> + Send> Read for Reading<T, F> {
    fn run(self: Box<Self>, snapshot: Result<Snapshot<'_>, StoreError>) {
        let this = *self;
        let told = snapshot.and_then(|snapshot| {
            let value = (this.work)(&snapshot).map_err(|fault| fault.told(snapshot.path))?;
            Ok(Reply { now: snapshot.now, value })
        });
        let _gone = this.to.send(told);
    }

    fn space(&self) -> &Arc<Namespace> {
        &self.space
    }

    fn now(&self) -> Millis {
        clock(self.offset)
    }
}

/// The system's clock, shifted.
fn clock(offset: i64) -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(offset))
}

/// What is said when the thread that would answer is gone.
pub(crate) fn closed() -> StoreError {
    StoreError::Backend("the store's thread has ended".into())
}
