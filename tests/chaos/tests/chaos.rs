//! Every scenario in its short form: the promises of DESIGN §8 under real signals.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // A test may panic.

use std::path::Path;

use chaos::scenario::{Play, play};

async fn clean(name: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let outcome = play(name, &Play { program, store: "sqlite", faults: 10, short: true }).await.unwrap();
    assert!(outcome.is_clean(), "{outcome:#?}");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_and_repeats_what_was_in_flight() {
    clean("kill").await;
}

#[tokio::test]
async fn a_query_killed_between_pages_finds_every_item() {
    clean("pages").await;
}

#[tokio::test]
async fn a_long_query_takes_no_more_memory() {
    clean("memory").await;
}

#[tokio::test]
async fn two_processes_share_a_file() {
    clean("share2").await;
}

#[tokio::test]
async fn four_processes_share_a_file() {
    clean("share4").await;
}

#[tokio::test]
async fn a_process_stopped_past_its_lease_changes_nothing() {
    clean("stop").await;
}

#[tokio::test]
async fn a_process_stopped_inside_a_commit_makes_the_others_wait() {
    clean("commit").await;
}
