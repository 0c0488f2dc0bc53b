//! Every scenario on a server of Postgres, in its short form: the promises under real signals.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // A test may panic.

mod common;

use chaos::{backend::Kind, scenario::names};

async fn clean(name: &str) {
    common::clean(Kind::Postgres, name).await;
}

#[test]
fn every_scenario_is_a_test() {
    let played = include_str!("on_postgres.rs");
    for name in names(Kind::Postgres) {
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
async fn two_processes_share_a_server() {
    clean("share2").await;
}

#[tokio::test]
async fn four_processes_share_a_server() {
    clean("share4").await;
}

#[tokio::test]
async fn a_process_stopped_past_its_lease_changes_nothing() {
    clean("stop").await;
}

#[tokio::test]
async fn a_server_killed_and_started_again_loses_nothing() {
    clean("server").await;
}

#[tokio::test]
async fn connections_that_are_cut_repeat_nothing_that_was_settled() {
    clean("cut").await;
}

#[tokio::test]
async fn an_outage_of_half_a_lease_interrupts_nobody() {
    clean("outage").await;
}

#[tokio::test]
async fn a_process_cut_off_from_the_server_is_replaced() {
    clean("partition").await;
}

#[tokio::test]
async fn nodes_with_wrong_clocks_fire_in_the_servers_time() {
    clean("clocks").await;
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
async fn a_server_ten_milliseconds_away_loses_nothing_when_processes_are_killed() {
    clean("far").await;
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
