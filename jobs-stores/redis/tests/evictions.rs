//! Keys that are taken away in the middle of a run, one at a time and all of a kind: by hand, or by a server that removes
//! keys when its memory is full. What they held may be lost; nothing wedges.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{JOB, Place, all, append, ask, by_hand, done, failed, filled, fire, settle};
use jobs_core::{
    Appended, Attach, Beat, Complete, Completion, DeadFilter, Declaration, End, Fire, Firing, IfBusy, Lease,
    Link, Node, PutCell, RunFilter, RunId, SessionId, Settle, Settlement, Stage, Store, Want,
};
use jobs_redis::RedisStore;

/// Sixty thirds of it are longer than the patience with what nobody can decode.
const LEASE: i64 = 60_000;

async fn attach(store: &RedisStore, session: u64) {
    let schedule =
        Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: "one".into(), instant: None };
    let link = Link { query: true, concurrency: 1_000, schedule: Some(schedule), ..Link::new(JOB) };
    let attach = Attach {
        session: SessionId(session),
        lease: Duration::from_millis(LEASE as u64),
        node: Node { name: format!("node-{session}"), build: "build".into(), ..Node::default() },
        links: vec![link],
        gone: Vec::new(),
    };
    store.attach(attach).await.unwrap();
}

/// Something of everything: items that are ready, wait, are in flight, under suspicion, dead and not decoded; runs that are
/// over, that have ended, and that fill; cells.
async fn scene(store: &RedisStore) {
    attach(store, 1).await;
    let over = filled(store, 1, 1, 2).await;
    let leases = settle(store, 1, 1, Vec::new(), 10).await.unwrap();
    settle(store, 1, 2, leases.iter().map(done).collect(), 0).await.unwrap();
    store.complete(vec![Complete { run: over, finish: false }]).await.unwrap();
    filled(store, 1, 2, 40).await;
    let lease = settle(store, 1, 3, Vec::new(), 21).await.unwrap().pop().unwrap();
    let now = store.get("").await.unwrap().now;
    let at = now + Duration::from_secs(5);
    let part = |from, to, end| Settlement { token: lease.token, from, to, end };
    let ends = vec![
        part(0, 2, End::retry(at, now, failed(now, "no"))),
        part(2, 4, End::Dead(failed(now, "no"))),
        part(4, 6, End::Undecodable("no".into())),
        part(6, 8, End::Back),
        part(8, 10, End::Done(None)),
    ];
    settle(store, 1, 4, ends, 0).await.unwrap();
    attach(store, 2).await;
    let (_, fill) = fire(store, 1, 3).await.unwrap();
    append(store, fill.unwrap().token, 0, 0..20, false).await.unwrap();
    let ended = fire(store, 9, 4).await.unwrap().0;
    store.cancel(ended).await.unwrap();
    for (name, owner) in [("lock/a", Some(SessionId(1))), ("pause/other.*", None)] {
        let put = PutCell { value: Some(1.into()), expires_in: Some(Duration::from_secs(90_000)), owner };
        store.put_if(name, 0, put).await.unwrap().value.unwrap();
    }
}

/// A node that works on, as a runner does: it beats, settles what it holds, appends what its queries find, reaps and
/// completes.
struct Runner {
    session: u64,
    n: u64,
    held: Vec<Lease>,
}

impl Runner {
    async fn round(&mut self, store: &RedisStore) -> Result<(), jobs_core::StoreError> {
        let held = Some(self.held.iter().map(|lease| lease.token).collect());
        let session = SessionId(self.session);
        let pulse =
            store.beat(Beat { session, held, as_of: jobs_core::Millis::MAX, reconnected: false }).await?;
        if !pulse.value.alive {
            (self.session, self.n) = (self.session + 100, 0);
            self.held.clear();
        }
        // What it links may be lost: then it is told that its declarations are stale, and opens again.
        attach(store, self.session).await;
        self.held.retain(|lease| !pulse.value.lost.contains(&lease.token));
        let mut settlements = Vec::new();
        for lease in std::mem::take(&mut self.held) {
            if lease.chunk.header.stage != Stage::Fill {
                settlements.push(all(&lease, End::Done(None)));
                continue;
            }
            let mut seq = 0;
            while let Appended::OutOfOrder { expected } = append(store, lease.token, seq, 0..1, true).await? {
                seq = expected;
            }
        }
        self.n += 1;
        let want = Want { slots: 50, jobs: Vec::new() };
        let (session, n) = (SessionId(self.session), self.n);
        let settled = Settle { session, lane: 7, n, settlements, effects: Vec::new(), want };
        self.held = store.settle(settled).await?.value.leases;
        store.reap(session).await?;
        let ended = store.completable(100).await?.value;
        let complete = ended.into_iter().map(|run| Complete { run, finish: false }).collect();
        for completion in store.complete(complete).await?.value {
            assert!(!matches!(completion, Completion::Unknown), "it has no record, and is listed as ended");
        }
        Ok(())
    }
}

