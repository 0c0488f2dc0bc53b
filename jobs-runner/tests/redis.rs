//! The runner on a server of Redis.

#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_runner::{
    ConnectionManager, Event, Events, RedisOptions, RedisStore, RunFilter, StartProblem, StoreError,
    prelude::*,
};
use servers::redis::{Options, Server};

#[derive(Default)]
struct Sums {
    sum: AtomicU64,
    /// How long each item takes.
    takes: Duration,
}

#[cron_group("sums")]
impl Sums {
    #[query("add")]
    async fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        0..5_000
    }

    #[job("add", concurrency = 32)]
    async fn add(&self, n: u64) {
        tokio::time::sleep(self.takes).await;
        self.sum.fetch_add(n, Ordering::Relaxed);
    }
}

const SUM: u64 = 5_000 * 4_999 / 2;

async fn start(store: impl Into<jobs_runner::StoreSource>, sums: &Arc<Sums>) -> Runner {
    Runner::builder().store(store).only(["sums.*"]).provide(sums.clone()).start().await.unwrap()
}

/// Waits for an event, for as long as a slow machine may need.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(event) = events.recv().await {
            if wanted(&event) {
                return;
            }
        }
    });
    waited.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_worked_off_by_the_runners_on_one_server_and_is_there_after_a_restart() {
    if !servers::is_wanted("redis") {
        return;
    }
    let server = Server::start(Options::new()).unwrap();
    let url = format!("{}/3?namespace=mail", server.url());
    let sums = Arc::new(Sums::default());
    let (one, other) = (start(&*url, &sums).await, start(&*url, &sums).await);
    let report = one.run(Sums::ADD).await.unwrap().wait().await.unwrap().ok().unwrap();
    assert_eq!(report.counts.ok, 5_000);
    assert_eq!(sums.sum.load(Ordering::Relaxed), SUM, "every item was handled once");
    one.shutdown(Duration::from_secs(5)).await.unwrap();
    other.shutdown(Duration::from_secs(5)).await.unwrap();

    let client = Client::connect(&*url).await.unwrap();
    assert_eq!(client.runs(RunFilter::new()).await.unwrap(), [report]);
    let elsewhere = Client::connect(&*server.url()).await.unwrap();
    assert_eq!(elsewhere.runs(RunFilter::new()).await.unwrap(), [], "that is another place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_the_programs_own_is_a_store() {
    if !servers::is_wanted("redis") {
        return;
    }
    let server = Server::start(Options::new()).unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let manager: ConnectionManager = client.get_connection_manager().await.unwrap();
    let sums = Arc::new(Sums::default());
    let store = RedisStore::over(manager, RedisOptions::lent()).await.unwrap();
    let runner = start(store, &sums).await;
    runner.run(Sums::ADD).await.unwrap().wait().await.unwrap().ok().unwrap();
    assert_eq!(sums.sum.load(Ordering::Relaxed), SUM);
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_of_a_run_loses_none_of_it() {
    if !servers::is_wanted("redis") {
        return;
    }
    let mut server = Server::start(Options::new().appendfsync("always")).unwrap();
    let sums = Arc::new(Sums { takes: Duration::from_millis(5), ..Sums::default() });
    let runner = start(&*server.url(), &sums).await;
    let mut events = runner.events();
    let run = runner.run(Sums::ADD).await.unwrap();
    until(&mut events, |event| matches!(event, Event::ItemDone { .. })).await;
    server.kill();
    until(&mut events, |event| matches!(event, Event::StoreLost { .. })).await;
    server.restart().unwrap();
    until(&mut events, |event| matches!(event, Event::StoreBack { .. })).await;
    let report = run.wait().await.unwrap().ok().unwrap();
    assert_eq!((report.counts.total, report.counts.ok), (5_000, 5_000));
    assert_eq!(sums.sum.load(Ordering::Relaxed), SUM, "a runner that lives repeats nothing");
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_problem_at_start() {
    if !servers::is_wanted("redis") {
        return;
    }
    let port = servers::port::free().unwrap();
    let url = format!("redis://me:secret@127.0.0.1:{port}");
    let starting = Runner::builder().store(&*url).only(["sums.*"]).provide(Sums::default()).start().await;
    let error = starting.unwrap_err();
    assert!(matches!(error.problems(), [StartProblem::Store(StoreError::Unreachable { .. })]), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}
