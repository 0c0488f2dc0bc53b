//! Waiting for an answer of one of the store's threads.
//!
//! A test whose clock is paused (`tokio::time::pause`) has its time jump when all tasks are idle, and a task that waits
//! for a thread looks idle. An open blocking task keeps time from jumping. So with the feature `testing`, which
//! `jobs-runner` turns on with its own feature of that name, and only on a runtime of one thread, which alone can have a
//! paused clock, a blocking task waits along. A program that is built without the feature pays nothing.

use jobs_core::StoreError;
use tokio::sync::oneshot;

use crate::operation::closed;

type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// Waits for an answer.
#[cfg(not(feature = "testing"))]
pub(crate) async fn answered<T: Send + 'static>(answer: Answer<T>) -> Result<T, StoreError> {
    answer.await.unwrap_or_else(|_| Err(closed()))
}

/// Waits for an answer. The blocking task is there when this returns: a future that nobody has polled yet waits too.
#[cfg(feature = "testing")]
pub(crate) fn answered<T: Send + 'static>(
    answer: Answer<T>,
) -> impl Future<Output = Result<T, StoreError>> + Send {
    use tokio::runtime::{Handle, RuntimeFlavor};

    let runtime = Handle::try_current().ok();
    let runtime = runtime.filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread);
    let (held, answer) = match runtime {
        Some(runtime) => (Some(runtime.spawn_blocking(|| answer.blocking_recv())), None),
        None => (None, Some(answer)),
    };
    async move {
        let told = match (held, answer) {
            (Some(held), _) => held.await.ok().and_then(Result::ok),
            (None, Some(answer)) => answer.await.ok(),
            (None, None) => None,
        };
        told.unwrap_or_else(|| Err(closed()))
    }
}
