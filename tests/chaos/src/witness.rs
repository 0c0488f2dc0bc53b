//! A store that notes outside itself what it has acknowledged to this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_conformance::{
    Handle,
    call::{Answer, Call, Outcome, perform},
};
use jobs_core::{BoxFuture, End, Firing, Lease, Settle, Stage, Store, Token, Wakeups};

use crate::{
    jobs::number_of,
    record::{Kind, Log},
};

/// A store that notes which ends of items it has acknowledged, and which leases it has called lost.
pub struct Witness {
    inner: Mutex<Arc<dyn Store>>,
    log: Arc<Log>,
    leases: Mutex<HashMap<Token, Held>>,
}

/// The items of a lease.
#[derive(Clone, Copy)]
struct Held {
    job: u8,
    run: u64,
    start: u64,
    count: u32,
}

impl Witness {
    /// Asks this store, and notes its answers.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, log: Arc<Log>) -> Self {
        Self { inner: Mutex::new(inner), log, leases: Mutex::default() }
    }

    /// Asks this one from now on: the same store by another connection.
    pub fn turn_to(&self, inner: Arc<dyn Store>) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = inner;
    }

    fn inner(&self) -> Arc<dyn Store> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Token, Held>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leased(&self, leases: &[Lease]) {
        let mut known = self.leases();
        for Lease { token, chunk, .. } in
            leases.iter().filter(|lease| lease.chunk.header.stage == Stage::Work)
        {
            let header = &chunk.header;
            let held = Held {
                job: number_of(&header.job),
                run: header.number,
                start: header.start,
                count: chunk.count(),
            };
            known.insert(*token, held);
        }
    }

    fn settled(&self, settle: &Settle, lost: &[Token]) {
        let mut known = self.leases();
        for settlement in &settle.settlements {
            let Some(Held { job, run, start, .. }) = known.get(&settlement.token).copied() else { continue };
            if matches!(settlement.end, End::Done(_) | End::Dead(_)) && !lost.contains(&settlement.token) {
                let (from, to) = (u64::from(settlement.from), u64::from(settlement.to));
                self.log.note(Kind::Settled, job, run, start + from, start + to);
            }
        }
        for token in lost {
            if let Some(held) = known.remove(token) {
                self.lost(held);
            }
        }
    }

    fn lost(&self, Held { job, run, start, count }: Held) {
        self.log.note(Kind::Lost, job, run, start, start + u64::from(count));
    }
}

impl Handle for Witness {
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let settle = match &call {
                Call::Settle(settle) => Some(settle.clone()),
                _ => None,
            };
            let reply = perform(&*self.inner(), call).await?;
            match &reply.value {
                Answer::Settle(settled) => {
                    if let Some(settle) = settle {
                        self.settled(&settle, &settled.lost);
                    }
                    self.leased(&settled.leases);
                }
                Answer::Fire(firings) => {
                    for firing in firings {
                        if let Firing::Fired { lease: Some(lease), .. } = firing {
                            self.leased(std::slice::from_ref(lease));
                        }
                    }
                }
                Answer::Beat(pulse) => {
                    // Each stays known: it may be one that was settled meanwhile, by a call whose answer comes later.
                    let known = self.leases();
                    pulse.lost.iter().filter_map(|token| known.get(token)).for_each(|held| self.lost(*held));
                }
                _ => {}
            }
            Ok(reply)
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner().wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.inner().namespace(name)
    }
}
