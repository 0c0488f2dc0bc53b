//! Under a paused clock: time does not jump while a call is under way.

mod common;

use std::time::Duration;

use common::{File, attach, filled, settle};
use jobs_core::Store;

#[tokio::test(start_paused = true)]
async fn a_call_takes_no_time_under_a_paused_clock() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let began = tokio::time::Instant::now();
    let minute = Duration::from_secs(60);
    // Were time to jump, the timer would be first.
    for n in 1..=50 {
        let call = async {
            filled(&store, 1, n, 2_000).await;
            settle(&store, 1, n, Vec::new(), 10).await.unwrap();
            store.jobs().await.unwrap();
        };
        tokio::time::timeout(minute, call).await.unwrap();
    }
    assert!(began.elapsed() < minute, "{:?}", began.elapsed());
}
