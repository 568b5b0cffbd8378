//! The manifests that the benchmarks measure with.

use shared::api::Postgresql;

use crate::cases;

/// The smallest golden manifest, the largest, and all that can stand in one cluster together.
pub(crate) const MANIFESTS: &[&str] = &["minimal", "sidecars", "complete"];

/// A golden manifest; `complete` is all that can stand in one cluster together, of several of them.
pub(crate) fn written(name: &str) -> Postgresql {
    let read = cases::manifest;
    if name != "complete" {
        return read(name);
    }
    let mut whole = read("sidecars");
    let (users, patroni, resources) = (read("users").spec, read("patroni").spec, read("resources").spec);
    let (parameters, placement, tls) = (read("parameters").spec, read("placement").spec, read("tls").spec);
    let (pooler, backup, env) = (read("pooler-both").spec, read("logical-backup").spec, read("env").spec);
    let spec = &mut whole.spec;
    (spec.users, spec.databases) = (users.users, users.databases);
    (spec.patroni, spec.resources) = (patroni.patroni, resources.resources);
    spec.postgresql = parameters.postgresql;
    (spec.node_affinity, spec.tolerations) = (placement.node_affinity, placement.tolerations);
    (spec.tls, spec.spilo_fs_group) = (tls.tls, Some(103));
    (spec.connection_pooler, spec.enable_connection_pooler) = (pooler.connection_pooler, Some(true));
    (spec.enable_logical_backup, spec.logical_backup_schedule) = (Some(true), backup.logical_backup_schedule);
    (spec.env, spec.env_from) = (env.env, env.env_from);
    whole.metadata.annotations = read("metadata").metadata.annotations;
    whole
}
