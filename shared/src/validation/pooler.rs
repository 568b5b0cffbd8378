//! The connection pooler: a user and a schema of its own, and enough connections for each of its pods.
//!
//! Upstream divides `maxDBConnections` by the number of pods; fewer connections than pods give every pool size 0.

use crate::api::{Postgresql, PostgresqlSpec};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::text;

fn path() -> FieldPath {
    FieldPath::spec().field("connectionPooler")
}

/// Whether a manifest asks for a pooler in front of the primary or the replicas.
pub(super) fn wanted(spec: &PostgresqlSpec) -> bool {
    spec.enable_replica_connection_pooler == Some(true)
        || spec.enable_connection_pooler.unwrap_or(spec.connection_pooler.is_some())
}

/// The pooler's user and schema.
pub(super) fn names(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(pooler) = &manifest.spec.connection_pooler else { return };
    if let Some(user) = text::given(&pooler.user) {
        let path = path().field("user");
        let system = [&config.users.super_username, &config.users.replication_username];
        let mut taken = system.into_iter().chain(&config.teams_api.protected_role_names);
        if taken.any(|role| role == user) {
            let message =
                format!("\"{user}\" is a role with rights of its own; choose another user for the pooler");
            errors.forbidden(path, message);
        } else if text::is_reserved_by_postgres(user) {
            errors.forbidden(path, format!("\"{user}\" is reserved by PostgreSQL; choose another name"));
        } else if !text::is_dns_1123_label(&user.replace('_', "-")) || user.len() > text::LONGEST_NAME {
            let message = format!(
                "\"{user}\" cannot name a user; use at most 63 lower-case letters, digits, dashes and underscores"
            );
            errors.invalid(path, message);
        }
    }
    if let Some(schema) = text::given(&pooler.schema) {
        let path = path().field("schema");
        if text::is_reserved_by_postgres(schema) {
            errors.forbidden(path, format!("\"{schema}\" is reserved by PostgreSQL; choose another name"));
        } else if !text::is_identifier(schema) || schema.len() > text::LONGEST_NAME {
            let message =
                format!("\"{schema}\" cannot name a schema; use at most 63 letters, digits and underscores");
            errors.invalid(path, message);
        }
    }
}

/// Pods, mode and connections.
pub(super) fn sizes(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(pooler) = &manifest.spec.connection_pooler else { return };
    if let Some(pods) = pooler.number_of_instances.filter(|pods| *pods < 1) {
        let message =
            format!("is {pods}, but must be at least 1; enableConnectionPooler: false removes the pooler");
        errors.invalid(path().field("numberOfInstances"), message);
    }
    if let Some(mode) = pooler.mode.as_deref().filter(|mode| !["session", "transaction"].contains(mode)) {
        let message = format!("\"{mode}\" is not supported; choose session or transaction");
        errors.not_supported(path().field("mode"), message);
    }
    let pods = pooler.number_of_instances.unwrap_or(config.connection_pooler.number_of_instances).max(1);
    if let Some(most) = pooler.max_db_connections.filter(|most| *most < pods) {
        let message =
            format!("is {most}, which leaves no connection for each of {pods} pods; set at least {pods}");
        errors.invalid(path().field("maxDBConnections"), message);
    }
}

/// More connections than PostgreSQL admits.
pub(super) fn beyond_postgres(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let pooled = manifest.spec.connection_pooler.as_ref().and_then(|pooler| pooler.max_db_connections);
    let admitted = super::parameters::value(manifest, "max_connections")
        .and_then(|text| text.trim().parse::<i32>().ok());
    if let (Some(pooled), Some(admitted)) = (pooled, admitted)
        && pooled > admitted
    {
        let message = format!(
            "is {pooled}, but PostgreSQL admits {admitted} (max_connections): the rest will be refused"
        );
        changes.push(Change { field: path().field("maxDBConnections"), effect: Effect::Ignored, message });
    }
}

/// A section that nobody reads.
pub(super) fn unused(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    if manifest.spec.connection_pooler.is_some() && !wanted(&manifest.spec) {
        let message = "has no effect while enableConnectionPooler is false".to_owned();
        changes.push(Change { field: path(), effect: Effect::Ignored, message });
    }
}
