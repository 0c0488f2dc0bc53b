//! How items ended, until the store knows.

use std::sync::Mutex;

use jobs_core::{End, Settlement, Token};
use tokio::sync::Notify;

use crate::lock::lock;

/// Results are settled after this many items.
pub(crate) const ENOUGH: u32 = 64;

/// Settlements that wait for the next call of the store.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Tells the dispatcher that something came.
    some: Notify,
    /// Tells the dispatcher not to wait for more.
    enough: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    settlements: Vec<Settlement>,
    items: u32,
}

impl Outbox {
    /// Adds how the items `from..to` of a lease ended.
    pub(crate) fn put(&self, token: Token, from: u32, to: u32, end: End) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.items;
        waiting.items += to - from;
        match waiting.settlements.last_mut() {
            Some(last) if last.token == token && last.to == from && plain(&last.end) && last.end == end => {
                last.to = to;
            }
            _ => waiting.settlements.push(Settlement { token, from, to, end }),
        }
        let enough = before < ENOUGH && waiting.items >= ENOUGH;
        drop(waiting);
        if before == 0 {
            self.some.notify_one();
        }
        if enough {
            self.enough.notify_one();
        }
    }

    /// Takes all that wait.
    pub(crate) fn take(&self) -> Vec<Settlement> {
        let mut waiting = lock(&self.waiting);
        waiting.items = 0;
        std::mem::take(&mut waiting.settlements)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).items == 0
    }

    /// Waits until something waits here.
    pub(crate) async fn some(&self) {
        while self.is_empty() {
            self.some.notified().await;
        }
    }

    /// Waits until so much waits that it is worth a call.
    pub(crate) async fn enough(&self) {
        let enough = || lock(&self.waiting).items >= ENOUGH;
        while !enough() {
            self.enough.notified().await;
        }
    }
}

/// Ends that neighbouring items can share.
fn plain(end: &End) -> bool {
    matches!(end, End::Done(None) | End::Cancelled | End::Back | End::Expired)
}
