//! What one attempt of a query stores.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_core::{Append, Appended, Body, BoxError, JobContext};
use tokio::sync::Notify;

use crate::{
    batch::fitting, desk::Desk, dispatcher::take_in, event::Event, lease::Held, lock::lock, node::Node,
    tries::Tries,
};

/// A query that is called page by page waits while more items of its job than this are ready.
const MOST_READY: u64 = 100_000;

/// The appends of one attempt of a query.
pub(crate) struct Appends {
    pub(crate) node: Arc<Node>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) held: Arc<Held>,
    pub(crate) cx: JobContext,
    progress: Mutex<Progress>,
    lost: AtomicBool,
    blocking: Arc<Blocked>,
}

/// Whether a call of the query blocks: it goes on when its future is dropped.
#[derive(Default)]
struct Blocked {
    active: Arc<AtomicBool>,
    ended: Notify,
}

/// Kept by the call that blocks.
pub(crate) struct Blocking(Arc<Blocked>);

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.active.store(false, Ordering::Release);
        self.0.ended.notify_one();
    }
}

#[derive(Default)]
struct Progress {
    seq: u64,
    total: u64,
    pages: u64,
    /// How long the query has waited for the store, and since when it does.
    waited: Duration,
    waiting_since: Option<Duration>,
}

impl Appends {
    pub(crate) fn new(node: Arc<Node>, desk: Arc<Desk>, held: Arc<Held>, cx: JobContext) -> Self {
        Self {
            node,
            desk,
            held,
            cx,
            progress: Mutex::default(),
            lost: AtomicBool::new(false),
            blocking: Arc::default(),
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether a page has been stored: the attempts of the query start anew with each.
    pub(crate) fn has_stored_a_page(&self) -> bool {
        lock(&self.progress).pages > 0
    }

    /// A blocking call is under way until the guard is dropped, on whichever thread.
    pub(crate) fn blocks(&self) -> Blocking {
        self.blocking.active.store(true, Ordering::Release);
        Blocking(self.blocking.clone())
    }

    /// Whether a blocking call is under way.
    pub(crate) fn is_blocking(&self) -> bool {
        self.blocking.active.load(Ordering::Acquire)
    }

    /// What says so from now on.
    pub(crate) fn blocking_flag(&self) -> Arc<AtomicBool> {
        self.blocking.active.clone()
    }

    pub(crate) fn total(&self) -> u64 {
        lock(&self.progress).total
    }

    pub(crate) async fn append(
        &self,
        bodies: Vec<Body>,
        page: Option<Option<Vec<u8>>>,
        last: bool,
    ) -> Result<(), BoxError> {
        let (node, run) = (&self.node, self.held.run());
        if last && let Some(run) = run {
            node.leases.keep_back(run, &self.held.header.job);
        }
        let stored = self.store(bodies, page, last).await;
        if last && let Some(run) = run {
            if stored.is_ok() {
                let (job, total) = (self.held.header.job.to_string(), self.total());
                node.bus.say(Event::RunFilled { job, run, total });
            }
            for granted in node.leases.announced(run) {
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
        let token = self.held.token;
        let mut bodies = bodies;
        let mut most = usize::MAX;
        loop {
            let (seq, before) = self.stored();
            let n = bodies.len().min(most);
            let append = Append {
                token,
                seq,
                item_type: item_type.clone(),
                bodies: bodies.iter().take(n).cloned().collect(),
                page: page.clone(),
                last: last && n == bodies.len(),
            };
            let Some(appended) = self.call(append, !paged && n > 1).await? else {
                // Under the same number: if it was done after all, the answer to its half says how much is stored.
                most = n / 2;
                continue;
            };
            let full =
                matches!(appended, Appended::Stored { ready, .. } if paged && !last && ready > MOST_READY);
            if full {
                tokio::select! {
                    biased;
                    () = self.cx.cancelled() => {}
                    () = self.node.env.sleep(self.node.poll) => {}
                }
            }
            match appended {
                Appended::Stored { .. } if full && self.held.revoked().is_some() => return self.give_up(),
                // A repeat changes nothing, and says how many are ready now.
                Appended::Stored { .. } if full => bodies = Vec::new(),
                Appended::Stored { total, .. } => {
                    {
                        let mut progress = lock(&self.progress);
                        (progress.seq, progress.total) = (seq + 1, total);
                        progress.pages += u64::from(paged);
                    }
                    bodies = after(bodies, total.saturating_sub(before));
                    if paged || bodies.is_empty() {
                        return Ok(());
                    }
                }
                Appended::Lost | Appended::OutOfOrder { .. } => return self.give_up(),
            }
        }
    }

    /// The number of the next append, and how many items are stored.
    fn stored(&self) -> (u64, u64) {
        let progress = lock(&self.progress);
        (progress.seq, progress.total)
    }

    /// Appends until the store answers, or the attempt is broken off; `None` if it has parts and is too much. What the store
    /// refuses fails the attempt.
    async fn call(&self, append: Append, has_parts: bool) -> Result<Option<Appended>, BoxError> {
        tokio::select! {
            biased;
            appended = self.persist(append, has_parts) => appended,
            // If it was done after all, what becomes of the attempt changes nothing.
            () = self.cx.cancelled() => Ok(Some(Appended::Lost)),
        }
    }

    async fn persist(&self, append: Append, has_parts: bool) -> Result<Option<Appended>, BoxError> {
        let node = &self.node;
        let mut tries = Tries::from(node.env.uptime());
        loop {
            match node.ask_or_refusal(node.store.append(append.clone())).await {
                Ok(Some(appended)) => return Ok(Some(appended)),
                Ok(None) => tries.failed(),
                Err(refusal) => {
                    return Err(
                        format!("the store refused what the query found: {}", refusal.escaped()).into()
                    );
                }
            }
            if has_parts && tries.are_too_many(node) {
                return Ok(None);
            }
            tries.rest(node).await;
        }
    }

    fn give_up(&self) -> Result<(), BoxError> {
        self.lost.store(true, Ordering::Release);
        Err("the lease of the query is lost".into())
    }

    /// From now on the query waits for the store.
    pub(crate) fn wait_begins(&self) {
        lock(&self.progress).waiting_since = Some(self.node.env.uptime());
    }

    /// It goes on.
    pub(crate) fn wait_ends(&self) {
        let mut progress = lock(&self.progress);
        let since = progress.waiting_since.take();
        progress.waited += since.map_or(Duration::ZERO, |since| self.node.env.uptime().saturating_sub(since));
    }

    /// Waits until the query has computed for so long; waiting for the store does not count.
    pub(crate) async fn computes(&self, bound: Duration) {
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

    /// Waits until no blocking call is under way: it cannot be broken off, and another attempt has to wait for it.
    pub(crate) async fn unblocked(&self) {
        while self.is_blocking() {
            self.blocking.ended.notified().await;
        }
    }
}

/// Those that come after so many items.
fn after(mut bodies: Vec<Body>, items: u64) -> Vec<Body> {
    let counts = bodies.iter().map(|body| body.count() as usize);
    let n = fitting(counts, usize::try_from(items).unwrap_or(usize::MAX));
    bodies.split_off(n)
}
