//! No step touches more than a thousand records one by one, whatever is stored, and what is left is the next step's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{collections::BTreeMap, time::Duration};

use common::{JOB, all, ask, attach, beat, by_hand, done, failed, filled, open, settle};
use jobs_core::{
    Attach, Cancellation, Complete, Completion, DeadFilter, End, Fire, JobWant, Lease, Link, Millis, Node,
    RunFilter, SessionId, Settle, Settlement, Store, Want,
};
use jobs_redis::RedisStore;

const STEP: u64 = jobs_core::STEP_RECORDS as u64;
const QUARTER: i64 = 900_000;

async fn now(store: &RedisStore) -> Millis {
    store.get("").await.unwrap().now
}

/// Each item of these leases ends by itself.
fn each(leases: &[Lease], end: &End) -> Vec<Settlement> {
    let one = |lease: &Lease, from| Settlement { token: lease.token, from, to: from + 1, end: end.clone() };
    leases.iter().flat_map(|lease| (0..lease.chunk.count()).map(move |from| one(lease, from))).collect()
}

#[tokio::test]
async fn undecodable_items_die_a_thousand_in_a_step_the_oldest_first() {
    const ITEMS: u64 = 3_500;
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, ITEMS).await;
    let leases = settle(&store, 1, 1, Vec::new(), 5_000).await.unwrap();
    let undecodable = leases.iter().map(|lease| all(lease, End::Undecodable("no such field".into())));
    settle(&store, 1, 2, undecodable.collect(), 0).await.unwrap();
    // Longer than the patience with what nobody can decode, and the session has been there for a lease.
    let later = store.shifted(QUARTER / 2);
    beat(&later, 1).await;
    let later = store.shifted(QUARTER + 1_000);
    beat(&later, 1).await;
    let later = store.shifted(QUARTER + 590_000);
    beat(&later, 1).await;
    let later = store.shifted(QUARTER + 1_100_000);
    beat(&later, 1).await;
    let (mut dead, mut steps) = (Vec::new(), 0);
    loop {
        let reaped = later.reap(SessionId(1)).await.unwrap().value;
        assert!(reaped.dead.len() <= STEP as usize, "{} in one step", reaped.dead.len());
        dead.extend(reaped.dead.into_iter().map(|(_, _, item, _)| item));
        steps += 1;
        if !reaped.more && (dead.len() as u64 == ITEMS || steps > 40) {
            break;
        }
    }
    assert_eq!(dead, (0..ITEMS).map(|n| run.item(n)).collect::<Vec<_>>(), "each once, in their order");
    assert_eq!(later.dead(DeadFilter::new()).await.unwrap().value.len(), 100);
    assert_eq!(later.job(JOB).await.unwrap().value.unwrap().dead, ITEMS);
}

#[tokio::test]
async fn what_came_back_of_a_cancelled_run_ends_in_steps_and_what_nobody_touched_in_one_piece() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 60_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 2_500).await.unwrap();
    let touched: u64 = leases.iter().map(|lease| u64::from(lease.chunk.count())).sum();
    // Each goes back alone.
    settle(&store, 1, 2, each(&leases, &End::Back), 0).await.unwrap();
    let mut steps = 0;
    loop {
        let before = store.run(run).await.unwrap().value.unwrap().counts.cancelled;
        let cancelled = store.cancel(run).await.unwrap().value;
        let counts = store.run(run).await.unwrap().value.unwrap().counts;
        steps += 1;
        assert_eq!(
            settle(&store, 1, 2 + steps, Vec::new(), 10).await.unwrap(),
            [],
            "nothing of it is leased"
        );
        match cancelled {
            Cancellation::Cancelled { more: true } => {
                assert!(counts.cancelled - before <= STEP, "{} in one step", counts.cancelled - before);
            }
            Cancellation::Cancelled { more: false } => {
                assert_eq!(counts.cancelled, 60_000);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(steps, touched.div_ceil(STEP), "what nobody touched came with the last of them");
    assert_eq!(store.job(JOB).await.unwrap().value.unwrap().open(), 0);
    let complete = vec![Complete { run, finish: false }];
    assert!(matches!(store.complete(complete).await.unwrap().value[0], Completion::Completed(_)));
}

#[tokio::test]
async fn a_reap_goes_on_with_what_a_cancel_has_left() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 2_500).await;
    let leases = settle(&store, 1, 1, Vec::new(), 2_500).await.unwrap();
    settle(&store, 1, 2, each(&leases, &End::Back), 0).await.unwrap();
    assert_eq!(store.cancel(run).await.unwrap().value, Cancellation::Cancelled { more: true });
    let later = store.shifted(590_000);
    beat(&later, 1).await;
    let later = store.shifted(610_000);
    let mut ended = Vec::new();
    for _ in 0..5 {
        ended.extend(later.reap(SessionId(1)).await.unwrap().value.ended);
    }
    assert_eq!(ended, [run], "the run may be over");
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.cancelled, 2_500);
}

