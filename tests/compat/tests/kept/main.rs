//! What an earlier version has written opens, works and migrates: every check on each durable store, once on a place
//! that was kept and once on a place that this version has written itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.

mod beside;
mod cells;
mod crashes;
mod dead;
mod everything;
mod living;
mod reading;
mod scene;
mod ticks;
mod waiting;

/// Tests of these checks.
macro_rules! tests {
    ($scene:expr; $($file:ident: $($check:ident),*;)*) => { $($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $check() {
            if let Some(mut scene) = $scene {
                crate::$file::$check(&mut scene).await.unwrap();
            }
        }
    )*)* };
}

/// All checks.
macro_rules! checks {
    ($scene:expr) => {
        tests! {
            $scene;
            reading: what_was_written_is_read, numbers_go_on_from_the_last_one;
            living: a_node_that_lives_on_keeps_its_leases, a_repeated_call_is_answered_as_before,
                a_query_goes_on_where_it_was, a_run_that_is_cancelled_ends;
            waiting: a_retry_comes_when_it_is_due_and_keeps_its_failures, urgent_items_come_first,
                a_limit_counts_what_an_old_node_holds, what_is_paused_waits_until_it_is_resumed,
                a_finish_item_is_leased;
            ticks: a_cursor_stands_where_it_stood, a_tick_that_waits_fires, a_rename_holds,
                a_changed_schedule_holds_and_is_rolled_back;
            dead: dead_items_are_listed_requeued_and_discarded, dead_items_go_when_their_time_is_over,
                what_no_build_can_decode_dies_in_time, what_a_newer_build_can_decode_is_worked_on;
            crashes: suspects_are_leased_one_at_a_time, what_a_dead_node_held_is_taken_over;
            cells: cells_are_read_and_written, namespaces_share_nothing;
            everything: every_item_ends_once_and_every_run_is_over;
        }
    };
}

macro_rules! on {
    ($($store:ident: $place:ident;)*) => { $(
        mod $store {
            mod format_1 {
                checks! { crate::scene::kept::<compat::place::$place>("format-1").await }

                #[tokio::test(flavor = "multi_thread")]
                async fn an_old_process_goes_on_beside_this_version() {
                    crate::beside::goes_on::<compat::place::$place>("format-1").await.unwrap();
                }
            }
            mod present {
                checks! { crate::scene::told::<compat::place::$place>().await }
            }
        }
    )* };
}

on! {
    sqlite: SqlitePlace;
    redis: RedisPlace;
    postgres: PostgresPlace;
}
