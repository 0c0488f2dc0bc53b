//! Every scenario in its short form, on every store: the promises of DESIGN §8 under real signals.
//!
//! `JOBS_TEST_STORES=memory,sqlite` plays on fewer stores, on purpose.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)] // A test may panic.

use std::path::Path;

use chaos::{
    backend::Kind,
    scenario::{Play, names, play},
};

async fn clean(store: Kind, name: &str) {
    let wanted = std::env::var("JOBS_TEST_STORES").unwrap_or_default();
    if !wanted.is_empty() && !wanted.split(',').any(|wanted| wanted.trim() == store.name()) {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let outcome = play(name, &Play { program, store, faults: 10, seconds: 3, short: true }).await.unwrap();
    assert!(outcome.is_clean(), "{outcome:#?}");
}

macro_rules! scenarios {
    ($store:ident, $kind:ident: $($test:ident $name:literal)*) => {
        mod $store {
            use super::*;

            #[test]
            fn every_scenario_is_a_test() {
                assert_eq!(names(Kind::$kind), [$($name),*]);
            }

            $(
                #[tokio::test]
                async fn $test() {
                    clean(Kind::$kind, $name).await;
                }
            )*
        }
    };
}

scenarios! { sqlite, Sqlite:
    a_killed_process_loses_nothing_and_repeats_what_was_in_flight "kill"
    one_of_four_processes_is_killed "kill4"
    a_query_killed_between_pages_finds_every_item "pages"
    a_long_query_takes_no_more_memory "memory"
    two_processes_share_a_file "share2"
    four_processes_share_a_file "share4"
    a_process_stopped_past_its_lease_changes_nothing "stop"
    a_process_stopped_inside_a_commit_makes_the_others_wait "commit"
    a_clock_that_steps_fires_no_tick_twice "step"
    a_restored_backup_forgets_and_repeats_and_no_token_comes_again "backup"
    a_rolling_deploy_and_its_rollback_repeat_nothing "deploy"
    ten_processes_begin_at_once_on_nothing "crowd"
    ten_processes_make_a_thousand_runs_of_a_thousand_ticks "ticks"
}

scenarios! { redis, Redis:
    a_killed_process_loses_nothing_and_repeats_what_was_in_flight "kill"
    one_of_four_processes_is_killed "kill4"
    a_query_killed_between_pages_finds_every_item "pages"
    a_long_query_takes_no_more_memory "memory"
    two_processes_share_a_server "share2"
    four_processes_share_a_server "share4"
    a_process_stopped_past_its_lease_changes_nothing "stop"
    a_server_killed_and_started_again_loses_nothing "server"
    connections_that_are_cut_repeat_nothing_that_was_settled "cut"
    an_outage_of_half_a_lease_interrupts_nobody "outage"
    a_process_cut_off_from_the_server_is_replaced "partition"
    nodes_with_wrong_clocks_fire_in_the_servers_time "clocks"
    a_clock_that_steps_fires_no_tick_twice "step"
    a_promoted_replica_forgets_what_it_had_not_heard_and_no_token_comes_again "promote"
    a_restored_backup_forgets_and_repeats_and_no_token_comes_again "backup"
    a_rolling_deploy_and_its_rollback_repeat_nothing "deploy"
    ten_processes_begin_at_once_on_nothing "crowd"
    ten_processes_make_a_thousand_runs_of_a_thousand_ticks "ticks"
}

scenarios! { postgres, Postgres:
    a_killed_process_loses_nothing_and_repeats_what_was_in_flight "kill"
    one_of_four_processes_is_killed "kill4"
    a_query_killed_between_pages_finds_every_item "pages"
    a_long_query_takes_no_more_memory "memory"
    two_processes_share_a_server "share2"
    four_processes_share_a_server "share4"
    a_process_stopped_past_its_lease_changes_nothing "stop"
    a_server_killed_and_started_again_loses_nothing "server"
    connections_that_are_cut_repeat_nothing_that_was_settled "cut"
    an_outage_of_half_a_lease_interrupts_nobody "outage"
    a_process_cut_off_from_the_server_is_replaced "partition"
    nodes_with_wrong_clocks_fire_in_the_servers_time "clocks"
    a_clock_that_steps_fires_no_tick_twice "step"
    a_restored_backup_forgets_and_repeats_and_no_token_comes_again "backup"
    a_rolling_deploy_and_its_rollback_repeat_nothing "deploy"
    ten_processes_begin_at_once_on_nothing "crowd"
    ten_processes_make_a_thousand_runs_of_a_thousand_ticks "ticks"
}
