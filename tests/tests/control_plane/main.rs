//! Stories that a real API server tells: the definitions, their rules, and what becomes of another operator's objects.
//!
//! One server for all of them; words on the command line choose stories by parts of their names. Without the programs of
//! a control plane the stories are skipped, and it is said why.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

mod admission;
mod adoption;
mod argo;
mod argo_library;
mod configuration;
mod definitions;
mod deployment;
mod drop_in;
mod fleet;
mod foresight;
mod golden;
mod health;
mod helm;
mod leaders;
mod manifests;
mod offline;
mod operator;
mod refusals;
mod restricted;
mod rules;
mod status;
mod stored_form;
mod streams;
mod takeover;
mod terminal;
mod upstream;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use futures::future::{FutureExt, LocalBoxFuture};
use kube::Client;
use tests::control_plane::{ControlPlane, Programs};

/// A story: what it asserts, or what went wrong.
type Story = fn(Client) -> LocalBoxFuture<'static, ()>;

macro_rules! stories {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), |client| $module::$name(client).boxed_local())),*]
    };
}

const STORIES: &[(&str, Story)] = stories![
    definitions::every_definition_is_established,
    rules::a_change_that_cannot_be_is_refused_and_told_what_would_be_right,
    rules::a_manifest_that_contradicts_itself_is_refused,
    rules::what_upstream_accepts_is_accepted,
    manifests::every_golden_manifest_is_stored_as_it_was_written,
    manifests::a_null_counts_as_absent,
    manifests::a_number_is_a_quantity_in_embedded_kubernetes_types,
    admission::a_deletion_without_its_annotations_is_refused_finalizer_or_not,
    admission::what_stands_around_is_told_under_the_shipped_rights,
    argo::nothing_is_out_of_sync_after_an_apply,
    argo_library::argo_cds_own_library_finds_nothing_out_of_sync,
    offline::what_a_file_would_change_in_the_cluster_is_told_without_changing_it,
    offline::a_circle_of_teams_over_two_objects_is_told_in_the_cluster_and_before,
    offline::a_cluster_that_cannot_be_asked_is_an_error_that_says_why,
    health::argo_cd_and_flux_agree_on_every_status,
    adoption::no_pod_of_upstreams_clusters_is_outdated_and_no_stateful_set_is_replaced,
    adoption::applying_ours_over_upstreams_changes_no_specification,
    takeover::what_upstream_wrote_and_nobody_wants_disappears_and_no_pod_is_outdated,
    takeover::a_variable_that_upstream_wrote_and_nobody_wants_makes_its_pods_outdated,
    stored_form::what_kubernetes_writes_in_another_way_is_applied_once,
    refusals::what_would_be_refused_is_told_before_any_pod_goes_and_a_full_quota_stops_nothing,
    restricted::a_restricted_namespace_lets_the_pods_in_only_where_that_is_configured,
    status::upstreams_definition_keeps_the_word_and_nothing_is_written_for_ever,
    deployment::every_overlay_is_taken_by_the_api_server_and_its_pods_pass_pod_security,
    deployment::in_every_overlay_what_is_named_is_there_and_ports_are_guarded,
    deployment::for_high_availability_there_are_two_of_each_apart_from_one_another,
    deployment::with_cert_manager_it_issues_what_the_webhook_mounts_and_our_job_is_gone,
    deployment::an_installation_for_one_namespace_has_the_same_rights_but_only_there,
    drop_in::with_the_rights_of_upstreams_role_its_clusters_are_looked_after_and_no_pod_restarts,
    drop_in::with_the_shipped_rights_nothing_is_missing,
    helm::the_chart_makes_what_kustomize_makes,
    helm::both_charts_are_clean_and_wrong_values_are_told,
    helm::every_key_of_zalandos_chart_does_what_it_did,
    helm::definitions_are_upgraded_with_their_release_and_outlive_it,
    streams::event_streams_are_made_adopted_and_removed,
    leaders::the_next_operator_acts_at_once_when_one_stops_and_soon_when_one_dies,
    leaders::shards_are_divided_and_given_back,
    configuration::a_wrong_operator_configuration_is_told_and_the_last_valid_one_stays,
    configuration::a_wrong_config_map_is_told_and_the_last_valid_one_stays,
    configuration::other_infrastructure_roles_and_teams_are_watched_without_a_restart,
    foresight::an_adoption_is_foreseen_without_writing_anything,
    foresight::pods_that_an_adoption_would_recreate_are_named_with_the_fields,
    foresight::a_manifest_that_admission_would_refuse_is_foreseen_in_its_words,
    upstream::what_upstream_shows_as_examples_is_accepted,
    fleet::a_small_fleet_is_measured_to_the_end,
    fleet::an_operator_has_nothing_to_do_beside_copies_of_a_cluster,
];

/// The server's address and credentials in a file, for stories that start programs.
static KUBECONFIG: OnceLock<PathBuf> = OnceLock::new();

/// Where the kubeconfig is.
fn kubeconfig() -> &'static Path {
    KUBECONFIG.get().unwrap()
}

/// What is measured, and only when it is named: it takes long, and nothing can fail by being slow.
const MEASUREMENTS: &[(&str, Story)] = stories![terminal::from_apply_to_error];

#[tokio::main]
async fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let programs = match Programs::find() {
        Ok(programs) => programs,
        Err(reason) => {
            println!("skipped: {reason}");
            return ExitCode::SUCCESS;
        }
    };
    let control_plane = ControlPlane::start(&programs).await.unwrap();
    let client = control_plane.client().unwrap();
    KUBECONFIG.set(control_plane.kubeconfig().unwrap()).unwrap();
    tests::control_plane::definitions::install(&client).await.unwrap();
    let mut failed = 0;
    let measurements = MEASUREMENTS.iter().filter(|(name, _)| wanted.iter().any(|word| word == name));
    for (name, story) in STORIES.iter().chain(measurements) {
        if !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word)) {
            continue;
        }
        if let Some(reason) = missing(name) {
            println!("skipped {name}: {reason}");
            continue;
        }
        let begun = std::time::Instant::now();
        let played = AssertUnwindSafe(story(client.clone())).catch_unwind().await;
        failed += usize::from(played.is_err());
        println!("{} {name} ({:.1?})", if played.is_ok() { "ok    " } else { "FAILED" }, begun.elapsed());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What keeps a story from being told here, if anything.
fn missing(story: &str) -> Option<&'static str> {
    let needs_examples = story == "what_upstream_shows_as_examples_is_accepted";
    (needs_examples && std::env::var_os(upstream::FOLDER).is_none())
        .then_some("UPSTREAM_EXAMPLES names no folder with upstream's examples")
}
