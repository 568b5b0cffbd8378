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
            primary: exposure(MemberRole::Primary, identity, spec, config),
            replica: exposure(MemberRole::Replica, identity, spec, config),
        }
    }

    /// How the Service of a role is published.
    pub(crate) fn of(&self, role: MemberRole) -> &Exposure {
        match role {
            MemberRole::Primary => &self.primary,
            MemberRole::Replica => &self.replica,
        }
    }
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

fn exposure(
    role: MemberRole,
    identity: &Identity,
    spec: &PostgresqlSpec,
    config: &OperatorConfig,
) -> Exposure {
    let switches = switches(role, spec, config);
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
        annotations.insert(EXTERNAL_DNS.to_owned(), dns_names(role, identity, config));
    }
    Exposure { kind, annotations }
}

/// The names for external-dns: the configured one, and where the cluster's name begins with its team, the one that
/// upstream used before namespaces.
fn dns_names(role: MemberRole, identity: &Identity, config: &OperatorConfig) -> String {
    let settings = &config.load_balancer;
    let (format, legacy) = match role {
        MemberRole::Primary => (&settings.master_dns_name_format, &settings.master_legacy_dns_name_format),
        MemberRole::Replica => (&settings.replica_dns_name_format, &settings.replica_legacy_dns_name_format),
    };
    let filled = |format: &str, cluster: &str| {
        let values = [
            ("cluster", cluster),
            ("namespace", &identity.namespace),
            ("team", &identity.team),
            ("hostedzone", &settings.db_hosted_zone),
        ];
        names::fill(format, &values).to_lowercase()
    };
    let name = filled(format, &identity.name);
    let prefix = format!("{}-", identity.team.to_lowercase());
    match identity.name.strip_prefix(&prefix).filter(|rest| !rest.is_empty() && !identity.team.is_empty()) {
        Some(rest) => format!("{name},{}", filled(legacy, rest)),
        None => name,
    }
}
