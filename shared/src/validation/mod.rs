//! What is wrong with a manifest: two lists of checks, each check a function of its own, all of them always run.
//!
//! Admission runs them for every review. `Cluster::resolve` does not: it refuses only what no object can be made of, so
//! that a manifest with an old mistake, which admission lets through, is still looked after. A check looks at what the manifest says, never at a default that will be
//! filled in, and adds to the collector; it does not know whether another check has failed.

mod affinity;
mod containers;
mod databases;
mod deletion;
mod environment;
mod hba;
mod identity;
mod init_containers;
mod initdb;
mod instances;
mod origin;
mod parameters;
mod patroni;
mod placement;
mod pooler;
mod prepared;
mod probe;
mod resources;
mod restricted;
mod schedule;
mod selectors;
mod services;
mod startup;
mod storage;
mod streams;
mod team;
mod text;
mod tls;
mod users;
mod version;
mod volume_sources;
mod volumes;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::FieldErrors;
use crate::plan::Change;

pub(crate) use deletion::{deletion, loss};
pub(crate) use team::{circles, team};
pub(crate) use volume_sources::is_kind as is_volume_kind;

/// Something that must hold of every manifest.
type Check = fn(&Postgresql, &OperatorConfig, &mut FieldErrors);

/// Something that must hold of every change of a manifest.
type Transition = fn(&Postgresql, &Postgresql, &OperatorConfig, &mut FieldErrors);

/// Something a user should know of a manifest that is not wrong.
type Warning = fn(&Postgresql, &OperatorConfig, &mut Vec<Change>);

/// Everything that is checked of a manifest.
const CHECKS: &[Check] = &[
    identity::name,
    identity::team,
    identity::team_prefix,
    identity::removed_fields,
    version::supported,
    instances::not_negative,
    storage::size,
    storage::performance,
    storage::class,
    selectors::of_volumes,
    resources::amounts,
    resources::init_containers,
    parameters::names,
    parameters::known,
    parameters::owned,
    parameters::values,
    parameters::replication,
    startup::connections,
    startup::replicas_fit,
    startup::wal_sizes,
    startup::huge_pages,
    startup::shared_buffers,
    patroni::times,
    patroni::synchronous,
    patroni::slots,
    hba::lines,
    initdb::options,
    users::shapes,
    users::known_flags,
    users::reserved,
    users::one_secret_each,
    users::rotation_lists,
    users::room_for_rotation,
    users::rotation_of_system_roles,
    users::secrets_fit,
    databases::names,
    databases::owners,
    databases::one_owner,
    databases::prepared_parts,
    databases::prepared_roles_fit,
    origin::one_origin,
    origin::clone,
    origin::standby,
    pooler::names,
    pooler::sizes,
    services::node_ports,
    services::source_ranges,
    containers::allowed,
    containers::names,
    containers::images,
    containers::ports,
    containers::sidecar_environment,
    init_containers::mounts,
    init_containers::policies,
    init_containers::variables,
    init_containers::security,
    restricted::pods,
    environment::variables,
    environment::sources,
    volumes::names,
    volumes::mount_paths,
    volumes::targets,
    volumes::sub_paths,
    volume_sources::sources,
    placement::tolerations,
    placement::spreading,
    placement::names,
    placement::ids,
    placement::annotations,
    affinity::affinity,
    probe::one_way,
    probe::targets,
    tls::section,
    tls::files,
    schedule::windows,
    schedule::logical_backup,
    streams::streams,
    streams::one_each,
];

/// Everything that is checked of a change, beyond the new manifest itself.
const TRANSITIONS: &[Transition] = &[
    version::may_not_fall,
    storage::may_not_shrink,
    storage::may_not_move,
    origin::standby_only_from_the_start,
    origin::standby_keeps_version,
];

/// Everything a user is told of a valid manifest.
const WARNINGS: &[Warning] = &[
    instances::clamped,
    instances::blocks_drains,
    storage::performance_ignored,
    resources::clamped,
    startup::pages,
    startup::below_patroni,
    patroni::synchronous_alone,
    users::left_out_by_apply,
    databases::owners_from_elsewhere,
    databases::secret_namespace_ignored,
    databases::users_without_roles,
    origin::standby_is_read_only,
    origin::secrets_in_clear,
    pooler::unused,
    pooler::beyond_postgres,
    services::contradictions,
    containers::moving_images,
    schedule::job_name_cut,
    tls::unreadable_key,
];

/// Adds everything that is wrong with `manifest`.
pub fn check(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for check in CHECKS {
        check(manifest, config, errors);
    }
}

/// Adds everything that keeps the cluster `old` from becoming `new`.
pub fn transitions(old: &Postgresql, new: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for transition in TRANSITIONS {
        transition(old, new, config, errors);
    }
}

