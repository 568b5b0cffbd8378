//! The connection poolers of a cluster, manifest over configuration.
//!
//! One for the primary, one for the replicas, each by its own switch; they share every setting. The surprise: the number
//! of pods also divides the connections, so that all pods together never open more than `maxDBConnections`.

use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::annotations::AnnotationMap;
use crate::api::PostgresqlSpec;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::names::MemberRole;
use crate::roles::RoleName;

use super::network::{Exposure, Network};
use super::resources::{self, Bounds, Defaults};
use super::{Identity, pod};

/// The poolers.
#[derive(Clone, Debug, PartialEq)]
pub struct Poolers {
    /// Whose user the poolers look passwords up with; also while none is wanted, so that a left-over is known.
    pub(crate) user: String,
    /// The settings, when there is any pooler.
    pub(crate) wanted: Option<PoolerSettings>,
}

/// What the poolers share.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolerSettings {
    pub(crate) user: RoleName,
    pub(crate) roles: Vec<(MemberRole, Exposure)>,
    pub(crate) pods: i32,
    pub(crate) image: String,
    pub(crate) schema: String,
    pub(crate) mode: String,
    pub(crate) sizes: PoolSizes,
    pub(crate) resources: ResourceRequirements,
    pub(crate) annotations: AnnotationMap,
}

/// How many server connections one pod holds per database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolSizes {
    pub(crate) most: i32,
    pub(crate) default: i32,
    pub(crate) least: i32,
    pub(crate) reserve: i32,
}

impl PoolSizes {
    /// The connections, divided among the pods; half of them for one user, half of that always open.
    fn of(connections: i32, pods: i32) -> Self {
        let most = connections.max(0) / pods.max(1);
        let default = most / 2;
        Self { most, default, least: default / 2, reserve: default / 2 }
    }
}

impl Poolers {
    /// The poolers that manifest and configuration ask for.
    pub(super) fn resolve(
        identity: &Identity,
        spec: &PostgresqlSpec,
        config: &OperatorConfig,
        errors: &mut FieldErrors,
    ) -> Self {
        let user = user(spec, config);
        let wanted = (!roles(spec).is_empty())
            .then(|| checked(&user, config, errors))
            .flatten()
            .map(|user| settings(user, identity, spec, config));
        Self { user, wanted }
    }
}

/// A pooler for the primary when asked for, or when there is a section; one for the replicas only when asked for.
fn roles(spec: &PostgresqlSpec) -> Vec<MemberRole> {
    let wanted = |role| match role {
        MemberRole::Primary => spec.enable_connection_pooler.unwrap_or(spec.connection_pooler.is_some()),
        MemberRole::Replica => spec.enable_replica_connection_pooler == Some(true),
    };
    MemberRole::ALL.into_iter().filter(|role| wanted(*role)).collect()
}

fn user(spec: &PostgresqlSpec, config: &OperatorConfig) -> String {
    let own = spec.connection_pooler.as_ref().and_then(|pooler| given(&pooler.user));
    own.unwrap_or_else(|| config.connection_pooler.user.clone())
}

/// A pooler that logged in as the superuser would hand its rights to whoever reaches the pooler.
fn checked(user: &str, config: &OperatorConfig, errors: &mut FieldErrors) -> Option<RoleName> {
    let path = FieldPath::spec().field("connectionPooler").field("user");
    let system = [&config.users.super_username, &config.users.replication_username];
    if system.into_iter().chain(&config.teams_api.protected_role_names).any(|role| role == user) {
        let message =
            format!("\"{user}\" is a role with rights of its own; choose another user for the pooler");
        errors.forbidden(path, message);
        return None;
    }
    user.parse().map_err(|error| errors.invalid(path, format!("{user:?} {error}"))).ok()
}

fn settings(
    user: RoleName,
    identity: &Identity,
    spec: &PostgresqlSpec,
    config: &OperatorConfig,
) -> PoolerSettings {
    let defaults = &config.connection_pooler;
    let own = spec.connection_pooler.clone().unwrap_or_default();
    let pods = own.number_of_instances.unwrap_or(defaults.number_of_instances).max(1);
    let roles = roles(spec).into_iter().map(|role| (role, Network::pooler(role, identity, spec, config)));
    PoolerSettings {
        user,
        roles: roles.collect(),
        pods,
        image: given(&own.docker_image).unwrap_or_else(|| defaults.image.clone()),
        schema: given(&own.schema).unwrap_or_else(|| defaults.schema.clone()),
        mode: given(&own.mode).unwrap_or_else(|| defaults.mode.as_str().to_owned()),
        sizes: PoolSizes::of(own.max_db_connections.unwrap_or(defaults.max_db_connections), pods),
        resources: resources::requirements(
            own.resources.as_ref(),
            &Defaults {
                requests: pod::amounts(&defaults.default_cpu_request, &defaults.default_memory_request),
                limits: pod::amounts(&defaults.default_cpu_limit, &defaults.default_memory_limit),
            },
            None::<&Bounds>,
            config.general.set_memory_request_to_limit,
        ),
        annotations: pod::own_annotations(spec, config),
    }
}

fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_divided_among_pods_as_upstream_does() {
        let sizes = |connections, pods| {
            let sizes = PoolSizes::of(connections, pods);
            [sizes.most, sizes.default, sizes.least, sizes.reserve]
        };
        assert_eq!(sizes(60, 2), [30, 15, 7, 7]);
        assert_eq!(sizes(60, 3), [20, 10, 5, 5]);
        assert_eq!(sizes(10, 4), [2, 1, 0, 0]);
        assert_eq!(sizes(3, 4), [0, 0, 0, 0]);
    }

    #[test]
    fn each_pooler_has_its_switch_and_the_section_alone_asks_for_the_primarys() {
        let asked = |primary, replica, section: bool| {
            let spec = PostgresqlSpec {
                enable_connection_pooler: primary,
                enable_replica_connection_pooler: replica,
                connection_pooler: section.then(Default::default),
                ..PostgresqlSpec::default()
            };
            roles(&spec)
        };
        assert_eq!(asked(None, None, false), []);
        assert_eq!(asked(None, None, true), [MemberRole::Primary]);
        assert_eq!(asked(Some(false), None, true), []);
        assert_eq!(asked(Some(true), None, false), [MemberRole::Primary]);
        assert_eq!(asked(Some(false), Some(true), true), [MemberRole::Replica]);
    }

    #[test]
    fn a_pooler_may_not_log_in_as_the_superuser() {
        let mut errors = FieldErrors::default();
        assert_eq!(checked("postgres", &OperatorConfig::default(), &mut errors), None);
        assert!(errors.to_string().starts_with("spec.connectionPooler.user"), "{errors}");
    }
}