/// A run that is made while no other one is busy.
async fn fresh_run(store: &RedisStore, request: u64) -> Option<RunId> {
    let fresh = Fire { if_busy: IfBusy::Skip, ..by_hand(request) };
    match store.fire(None, vec![fresh], Want::default()).await.unwrap().value.pop() {
        Some(Firing::Fired { run, .. }) => Some(run),
        _ => None,
    }
}

/// Takes keys away, works on, and says what is wrong then.
async fn after_losing(lost: impl Fn(&str) -> bool) -> Result<(), String> {
    let place = Place::new();
    let store = RedisStore::open(place.options()).await.unwrap();
    scene(&store).await;
    let keys: Vec<String> = ask(&place.url(), &["KEYS", "*"]);
    for key in keys.iter().filter(|key| lost(key)) {
        let _: i64 = ask(&place.url(), &["DEL", key]);
    }
    let mut runner = Runner { session: 2, n: 0, held: Vec::new() };
    let (mut made, mut run) = (None, None);
    for round in 0..60 {
        let store = store.shifted(round * LEASE / 3);
        runner.round(&store).await.map_err(|error| format!("round {round}: {error}"))?;
        if made.is_none() && round > 12 {
            made = fresh_run(&store, 1_000).await;
        }
        if let Some(made) = made {
            let report = store.run(made).await.map_err(|error| error.to_string())?.value;
            run = report.filter(|report| report.state.is_final());
            if run.is_some() && round > 20 {
                break;
            }
        }
    }
    let store = store.shifted(60 * LEASE / 3);
    let said = |error: jobs_core::StoreError| error.to_string();
    let runs = store.runs(RunFilter::new()).await.map_err(said)?.value;
    store.dead(DeadFilter::new()).await.map_err(said)?;
    store.list("").await.map_err(said)?;
    store.prune(100).await.map_err(said)?;
    let job = store.job(JOB).await.map_err(said)?.value;
    if made.is_none() {
        let open: Vec<_> = runs.iter().filter(|run| !run.state.is_final()).map(|run| &run.counts).collect();
        return Err(format!("the job is busy for ever: {open:?}, {job:?}"));
    }
    let ok = run.as_ref().map(|run| run.counts.ok);
    if ok != Some(1) {
        return Err(format!("a new run is not worked off: {run:?}, {job:?}"));
    }
    if let Some(open) = runs.iter().find(|run| !run.state.is_final()) {
        return Err(format!("a run never ends: {open:?}, {job:?}"));
    }
    Ok(())
}

fn kind(key: &str) -> &str {
    key.split(':').nth(1).unwrap_or_default()
}

#[tokio::test]
async fn nothing_wedges_when_no_key_is_lost() {
    assert_eq!(after_losing(|_| false).await, Ok(()));
}

#[tokio::test]
async fn nothing_wedges_when_all_keys_of_a_kind_are_lost() {
    let place = Place::new();
    let store = RedisStore::open(place.options()).await.unwrap();
    scene(&store).await;
    let keys: Vec<String> = ask(&place.url(), &["KEYS", "*"]);
    let kinds: BTreeSet<&str> = keys.iter().map(|key| kind(key)).collect();
    assert!(kinds.len() > 30, "the scene has something of everything: {kinds:?}");
    let mut wrong = Vec::new();
    for lost in kinds {
        if let Err(error) = after_losing(|key| kind(key) == lost).await {
            wrong.push(format!("without `{lost}`: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nothing_wedges_when_one_key_is_lost() {
    let place = Place::new();
    let store = RedisStore::open(place.options()).await.unwrap();
    scene(&store).await;
    let keys: Vec<String> = ask(&place.url(), &["KEYS", "*"]);
    let mut wrong = Vec::new();
    // Keys have other names in each namespace; their order of names within a kind is the same.
    let mut counted = std::collections::BTreeMap::<&str, usize>::new();
    keys.iter().for_each(|key| *counted.entry(kind(key)).or_default() += 1);
    for (lost, all) in counted.into_iter().filter(|(_, all)| *all > 1) {
        for nth in 0..all {
            let seen = std::cell::RefCell::new(0);
            let is_lost = |key: &str| {
                let mut seen = seen.borrow_mut();
                *seen += usize::from(kind(key) == lost);
                kind(key) == lost && *seen == nth + 1
            };
            if let Err(error) = after_losing(is_lost).await {
                wrong.push(format!("without `{lost}` number {nth}: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
