//! The scenarios that stand elsewhere as tests on SQLite, played on PostgreSQL and on MariaDB as they are.

use crate::support::{Server, store::played_on};

/// `FAMILY from MODULE { TESTS }`: a test of each on both servers.
macro_rules! played {
    ($($family:ident from $($part:ident)::+ { $($(#[$more:meta])* $name:ident)* })*) => {
        mod postgres {
            $(mod $family {
                use crate::$($part)::+ as told;
                $($(#[$more])* #[test] fn $name() {
                    super::super::played_on(super::super::Server::Postgres, told::$name);
                })*
            })*
        }
        mod mariadb {
            $(mod $family {
                use crate::$($part)::+ as told;
                $($(#[$more])* #[test] fn $name() {
                    super::super::played_on(super::super::Server::MySql, told::$name);
                })*
            })*
        }
    };
}

played!(
    conflicts from two_way::conflicts {
        f5_conflicts_remote_lets_the_crm_win_and_keeps_the_loser
        f6_conflicts_local_lets_the_database_win
        f7_conflicts_newest_lets_the_later_record_win_by_its_own_time
        f8_newest_asks_a_person_when_a_time_is_missing_or_too_near
        f8_conflicts_review_holds_the_field_alone_and_a_person_decides
        a_fields_own_policy_overrules_the_bridges
        p7_deletes_review_asks_and_ignore_leaves_alone
    }
    first_load from two_way::first_load {
        #[ignore = "torture: thousands of people on a server"]
        thousands_of_awkward_people_arrive_equal_and_the_second_run_writes_nothing
        soap_1_1_and_a_site_token_serve_as_well
        what_a_killed_first_load_left_follows_contacts_that_change_before_the_next_run
    }
    held from two_way::held {
        c3_what_matches_not_one_to_one_is_linked_or_separated_by_a_person
        h26_a_row_without_identity_waits_and_leaves_quarantine_when_it_gets_one
        h43_of_two_new_rows_with_one_address_the_second_waits
        a_value_that_does_not_fit_waits_and_the_other_fields_flow
        a_row_that_the_database_refuses_waits_alone_and_is_repaired_by_retry
        h27_a_new_address_for_a_contact_that_only_its_address_names_is_held
    }
    night from two_way::night {
        one_night_by_scan_with_generated_keys_ends_equal
        one_night_by_scan_with_natural_keys_and_marks_ends_equal
        one_night_by_journal_with_generated_keys_and_marks_ends_equal
        one_night_by_journal_with_natural_keys_ends_equal
        one_night_by_column_with_generated_keys_ends_equal
    }
    one_way from two_way::one_way {
        f9_a_bridge_that_pulls_never_writes_the_crm_and_the_crm_wins
        f10_a_bridge_that_pushes_never_takes_from_the_crm_and_the_database_wins
        a_field_that_flows_one_way_alone_is_never_written_the_other_way
        generate_gives_new_rows_an_identity_and_each_is_made_once
    }
    quirks from two_way::quirks {
        #[ignore = "torture: seventeen nights on a server"]
        a_night_ends_equal_whatever_the_habits_of_the_service
        h29_a_value_that_the_service_reshapes_neither_flows_back_nor_for_ever
        h22_a_value_that_the_service_ignores_is_held_after_three_times
    }
    relink from two_way::relink {
        #[ignore = "torture: six kills of a relink on a server"]
        h60_a_relink_makes_nothing_wherever_it_is_killed
        h60_edits_around_a_relink_are_a_first_meeting_and_nothing_is_made_twice
        a_first_meeting_of_two_full_sides_links_fills_asks_and_deletes_nothing
    }
    survival from two_way::survival {
        what_is_not_mapped_survives_a_push
    }
    crash from two_way::crash {
        #[ignore = "torture: a server, and each checkpoint"]
        a_kill_at_any_checkpoint_makes_nothing_twice_and_loses_nothing
        what_a_killed_run_wrote_into_a_row_is_not_taken_for_an_edit_of_it
        a_kill_while_recovering_is_survived
        a_first_load_that_is_killed_goes_on_where_it_was
        #[ignore = "torture: a server, and each way to lose an answer"]
        h20_a_lost_answer_to_a_create_makes_no_second_contact
        h22_elements_that_vanish_without_a_word_are_sent_again
        h23_one_poisoned_element_does_not_keep_the_others_back
    }
    guards from guards {
        g1_too_many_deletions_stop_a_run_on_either_side
        g2_too_many_changes_stop_a_run_on_either_side
        g3_an_emptied_crm_deletes_nobody_and_goes_on_when_it_is_back
        g3_what_is_accepted_still_meets_deletes
        g3_an_emptied_table_deletes_nobody
        g4_another_site_behind_the_address_is_noticed
        g4_another_database_is_noticed
        g5_h63_a_crm_restored_from_a_backup_is_noticed_and_filled_again
        g5_h64_a_database_restored_from_a_backup_is_noticed_and_filled_again
    }
    kill from kill {
        h20_ten_kills_at_random_moments_lose_nothing_and_make_nothing_twice
        #[ignore = "torture: fifty kills on a server"]
        h20_fifty_kills_at_random_moments_lose_nothing_and_make_nothing_twice
    }
    crm_answers from crm_answers {
        #[ignore = "torture: dozens of answers, each before a server"]
        an_answer_that_is_no_list_fails_the_run_and_changes_nothing
        h11_pages_without_end_and_h03_pages_without_order_fail_the_run
    }
    crm_records from crm_records {
        #[ignore = "torture: nine bad records on a server"]
        h14_a_record_that_can_not_be_decoded_waits_alone
        a_value_that_can_not_be_taken_waits_and_the_rest_of_its_record_flows
        h07_dates_at_the_edges_are_taken_as_they_are_meant
    }
    links from cli::state {
        h60_a_lost_state_is_noticed_and_linked_again_without_a_duplicate
        reseed_reads_everything_again_and_keeps_links_and_data
        the_id_map_goes_out_and_comes_back
        an_import_is_all_or_nothing_and_tells_every_fault
    }
    shadow from shadow::flow {
        a_changed_mapping_reads_all_linked_customers_again
        a_purged_customer_is_marked_and_comes_back_to_its_row
        without_a_mark_in_the_mapping_the_row_goes_with_its_children
        h53_with_the_plain_queue_who_is_left_out_twice_is_deleted
        h53_with_reasons_who_is_left_out_is_held_and_asked_for_again
        #[ignore = "torture: seven queues on a server"]
        h50_a_change_between_details_and_purge_is_not_lost
    }
    shadow_trouble from shadow::trouble {
        one_poisoned_customer_holds_nothing_up_and_is_repaired_by_retry
        #[ignore = "torture: thousands of customers on a server"]
        a_spike_is_worked_off_in_parts_and_weighed_where_it_might_be_too_much
        guards_stop_before_anything_is_written_or_purged
        h60_a_lost_state_is_noticed_and_linked_again_without_making_anybody_twice
    }
    shadow_kill from shadow::kill {
        a_fill_that_died_goes_on_without_reading_again_what_was_done
        #[ignore = "torture: fifty kills on a server"]
        h51_fifty_kills_at_random_moments_lose_nothing_and_make_nothing_twice
        #[ignore = "torture: a server, and each checkpoint of a queue"]
        h51_a_kill_at_each_checkpoint_of_a_queue_loses_nothing
    }
    take from messages::take {
        h54_the_newest_message_stands_and_a_repetition_changes_nothing
        deletions_of_whatever_shape_mark_the_row_and_an_unknown_one_is_no_trouble
        a_merge_whose_survivor_reuses_an_id_keeps_its_row
        names_that_are_left_out_say_nothing_and_null_is_empty
        h56_junk_is_held_shown_and_tried_again
        a_value_that_cannot_be_read_waits_and_is_repaired_by_retry
        a_row_that_the_database_refuses_is_repaired_by_retry
        deletions_beyond_the_limit_are_kept_until_they_are_accepted
        a_lost_state_is_rebuilt_from_the_database_and_what_was_taken_over_stays
    }
    tell from messages::tell {
        rows_are_told_once_and_again_only_when_they_change
        a_deletion_withdraws_what_was_not_sent_and_is_told
        marked_rows_are_deletions_too_and_come_back_as_new_ones
        a_row_without_an_identity_is_held_and_one_that_changes_it_is_told_as_another
        a_transaction_is_told_with_its_lines_and_a_changed_line_tells_it_again
        a_lost_state_tells_everything_anew_and_with_rising_numbers
        #[ignore = "torture: a server, and each checkpoint of a sender"]
        killed_anywhere_nothing_is_lost_and_only_the_message_in_flight_comes_twice
    }
    both from messages::both {
        what_was_received_is_not_sent_back
        edits_of_both_sides_meet_in_one_record
        a_conflict_waits_for_a_person_and_is_sent_only_then
        policies_settle_conflicts_and_keep_the_losing_value
        an_edit_wins_against_a_deletion_on_either_side
    }
);
