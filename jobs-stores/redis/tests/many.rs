//! What a session or a job has very many of: a step looks at some, and in turn at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{Place, all, ask, by_hand, open};
use jobs_core::{
    Attach, Beat, End, Fire, Firing, IfBusy, Lease, Link, Millis, Node, Overlap, RunId, RunState, SessionId,
    Settle, Store, Want,
};
use jobs_redis::RedisStore;

const SESSION: SessionId = SessionId(1);

async fn attach(store: &RedisStore, lease: Duration) {
    let link = Link { query: false, overlap: Overlap::Allow, concurrency: 20_000, ..Link::new("a.b") };
    let (session, node) = (SESSION, Node::default());
    store.attach(Attach { session, lease, node, links: vec![link], gone: Vec::new() }).await.unwrap();
}

/// Makes `n` runs of one item each.
async fn runs(store: &RedisStore, n: u64) -> Vec<RunId> {
    let mut runs = Vec::new();
    for requests in (1..=n).collect::<Vec<_>>().chunks(200) {
        let fire = |request: &u64| Fire {
            job: "a.b".into(),
            query: false,
            exclusive: false,
            if_busy: IfBusy::Fire,
            item_type: "()".into(),
            ..by_hand(*request)
        };
        let fires = requests.iter().map(fire).collect();
        for firing in store.fire(None, fires, Want::default()).await.unwrap().value {
            let Firing::Fired { run, .. } = firing else { panic!("{firing:?}") };
            runs.push(run);
        }
    }
    runs
}

async fn leased(store: &RedisStore, calls: u64) -> Vec<Lease> {
    let mut leases = Vec::new();
    for n in 1..=calls {
        let want = Want { slots: 20_000, jobs: Vec::new() };
        let settle =
            Settle { session: SESSION, lane: 0, n, settlements: Vec::new(), effects: Vec::new(), want };
        leases.extend(store.settle(settle).await.unwrap().value.leases);
    }
    leases
}

async fn beat(store: &RedisStore, held: Option<Vec<jobs_core::Token>>) -> Vec<RunId> {
    let beat = Beat { session: SESSION, held, as_of: Millis::MAX, reconnected: false };
    store.beat(beat).await.unwrap().value.cancelled
}

#[tokio::test]
async fn a_session_of_very_many_leases_hears_of_every_cancel_and_loses_every_orphan() {
    let (_place, store) = open().await;
    attach(&store, Duration::from_secs(600)).await;
    let runs = runs(&store, 5_000).await;
    let leases = leased(&store, 8).await;
    assert_eq!(leases.len(), 5_000);
    let cancelled: BTreeSet<RunId> = runs.iter().copied().step_by(50).collect();
    for run in &cancelled {
        store.cancel(*run).await.unwrap();
    }
    let mut told = BTreeSet::new();
    for _ in 0..20 {
        told.extend(beat(&store, None).await);
    }
    assert_eq!(told, cancelled);
    // It does not know of five hundred, and all are older than a lease.
    let later = store.shifted(601_000);
    let known: Vec<_> = leases.iter().skip(500).map(|lease| lease.token).collect();
    for _ in 0..20 {
        beat(&later, Some(known.clone())).await;
    }
    assert_eq!(later.sessions().await.unwrap().value[0].holds, 4_500);
}

/// Deletes what is ready of a run.
fn delete_items(place: &Place, run: RunId) {
    for lines in ask::<Vec<String>>(&place.url(), &["KEYS", "*:jl:*"]) {
        let fields: Vec<String> = ask(&place.url(), &["HGETALL", &lines]);
        let prefix = lines.split(":jl:").next().unwrap().to_owned();
        for field in fields.chunks(2).filter(|field| field[0].contains(&run.number().to_string())) {
            for kind in ["q", "z"] {
                let _: i64 = ask(&place.url(), &["DEL", &format!("{prefix}:{kind}:{}", field[1])]);
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_has_lost_its_items_ends_though_it_is_not_among_the_newest() {
    let (place, store) = open().await;
    attach(&store, Duration::from_secs(1)).await;
    let runs = runs(&store, 40).await;
    delete_items(&place, runs[0]);
    let leases = leased(&store, 1).await;
    assert_eq!(leases.len(), 39);
    let settlements = leases.iter().map(|lease| all(lease, End::Done(None))).collect();
    let (lane, n) = (0, 2);
    let settle =
        Settle { session: SESSION, lane, n, settlements, effects: Vec::new(), want: Want::default() };
    store.settle(settle).await.unwrap();
    let mut later = store.clone();
    for _ in 0..60 {
        later = later.shifted(900);
        beat(&later, None).await;
        later.reap(SESSION).await.unwrap();
    }
    let report = later.run(runs[0]).await.unwrap().value.unwrap();
    assert_eq!((report.state, report.counts.dead), (RunState::Queued, 1), "it is over when somebody says so");
    assert!(later.completable(100).await.unwrap().value.contains(&runs[0]));
}
