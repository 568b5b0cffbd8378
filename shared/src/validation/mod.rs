//! What is wrong with a manifest: two lists of checks, each check a function of its own, all of them always run.
//!
//! Admission runs them for every review and `Cluster::resolve` before anything else, so a manifest that got past the
//! webhook is refused with the same words. A check looks at what the manifest says, never at a default that will be
//! filled in, and adds to the collector; it does not know whether another check has failed.

mod containers;
mod databases;
mod deletion;
mod environment;
mod identity;
mod instances;
mod origin;
mod parameter_types;
mod parameters;
mod patroni;
mod placement;
mod pooler;
mod prepared;
mod resources;
mod schedule;
mod services;
mod storage;
mod streams;
mod text;
mod tls;
mod users;
mod version;
mod volumes;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::FieldErrors;
use crate::plan::Change;

pub(crate) use deletion::deletion;

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
    resources::amounts,
    parameters::names,
    parameters::owned,
    parameters::values,
    parameters::replication,
    patroni::times,
    patroni::synchronous,
    patroni::slots,
    patroni::pg_hba,
    users::shapes,
    users::known_flags,
    users::reserved,
    users::one_secret_each,
    users::rotation_lists,
    users::room_for_rotation,
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
    environment::variables,
    environment::sources,
    volumes::names,
    volumes::mount_paths,
    volumes::targets,
    volumes::sources,
    placement::tolerations,
    placement::spreading,
    placement::affinity,
    placement::ids,
    placement::liveness_probe,
    placement::annotations,
    tls::section,
    schedule::windows,
    schedule::logical_backup,
    streams::streams,
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
    storage::performance_ignored,
    resources::clamped,
    patroni::synchronous_alone,
    databases::owners_from_elsewhere,
    databases::secret_namespace_ignored,
    origin::standby_is_read_only,
    pooler::unused,
    services::contradictions,
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
