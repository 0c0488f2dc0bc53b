//! The runner on a store in a file.

#![allow(clippy::unwrap_used)] // A test may panic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jobs_runner::{Event, Events, RunFilter, SqliteOptions, SqliteStore, prelude::*};

#[derive(Default)]
struct Sums {
    sum: AtomicU64,
}

#[cron_group("sums")]
impl Sums {
    #[query("add")]
    async fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        0..5_000
    }

    #[job("add", concurrency = 32)]
    async fn add(&self, n: u64) {
        self.sum.fetch_add(n, Ordering::Relaxed);
    }
}

async fn start(url: &str, sums: &Arc<Sums>) -> Runner {
    Runner::builder().store(url).only(["sums.*"]).provide(sums.clone()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_worked_off_by_the_runners_on_one_file_and_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?durability=full", directory.path().join("jobs.db").display());
    let sums = Arc::new(Sums::default());
    let (one, other) = (start(&url, &sums).await, start(&url, &sums).await);
    let report = one.run(Sums::ADD).await.unwrap().wait().await.unwrap().ok().unwrap();
    assert_eq!(report.counts.ok, 5_000);
    assert_eq!(sums.sum.load(Ordering::Relaxed), 5_000 * 4_999 / 2, "every item was handled once");
    one.shutdown(Duration::from_secs(5)).await.unwrap();
    other.shutdown(Duration::from_secs(5)).await.unwrap();

    let client = Client::connect(url.as_str()).await.unwrap();
    let runs = client.runs(RunFilter::new()).await.unwrap();
    assert_eq!(runs, [report]);
}

/// Waits for an event, for as long as a slow machine may need.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            match events.recv().await {
                Some(event) if wanted(&event) => return event,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    });
    waited.await.unwrap()
}

/// Holds its items for as long as it is let.
struct Hoard;

#[cron_group("hoard")]
impl Hoard {
    #[query("keep")]
    async fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        0..200_000
    }

    #[job("keep", concurrency = 1)]
    async fn keep(&self, _: u64) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_runner_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    // Somebody else's items fill the disk.
    let url = format!("sqlite://{}?namespace=hoard", path.display());
    let hoarder = Runner::builder().store(&*url).only(["hoard.*"]).provide(Hoard).start().await.unwrap();
    let hoard = hoarder.run(Hoard::KEEP).await.unwrap();
    let full = tokio::time::timeout(Duration::from_secs(60), async {
        while hoarder.client().report(hoard.id()).await.unwrap().counts.total < 200_000 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    full.await.unwrap();

    let pages = std::fs::metadata(&path).unwrap().len() / 4_096;
    let options = SqliteOptions::new(&path).max_pages(u32::try_from(pages).unwrap() + 16);
    let store = SqliteStore::open(options).await.unwrap();
    let sums = Arc::new(Sums::default());
    let builder = Runner::builder().store(store).only(["sums.*"]).provide(sums.clone());
    let runner = builder.start().await.unwrap();
    let mut events = runner.events();
    let client = runner.client().clone();
    let run = tokio::spawn(async move { client.run(Sums::ADD).await.unwrap().wait().await.unwrap() });
    let lost = until(&mut events, |event| matches!(event, Event::StoreLost { .. })).await;
    let Event::StoreLost { message } = lost else { unreachable!() };
    assert!(message.contains("full") && message.contains("make room"), "{message}");

    hoard.cancel().await.unwrap();
    hoard.wait().await.unwrap();
    until(&mut events, |event| matches!(event, Event::StoreBack { .. })).await;
    let report = run.await.unwrap().ok().unwrap();
    assert_eq!((report.counts.total, report.counts.ok), (5_000, 5_000));
    assert_eq!(sums.sum.load(Ordering::Relaxed), 5_000 * 4_999 / 2, "every item was handled once");
    hoarder.shutdown(Duration::from_secs(5)).await.unwrap();
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_taken_away_is_told_and_the_runner_goes_on_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (path, away) = (directory.path().join("jobs.db"), directory.path().join("away.db"));
    let sums = Arc::new(Sums::default());
    let runner = start(&format!("sqlite://{}", path.display()), &sums).await;
    let mut events = runner.events();
    runner.run(Sums::ADD).await.unwrap().wait().await.unwrap().ok().unwrap();
    std::fs::rename(&path, &away).unwrap();
    let lost = until(&mut events, |event| matches!(event, Event::StoreLost { .. })).await;
    let Event::StoreLost { message } = lost else { unreachable!() };
    assert!(message.contains("deleted") && message.contains("put it back"), "{message}");

    std::fs::rename(&away, &path).unwrap();
    until(&mut events, |event| matches!(event, Event::StoreBack { .. })).await;
    let report = runner.run(Sums::ADD).await.unwrap().wait().await.unwrap().ok().unwrap();
    assert_eq!(report.counts.ok, 5_000);
    runner.shutdown(Duration::from_secs(5)).await.unwrap();
}
