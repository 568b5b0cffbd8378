//! How a cluster is reached: the Services of its primary and its replicas.

use std::collections::BTreeMap;

use crate::annotations::{AnnotationMap, EXTERNAL_DNS};
use crate::api::PostgresqlSpec;
use crate::config::OperatorConfig;
use crate::names::{self, MemberRole};

use super::Identity;

/// The Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Patroni keeps its state in ConfigMaps, and Services find pods by label; else in Endpoints it writes itself.
    pub(crate) config_maps: bool,
    /// Patroni keeps its state in Kubernetes; else in etcd at this address.
    pub(crate) etcd_host: Option<String>,
    pub(crate) primary: Exposure,
    pub(crate) replica: Exposure,
}

/// How one Service is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    pub(crate) kind: ServiceKind,
    pub(crate) annotations: AnnotationMap,
}

/// The type of a Service with what only that type has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    ClusterIp,
    NodePort { port: Option<i32>, traffic_policy: String },
    LoadBalancer { source_ranges: Vec<String>, traffic_policy: String },
}

/// What a load balancer without ranges admits: nobody but its own node. Upstream's safe default.
const NOBODY: &str = "127.0.0.1/32";

impl Network {
    /// The Services' settings, manifest over configuration.
    pub(crate) fn resolve(identity: &Identity, spec: &PostgresqlSpec, config: &OperatorConfig) -> Self {
        let etcd_host = config.general.etcd_host.clone().filter(|host| !host.is_empty());
        Self {
            config_maps: config.general.kubernetes_use_configmaps && etcd_host.is_none(),
            etcd_host,
            primary: of_members(MemberRole::Primary, identity, spec, config),
            replica: of_members(MemberRole::Replica, identity, spec, config),
        }
    }

    /// How a pooler's Service is published: its own switches, the annotations of its role.
    pub(crate) fn pooler(
        role: MemberRole,
        identity: &Identity,
        spec: &PostgresqlSpec,
        config: &OperatorConfig,
    ) -> Exposure {
        let dns = || pooler_dns_name(role, identity, config);
        exposure(&pooler_switches(role, spec, config), spec, config, dns)
    }

    /// How the Service of a role is published.
    pub(crate) fn of(&self, role: MemberRole) -> &Exposure {
        match role {
            MemberRole::Primary => &self.primary,
            MemberRole::Replica => &self.replica,
        }
    }
}

fn of_members(
    role: MemberRole,
    identity: &Identity,
    spec: &PostgresqlSpec,
    config: &OperatorConfig,
) -> Exposure {
    let dns = || dns_names(role, identity, config);
    exposure(&switches(role, spec, config), spec, config, dns)
}

/// What manifest and configuration say about one role's Service.
struct Switches<'a> {
    load_balancer: bool,
    node_port: bool,
    port: Option<i32>,
    annotations: Option<&'a BTreeMap<String, String>>,
}

fn switches<'a>(role: MemberRole, spec: &'a PostgresqlSpec, config: &OperatorConfig) -> Switches<'a> {
    let defaults = &config.load_balancer;
    match role {
        MemberRole::Primary => Switches {
            load_balancer: spec.enable_master_load_balancer.unwrap_or(defaults.enable_master_load_balancer),
            node_port: spec.enable_master_node_port.unwrap_or(defaults.enable_master_node_port),
            port: spec.master_node_port,
            annotations: spec.master_service_annotations.as_ref(),
        },
        MemberRole::Replica => Switches {
            load_balancer: spec.enable_replica_load_balancer.unwrap_or(defaults.enable_replica_load_balancer),
            node_port: spec.enable_replica_node_port.unwrap_or(defaults.enable_replica_node_port),
            port: spec.replica_node_port,
            annotations: spec.replica_service_annotations.as_ref(),
        },
    }
}

