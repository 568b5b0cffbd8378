//! The stories a user lives through, on a real Kubernetes: the one that `KUBECONFIG` names, with the operator in it.
//!
//! `cargo test -p tests --test e2e`, with parts of names to choose. Settings: `E2E_SIDE_BY_SIDE` (how many at once, 3),
//! `E2E_KEEP_FAILED` (keep the namespace of a failed story), `E2E_OPERATOR_NAMESPACE`, `E2E_IMAGE`, `E2E_OTHER_IMAGE`,
//! `E2E_BACKUP_IMAGE`, `LOCAL_CLUSTER_AUDIT_LOG` (where the API server writes its audit log), and what makes stories longer or
//! heavier: `E2E_IDLE_SECONDS`, `E2E_ROTATIONS`, `E2E_REVIEWS`, `E2E_USERS`, `E2E_CROWD_SECONDS`.

// Stories are tests: they may be blunt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod admission;
mod certificates;
mod clones;
mod credentials;
mod crowd;
mod deletion;
mod drop_in;
mod failover;
mod held_back;
mod idle;
mod logical_backups;
mod metrics;
mod migration;
mod new_cluster;
mod nodes;
mod parameters;
mod people;
mod pod_parts;
mod pooler;
mod prepared;
mod quick_start;
mod repair;
mod rights;
mod rolling_update;
mod scaling;
mod services;
mod standbys;
mod streams;
mod team_namespace;
mod tls;
mod undecodable;
mod upgrade;
mod volumes;

use std::process::ExitCode;

use tests::stage::{Story, perform};

/// A story of its function's name.
macro_rules! story {
    ($module:ident::$name:ident) => {
        Story { name: stringify!($name), is_alone: false, play: |stage| Box::pin($module::$name(stage)) }
    };
    (alone $module:ident::$name:ident) => {
        Story { name: stringify!($name), is_alone: true, play: |stage| Box::pin($module::$name(stage)) }
    };
}

/// What a variable says that makes a story longer or heavier than `make test` has time for.
fn number(variable: &str, default: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> ExitCode {
    perform(&[
        story!(admission::a_manifest_with_many_errors_is_refused_in_one_answer),
        story!(admission::every_golden_manifest_and_every_example_is_accepted),
        story!(admission::every_manifest_of_the_catalogue_is_refused_with_its_errors),
        story!(new_cluster::a_new_cluster_of_two_answers_sql_and_streams),
        story!(quick_start::the_demo_shows_what_the_readme_shows),
        story!(quick_start::every_command_of_the_quick_start_does_what_the_page_says),
        story!(rolling_update::an_image_in_the_manifest_rolls_the_members_one_by_one),
        story!(rolling_update::an_image_in_the_configuration_rolls_the_members_without_an_operator_restart),
        story!(rolling_update::an_operator_killed_in_the_middle_of_a_rolling_update_ends_it_the_same),
        story!(held_back::an_image_that_cannot_start_stops_at_the_replica_and_reverting_heals),
        story!(held_back::an_update_waits_for_its_maintenance_window),
        story!(parameters::a_setting_that_needs_no_restart_restarts_nobody),
        story!(parameters::a_setting_that_grows_restarts_the_replica_first_and_one_that_shrinks_the_primary),
        story!(volumes::volumes_grow_and_no_pod_is_touched),
        story!(volumes::the_volume_of_a_removed_member_goes_or_stays_as_configured),
        story!(
            pod_parts::sidecars_volumes_and_environment_are_in_the_pods_and_the_manifest_has_the_last_word
        ),
        story!(upgrade::a_cluster_moves_from_version_15_to_17_with_its_data),
        story!(pooler::an_application_logs_in_through_the_pooler_and_survives_a_switchover),
        story!(pooler::poolers_are_switched_on_changed_repaired_and_switched_off),
        story!(tls::clients_verify_database_and_pooler_by_the_certificate_of_a_secret),
        story!(services::load_balancers_and_node_ports_come_and_go_and_addresses_stay),
        story!(streams::a_stream_has_its_slot_and_publication_and_leaves_nothing),
        story!(prepared::in_a_prepared_database_owners_make_writers_write_and_readers_read),
        story!(credentials::a_password_rotates_and_whoever_connects_by_the_secret_never_fails),
        story!(credentials::a_password_changed_by_hand_reaches_the_database_within_seconds),
        story!(people::people_come_and_go_with_their_team_and_stay_while_the_teams_api_is_down),
        story!(people::an_infrastructure_role_logs_in_everywhere_with_the_password_of_its_own_secret),
        story!(clones::a_clone_has_the_data_of_now_or_of_a_moment),
        story!(standbys::standbys_follow_a_host_or_an_archive_and_are_promoted),
        story!(logical_backups::a_dump_from_the_cron_job_restores_into_an_empty_cluster),
        story!(scaling::a_cluster_grows_to_three_members_and_shrinks_to_two),
        story!(scaling::a_cluster_shrinks_to_nothing_and_comes_back_with_its_data),
        story!(scaling::a_primary_that_has_to_go_hands_over_first),
        story!(repair::what_somebody_takes_away_comes_back_within_five_seconds),
        story!(failover::after_the_primary_pod_is_deleted_a_replica_leads_and_the_roles_are_right),
        story!(deletion::a_deleted_cluster_leaves_what_it_should_and_its_name_is_free),
        story!(migration::clusters_move_from_zalandos_installation_to_ours_and_back_as_the_page_says),
        story!(team_namespace::in_a_teams_own_namespace_pods_run_without_root_and_nothing_is_refused),
        story!(alone quick_start::on_a_cluster_of_kind_the_readmes_commands_install_the_services),
        story!(alone nodes::the_primary_leaves_a_cordoned_node_and_its_pod_can_be_evicted),
        story!(alone credentials::a_user_of_another_namespace_finds_its_secret_there),
        story!(alone undecodable::a_manifest_that_cannot_be_read_is_invalid_and_the_others_go_on),
        story!(drop_in::in_zalandos_installation_our_image_takes_a_cluster_over_and_no_pod_restarts),
        story!(alone certificates::nobody_is_refused_while_authorities_rotate_and_webhooks_are_replaced),
        story!(alone certificates::a_killed_webhook_costs_no_more_than_what_it_was_answering),
        story!(alone crowd::many_users_at_once_are_all_answered_by_every_replica),
        story!(alone metrics::a_real_prometheus_reads_both_services),
        story!(alone idle::a_settled_cluster_causes_no_request),
        // The last: it judges what all others have caused.
        story!(alone rights::no_right_is_missing_and_none_is_granted_in_vain),
    ])
}
