//! One attempt of a handler: decoded, bounded, broken off when it has to be, and judged.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use jobs_core::{
    BoxFuture, End, Failure, FailureKind, Finish, JobContext, Outcome, after_failure,
    descriptor::{BlockingCall, Finished, Handler},
};
use tracing::Instrument;

use crate::{
    desk::Desk,
    event::Event,
    lease::{Held, Revoked, Taken},
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

/// A handler with its arguments.
enum Call<'a> {
    Async(BoxFuture<'a, Finished>),
    Blocking(BlockingCall),
}

/// Runs one attempt of one item.
pub(crate) async fn run(node: &Arc<Node>, desk: &Desk, taken: &Taken, began: Duration) -> End {
    let (held, index, payload) = (&taken.held, taken.index, taken.payload());
    let now = node.clock.at(began);
    if held.header.options.expires_at.is_some_and(|at| at <= now) {
        return End::Expired;
    }
    let bound = bound(desk, held);
    let deadline = bound.map(|bound| (now + bound.time).timestamp());
    let cx = JobContext::new(held.delivery.clone(), held.item(index), now.timestamp(), deadline);
    let (instance, handler) = (&desk.job.instance, desk.job.def.handler);

    // What decodes is the user's code too.
    let called = catch_unwind(AssertUnwindSafe(|| match handler {
        Handler::Async(call) => call(instance, &cx, payload).map(Call::Async),
        Handler::Blocking(call) => call(instance, cx.clone(), payload).map(Call::Blocking),
    }));
    let ended = match called {
        Ok(Ok(call)) => {
            started(node, held, index);
            match call {
                Call::Async(future) => drive(node, held, &cx, bound, future).await,
                Call::Blocking(call) => drive_blocking(node, held, &cx, bound, call).await,
            }
        }
        Ok(Err(error)) => return undecodable(desk, held, index, &error.to_string()),
        Err(panic) => Ended::Panicked(panic_message(&*panic)),
    };
    judge(node, desk, held, index, ended, bound, began)
}

/// A payload that the handler does not take is no failed attempt: another build may take it.
fn undecodable(desk: &Desk, held: &Held, index: u32, message: &str) -> End {
    tracing::warn!(target: "jobs", job = &*desk.job.id, item = %held.item(index), error = message,
        "an item does not decode; it is given back for a build that can decode it");
    End::Undecodable(message.to_owned())
}

fn started(node: &Node, held: &Held, index: u32) {
    node.bus.say_often(|| Event::AttemptStarted {
        job: held.header.job.to_string(),
        run: held.run(),
        item: held.item(index),
        attempt: held.delivery.attempt,
    });
}

/// The bound of an attempt. Without a query, what bounds the job's exclusivity bounds it too.
fn bound(desk: &Desk, held: &Held) -> Option<Bound> {
    let policy = &desk.job.policy;
    let timeout = held.header.options.timeout.or(policy.timeout);
    let timeout = timeout.map(|time| Bound { time, kind: FailureKind::Timeout });
    let of_run = desk.job.def.query.is_none() && !held.header.tracked;
    let compute =
        of_run.then_some(Bound { time: policy.max_compute_time, kind: FailureKind::MaxComputeTime });
    timeout.into_iter().chain(compute).min_by_key(|bound| bound.time)
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
    let mut future = pin!(unwinding(future).instrument(span));
    // Most handlers that do little are ready at once: nothing else is set up for those.
    if let Some(ended) = poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
    {
        return ended;
    }
    let _entry = node.attempts.enter(held, cx);
    tokio::select! {
        biased;
        ended = future => ended,
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
async fn drive_blocking(
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
        tracing::warn!(target: "jobs", job = &*held.header.job, item = %cx.item_id(),
            "a blocking handler overruns its bound; it cannot be broken off, and its slot is taken until it ends");
    }
    let result = blocking.await;
    drop(entry);
    match held.revoked() {
        _ if timed_out => Ended::TimedOut,
        // What it did is done, whoever wanted it broken off.
        Some(Revoked::Shutdown) => returned(result),
        _ => Ended::Revoked,
    }
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

/// A future whose panic is a way to end.
pub(crate) async fn unwinding<T>(future: impl Future<Output = T>) -> Ended<T> {
    let mut future = pin!(future);
    poll_fn(|task| {
        // A future that has panicked is not polled again.
        let poll = |future: Pin<&mut _>, task: &mut _| Future::poll(future, task);
        match catch_unwind(AssertUnwindSafe(|| poll(future.as_mut(), task))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ended::Returned(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Ended::Panicked(panic_message(&*panic))),
        }
    })
    .await
}

fn judge(
    node: &Node,
    desk: &Desk,
    held: &Held,
    index: u32,
    ended: Ended<Finished>,
    bound: Option<Bound>,
    began: Duration,
) -> End {
    if let Ended::Returned(Ok(Finish { outcome: Outcome::Done, value })) = ended {
        node.bus.say_often(|| Event::ItemDone {
            job: held.header.job.to_string(),
            run: held.run(),
            item: held.item(index),
            attempt: held.delivery.attempt,
            duration: node.env.uptime().saturating_sub(began),
        });
        return End::Done(value);
    }
    let now = node.clock.now();
    let (failure, own_wait) = match ended {
        Ended::Returned(Ok(Finish { outcome, .. })) => match outcome {
            Outcome::Discard(reason) => return End::Discarded(reason),
            Outcome::Snooze(wait) => return End::Snooze { at: now + wait },
            Outcome::RetryIn(wait) => {
                let message = format!("the handler asked for another attempt in {wait:?}");
                (Failure::new(FailureKind::Error, message, now.timestamp()), Some(wait))
            }
            other => {
                let message = format!("this version does not know the outcome {other:?}");
                (Failure::new(FailureKind::Fatal, message, now.timestamp()), None)
            }
        },
        Ended::Revoked => return revoked(node, held, index),
        ended => (failure_of(ended, bound, now.timestamp()), None),
    };
    fail(node, desk, held, index, failure, own_wait)
}

/// An attempt whose lease is revoked costs nothing: who was cancelled is cancelled, the others go back.
pub(crate) fn revoked(node: &Node, held: &Held, index: u32) -> End {
    match held.revoked() {
        Some(Revoked::Cancelled) => End::Cancelled,
        Some(Revoked::Shutdown) => End::Back,
        Some(Revoked::Lost) | None => {
            let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(index));
            node.bus.say(Event::LeaseLost { job, run, item });
            End::Back
        }
    }
}

/// What is written down of an attempt that did not return well.
pub(crate) fn failure_of<T>(
    ended: Ended<Result<T, jobs_core::BoxError>>,
    bound: Option<Bound>,
    at: jiff::Timestamp,
) -> Failure {
    match ended {
        Ended::Returned(Err(error)) => Failure::from_error(&*error, at),
        Ended::Panicked(message) => Failure::new(FailureKind::Panic, message, at),
        Ended::TimedOut => {
            let bound = bound.unwrap_or(Bound { time: Duration::ZERO, kind: FailureKind::Timeout });
            let key = if bound.kind == FailureKind::Timeout { "timeout" } else { "max_compute_time" };
            let time = jobs_schedule::duration::format(bound.time);
            Failure::new(bound.kind, format!("it took longer than `{key}`, {time}"), at)
        }
        Ended::Returned(Ok(_)) | Ended::Revoked => {
            Failure::new(FailureKind::LeaseLost, "its lease was lost", at)
        }
    }
}

/// What follows a failed attempt: another, after its wait, or none.
pub(crate) fn fail(
    node: &Node,
    desk: &Desk,
    held: &Held,
    index: u32,
    mut failure: Failure,
    own_wait: Option<Duration>,
) -> End {
    let (policy, attempt) = (&desk.job.policy, held.delivery.attempt);
    let retries = held.delivery.max_attempts - 1;
    failure.attempt = attempt;
    node.name.as_ref().clone_into(&mut failure.node);
    let again = after_failure(failure.kind, attempt, retries).then(|| {
        let wait = own_wait.unwrap_or_else(|| policy.waits.before(attempt, node.env.random()));
        jobs_core::Millis::from(failure.at) + wait
    });
    failure.retry_at = again.map(jobs_core::Millis::timestamp);
    let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(index));
    node.bus.say_often(|| Event::AttemptFailed { job: job.clone(), run, item, failure: failure.clone() });
    match again {
        Some(at) => End::Retry { at, failure: Box::new(failure) },
        None => {
            node.bus.say_often(|| Event::ItemDead { job, run, item, failure: failure.clone() });
            End::Dead(Box::new(failure))
        }
    }
}
