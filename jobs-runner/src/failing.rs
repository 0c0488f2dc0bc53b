//! What follows an attempt that did not end well.

use std::time::Duration;

use jobs_core::{BoxError, End, Failure, FailureKind, Millis, after_failure};

use tracing::Level;

use crate::{
    desk::Desk,
    drive::{Bound, Ended},
    event::Event,
    lease::{Held, Revoked},
    node::Node,
};

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
    ended: Ended<Result<T, BoxError>>,
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

/// What follows a failed attempt of an item: another, after its wait, or none.
pub(crate) fn fail(
    node: &Node,
    desk: &Desk,
    held: &Held,
    (index, attempt): (u32, u32),
    mut failure: Failure,
    own_wait: Option<Duration>,
) -> End {
    let policy = &desk.job.policy;
    let retries = held.delivery.max_attempts - 1;
    failure.attempt = attempt;
    node.name.as_ref().clone_into(&mut failure.node);
    let again = after_failure(failure.kind, attempt, retries)
        .then(|| own_wait.unwrap_or_else(|| policy.waits.before(attempt, node.env.random())));
    let at = Millis::from(failure.at);
    failure.retry_at = again.map(|wait| (at + wait).timestamp());
    let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(index));
    let failed = || Event::AttemptFailed { job: job.clone(), run, item, failure: failure.clone() };
    node.bus.say_often(Level::WARN, failed);
    match again {
        Some(wait) => End::Retry { at: at + wait, wait, failure: Box::new(failure) },
        None => {
            let dead = || Event::ItemDead { job, run, item, failure: failure.clone() };
            node.bus.say_often(Level::ERROR, dead);
            End::Dead(Box::new(failure))
        }
    }
}