fn pooler_switches<'a>(role: MemberRole, spec: &'a PostgresqlSpec, config: &OperatorConfig) -> Switches<'a> {
    let defaults = &config.load_balancer;
    let annotations = switches(role, spec, config).annotations;
    let (load_balancer, node_port, port) = match role {
        MemberRole::Primary => (
            spec.enable_master_pooler_load_balancer.unwrap_or(defaults.enable_master_pooler_load_balancer),
            spec.enable_master_pooler_node_port.unwrap_or(defaults.enable_master_pooler_node_port),
            spec.master_pooler_node_port,
        ),
        MemberRole::Replica => (
            spec.enable_replica_pooler_load_balancer.unwrap_or(defaults.enable_replica_pooler_load_balancer),
            spec.enable_replica_pooler_node_port.unwrap_or(defaults.enable_replica_pooler_node_port),
            spec.replica_pooler_node_port,
        ),
    };
    Switches { load_balancer, node_port, port, annotations }
}

fn exposure(
    switches: &Switches<'_>,
    spec: &PostgresqlSpec,
    config: &OperatorConfig,
    dns: impl FnOnce() -> String,
) -> Exposure {
    let traffic_policy = config.load_balancer.external_traffic_policy.as_str().to_owned();
    let kind = if switches.node_port {
        ServiceKind::NodePort { port: switches.port.filter(|port| *port > 0), traffic_policy }
    } else if switches.load_balancer {
        let source_ranges = spec.allowed_source_ranges.clone().filter(|ranges| !ranges.is_empty());
        let source_ranges = source_ranges.unwrap_or_else(|| vec![NOBODY.to_owned()]);
        ServiceKind::LoadBalancer { source_ranges, traffic_policy }
    } else {
        ServiceKind::ClusterIp
    };
    let mut annotations = config.load_balancer.custom_service_annotations.clone();
    annotations.extend(spec.service_annotations.clone().unwrap_or_default());
    annotations.extend(switches.annotations.cloned().unwrap_or_default());
    if matches!(kind, ServiceKind::LoadBalancer { .. }) {
        annotations.insert(EXTERNAL_DNS.to_owned(), dns());
    }
    Exposure { kind, annotations }
}

/// The names for external-dns: the configured one, and where the cluster's name begins with its team, the one that
/// upstream used before namespaces.
fn dns_names(role: MemberRole, identity: &Identity, config: &OperatorConfig) -> String {
    let (format, legacy) = dns_formats(role, config);
    let filled = |format: &str, cluster: &str| dns_name(format, cluster, identity, config);
    let name = filled(format, &identity.name);
    let prefix = format!("{}-", identity.team.to_lowercase());
    match identity.name.strip_prefix(&prefix).filter(|rest| !rest.is_empty() && !identity.team.is_empty()) {
        Some(rest) => format!("{name},{}", filled(legacy, rest)),
        None => name,
    }
}

/// The name for external-dns of a pooler: as if a cluster were called like the primary's pooler. It never had another.
fn pooler_dns_name(role: MemberRole, identity: &Identity, config: &OperatorConfig) -> String {
    let (format, _) = dns_formats(role, config);
    dns_name(format, &names::pooler(&identity.name, MemberRole::Primary), identity, config)
}

fn dns_formats(role: MemberRole, config: &OperatorConfig) -> (&str, &str) {
    let settings = &config.load_balancer;
    match role {
        MemberRole::Primary => (&settings.master_dns_name_format, &settings.master_legacy_dns_name_format),
        MemberRole::Replica => (&settings.replica_dns_name_format, &settings.replica_legacy_dns_name_format),
    }
}

fn dns_name(format: &str, cluster: &str, identity: &Identity, config: &OperatorConfig) -> String {
    let values = [
        ("cluster", cluster),
        ("namespace", identity.namespace.as_str()),
        ("team", identity.team.as_str()),
        ("hostedzone", config.load_balancer.db_hosted_zone.as_str()),
    ];
    names::fill(format, &values).to_lowercase()
}
