//! The durable store, through its public surface: what holds for every engine, and what holds for one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[path = "common/postgres.rs"]
mod postgres;

#[path = "store/contract.rs"]
mod contract;
#[path = "store/cut.rs"]
mod cut;
#[path = "store/place.rs"]
mod place;
#[path = "store/postgres_server.rs"]
mod postgres_server;
#[path = "store/sqlite_file.rs"]
mod sqlite_file;

/// The same test bodies for each engine.
macro_rules! for_each_engine {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $test() {
                crate::contract::$test(crate::place::Place::sqlite()).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $test() {
                crate::contract::$test(crate::place::Place::postgres().await).await;
            })*
        }
    };
}

for_each_engine! {
    a_backup_replaces_what_is_there_only_when_told
    a_backup_restores_the_same_world_in_another_epoch
    a_backup_with_a_flipped_byte_is_refused
    a_bad_write_changes_nothing
    a_body_comes_back_byte_for_byte
    a_commit_in_turn_is_planned_on_the_newest_world
    a_commit_on_an_old_revision_changes_nothing
    a_commit_wakes_those_who_wait
    a_hundred_thousand_writes_are_one_commit
    a_new_store_is_empty
    a_session_that_has_left_holds_nothing_back
    a_session_that_is_heard_of_no_more_holds_nothing_back
    a_session_with_another_past_holds_everything_back
    a_tail_that_is_too_large_is_trimmed
    bytes_of_changes_are_kept_up_to_their_bound
    changes_are_kept_up_to_their_bound
    changes_come_in_portions
    changes_of_another_past_are_none
    changes_that_an_earlier_process_left_are_measured
    many_changes_that_an_earlier_process_left_go_bit_by_bit
    four_committers_leave_no_gap
    nobody_is_taken_along_into_a_restored_epoch
    small_changes_are_not_measured_each_time
    the_fence_is_what_all_others_have_applied
    the_last_write_of_an_object_counts
    what_was_committed_is_there_after_opening_again
}
