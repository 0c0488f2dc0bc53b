//! Calling what the user wrote: bounded, broken off when it has to be, its panics caught.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use jobs_core::{
    FailureKind, JobContext,
    descriptor::{BlockingCall, Finished},
    notice,
};
use tracing::Instrument;

use crate::{
    lease::{Held, Revoked},
    node::Node,
    panic::panic_message,
};

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// It returned.
    Returned(T),
    Panicked(String),
    /// It took longer than it may.
    TimedOut,
    /// Its lease was revoked.
    Revoked,
}

/// What bounds an attempt, and how its passing is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) time: Duration,
    pub(crate) kind: FailureKind,
}

/// Polls a call to its end, its bound, or its lease's.
pub(crate) async fn drive<T>(
    node: &Node,
    held: &Arc<Held>,
    cx: &JobContext,
    bound: Option<Bound>,
    future: impl Future<Output = T>,
) -> Ended<T> {
    let span = tracing::debug_span!(target: "jobs", "attempt", job = &*held.header.job, item = %cx.item_id(),
        attempt = cx.attempt());
    let (mut future, mut cancelled) = (pin!(future.instrument(span)), pin!(cx.cancelled()));
    let mut late = pin!(passes(node, bound));
    let mut entry = None;
    poll_fn(|task| {
        if let Poll::Ready(value) = future.as_mut().poll(task) {
            return Poll::Ready(Ended::Returned(value));
        }
        // Most handlers that do little are ready at once: nothing of this is done for those.
        entry.get_or_insert_with(|| node.attempts.enter(held, cx));
        if cancelled.as_mut().poll(task).is_ready() {
            return Poll::Ready(Ended::Revoked);
        }
        late.as_mut().poll(task).map(|()| {
            // What the handler has handed on hears of it.
            cx.cancel();
            Ended::TimedOut
        })
    })
    .await
}

/// The same for an attempt that is entered.
pub(crate) async fn drive_entered<T>(
    node: &Node,
    cx: &JobContext,
    bound: Option<Bound>,
    future: impl Future<Output = T>,
) -> Ended<T> {
    tokio::select! {
        biased;
        value = future => Ended::Returned(value),
        () = cx.cancelled() => Ended::Revoked,
        () = passes(node, bound) => {
            // What the handler has handed on hears of it.
            cx.cancel();
            Ended::TimedOut
        }
    }
}

/// Calls what blocks, and waits for it to its end: it cannot be broken off, and nobody else may have the item
/// meanwhile.
pub(crate) async fn drive_blocking(
    node: &Node,
    held: &Arc<Held>,
    cx: &JobContext,
    bound: Option<Bound>,
    call: BlockingCall,
) -> Ended<Finished> {
    let entry = node.attempts.enter_blocking(held, cx);
    let mut blocking = pin!(node.env.blocking(call));
    let mut late = pin!(passes(node, bound));
    let timed_out = tokio::select! {
        biased;
        result = &mut blocking => return returned(result),
        () = &mut late => true,
        () = cx.cancelled() => false,
    };
    cx.cancel();
    if timed_out {
        report_overrun(cx);
    }
    let result = blocking.await;
    drop(entry);
    match held.revoked() {
        _ if timed_out => Ended::TimedOut,
        Some(Revoked::Cancelled) => Ended::Revoked,
        // What it did is done; if the lease is another's by now, the store refuses it.
        _ => returned(result),
    }
}

/// Says that an attempt goes on although its time is over.
pub(crate) fn report_overrun(cx: &JobContext) {
    let (job, item) = (cx.job(), cx.item_id());
    let text = "overruns its bound; it blocks, so it cannot be broken off, and keeps its slot until it ends";
    notice::warn("overrun", format_args!("{job}: the attempt of item {item} {text}"));
}

fn returned<T>(result: std::thread::Result<T>) -> Ended<T> {
    match result {
        Ok(value) => Ended::Returned(value),
        Err(panic) => Ended::Panicked(panic_message(&*panic)),
    }
}

/// Waits until a bound is passed, on a clock that counts suspend.
async fn passes(node: &Node, bound: Option<Bound>) {
    let Some(bound) = bound else { return std::future::pending().await };
    let deadline = node.env.uptime().saturating_add(bound.time);
    loop {
        let left = deadline.saturating_sub(node.env.uptime());
        if left.is_zero() {
            return;
        }
        node.env.sleep(left).await;
    }
}

/// A future whose panic is an error: what the panic said. It is caught wherever it comes from: from a poll, or from
/// something that is dropped in one.
pub(crate) async fn unwinding<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|task| {
        // A future that has panicked is not polled again.
        let poll = |future: Pin<&mut _>, task: &mut _| Future::poll(future, task);
        match catch_unwind(AssertUnwindSafe(|| poll(future.as_mut(), task))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic_message(&*panic))),
        }
    })
    .await
}
