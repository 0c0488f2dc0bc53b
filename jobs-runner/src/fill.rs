//! One attempt of a query: what it finds goes to the store in bodies, each under the fill item's lease.

use std::sync::Arc;

use jobs_core::{
    BoxError, BoxFuture, End, Failure, FailureKind, JobContext,
    descriptor::{AnyGroup, FoundPage, Query, Sink},
};
use tracing::Instrument;

use crate::{
    appends::Appends,
    desk::Desk,
    drive::{Bound, Ended, drive_entered, report_overrun, unwinding},
    failing::{fail, failure_of, revoked},
    found::Found,
    lease::Held,
    node::Node,
    worker::free_slot,
};

/// Runs one attempt of the query of a run, and settles it.
pub(crate) async fn run(node: Arc<Node>, desk: Arc<Desk>, held: Arc<Held>) {
    let time = desk.job.policy.max_compute_time;
    let bound = Bound { time, kind: FailureKind::MaxComputeTime };
    let now = node.clock.now();
    let deadline = Some((now + time).timestamp());
    let cx = JobContext::new(held.delivery.clone(), held.item(0), now.timestamp(), deadline);
    let appends = Appends::new(node.clone(), desk.clone(), held.clone(), cx.clone());

    // Entered for as long as it goes on, also while it waits for the store: a shutdown waits for it, or ends it.
    let entry = node.attempts.enter_blocking_while(&held, &cx, appends.blocking_flag());
    let ended = unwinding(call(&appends, bound)).await;
    if !matches!(ended, Ok(Ended::Returned(_))) {
        cx.cancel();
    }
    if matches!(ended, Ok(Ended::TimedOut)) && appends.is_blocking() {
        report_overrun(&cx);
    }
    appends.unblocked().await;
    drop(entry);
    match settlement(&appends, ended, bound) {
        Some(end) => node.outbox.put(held.token, 0, 1, end),
        None => {
            node.leases.let_go(held.token);
            // A run that found nothing is over, and one whose last page comes after its last item has ended.
            node.ending.put(held.run());
        }
    }
    node.slots.fill_ends();
    free_slot(&node);
}

/// How the fill item ends; `None` if the last append has settled it.
fn settlement(appends: &Appends, ended: Result<Ended<Done>, String>, bound: Bound) -> Option<End> {
    let (node, held) = (&appends.node, &appends.held);
    if appends.desk.job.def.query.is_none() {
        // Another build's run: this one is not offered it again.
        return Some(End::Undecodable("this build has no query for it".to_owned()));
    }
    let now = node.clock.now().timestamp();
    let failure = match ended {
        Ok(Ended::Returned(Ok(()))) => return None,
        Ok(Ended::Revoked) => return Some(revoked(node, held, 0)),
        Ok(Ended::Returned(Err(_))) if appends.is_lost() => return Some(revoked(node, held, 0)),
        Ok(failed) => failure_of(failed, Some(bound), now),
        Err(message) => Failure::new(FailureKind::Panic, message, now),
    };
    let attempt = if appends.has_stored_a_page() { 1 } else { held.delivery.attempt };
    Some(fail(node, &appends.desk, held, (0, attempt), failure, None))
}

type Done = Result<(), BoxError>;
type ItemsQuery = for<'a> fn(&'a AnyGroup, &'a JobContext, &'a mut dyn Sink) -> BoxFuture<'a, Done>;

async fn call(appends: &Appends, bound: Bound) -> Ended<Done> {
    let (node, desk) = (&appends.node, &appends.desk);
    let span =
        tracing::debug_span!(target: "jobs", "query", job = appends.cx.job(), attempt = appends.cx.attempt());
    match desk.job.def.query {
        Some(Query::Items(call)) => staged(appends, bound, call).instrument(span).await,
        Some(Query::Page(call)) => {
            let page = |cx, cursor| call(desk.job.instance.clone(), cx, cursor);
            paged(appends, bound, page).instrument(span).await
        }
        Some(Query::BlockingPage(call)) => {
            let page = |cx, cursor| {
                let (instance, env, blocks) = (desk.job.instance.clone(), node.env.clone(), appends.blocks());
                let page = async move {
                    let blocking = move || {
                        let _blocks = blocks;
                        call(instance, cx, cursor)
                    };
                    env.blocking(blocking).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                };
                Box::pin(page) as BoxFuture<'static, _>
            };
            paged(appends, bound, page).instrument(span).await
        }
        None => Ended::Revoked,
    }
}

/// All at once: nothing is seen before all is found.
async fn staged(appends: &Appends, bound: Bound, query: ItemsQuery) -> Ended<Done> {
    let found = Found::default();
    let find = async {
        let mut sink = found.sink(appends);
        query(&appends.desk.job.instance, &appends.cx, &mut sink).await?;
        found.finish(appends);
        Ok(())
    };
    let stored = async { tokio::try_join!(find, found.store(appends)).map(|_| ()) };
    let ended = tokio::select! {
        biased;
        stored = stored => Ended::Returned(stored),
        () = appends.cx.cancelled() => Ended::Revoked,
        () = appends.computes(bound.time) => Ended::TimedOut,
    };
    match ended {
        Ended::Returned(Ok(())) => Ended::Returned(appends.append(found.take_rest(), None, true).await),
        ended => ended,
    }
}

/// Page by page: each is stored with the cursor of the next, so a crash resumes the query where it stopped.
async fn paged(
    appends: &Appends,
    bound: Bound,
    query: impl Fn(JobContext, Option<Vec<u8>>) -> BoxFuture<'static, Result<FoundPage, BoxError>>,
) -> Ended<Done> {
    let (node, held) = (&appends.node, &appends.held);
    let (mut cursor, mut cx) = (held.cursor.clone(), appends.cx.clone());
    loop {
        let page = query(cx.clone(), cursor.take());
        let page = match drive_entered(node, &appends.cx, Some(bound), page).await {
            Ended::Returned(Ok(page)) => page,
            Ended::Returned(Err(error)) => return Ended::Returned(Err(error)),
            Ended::Panicked(message) => return Ended::Panicked(message),
            Ended::TimedOut => return Ended::TimedOut,
            Ended::Revoked => return Ended::Revoked,
        };
        let last = page.next.is_none();
        cursor.clone_from(&page.next);
        if let Err(error) = appends.append(page.bodies, Some(page.next), last).await {
            return Ended::Returned(Err(error));
        }
        if last {
            return Ended::Returned(Ok(()));
        }
        // Only a page that runs is broken off.
        if held.revoked().is_some() || !node.is_trusted() {
            return Ended::Revoked;
        }
        // A stored page is progress: the attempts start anew.
        cx = cx.with_attempt(1);
    }
}
