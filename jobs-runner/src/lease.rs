//! The leases that this runner holds, and the items in them.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::Duration,
};

use jobs_core::{Body, Delivery, Header, ItemId, Lease, RunId, Token};

/// A lease that this runner holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Token,
    pub(crate) header: Header,
    body: Body,
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
    pub(crate) fn new(lease: Lease, delivery: Arc<Delivery>, since: Duration) -> Self {
        Self {
            token: lease.token,
            open: AtomicU32::new(lease.chunk.count()),
            header: lease.chunk.header,
            body: lease.chunk.body,
            delivery,
            cursor: lease.cursor,
            since,
            revoked: AtomicU8::new(0),
        }
    }

    pub(crate) fn run(&self) -> Option<RunId> {
        self.header.run()
    }

    /// How many items it is of.
    pub(crate) fn count(&self) -> u32 {
        self.body.count()
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
    next: u32,
    /// Where the next item begins.
    at: usize,
}

/// An item that a worker has taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) held: Arc<Held>,
    pub(crate) index: u32,
    payload: Range<usize>,
}

impl Taken {
    /// The item as it is stored.
    pub(crate) fn payload(&self) -> &[u8] {
        self.held.body.as_bytes().get(self.payload.clone()).unwrap_or_default()
    }
}

impl Unstarted {
    pub(crate) fn new(held: Arc<Held>) -> Self {
        Self { held, next: 0, at: 0 }
    }

    pub(crate) fn count(&self) -> u32 {
        self.held.body.count() - self.next
    }

    /// Takes the first item.
    pub(crate) fn take(&mut self) -> Taken {
        let rest = self.held.body.as_bytes().get(self.at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (index, payload) = (self.next, self.at..self.at + length);
        self.next += 1;
        self.at += length + 1;
        Taken { held: self.held.clone(), index, payload }
    }

    /// The numbers of all of them.
    pub(crate) fn indices(&self) -> Range<u32> {
        self.next..self.held.body.count()
    }
}
