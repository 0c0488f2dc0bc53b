//! Whole runners on one database.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use jobs_runner::{Once, OnceIn, PostgresOptions, PostgresStore, prelude::*};
use servers::postgres::{Options, Server};
use sqlx::PgPool;

/// The server of this process.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| match Server::start(Options::new()) {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    })
}

async fn open(schema: &str) -> PostgresStore {
    let options = PostgresOptions::from_url(&server().url()).unwrap().schema(schema);
    PostgresStore::open(options).await.unwrap()
}

struct Fan {
    seen: Mutex<BTreeSet<u64>>,
}

#[cron_group("fan")]
impl Fan {
    #[query("out")]
    async fn numbers(&self) -> Vec<u64> {
        (0..5_000).collect()
    }

    #[job("out", concurrency = 4)]
    async fn out(&self, n: u64) {
        assert!(self.seen.lock().unwrap().insert(n), "{n} came twice");
    }
}

struct Till {
    store: PostgresStore,
    pool: PgPool,
}

#[cron_group("till")]
impl Till {
    #[query("book")]
    async fn numbers(&self) -> Vec<i64> {
        (0..20).collect()
    }

    /// Says that it failed, although it did not.
    #[job("book", retries = 3, retry_delay = "10ms")]
    async fn book(&self, cx: &JobContext, n: i64) -> Result<()> {
        let mut transaction = self.pool.begin().await?;
        if cx.once_in(&self.store, &mut transaction).await? == Once::First {
            sqlx::query("INSERT INTO booked VALUES ($1)").bind(n).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        if n % 2 == 0 { Err("its node was not well".into()) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runners_share_a_run_and_work_each_item_once() {
    if !servers::is_wanted("postgres") {
        return;
    }
    let group = Arc::new(Fan { seen: Mutex::default() });
    let store = open("shared").await;
    let mut runners = Vec::new();
    for _ in 0..2 {
        let builder = Runner::builder().store(store.clone()).only(["fan.*"]).provide(group.clone());
        runners.push(builder.start().await.unwrap());
    }
    let report = runners[0].run(Fan::OUT).await.unwrap().wait().await.unwrap();
    assert_eq!((report.counts.total, report.counts.ok), (5_000, 5_000));
    assert_eq!(group.seen.lock().unwrap().len(), 5_000);
    for runner in runners {
        runner.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_happens_once_whatever_its_handler_says() {
    if !servers::is_wanted("postgres") {
        return;
    }
    let store = open("till").await;
    let pool = PgPool::connect(&server().url()).await.unwrap();
    sqlx::query("CREATE TABLE booked (n bigint)").execute(&pool).await.unwrap();
    let till = Till { store: store.clone(), pool: pool.clone() };
    let runner = Runner::builder().store(store).only(["till.*"]).provide(till).start().await.unwrap();
    let report = runner.run(Till::BOOK).await.unwrap().wait().await.unwrap();
    assert_eq!((report.counts.ok, report.counts.dead, report.counts.retries), (20, 0, 0));
    let booked: Vec<i64> =
        sqlx::query_scalar("SELECT n FROM booked ORDER BY n").fetch_all(&pool).await.unwrap();
    assert_eq!(booked, (0..20).collect::<Vec<_>>());
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_opens_it_in_its_namespace() {
    if !servers::is_wanted("postgres") {
        return;
    }
    let url = format!("{}?schema=by_url&namespace=mail", server().url());
    let group = Arc::new(Fan { seen: Mutex::default() });
    let builder = Runner::builder().store(&*url).only(["fan.*"]).provide(group);
    let runner = builder.start().await.unwrap();
    runner.run(Fan::OUT).await.unwrap().wait().await.unwrap().ok().unwrap();
    let client = Client::connect(&*url).await.unwrap();
    assert_eq!(client.jobs().await.unwrap().len(), 1);
    assert_eq!(client.with_namespace("other").jobs().await.unwrap(), []);
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}
