//! A session without a runner: it puts into a store what would take processes too long.

use std::{sync::Arc, time::Duration};

use jobs_core::{
    Append, Attach, Body, BodyWriter, Cause, End, Fire, Firing, IfBusy, JobWant, Lease, Link, Millis, Node,
    RunId, SessionId, Settle, Settlement, Store, Token, Want,
};
use jobs_runner::prelude::*;
use serde::Serialize;

/// Longer than anything here takes.
const LEASE: Duration = Duration::from_secs(600);
/// How many ends a call carries, as of a busy process.
const ENDS: u32 = 256;
/// How many runs are asked for in a call.
const FIRES: usize = 100;

/// A session without a runner.
pub struct ByHand {
    store: Arc<dyn Store>,
    session: SessionId,
    links: Vec<Link>,
    calls: u64,
}

impl ByHand {
    /// Joins as a process that links this.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn attach(store: Arc<dyn Store>, links: Vec<Link>) -> Result<Self> {
        let session = SessionId(fastrand::u64(..));
        let node = Node { name: "by hand".to_owned(), build: Arc::from("by hand"), ..Node::default() };
        let attach = Attach { session, lease: LEASE, node, links: links.clone(), gone: Vec::new() };
        store.attach(attach).await?;
        Ok(Self { store, session, links, calls: 0 })
    }

    /// Leaves.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn detach(self) -> Result<()> {
        while self.store.detach(self.session).await?.value {}
        Ok(())
    }

    /// The store's time.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn now(&self) -> Result<Millis> {
        Ok(self.store.completable(0).await?.now)
    }

    /// A run of its job with so many items: 0, 1, 2 and so on.
    ///
    /// # Errors
    /// If the store does not answer, or refuses.
    pub async fn fill(&mut self, items: u64) -> Result<RunId> {
        let link = self.links.first().ok_or("no job is linked")?;
        let item_type = link.item_type.clone().unwrap_or_default();
        let want = Want { slots: 1, jobs: Vec::new() };
        let fired = self.store.fire(Some(self.session), vec![fire(link)], want).await?.value.pop();
        let Some(Firing::Fired { run, lease: Some(fill) }) = fired else {
            return Err(format!("no lease of the query: {fired:?}").into());
        };
        let mut writer = BodyWriter::default();
        let mut seq = 0;
        for n in 0..items {
            if let Some(body) = push(&mut writer, &n)? {
                self.append(fill.token, &mut seq, &item_type, vec![body], false).await?;
            }
        }
        let rest = writer.finish().into_iter().collect();
        self.append(fill.token, &mut seq, &item_type, rest, true).await?;
        Ok(run)
    }

    async fn append(
        &self,
        token: Token,
        seq: &mut u64,
        item_type: &Arc<str>,
        bodies: Vec<Body>,
        last: bool,
    ) -> Result<()> {
        let append = Append { token, seq: *seq, item_type: item_type.clone(), bodies, page: None, last };
        *seq += 1;
        self.store.append(append).await?;
        Ok(())
    }

    /// Lets so many items of its job end so, each by itself.
    ///
    /// # Errors
    /// If the store does not answer, or has not as many.
    pub async fn end_all(&mut self, items: u64, end: impl Fn() -> End) -> Result<()> {
        let link = self.links.first().ok_or("no job is linked")?;
        let want = JobWant { job: link.job.clone(), slots: ENDS, per_slot: 1 };
        let want = Want { slots: ENDS, jobs: vec![want] };
        let mut left = items;
        let mut held = Vec::new();
        while left > 0 || !held.is_empty() {
            let settlements: Vec<_> = held.iter().flat_map(|lease| each(lease, &end)).collect();
            let want = if left > 0 { want.clone() } else { Want::default() };
            let ended = settlements.len();
            self.calls += 1;
            let (session, n) = (self.session, self.calls);
            let settle = Settle { session, lane: 0, n, settlements, effects: Vec::new(), want };
            held = self.store.settle(settle).await?.value.leases;
            let leased: u64 = held.iter().map(|lease| u64::from(lease.chunk.count())).sum();
            if left > 0 && leased == 0 && ended == 0 {
                return Err(format!("{left} items more are not there").into());
            }
            left = left.saturating_sub(leased);
        }
        Ok(())
    }

    /// A run of each of its jobs, of one item.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn fire_all(&self) -> Result<()> {
        for links in self.links.chunks(FIRES) {
            let fires = links.iter().map(fire).collect();
            self.store.fire(Some(self.session), fires, Want::default()).await?;
        }
        Ok(())
    }
}

/// A run by hand.
fn fire(link: &Link) -> Fire {
    Fire {
        job: link.job.clone(),
        cause: Cause::Manual { request: fastrand::u64(1..), note: None },
        if_busy: IfBusy::Fire,
        priority: link.priority,
        query: link.query,
        exclusive: link.exclusive(),
        item_type: link.item_type.clone().unwrap_or_default(),
    }
}

/// An end of each item of a lease.
fn each<'a>(lease: &'a Lease, end: &'a impl Fn() -> End) -> impl Iterator<Item = Settlement> + 'a {
    (0..lease.chunk.count()).map(move |n| Settlement { token: lease.token, from: n, to: n + 1, end: end() })
}

fn push(writer: &mut BodyWriter, item: &impl Serialize) -> Result<Option<Body>> {
    Ok(writer.push(item)?)
}
