//! Every scenario on a file of SQLite, in its short form: the promises under real signals.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // A test may panic.

mod common;

use chaos::{backend::Kind, scenario::names};

async fn clean(name: &str) {
    common::clean(Kind::Sqlite, name).await;
}

#[test]
fn every_scenario_is_a_test() {
    let played = include_str!("on_sqlite.rs");
    for name in names(Kind::Sqlite) {
        assert!(played.contains(&format!("clean(\"{name}\")")), "`{name}` is no test");
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_and_repeats_what_was_in_flight() {
    clean("kill").await;
}

#[tokio::test]
async fn one_of_four_processes_is_killed() {
    clean("kill4").await;
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

#[tokio::test]
async fn a_clock_that_steps_fires_no_tick_twice() {
    clean("step").await;
}

#[tokio::test]
async fn a_restored_backup_forgets_and_repeats_and_no_token_comes_again() {
    clean("backup").await;
}

#[tokio::test]
async fn a_rolling_deploy_and_its_rollback_repeat_nothing() {
    clean("deploy").await;
}

#[tokio::test]
async fn ten_processes_begin_at_once_on_nothing() {
    clean("crowd").await;
}

#[tokio::test]
async fn ten_processes_make_a_thousand_runs_of_a_thousand_ticks() {
    clean("ticks").await;
}

#[tokio::test]
async fn much_of_everything_slows_nobody_down() {
    clean("much").await;
}

#[tokio::test]
async fn a_clock_ten_years_ahead_for_four_seconds_stops_nothing() {
    clean("future").await;
}

#[tokio::test]
async fn a_value_that_is_refused_fails_what_it_belongs_to_and_nothing_else() {
    clean("refused").await;
}
