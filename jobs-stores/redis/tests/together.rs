//! Several stores on one server, each with connections of its own, as several processes have them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{Place, attach, done, filled, numbers, settle};
use jobs_core::{End, Settlement, Store};
use jobs_redis::{RedisOptions, RedisStore};

/// What one session does: leases, settles some, gives some back, until nothing is left.
async fn work(options: RedisOptions, session: u64) -> Vec<u64> {
    let store = RedisStore::open(options).await.unwrap();
    attach(&store, session).await;
    let mut random = fastrand::Rng::with_seed(session);
    let (mut handled, mut settlements, mut n, mut idle) = (Vec::new(), Vec::new(), 0, 0);
    while idle < 20 {
        n += 1;
        let leases =
            settle(&store, session, n, std::mem::take(&mut settlements), random.u32(1..300)).await.unwrap();
        idle = if leases.is_empty() { idle + 1 } else { 0 };
        if leases.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for lease in &leases {
            let cut = random.u32(0..=lease.chunk.count());
            let found = numbers(std::slice::from_ref(lease));
            handled.extend(&found[..cut as usize]);
            settlements.push(Settlement { to: cut, ..done(lease) });
            let to = lease.chunk.count();
            settlements.push(Settlement { token: lease.token, from: cut, to, end: End::Back });
        }
    }
    handled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_share_a_server_handle_every_item_once() {
    const ITEMS: u64 = 20_000;
    let place = Place::new();
    let store = RedisStore::open(place.options()).await.unwrap();
    attach(&store, 99).await;
    let run = filled(&store, 99, 1, ITEMS).await;
    let working: Vec<_> = (1..=4).map(|session| tokio::spawn(work(place.options(), session))).collect();
    let mut handled = BTreeMap::<u64, u32>::new();
    for worker in working {
        for item in worker.await.unwrap() {
            *handled.entry(item).or_default() += 1;
        }
    }
    assert_eq!(handled.len() as u64, ITEMS, "none is lost");
    assert!(handled.values().all(|times| *times == 1), "none is handled twice");
    let counts = store.run(run).await.unwrap().value.unwrap().counts;
    assert_eq!((counts.total, counts.ok), (ITEMS, ITEMS));
    assert_eq!(store.completable(10).await.unwrap().value, [run]);
    let job = store.job(common::JOB).await.unwrap().value.unwrap();
    assert_eq!((job.ready, job.delayed, job.in_flight), (0, 0, 0));
}