#[tokio::test]
async fn a_session_that_leaves_gives_back_a_thousand_leases_in_a_step() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    filled(&store, 1, 1, 2_500).await;
    // As many leases as items.
    let leases = settle(&store, 1, 1, Vec::new(), 2_500).await.unwrap();
    let mut n = 1;
    let mut held = Vec::new();
    settle(&store, 1, 2, each(&leases, &End::Back), 0).await.unwrap();
    n += 1;
    while held.len() < 2_500 {
        n += 1;
        held.extend(settle(&store, 1, n, Vec::new(), 500).await.unwrap());
    }
    let mut steps = 0;
    while store.detach(SessionId(1)).await.unwrap().value {
        steps += 1;
        let job = store.job(JOB).await.unwrap().value.unwrap();
        assert!(job.ready <= steps * STEP && job.in_flight > 0, "{job:?} after {steps} steps");
        assert_eq!(settle(&store, 1, n + steps, Vec::new(), 10).await.unwrap(), [], "it leases nothing more");
    }
    assert_eq!(steps, 2);
    assert_eq!(store.job(JOB).await.unwrap().value.unwrap().ready, 2_500);
    assert_eq!(store.sessions().await.unwrap().value, []);
}

#[tokio::test]
async fn what_is_due_at_one_instant_is_made_ready_a_thousand_in_a_step() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    filled(&store, 1, 1, 2_500).await;
    let leases = settle(&store, 1, 1, Vec::new(), 2_500).await.unwrap();
    let now = now(&store).await;
    settle(&store, 1, 2, each(&leases, &End::snooze(now + Duration::from_secs(60), now)), 0).await.unwrap();
    let later = store.shifted(61_000);
    let mut delayed = 2_500;
    for n in 3..8 {
        let want = Want::default();
        let settled =
            Settle { session: SessionId(1), lane: 0, n, settlements: Vec::new(), effects: Vec::new(), want };
        let reply = later.settle(settled).await.unwrap();
        let left = later.job(JOB).await.unwrap().value.unwrap().delayed;
        assert!(delayed - left <= STEP, "{} in one step", delayed - left);
        assert_eq!(
            reply.value.next_due.is_some_and(|due| due <= reply.now),
            left > 0,
            "the next call goes on"
        );
        delayed = left;
    }
    assert_eq!(delayed, 0);
    assert_eq!(later.job(JOB).await.unwrap().value.unwrap().ready, 2_500);
}

fn link(job: &str) -> Link {
    Link { query: false, concurrency: 10, ..Link::new(job) }
}

fn one_of(job: &str, request: u64) -> Fire {
    Fire { job: job.into(), query: false, item_type: "()".into(), ..by_hand(request) }
}

async fn attach_to(store: &RedisStore, session: u64, links: Vec<Link>) {
    let attach = Attach {
        session: SessionId(session),
        lease: Duration::from_secs(600),
        node: Node::default(),
        links,
        gone: Vec::new(),
    };
    store.attach(attach).await.unwrap();
}

