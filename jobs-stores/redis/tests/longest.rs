//! The longest step of each operation at size, by the time that the server's thread was at work for it: what else the machine
//! does is not counted, and what the server does around the script is. `cargo test -p jobs-redis --test longest -- --ignored --nocapture` prints
//! them, in milliseconds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "it measures")]

mod common;

use std::time::Duration;

use common::{JOB, all, append, ask, attach, beat, by_hand, failed, fire, server, settle};
use jobs_core::{
    Append, Appended, Attach, Body, Complete, DeadFilter, End, Fire, ItemId, Lease, Link, Node, Requeue,
    RunFilter, RunId, SessionId, Settlement, Store, Want,
};
use jobs_redis::{RedisOptions, RedisStore};
use servers::redis::Options;

const WAITING: u64 = 1_000_000;
const DUE: u64 = 200_000;
const DEAD: u64 = 100_000;
const UNDECODABLE: u64 = 100_000;
/// As many items die in one call of a runner.
const ONE_BY_ONE: usize = 250;

struct Scene {
    pid: String,
    worked: std::cell::Cell<u64>,
    longest: std::cell::Cell<u64>,
    store: RedisStore,
    n: u64,
    request: u64,
}

impl Scene {
    /// Nanoseconds that the server's main thread has worked.
    fn worked(&self) -> u64 {
        let path = format!("/proc/{0}/task/{0}/schedstat", self.pid);
        let text = std::fs::read_to_string(path).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }

    /// A step is done.
    fn mark(&self) {
        let now = self.worked();
        self.longest.set(self.longest.get().max(now - self.worked.replace(now)));
    }

    fn note(&self, what: &str) {
        self.mark();
        println!("{what:<44} {:>8.1} ms", self.longest.replace(0) as f64 / 1e6);
    }

    /// A run of so many items, appended in parts.
    async fn filled(&mut self, items: u64) -> RunId {
        self.request += 1;
        let (run, lease) = fire(&self.store, 1, self.request).await.unwrap();
        let token = match lease {
            Some(lease) => lease.token,
            None => panic!("the query of {run} is not leased"),
        };
        for (seq, from) in (0..items).step_by(50_000).enumerate() {
            let to = (from + 50_000).min(items);
            append(&self.store, token, seq as u64, from..to, to == items).await.unwrap();
            self.mark();
        }
        run
    }

    /// A run of as much as a runner sends in one call at the most.
    async fn large(&mut self) {
        self.request += 1;
        let lease = fire(&self.store, 1, self.request).await.unwrap().1.unwrap();
        let large = Body::one(&"x".repeat(60_000)).unwrap();
        let bodies = vec![large; 64];
        let append =
            Append { token: lease.token, seq: 0, item_type: "u64".into(), bodies, page: None, last: true };
        self.mark();
        self.longest.set(0);
        assert!(matches!(self.store.append(append).await.unwrap().value, Appended::Stored { .. }));
        self.mark();
        for _ in 0..2 {
            let leases = self.settle(Vec::new(), 64).await;
            self.settle(leases.iter().map(|lease| all(lease, End::Done(None))).collect(), 0).await;
        }
    }

    async fn settle(&mut self, settlements: Vec<Settlement>, items: u32) -> Vec<Lease> {
        self.n += 1;
        let leases = settle(&self.store, 1, self.n, settlements, items).await.unwrap();
        self.mark();
        leases
    }

    /// Leases all that is ready, and ends it so; singly, each item is a record of its own.
    async fn end_all(&mut self, singly: bool, end: impl Fn() -> End) {
        // A call that gives nothing may have looked at other queues only, and the next one goes on.
        let mut in_vain = 0;
        while in_vain < 4 {
            let leases = self.settle(Vec::new(), 1_000).await;
            in_vain = if leases.is_empty() { in_vain + 1 } else { 0 };
            for lease in leases {
                let count = lease.chunk.count();
                if singly {
                    for from in (0..count).step_by(ONE_BY_ONE) {
                        let to = (from + ONE_BY_ONE as u32).min(count);
                        let each = (from..to).map(|at| Settlement {
                            token: lease.token,
                            from: at,
                            to: at + 1,
                            end: end(),
                        });
                        self.settle(each.collect(), 0).await;
                    }
                } else {
                    self.settle(vec![all(&lease, end())], 0).await;
                }
            }
        }
    }
}

