//! The leases that this runner holds, and the items in them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use jobs_core::{Delivery, Header, ItemId, Lease, RunId, Token};

/// A lease that this runner holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) header: Header,
    pub(crate) delivery: Arc<Delivery>,
    /// For the fill item of a query that is called page by page.
    pub(crate) cursor: Option<Vec<u8>>,
    /// When it came, by this machine's uptime.
    pub(crate) since: Duration,
    revoked: AtomicU8,
    /// Items that are not settled.
    open: AtomicU32,
}

/// Why the attempts of a lease have to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Revoked {
    /// The run was cancelled.
    Cancelled = 1,
    /// The store gave it to another, or may have.
    Lost,
    /// The runner shuts down.
    Shutdown,
}

impl Held {
    pub(crate) fn new(lease: &Lease, delivery: Arc<Delivery>, since: Duration) -> Self {
        Self {
            token: lease.token,
            header: lease.chunk.header.clone(),
            delivery,
            cursor: lease.cursor.clone(),
            since,
            revoked: AtomicU8::new(0),
            open: AtomicU32::new(lease.chunk.count()),
        }
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        self.header.run()
    }

    pub(crate) fn item(&self, index: u32) -> ItemId {
        self.header.item(index)
    }

    pub(crate) fn revoke(&self, why: Revoked) {
        self.revoked.store(why as u8, Ordering::Release);
    }

    pub(crate) fn revoked(&self) -> Option<Revoked> {
        match self.revoked.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Revoked::Cancelled),
            2 => Some(Revoked::Lost),
            _ => Some(Revoked::Shutdown),
        }
    }

    /// Notes that `n` items are settled, and says whether that was all.
    pub(crate) fn settled(&self, n: u32) -> bool {
        self.open.fetch_sub(n, Ordering::AcqRel) == n
    }
}

/// The items of a lease that no worker has taken.
#[derive(Debug)]
pub(crate) struct Unstarted {
    pub(crate) held: Arc<Held>,
    body: jobs_core::Body,
    next: u32,
    end: u32,
}

/// Neighbouring items that a worker has taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) held: Arc<Held>,
    pub(crate) from: u32,
    pub(crate) items: jobs_core::Body,
}

impl Unstarted {
    pub(crate) fn new(held: Arc<Held>, body: jobs_core::Body) -> Self {
        let end = body.count();
        Self { held, body, next: 0, end }
    }

    pub(crate) fn count(&self) -> u32 {
        self.end - self.next
    }

    /// Takes the first `n` items, or all there are.
    pub(crate) fn take(&mut self, n: u32) -> Taken {
        let items = self.body.split_to(n);
        let from = self.next;
        self.next += items.count();
        Taken { held: self.held.clone(), from, items }
    }
}
