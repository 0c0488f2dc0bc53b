//! One attempt of a query: what it finds goes to the store in bodies, each under the fill item's lease.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_core::{
    Append, Appended, Body, BoxError, BoxFuture, FailureKind, JobContext,
    descriptor::{BlockingDrain, FoundPage, Query, Sink},
};
use tokio::sync::{Notify, mpsc};
use tracing::Instrument;

use crate::{
    attempt::{self, Bound, Ended},
    desk::{Desk, free_slot},
    dispatcher::take_in,
    event::Event,
    lease::Held,
    node::{Node, lock},
};

/// A query that is called page by page waits while more items of its job than this are ready.
const MOST_READY: u64 = 100_000;

/// Runs one attempt of the query of a run.
pub(crate) async fn run(node: Arc<Node>, desk: Arc<Desk>, held: Arc<Held>) {
    let time = desk.job.policy.max_compute_time;
    let bound = Bound { time, kind: FailureKind::MaxComputeTime };
    let (now, run) = (node.clock.now(), held.run());
    let deadline = Some((now + time).timestamp());
    let cx = JobContext::new(held.delivery.clone(), held.item(0), now.timestamp(), deadline);

    let appends = Appends::new(node.clone(), desk.clone(), held.clone());
    let ended = match desk.job.def.query {
        Some(Query::Items(call)) => staged(&appends, &cx, bound, call).await,
        Some(Query::Page(call)) => {
            let call = |cx, cursor| call(desk.job.instance.clone(), cx, cursor);
            paged(&appends, &cx, bound, call).await
        }
        Some(Query::BlockingPage(call)) => {
            let call = |cx, cursor| {
                let (instance, env) = (desk.job.instance.clone(), node.env.clone());
                let page = async move {
                    match env.blocking(move || call(instance, cx, cursor)).await {
                        Ok(page) => page,
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                };
                Box::pin(page) as BoxFuture<'static, _>
            };
            paged(&appends, &cx, bound, call).await
        }
        // Another build's query: this one takes no items to fill.
        None => Ended::Revoked,
    };
    let end = match ended {
        Ended::Returned(Ok(())) => {
            node.let_go(held.token);
            None
        }
        Ended::Revoked => Some(attempt::revoked(&node, &held, 0)),
        Ended::Returned(Err(_)) if appends.is_lost() => Some(attempt::revoked(&node, &held, 0)),
        failed => {
            let failure = attempt::failure_of(failed, Some(bound), node.clock.now().timestamp());
            Some(attempt::fail(&node, &desk, &held, 0, failure, None))
        }
    };
    match end {
        Some(end) => node.outbox.put(held.token, 0, 1, end),
        // A run that found nothing is over.
        None => node.complete(run.into_iter().filter(|_| appends.total() == 0).collect()).await,
    }
    node.fills.fetch_sub(1, Ordering::AcqRel);
    free_slot(&node);
}

type ItemsQuery = for<'a> fn(
    &'a jobs_core::descriptor::AnyGroup,
    &'a JobContext,
    &'a mut dyn Sink,
) -> BoxFuture<'a, Result<(), BoxError>>;

/// All at once: nothing is seen before all is found.
async fn staged(
    appends: &Appends,
    cx: &JobContext,
    bound: Bound,
    query: ItemsQuery,
) -> Ended<Result<(), BoxError>> {
    let (node, held) = (&appends.node, &appends.held);
    let mut sink = FillSink { appends, last: None };
    let ended = {
        let query = query(&appends.desk.job.instance, cx, &mut sink);
        let _entry = node.attempts.enter(held, cx);
        let span = tracing::debug_span!(target: "jobs", "query", job = cx.job(), attempt = cx.attempt());
        let mut query = std::pin::pin!(attempt::unwinding(query).instrument(span));
        tokio::select! {
            biased;
            ended = &mut query => ended,
            () = cx.cancelled() => Ended::Revoked,
            () = appends.computes(bound.time) => Ended::TimedOut,
        }
    };
    if !matches!(ended, Ended::Returned(_)) {
        cx.cancel();
    }
    // A blocking query cannot be broken off; another attempt has to wait for it.
    appends.drained().await;
    match ended {
        Ended::Returned(Ok(())) => {
            let last = sink.last.take();
            Ended::Returned(appends.append(last.into_iter().collect(), None, true).await)
        }
        ended => ended,
    }
}

