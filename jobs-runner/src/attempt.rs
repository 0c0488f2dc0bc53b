//! One attempt of a handler: decoded, bounded, broken off when it has to be, and judged.

use std::{sync::Arc, time::Duration};

use jobs_core::{
    End, Failure, FailureKind, Finish, JobContext, Outcome,
    descriptor::{Finished, Handler},
    notice,
};

use tracing::Level;

use crate::{
    desk::Desk,
    drive::{Bound, Ended, drive, drive_blocking, unwinding},
    event::Event,
    failing::{fail, failure_of, revoked},
    lease::{Held, Taken},
    node::Node,
};

/// Runs one attempt of one item. A panic is caught wherever it comes from: the handler, what decodes its item, what it
/// drops when it is broken off, the text of its error.
pub(crate) async fn run(node: &Arc<Node>, desk: &Desk, taken: &Taken, began: Duration) -> End {
    match unwinding(call(node, desk, taken, began)).await {
        Ok(end) => end,
        Err(message) => {
            let failure = Failure::new(FailureKind::Panic, message, node.clock.now().timestamp());
            fail(node, desk, &taken.held, (taken.index, taken.held.delivery.attempt), failure, None)
        }
    }
}

async fn call(node: &Arc<Node>, desk: &Desk, taken: &Taken, began: Duration) -> End {
    let (held, index, payload) = (&taken.held, taken.index, taken.payload());
    let now = node.clock.at(began);
    if held.header.options.expires_at.is_some_and(|at| at <= now) {
        return End::Expired;
    }
    let bound = bound(desk, held);
    let deadline = bound.map(|bound| (now + bound.time).timestamp());
    let cx = JobContext::new(held.delivery.clone(), held.item(index), now.timestamp(), deadline);
    let (instance, handler) = (&desk.job.instance, desk.job.def.handler);

    let ended = match handler {
        Handler::Async(call) => match call(instance, &cx, payload) {
            Ok(future) => {
                started(node, held, index);
                drive(node, held, &cx, bound, future).await
            }
            Err(error) => return undecodable(desk, held, index, &error.to_string()),
        },
        Handler::Blocking(call) => match call(instance, cx.clone(), payload) {
            Ok(call) => {
                started(node, held, index);
                drive_blocking(node, held, &cx, bound, call).await
            }
            Err(error) => return undecodable(desk, held, index, &error.to_string()),
        },
    };
    judge(node, desk, held, index, ended, bound, began)
}

/// A payload that the handler does not take is no failed attempt: another build may take it.
fn undecodable(desk: &Desk, held: &Held, index: u32, message: &str) -> End {
    let (job, item) = (&desk.job.id, held.item(index));
    notice::warn(
        "decode",
        format_args!("{job}: item {item} does not decode, and waits for a build that can: {message}"),
    );
    End::Undecodable(message.to_owned())
}

fn started(node: &Node, held: &Held, index: u32) {
    node.bus.say_often(Level::DEBUG, || Event::AttemptStarted {
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
        node.bus.say_often(Level::DEBUG, || Event::ItemDone {
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
            Outcome::Snooze(wait) => return End::Snooze { at: now + wait, wait },
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
    fail(node, desk, held, (index, held.delivery.attempt), failure, own_wait)
}