/// How many commands a server has done, those of scripts included.
fn commands(url: &str) -> u64 {
    let info: String = ask(url, &["INFO", "commandstats"]);
    let calls = info.lines().filter(|line| line.starts_with("cmdstat_"));
    let calls = calls.filter_map(|line| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

#[tokio::test]
async fn looking_for_work_does_not_walk_the_queues_of_jobs_that_are_not_for_it() {
    let server = common::server(servers::redis::Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let others: Vec<_> = (0..1_000).map(|n| format!("others.job{n}")).collect();
    attach_to(&store, 2, others.iter().map(|job| link(job)).collect()).await;
    let fires = (1..).zip(&others).map(|(n, job)| one_of(job, n));
    for fires in fires.collect::<Vec<_>>().chunks(250) {
        store.fire(None, fires.to_vec(), Want::default()).await.unwrap();
    }
    // This one links another job; and one that links all of them is told to leave them alone.
    attach_to(&store, 1, vec![link("mine.job"), link("mine.too")]).await;
    for (case, pause) in [("not linked", None), ("paused", Some("others.*"))] {
        let session = if pause.is_some() { 2 } else { 1 };
        if let Some(pattern) = pause {
            let put = jobs_core::PutCell { value: Some(serde_json::json!({})), ..Default::default() };
            store.put_if(&jobs_core::pause_cell(pattern), 0, put).await.unwrap().value.unwrap();
        }
        let ask_for = |n| {
            let want = Want { slots: 10, jobs: Vec::new() };
            let (session, settlements) = (SessionId(session), Vec::new());
            store.settle(Settle { session, lane: 0, n, settlements, effects: Vec::new(), want })
        };
        // The first calls find out what is not for it.
        for n in 1..=4 {
            assert_eq!(ask_for(n).await.unwrap().value.leases, [], "{case}");
        }
        let before = commands(&server.url());
        ask_for(5).await.unwrap();
        let calls = commands(&server.url()) - before;
        assert!(calls < 100, "{calls} commands for one call; {case}");
    }
    let put = jobs_core::PutCell::default();
    let version = store.get("pause/others.*").await.unwrap().value.unwrap().version;
    store.put_if("pause/others.*", version, put).await.unwrap().value.unwrap();
    let want = Want { slots: 10, jobs: Vec::new() };
    let again =
        Settle { session: SessionId(2), lane: 0, n: 6, settlements: Vec::new(), effects: Vec::new(), want };
    assert_eq!(
        store.settle(again).await.unwrap().value.leases.len(),
        10,
        "what is resumed is leased at once"
    );
}

#[tokio::test]
async fn the_lines_of_a_job_that_is_full_are_not_asked_one_by_one() {
    let server = common::server(servers::redis::Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let allowed = Link { overlap: jobs_core::Overlap::Allow, ..link("full.job") };
    attach_to(&store, 1, vec![allowed, link("mine.job")]).await;
    let fires: Vec<_> = (1..=400).map(|n| one_of("full.job", n)).collect();
    store.fire(None, fires, Want::default()).await.unwrap();
    let ask_for = |n, slots| {
        let jobs = vec![JobWant { job: "full.job".into(), slots, per_slot: 1 }];
        let (session, want) = (SessionId(1), Want { slots: 20, jobs });
        store.settle(Settle { session, lane: 0, n, settlements: Vec::new(), effects: Vec::new(), want })
    };
    assert_eq!(ask_for(1, 10).await.unwrap().value.leases.len(), 10);
    let before = commands(&server.url());
    assert_eq!(ask_for(2, 0).await.unwrap().value.leases, []);
    let calls = commands(&server.url()) - before;
    assert!(calls < 100, "{calls} commands for one call");
}

#[tokio::test]
async fn a_job_with_very_much_history_keeps_no_other_waiting_when_it_is_pruned() {
    let (_place, store) = open().await;
    let keep = |job: &str| Link { keep_runs: 1, overlap: jobs_core::Overlap::Allow, ..link(job) };
    attach_to(&store, 1, vec![keep("a.much"), keep("b.little")]).await;
    let mut over = Vec::new();
    for (job, runs, first) in [("a.much", 200, 1), ("b.little", 3, 1_000)] {
        let fires: Vec<_> = (first..first + runs).map(|n| one_of(job, n)).collect();
        for firing in store.fire(None, fires, Want::default()).await.unwrap().value {
            let jobs_core::Firing::Fired { run, .. } = firing else { panic!("{firing:?}") };
            over.push(run);
        }
    }
    for run in &over {
        store.cancel(*run).await.unwrap();
    }
    let complete = over.iter().map(|run| Complete { run: *run, finish: false });
    let completed = store.complete(complete.collect()).await.unwrap().value;
    assert!(completed.iter().all(|one| matches!(one, Completion::Completed(_))));
    let pruned = store.prune(10).await.unwrap().value;
    assert_eq!((pruned.removed, pruned.more), (7, true), "five of one job, and all two of the other");
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    for run in store.runs(RunFilter::new().limit(1_000)).await.unwrap().value {
        *left.entry(run.job).or_default() += 1;
    }
    assert_eq!(left, [("a.much".into(), 195), ("b.little".into(), 1)].into());
    while store.prune(1_000).await.unwrap().value.more {}
    assert_eq!(store.runs(RunFilter::new()).await.unwrap().value.len(), 2);
}

#[tokio::test]
async fn the_items_of_a_run_are_read_page_by_page() {
    let server = common::server(servers::redis::Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 3_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 3_000).await.unwrap();
    let now = now(&store).await;
    settle(&store, 1, 2, each(&leases, &End::snooze(now + Duration::from_secs(60), now)), 0).await.unwrap();
    let read = |limit| store.items(run, limit);
    let _: () = ask(&server.url(), &["CONFIG", "RESETSTAT"]);
    assert_eq!(read(10).await.unwrap().value.len(), 10);
    let info: String = ask(&server.url(), &["INFO", "commandstats"]);
    let of_payloads = info.lines().find(|line| line.starts_with("cmdstat_getrange:")).unwrap_or("calls=0,");
    let calls: u64 = of_payloads.split("calls=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(calls < 4_000, "a page of items is read, not all of them: {calls} payloads");
    let all = read(10_000).await.unwrap().value;
    let ids: Vec<_> = all.iter().map(|item| item.id).collect();
    assert_eq!(ids, (0..3_000).map(|n| run.item(n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn errors_are_cut_and_counted_once_in_a_step() {
    let server = common::server(servers::redis::Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 1_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_000).await.unwrap();
    let now = now(&store).await;
    let mut settlements = each(&leases, &End::Done(None));
    for (n, settlement) in settlements.iter_mut().enumerate() {
        settlement.end = End::Dead(failed(now, format!("{n} {}", "x".repeat(50_000))));
    }
    let begun = std::time::Instant::now();
    settle(&store, 1, 2, settlements, 0).await.unwrap();
    let took = begun.elapsed();
    let report = store.run(run).await.unwrap().value.unwrap();
    assert_eq!((report.counts.dead, report.errors.iter().map(|group| group.count).sum()), (1_000, 1_000));
    let longest = report.errors.iter().map(|group| group.message.len()).max().unwrap();
    assert!(longest <= jobs_core::MAX_TEXT, "{longest} bytes are kept of a message");
    let dead = store.dead(DeadFilter::new()).await.unwrap().value;
    assert!(dead.iter().all(|dead| dead.attempts[0].message.len() <= jobs_core::MAX_TEXT));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn what_is_done_is_settled_in_one_piece() {
    let (_place, store) = open().await;
    attach(&store, 1).await;
    let run = filled(&store, 1, 1, 1_000).await;
    let leases = settle(&store, 1, 1, Vec::new(), 1_000).await.unwrap();
    settle(&store, 1, 2, leases.iter().map(done).collect(), 0).await.unwrap();
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.ok, 1_000);
}
