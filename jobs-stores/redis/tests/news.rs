//! News of what others do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{ask, attach, filled, server};
use jobs_core::{PutCell, Store, Wakeups};
use jobs_redis::{RedisOptions, RedisStore};
use servers::redis::{Options, Server};

/// Waits until the listener has its connection: then all marks have been raised once.
async fn listening(wakeups: &Wakeups) {
    let listening = wakeups.changed(|marks| marks.work, 0);
    tokio::time::timeout(Duration::from_secs(20), listening).await.unwrap();
}

/// Whether work is heard of within a time in which nobody polls.
async fn hears(wakeups: &Wakeups, seen: u64) -> bool {
    tokio::time::timeout(Duration::from_secs(20), wakeups.changed(|marks| marks.work, seen)).await.is_ok()
}

async fn two(server: &Server) -> (RedisStore, RedisStore) {
    let url = server.url();
    (RedisStore::connect(&url).await.unwrap(), RedisStore::connect(&url).await.unwrap())
}

#[tokio::test]
async fn what_another_process_stores_wakes_who_waits() {
    let server = server(Options::new());
    let (here, there) = two(&server).await;
    let wakeups = here.wakeups();
    listening(&wakeups).await;
    let before = wakeups.marks();
    attach(&there, 1).await;
    filled(&there, 1, 1, 10).await;
    assert!(hears(&wakeups, before.work).await);
    let before = wakeups.marks();
    let put = PutCell { value: Some(serde_json::json!({ "note": "now" })), ..PutCell::default() };
    there.put_if("pause/*", 0, put).await.unwrap().value.unwrap();
    let control = wakeups.changed(|marks| marks.control, before.control);
    tokio::time::timeout(Duration::from_secs(20), control).await.unwrap();
}

#[tokio::test]
async fn who_listens_hears_of_its_own_namespace_alone() {
    let server = server(Options::new());
    let (here, there) = two(&server).await;
    let (mail, other) = (here.namespace("mail").unwrap(), there.namespace("mail").unwrap());
    let (jobs, wakeups) = (here.wakeups(), mail.wakeups());
    listening(&jobs).await;
    listening(&wakeups).await;
    let (before, before_jobs) = (wakeups.marks(), jobs.marks());
    attach(&*other, 1).await;
    filled(&*other, 1, 1, 10).await;
    assert!(hears(&wakeups, before.work).await);
    assert_eq!(jobs.marks().work, before_jobs.work);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_what_was_missed_wakes_who_waits() {
    let server = server(Options::new());
    let (here, there) = two(&server).await;
    let wakeups = here.wakeups();
    listening(&wakeups).await;
    let before = wakeups.marks().work;
    let killed: i64 = ask(&server.url(), &["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(killed, 1, "there is one connection for news");
    assert!(hears(&wakeups, before).await, "what may have been missed is looked for");
    let before = wakeups.marks().work;
    attach(&there, 1).await;
    filled(&there, 1, 1, 10).await;
    assert!(hears(&wakeups, before).await, "it is heard again");
}

#[tokio::test]
async fn a_store_that_cannot_listen_tells_those_who_wait_what_it_does_itself() {
    let server = server(Options::new());
    // Whichever protocol it speaks.
    let client = redis::Client::open(format!("{}?protocol=resp3", server.url())).unwrap();
    let manager = client.get_connection_manager().await.unwrap();
    let store = RedisStore::over(manager, RedisOptions::lent().namespace("mail")).await.unwrap();
    let wakeups = store.wakeups();
    let before = wakeups.marks().work;
    attach(&store, 1).await;
    filled(&store, 1, 1, 10).await;
    assert!(hears(&wakeups, before).await);
    let mail = format!("{}?namespace=mail", server.url());
    let same = RedisStore::connect(&mail).await.unwrap();
    assert_eq!(same.sessions().await.unwrap().value.len(), 1, "it is the same namespace");
}

#[tokio::test]
async fn a_cell_that_steers_nothing_makes_no_node_look() {
    let server = server(Options::new());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let lent = RedisStore::over(
        redis::Client::open(server.url()).unwrap().get_connection_manager().await.unwrap(),
        RedisOptions::lent(),
    )
    .await
    .unwrap();
    let wakeups = lent.wakeups();
    let value = |value: i32| PutCell { value: Some(value.into()), ..PutCell::default() };
    let before = wakeups.marks().control;
    let version = lent.put_if("progress/a", 0, value(1)).await.unwrap().value.unwrap();
    lent.put_if("progress/a", version, PutCell::default()).await.unwrap().value.unwrap();
    assert_eq!(wakeups.marks().control, before, "neither a write nor a removal is told");
    let version = lent.put_if("pause/a.*", 0, value(1)).await.unwrap().value.unwrap();
    assert_eq!(wakeups.marks().control, before + 1, "a pause is");
    lent.put_if("pause/a.*", version, PutCell::default()).await.unwrap().value.unwrap();
    assert_eq!(wakeups.marks().control, before + 2, "and so is its end");
    assert!(store.list("").await.unwrap().value.is_empty());
}