/// What a valid manifest does not get as it is written.
pub fn warnings(manifest: &Postgresql, config: &OperatorConfig) -> Vec<Change> {
    let mut changes = Vec::new();
    for warning in WARNINGS {
        warning(manifest, config, &mut changes);
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catalogue::{self, Subject};

    /// A valid manifest with these fields of the spec besides or instead.
    fn manifest(fields: Value) -> Postgresql {
        let mut spec = json!({
            "teamId": "acid",
            "numberOfInstances": 2,
            "volume": { "size": "10Gi" },
            "postgresql": { "version": "17" },
        });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let mut manifest = Postgresql::new("acid-demo", serde_json::from_value(spec).unwrap());
        manifest.metadata.namespace = Some("default".to_owned());
        manifest
    }

    fn told(fields: Value, config: &OperatorConfig) -> Vec<String> {
        warnings(&manifest(fields), config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_that_gets_what_it_says_is_told_nothing() {
        assert_eq!(told(json!({}), &OperatorConfig::default()), Vec::<String>::new());
    }

    #[test]
    fn what_the_configuration_changes_is_told_with_its_value() {
        let mut config = OperatorConfig::default();
        config.general.max_instances = Some(3);
        let mut bounds = serde_json::to_value(&config.postgres_pod_resources).unwrap();
        bounds["max_cpu_request"] = json!("1");
        bounds["min_memory_limit"] = json!("250Mi");
        config.postgres_pod_resources = serde_json::from_value(bounds).unwrap();
        let fields = json!({
            "numberOfInstances": 5,
            "resources": { "requests": { "cpu": "2" }, "limits": { "cpu": "2", "memory": "100Mi" } },
        });
        assert_eq!(
            told(fields, &config),
            [
                "spec.numberOfInstances: the cluster gets 3 members, not 5 (max_instances of the operator)",
                "spec.resources.requests.cpu: is lowered from 2 to 1 (max_cpu_request of the operator)",
                "spec.resources.limits.memory: is raised from 100Mi to 250Mi (min_memory_limit of the operator)",
            ]
        );
    }

    #[test]
    fn an_owner_may_come_from_a_team_when_there_are_teams() {
        let mut config = OperatorConfig::default();
        let fields = json!({ "databases": { "orders": "ada" } });
        let mut errors = FieldErrors::default();
        check(&manifest(fields.clone()), &config, &mut errors);
        assert_eq!(errors.len(), 1, "{errors}");

        config.teams_api.enable_postgres_team_crd = true;
        let mut errors = FieldErrors::default();
        check(&manifest(fields.clone()), &config, &mut errors);
        assert_eq!(errors, FieldErrors::default());
        assert_eq!(told(fields, &config).len(), 1);
    }

    /// Old and new manifest and configuration of every case that can be read.
    fn cases() -> Vec<(Option<Postgresql>, Postgresql, OperatorConfig)> {
        let read = |value: &Value| serde_json::from_value::<Postgresql>(value.clone()).ok();
        let all = catalogue::refused().into_iter().chain(catalogue::accepted());
        all.filter_map(|case| {
            let config = OperatorConfig::from_config_map(&case.configuration).unwrap();
            match case.subject {
                Subject::Manifest { old, new } => Some((old.as_ref().and_then(read), read(&new)?, config)),
                _ => None,
            }
        })
        .collect()
    }

    #[test]
    fn every_check_transition_and_warning_is_hit_by_a_case_of_the_catalogue() {
        let cases = cases();
        assert!(cases.len() > 250, "only {} manifests could be read", cases.len());
        let mut missing = Vec::new();
        for (index, check) in CHECKS.iter().enumerate() {
            let hit = cases.iter().any(|(_, new, config)| {
                let mut errors = FieldErrors::default();
                check(new, config, &mut errors);
                !errors.is_empty()
            });
            missing.extend((!hit).then(|| format!("CHECKS[{index}]")));
        }
        for (index, transition) in TRANSITIONS.iter().enumerate() {
            let hit = cases.iter().any(|(old, new, config)| {
                let mut errors = FieldErrors::default();
                old.iter().for_each(|old| transition(old, new, config, &mut errors));
                !errors.is_empty()
            });
            missing.extend((!hit).then(|| format!("TRANSITIONS[{index}]")));
        }
        for (index, warning) in WARNINGS.iter().enumerate() {
            let hit = cases.iter().any(|(_, new, config)| {
                let mut changes = Vec::new();
                warning(new, config, &mut changes);
                !changes.is_empty()
            });
            missing.extend((!hit).then(|| format!("WARNINGS[{index}]")));
        }
        assert!(missing.is_empty(), "no case for {missing:?}");
    }

    #[test]
    fn no_check_trips_over_an_empty_manifest() {
        let mut errors = FieldErrors::default();
        check(&Postgresql::default(), &OperatorConfig::default(), &mut errors);
        let paths: Vec<&str> = errors.paths().map(crate::field::FieldPath::as_str).collect();
        assert_eq!(paths, ["spec.postgresql.version", "spec.volume.size"]);
    }
}
