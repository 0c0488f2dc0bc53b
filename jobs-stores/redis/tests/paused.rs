//! Under a paused clock: time does not jump while a call is under way.

mod common;

use std::time::Duration;

use common::{attach, filled, open, settle};
use jobs_core::Store;

#[tokio::test(start_paused = true)]
async fn a_call_takes_no_time_under_a_paused_clock() {
    let began = tokio::time::Instant::now();
    let (_place, store) = open().await;
    attach(&store, 1).await;
    for n in 1..=20 {
        // Were time to jump, the deadline would be first.
        filled(&store, 1, n, 2_000).await;
        settle(&store, 1, n, Vec::new(), 10).await.unwrap();
        store.jobs().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
