//! A query that finds many small items, and a handler that does nothing, through the whole runner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jobs_core::Store;
use jobs_runner::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct User {
    pub id: u64,
    email: String,
}

impl User {
    pub fn new(id: u64) -> Self {
        Self { id, email: format!("user{id}@example.com") }
    }
}

struct FanOut {
    items: u64,
    handled: AtomicU64,
}

#[cron_group("fan-out")]
impl FanOut {
    #[query("handle")]
    async fn users(&self) -> impl Iterator<Item = User> {
        (0..self.items).map(User::new)
    }

    #[job("handle", concurrency = 64)]
    async fn handle(&self, user: User) {
        self.handled.fetch_add(user.id & 1, Ordering::Relaxed);
    }
}

/// Items per second, from the request to the end of the run; `None` if that has not come within `patience`.
pub async fn drive(store: Arc<dyn Store>, items: u64, patience: Duration) -> Result<Option<f64>> {
    let group = Arc::new(FanOut { items, handled: AtomicU64::new(0) });
    let runner = Runner::builder().store(store).provide(group.clone()).only(["fan-out.*"]).start().await?;
    let began = Instant::now();
    let run = async { runner.run(FanOut::HANDLE).await?.wait().await };
    let Ok(report) = tokio::time::timeout(patience, run).await else {
        // It is not in the way of what is measured next.
        let _ended = tokio::time::timeout(Duration::from_secs(5), runner.shutdown(Duration::ZERO)).await;
        return Ok(None);
    };
    let rate = items as f64 / began.elapsed().as_secs_f64();
    let report = report?.ok()?;
    assert_eq!((report.counts.ok, group.handled.load(Ordering::Relaxed)), (items, items / 2));
    runner.shutdown(Duration::from_secs(1)).await?;
    Ok(Some(rate))
}