/// Page by page: each is stored with the cursor of the next, so a crash resumes the query where it stopped.
async fn paged(
    appends: &Appends,
    cx: &JobContext,
    bound: Bound,
    query: impl Fn(JobContext, Option<Vec<u8>>) -> BoxFuture<'static, Result<FoundPage, BoxError>>,
) -> Ended<Result<(), BoxError>> {
    let (node, held) = (&appends.node, &appends.held);
    let mut cursor = held.cursor.clone();
    loop {
        let page = match attempt::drive(node, held, cx, Some(bound), query(cx.clone(), cursor.take())).await {
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
        if held.revoked().is_some() {
            return Ended::Revoked;
        }
    }
}

/// The appends of one attempt of a query.
struct Appends {
    node: Arc<Node>,
    desk: Arc<Desk>,
    held: Arc<Held>,
    progress: Mutex<Progress>,
    lost: AtomicBool,
    draining: Arc<Draining>,
}

/// Whether a blocking query is being drained: it goes on when its future is dropped.
#[derive(Default)]
struct Draining {
    active: AtomicBool,
    ended: Notify,
}

/// Kept by the thread that drains.
struct Drain(Arc<Draining>);

impl Drop for Drain {
    fn drop(&mut self) {
        self.0.active.store(false, Ordering::Release);
        self.0.ended.notify_one();
    }
}

#[derive(Default)]
struct Progress {
    seq: u64,
    total: u64,
    /// How long the query has waited for the store, and since when it does.
    waited: Duration,
    waiting_since: Option<Duration>,
}

impl Appends {
    fn new(node: Arc<Node>, desk: Arc<Desk>, held: Arc<Held>) -> Self {
        Self {
            node,
            desk,
            held,
            progress: Mutex::default(),
            lost: AtomicBool::new(false),
            draining: Arc::default(),
        }
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    fn total(&self) -> u64 {
        lock(&self.progress).total
    }

    async fn append(
        &self,
        bodies: Vec<Body>,
        page: Option<Option<Vec<u8>>>,
        last: bool,
    ) -> Result<(), BoxError> {
        let (node, run) = (&self.node, self.held.run());
        if last && let Some(run) = run {
            node.keep_back(run);
        }
        let stored = self.store(bodies, page, last).await;
        if last && let Some(run) = run {
            if stored.is_ok() {
                let (job, total) = (self.held.header.job.to_string(), self.total());
                node.bus.say(Event::RunFilled { job, run, total });
            }
            for granted in node.announced(run) {
                take_in(node, granted);
            }
        }
        stored
    }

    async fn store(
        &self,
        bodies: Vec<Body>,
        page: Option<Option<Vec<u8>>>,
        last: bool,
    ) -> Result<(), BoxError> {
        let item_type = self.desk.job.link.item_type.clone().unwrap_or_default();
        let paged = page.is_some();
        let (token, mut bodies) = (self.held.token, bodies);
        let seq = lock(&self.progress).seq;
        loop {
            let append =
                Append { token, seq, item_type: item_type.clone(), bodies, page: page.clone(), last };
            let since = self.wait_begins();
            let appended = self.node.persist(|store| store.append(append.clone())).await;
            let full =
                matches!(appended, Appended::Stored { ready, .. } if paged && !last && ready > MOST_READY);
            if full {
                self.node.env.sleep(self.node.poll).await;
            }
            self.wait_ends(since);
            match appended {
                Appended::Stored { .. } if full && self.held.revoked().is_some() => return self.give_up(),
                // A repeat changes nothing, and says how many are ready now.
                Appended::Stored { .. } if full => bodies = Vec::new(),
                Appended::Stored { total, .. } => {
                    let mut progress = lock(&self.progress);
                    (progress.seq, progress.total) = (seq + 1, total);
                    return Ok(());
                }
                Appended::Lost | Appended::OutOfOrder { .. } => return self.give_up(),
            }
        }
    }

    fn give_up(&self) -> Result<(), BoxError> {
        self.lost.store(true, Ordering::Release);
        Err("the lease of the query is lost".into())
    }

    fn wait_begins(&self) -> Duration {
        let now = self.node.env.uptime();
        lock(&self.progress).waiting_since = Some(now);
        now
    }

    fn wait_ends(&self, since: Duration) {
        let mut progress = lock(&self.progress);
        progress.waiting_since = None;
        progress.waited += self.node.env.uptime().saturating_sub(since);
    }

    /// Waits until the query has computed for so long; waiting for the store does not count.
    async fn computes(&self, bound: Duration) {
        let began = self.node.env.uptime();
        loop {
            let now = self.node.env.uptime();
            let waited = {
                let progress = lock(&self.progress);
                progress.waited
                    + progress.waiting_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
            };
            let left = bound.saturating_sub(now.saturating_sub(began).saturating_sub(waited));
            if left.is_zero() {
                return;
            }
            self.node.env.sleep(left).await;
        }
    }

    /// Waits until no blocking drain is under way.
    async fn drained(&self) {
        while self.draining.active.load(Ordering::Acquire) {
            self.draining.ended.notified().await;
        }
    }
}

/// Where a query puts what it finds. One body is kept back, so that a small result is one append.
struct FillSink<'a> {
    appends: &'a Appends,
    last: Option<Body>,
}

impl FillSink<'_> {
    async fn put(&mut self, body: Body) -> Result<(), BoxError> {
        match self.last.replace(body) {
            Some(before) => self.appends.append(vec![before], None, false).await,
            None => Ok(()),
        }
    }
}

impl Sink for FillSink<'_> {
    fn push(&mut self, body: Body) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(self.put(body))
    }

    fn push_blocking(&mut self, drain: BlockingDrain) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            let appends = self.appends;
            let env = appends.node.env.clone();
            if env.is_virtual() {
                let mut found = Vec::new();
                let inline = std::panic::AssertUnwindSafe(|| {
                    drain(&mut |body| {
                        found.push(body);
                        Ok(())
                    })
                });
                match std::panic::catch_unwind(inline) {
                    Ok(result) => result?,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
                for body in found {
                    self.put(body).await?;
                }
                return Ok(());
            }
            let (sender, mut receiver) = mpsc::channel(2);
            appends.draining.active.store(true, Ordering::Release);
            let draining = Drain(appends.draining.clone());
            let blocking = env.blocking(move || {
                let _draining = draining;
                drain(&mut |body| sender.blocking_send(body).map_err(|_| "the query was broken off".into()))
            });
            let mut blocking = std::pin::pin!(blocking);
            let result = loop {
                tokio::select! {
                    biased;
                    Some(body) = receiver.recv() => self.put(body).await?,
                    result = &mut blocking => break result,
                }
            };
            while let Ok(body) = receiver.try_recv() {
                self.put(body).await?;
            }
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
