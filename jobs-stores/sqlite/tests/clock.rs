//! A clock that was in the future for a moment stops nothing once it is right again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{File, attach, filled, settle};
use jobs_core::{Attach, Attached, Beat, Declaration, End, Link, Millis, Node, SessionId, Settlement, Store};
use jobs_sqlite::SqliteStore;

const YEARS: i64 = 10 * 366 * 24 * 3_600_000;
const LEASE: Duration = Duration::from_secs(60);
const SCHEDULED: &str = "suite.scheduled";

async fn attach_scheduled(store: &SqliteStore, session: u64) -> Attached {
    let declared =
        Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: "one".into(), instant: None };
    let link = Link { schedule: Some(declared), ..Link::new(SCHEDULED) };
    let attach = Attach {
        session: SessionId(session),
        lease: LEASE,
        node: Node::default(),
        links: vec![link],
        gone: Vec::new(),
    };
    store.attach(attach).await.unwrap().value
}

#[tokio::test]
async fn a_cursor_far_ahead_is_set_back_on_record() {
    let file = File::new();
    let store = file.open().await;
    let future = store.shifted(YEARS);
    attach_scheduled(&future, 1).await;
    let attached = attach_scheduled(&store, 2).await;
    let ahead = &attached.ahead[0];
    assert!(ahead.set_back && *ahead.schedule == *SCHEDULED);
    let now = store.jobs().await.unwrap().now;
    assert!(attached.schedules[SCHEDULED].cursor <= now, "ticks are due again");
    let cell = store.get(&format!("ahead/{SCHEDULED}")).await.unwrap().value.unwrap();
    assert_eq!(cell.value["cursor"], ahead.cursor.0, "where it stood is on record");
    assert!(attach_scheduled(&store, 3).await.ahead.is_empty());
    // What is ahead by little is reported, and waited for.
    attach_scheduled(&store.shifted(1_800_000), 4).await;
    let redeclared =
        Declaration { text: "5 * * * *".into(), tz: "UTC".into(), fingerprint: "two".into(), instant: None };
    let link = Link { schedule: Some(redeclared), ..Link::new(SCHEDULED) };
    let (session, lease, node) = (SessionId(5), LEASE, Node::default());
    let attach = Attach { session, lease, node, links: vec![link], gone: Vec::new() };
    store.shifted(1_800_000).attach(attach).await.unwrap();
    let attached = attach_scheduled(&store, 6).await;
    assert_eq!(attached.ahead.iter().map(|ahead| ahead.set_back).collect::<Vec<_>>(), [false]);
}

#[tokio::test]
async fn an_item_waits_as_long_as_it_was_meant_to() {
    let file = File::new();
    let store = file.open().await;
    let future = store.shifted(YEARS);
    attach(&future, 1).await;
    filled(&future, 1, 7, 1).await;
    let lease = settle(&future, 1, 1, Vec::new(), 1).await.unwrap().remove(0);
    let now = future.jobs().await.unwrap().now;
    let later = End::snooze(now + LEASE, now);
    let settlement = Settlement { token: lease.token, from: 0, to: 1, end: later };
    settle(&future, 1, 2, vec![settlement], 0).await.unwrap();
    // A session of the right clock finds it, at once or by its first reap.
    attach(&store, 2).await;
    assert_eq!(settle(&store, 2, 1, Vec::new(), 1).await.unwrap(), []);
    let soon = store.shifted(61_000);
    assert_eq!(
        settle(&soon, 2, 2, Vec::new(), 1).await.unwrap().len(),
        1,
        "after its wait, and not in ten years"
    );
}

#[tokio::test]
async fn a_session_of_the_future_is_reaped_like_any_other() {
    let file = File::new();
    let store = file.open().await;
    attach_scheduled(&store.shifted(YEARS), 1).await;
    attach_scheduled(&store, 2).await;
    let beat = |store: SqliteStore| async move {
        let beat = Beat { session: SessionId(2), held: None, as_of: Millis::MAX, reconnected: false };
        store.beat(beat).await.unwrap()
    };
    let sessions = |store: SqliteStore| async move {
        store.sessions().await.unwrap().value.iter().map(|session| session.session.0).collect::<Vec<_>>()
    };
    for at in [50_000, 100_000] {
        beat(store.shifted(at)).await;
        store.shifted(at).reap(SessionId(2)).await.unwrap();
        assert_eq!(sessions(store.clone()).await, [1, 2], "it lives for one lease from then");
    }
    beat(store.shifted(150_000)).await;
    // It was set right at the first reap after the caller's first lease, so one lease after that it is gone.
    beat(store.shifted(200_000)).await;
    store.shifted(200_000).reap(SessionId(2)).await.unwrap();
    assert_eq!(sessions(store.clone()).await, [2]);
}
