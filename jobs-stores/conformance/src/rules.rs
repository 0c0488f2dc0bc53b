//! The rules, each a function that is named for what it promises.

mod bounds;
mod cancelling;
mod cells;
mod clock;
mod completing;
mod crash;
mod dead;
mod deploys;
mod ends;
mod filling;
mod ids;
mod limits;
mod manual;
mod order;
mod sessions;
mod settling;
mod suspects;
mod ticks;
mod undecodable;
mod upkeep;

use crate::{bench::Bench, violation::Check};

/// One promise of the contract, and how to see that it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, a sentence; it does not change.
    pub name: &'static str,
    pub(crate) holds: fn(&mut Bench<'_>) -> Check,
}

/// The list of all rules, by the file that they are written in, for whatever is made of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __rules {
    ($made:ident $($given:tt)*) => { $crate::$made! { $($given)*
        ticks {
            a_tick_makes_one_run
            a_tick_is_decided_from_the_cursor
            a_fire_by_another_declaration_is_stale
            a_tick_of_the_future_does_not_fire
            a_fire_records_what_it_passed_over
            verdicts_of_neighbours_are_one_record
            a_repeated_fire_gets_the_same_run_and_lease
            a_busy_run_skips_the_tick
            a_busy_run_lets_the_newest_tick_wait
            a_busy_run_leaves_the_tick_due
            a_tick_that_may_overlap_fires
            a_run_is_busy_until_first_attempts_are_settled
            a_paused_job_fires_nothing
            a_paused_job_leases_nothing
            a_pause_that_has_expired_holds_nothing
        }
        manual {
            a_request_by_hand_makes_one_run
            a_run_by_hand_leaves_the_schedule_alone
            runs_are_listed_newest_first
        }
        filling {
            an_append_needs_the_lease
            appends_are_stored_in_their_order
            a_repeated_append_stores_nothing
            staged_items_are_invisible_before_the_last
            a_second_lease_drops_what_the_first_staged
            pages_are_visible_at_once
            a_page_is_resumed_at_its_cursor
            a_stored_page_starts_the_attempts_anew
            a_stored_page_ends_the_suspicion
            the_last_append_ends_the_filling
            a_query_that_finds_nothing_ends_its_run
            a_query_that_fails_for_good_fails_its_run
        }
        settling {
            an_item_is_settled_once
            a_settlement_needs_the_session
            a_settlement_needs_the_token
            lost_leases_are_told
            a_repeated_call_of_a_lane_gets_the_same_leases
            an_older_call_of_a_lane_changes_nothing
            effects_happen_with_their_settlement
        }
        ends {
            a_done_item_is_counted
            a_retried_item_comes_back_as_its_next_attempt
            a_retry_waits_for_its_time
            a_snoozed_item_comes_back_uncharged
            a_dead_item_keeps_its_payload_and_failures
            a_run_keeps_its_errors
            a_discarded_item_is_counted
            a_cancelled_item_is_counted
            an_expired_item_is_counted
            given_back_items_return_to_their_place
        }
        dead {
            dead_items_are_listed_newest_first
            the_end_of_a_query_forgets_no_attempt_of_an_item
            a_requeued_item_begins_anew_in_a_new_run
            requeued_items_keep_the_order_of_their_deaths
            an_item_is_requeued_once
            a_run_of_dead_items_holds_no_tick
            a_discarded_death_is_forgotten
        }
        order {
            items_are_leased_in_the_querys_order
            a_higher_priority_is_leased_first
            what_is_due_earlier_is_leased_first
            jobs_that_tie_take_turns
            an_older_run_is_leased_first
        }
        limits {
            no_more_is_leased_than_there_are_slots
            a_job_gets_no_more_than_its_room
            a_slot_gets_what_it_works_off
            global_concurrency_is_exact
            the_leases_of_an_expired_session_hold_no_slot
            an_exclusive_job_runs_one_attempt_at_a_time
            a_query_counts_against_no_limit_of_its_job
        }
        suspects {
            suspects_are_leased_one_at_a_time
            only_a_suspect_is_charged
            a_suspect_query_needs_no_slot_of_its_job
            an_item_that_kills_its_nodes_is_poison
            a_settled_attempt_ends_the_suspicion
        }
        undecodable {
            a_build_that_cannot_decode_is_not_offered_the_item_again
            an_undecodable_item_lives_a_quarter_of_an_hour
            an_undecodable_item_waits_for_every_live_build
            a_chunk_of_a_newer_format_is_left_alone
        }
        sessions {
            the_items_of_a_dead_session_come_back
            a_live_session_keeps_its_items
            an_expired_session_is_renewed_by_a_beat
            a_reaped_session_is_told
            a_session_reaps_nobody_during_its_first_lease
            a_reconnected_session_reaps_nobody_for_a_lease
            an_expired_session_reaps_nobody
            an_expired_session_leases_nothing
            an_orphaned_lease_goes_back
            a_young_lease_is_no_orphan
            a_beat_tells_lost_leases
            detach_gives_everything_back_uncharged
            sessions_known_to_be_gone_are_reaped_at_attach
        }
        completing {
            a_run_is_completed_once
            a_run_ends_as_its_items_did
            the_finish_item_comes_with_the_end
            the_finish_item_of_a_cancelled_run_goes_on
            a_run_that_may_be_over_is_told
            runs_are_completed_in_one_call_each_by_its_own_guard
        }
        cancelling {
            what_waits_of_a_cancelled_run_ends
            what_a_cancelled_run_holds_ends_when_settled
            a_beat_tells_cancelled_runs
            a_cancelled_query_appends_nothing
            a_run_that_is_over_cannot_be_cancelled
        }
        ids {
            ids_at_their_limits_are_told_apart
            what_nobody_has_made_is_not_there
        }
        cells {
            a_cell_is_written_by_whoever_knows_its_version
            a_version_is_never_used_again
            a_cell_expires
            a_cell_goes_with_its_session
            cells_are_listed_by_prefix
            a_cell_is_compared_and_set_beside_effects
            a_cell_that_steers_nothing_wakes_nobody_who_waits_for_it
        }
        clock {
            nothing_waits_longer_than_it_was_meant_to
            a_session_of_a_future_clock_ends_within_a_lease
            what_a_future_clock_made_wait_is_due_after_its_wait
            a_cursor_far_ahead_is_set_back_on_record
            a_cursor_a_little_ahead_is_reported_and_waited_for
        }
        bounds {
            what_is_due_at_once_becomes_ready_step_by_step
            a_cancel_of_many_goes_on_until_all_have_ended
            a_reap_of_many_leases_goes_on_until_all_are_back
            a_detach_of_many_leases_gives_all_back_uncharged
            undecodable_items_end_step_by_step
            many_failures_in_one_call_are_kept_each_with_its_item
        }
        deploys {
            a_new_schedule_starts_now
            an_equal_declaration_changes_nothing
            a_new_declaration_starts_now
            a_superseded_declaration_waits_for_a_rollback
            an_instant_already_past_is_missed
            a_renamed_job_takes_over
            a_former_name_gives_way_until_a_rollback
            what_comes_back_in_a_rename_goes_with_its_job
        }
        upkeep {
            pruning_keeps_the_newest
            a_finish_item_outlives_the_record_of_its_run
            pruning_is_bounded
            jobs_that_keep_too_much_are_pruned_alike
            tokens_grow_whatever_the_clock_says
            every_reply_carries_the_stores_time
            a_job_is_listed_with_its_items
            the_items_of_a_run_are_listed
            sessions_are_listed_with_what_they_hold
            namespaces_share_nothing
        }
        crash {
            a_crash_between_any_two_operations_loses_nothing
            a_crash_between_any_two_pages_loses_nothing
        }
    } };
}

macro_rules! table {
    ($($module:ident { $($rule:ident)* })*) => {
        /// Every rule.
        pub(crate) const RULES: &[Rule] =
            &[$($( Rule { name: stringify!($rule), holds: $module::$rule }, )*)*];
    };
}
#[doc(hidden)]
#[macro_export]
macro_rules! __table {
    ($($all:tt)*) => { table! { $($all)* } };
}
__rules! { __table }