#[tokio::test]
#[ignore = "it measures, for some minutes"]
async fn the_longest_script_of_each_operation() {
    let server = server(Options::new().setting("appendonly", "no").setting("save", ""));
    let url = server.url();
    let store = RedisStore::open(RedisOptions::new(&url).deadline(Duration::from_secs(60))).await.unwrap();
    let info: String = ask(&url, &["INFO", "server"]);
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().to_owned();
    let (worked, longest) = Default::default();
    let mut scene = Scene { pid, worked, longest, store: store.clone(), n: 0, request: 0 };
    let others: Vec<Link> = (0..1_000).map(|n| Link::new(format!("others.job{n}").as_str())).collect();
    let jobs: Vec<_> = others.iter().map(|link| link.job.clone()).collect();
    let attach_others = Attach {
        session: SessionId(9),
        lease: Duration::from_secs(600),
        node: Node::default(),
        links: others,
        gone: Vec::new(),
    };
    scene.mark();
    scene.longest.set(0);
    store.attach(attach_others).await.unwrap();
    scene.note("attach, 1,000 jobs");
    let fires = (1..).zip(jobs).map(|(n, job)| Fire { job, query: false, ..by_hand(10_000_000 + n) });
    for part in fires.collect::<Vec<_>>().chunks(256) {
        store.fire(None, part.to_vec(), Want::default()).await.unwrap();
        scene.mark();
    }
    scene.note("fire, 256 at once");
    store.detach(SessionId(9)).await.unwrap();
    attach(&store, 1).await;
    let now = store.get("").await.unwrap().now;

    scene.large().await;
    scene.note("append, 64 bodies of 64 KiB");
    scene.filled(DEAD).await;
    scene.note("append, 50,000 items");
    scene.end_all(true, || End::Dead(failed(now, "no"))).await;
    scene.note("settle, 250 dead items");
    scene.filled(UNDECODABLE).await;
    scene.end_all(false, || End::Undecodable("no".into())).await;
    scene.note("settle, 1,000 undecodable");
    scene.filled(DUE).await;
    scene.mark();
    scene.longest.set(0);
    scene.end_all(true, || End::snooze(now + Duration::from_secs(300), now)).await;
    scene.note("settle, 250 snoozed to one instant");
    let waiting = scene.filled(WAITING).await;
    scene.note("append, 1,000,000 items in all");
    for _ in 0..20 {
        let leases = scene.settle(Vec::new(), 64).await;
        let done = leases.iter().map(|lease| all(lease, End::Done(None))).collect();
        scene.settle(done, 64).await;
    }
    scene.note("settle, in the course of work");
    // 200,000 are due now.
    let later = store.shifted(301_000);
    beat(&later, 1).await;
    for _ in 0..50 {
        scene.n += 1;
        settle(&later, 1, scene.n, Vec::new(), 10).await.unwrap();
        scene.mark();
    }
    scene.note("settle, 200,000 are due");
    let later = store.shifted(599_000 + 301_000);
    beat(&later, 1).await;
    scene.note("beat");
    let later = store.shifted(910_000);
    beat(&later, 1).await;
    let later = store.shifted(910_000 + 590_000);
    beat(&later, 1).await;
    let later = store.shifted(910_000 + 611_000);
    beat(&later, 1).await;
    let reaped = later.shifted(0).reap(SessionId(1)).await.unwrap().value;
    println!("  {} items died in one reap, more: {}", reaped.dead.len(), reaped.more);
    for _ in 0..30 {
        later.reap(SessionId(1)).await.unwrap();
        scene.mark();
    }
    scene.note("reap, 100,000 undecodable");
    later.prune(1_000).await.unwrap();
    scene.note("prune");
    later.items(waiting, 100).await.unwrap();
    scene.note("items");
    later.runs(RunFilter::new().limit(1_000)).await.unwrap();
    scene.note("runs");
    later.jobs().await.unwrap();
    scene.note("jobs");
    let dead = later.dead(DeadFilter::new().limit(3_000)).await.unwrap().value;
    scene.note("dead");
    let items: Vec<ItemId> = dead.iter().map(|dead| dead.id).collect();
    let (requeued, discarded) = items.split_at(1_000);
    let requeue = Requeue { request: 77, job: JOB.into(), items: requeued.to_vec(), note: None };
    let requeued = later.requeue(requeue).await.unwrap().value;
    assert!(requeued.is_some());
    scene.note("requeue, 1,000");
    later.discard(78, discarded.to_vec()).await.unwrap();
    scene.note("discard, 2,000");
    println!("  {:?}", later.cancel(waiting).await.unwrap().value);
    scene.note("cancel, 1,000,000 items");
    later.complete(vec![Complete { run: waiting, finish: false }]).await.unwrap();
    for _ in 0..50 {
        beat(&later, 1).await;
        scene.mark();
    }
    scene.note("beat, deleting what was cancelled");
    later.completable(1_000).await.unwrap();
    while later.detach(SessionId(1)).await.unwrap().value {}
    scene.note("detach");
}
