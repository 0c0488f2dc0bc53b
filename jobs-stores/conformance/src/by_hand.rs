//! Driving a store by hand: the few calls that most tests of a store's own make beside the suite.

use std::{ops::Range, sync::Arc, time::Duration};

use jobs_core::{
    Append, Appended, Attach, BodyWriter, Cause, End, Fire, Firing, IfBusy, JobWant, Lease, Link, Node,
    RunId, SessionId, Settle, Settlement, Store, StoreError, Token, Want,
};

/// The job that the tests drive: it has a query, whose items are numbers.
pub const JOB: &str = "suite.fan";
/// How long a session lives without a beat.
pub const LEASE: Duration = Duration::from_secs(600);

/// How the job is linked: with room for all that a test leases at once.
#[must_use]
pub fn link() -> Link {
    Link { query: true, concurrency: 10_000, ..Link::new(JOB) }
}

/// Opens a session on a node that is named for it.
///
/// # Panics
/// If the store fails.
#[expect(clippy::panic, reason = "only tests call it")]
pub async fn attach(store: &dyn Store, session: u64) {
    let node = Node { name: format!("node-{session}"), ..Node::default() };
    let session = SessionId(session);
    let attach = Attach { session, lease: LEASE, node, links: vec![link()], gone: Vec::new() };
    if let Err(error) = store.attach(attach).await {
        panic!("attach: {error}");
    }
}

/// A run by hand.
#[must_use]
pub fn by_hand(request: u64) -> Fire {
    Fire {
        job: JOB.into(),
        cause: Cause::Manual { request, note: None },
        if_busy: IfBusy::Fire,
        priority: 0,
        query: true,
        exclusive: false,
        item_type: "u64".into(),
    }
}

/// Fires by hand and leases the fill item.
///
/// # Errors
/// What the store says.
///
/// # Panics
/// If the run is not made.
#[expect(clippy::panic, reason = "only tests call it")]
pub async fn fire(
    store: &dyn Store,
    session: u64,
    request: u64,
) -> Result<(RunId, Option<Lease>), StoreError> {
    let want = Want { slots: 1, jobs: Vec::new() };
    match store.fire(Some(SessionId(session)), vec![by_hand(request)], want).await?.value.pop() {
        Some(Firing::Fired { run, lease }) => Ok((run, lease)),
        other => panic!("a run by hand is made, and it was {other:?}"),
    }
}

/// Appends numbers under the lease of a fill item.
///
/// # Errors
/// What the store says.
pub async fn append(
    store: &dyn Store,
    token: Token,
    seq: u64,
    items: Range<u64>,
    last: bool,
) -> Result<Appended, StoreError> {
    let mut writer = BodyWriter::default();
    // A number is always JSON.
    let mut bodies: Vec<_> = items.filter_map(|item| writer.push(&item).ok().flatten()).collect();
    bodies.extend(writer.finish());
    let append = Append { token, seq, item_type: "u64".into(), bodies, page: None, last };
    Ok(store.append(append).await?.value)
}

/// A run of so many items, ready to be leased.
///
/// # Panics
/// If it cannot be filled.
#[expect(clippy::panic, reason = "only tests call it")]
pub async fn filled(store: &dyn Store, session: u64, request: u64, items: u64) -> RunId {
    let (run, fill) = match fire(store, session, request).await {
        Ok((run, Some(fill))) => (run, fill),
        other => panic!("a run by hand comes with the lease of its fill item, and it was {other:?}"),
    };
    match append(store, fill.token, 0, 0..items, true).await {
        Ok(Appended::Stored { .. }) => run,
        other => panic!("what is found is stored, and it was {other:?}"),
    }
}

/// Settles, and leases up to `items` more.
///
/// # Errors
/// What the store says.
pub async fn settle(
    store: &dyn Store,
    session: u64,
    n: u64,
    settlements: Vec<Settlement>,
    items: u32,
) -> Result<Vec<Lease>, StoreError> {
    let jobs = vec![JobWant { job: Arc::from(JOB), slots: 1, per_slot: items.max(1) }];
    let want = Want { slots: u32::from(items > 0), jobs };
    let settle = Settle { session: SessionId(session), lane: 0, n, settlements, effects: Vec::new(), want };
    Ok(store.settle(settle).await?.value.leases)
}

/// All items of a lease, ended in one way.
#[must_use]
pub fn all(lease: &Lease, end: End) -> Settlement {
    Settlement { token: lease.token, from: 0, to: lease.chunk.count(), end }
}

/// All items of a lease, done.
#[must_use]
pub fn done(lease: &Lease) -> Settlement {
    all(lease, End::Done(None))
}

/// The items of leases, as the numbers that were appended.
#[must_use]
pub fn numbers(leases: &[Lease]) -> Vec<u64> {
    let items = leases.iter().flat_map(|lease| lease.chunk.body.items());
    items.filter_map(|item| serde_json::from_slice(item).ok()).collect()
}
