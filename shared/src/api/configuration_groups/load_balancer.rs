//! The group `load_balancer`: how clusters are reached from outside.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExternalTrafficPolicy;

/// The group `load_balancer`. A node port wins over a load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoadBalancer {
    /// DNS zone of the names of load balancers, `{hostedzone}` in the formats below.
    pub db_hosted_zone: String,
    /// Load balancer for the primary, when the manifest does not say.
    pub enable_master_load_balancer: bool,
    /// Load balancer for the primary's pooler, when the manifest does not say.
    pub enable_master_pooler_load_balancer: bool,
    /// Load balancer for replicas, when the manifest does not say.
    pub enable_replica_load_balancer: bool,
    /// Load balancer for the replicas' pooler, when the manifest does not say.
    pub enable_replica_pooler_load_balancer: bool,
    /// Node port for the primary, when the manifest does not say.
    pub enable_master_node_port: bool,
    /// Node port for the primary's pooler, when the manifest does not say.
    pub enable_master_pooler_node_port: bool,
    /// Node port for replicas, when the manifest does not say.
    pub enable_replica_node_port: bool,
    /// Node port for the replicas' pooler, when the manifest does not say.
    pub enable_replica_pooler_node_port: bool,
    /// Annotations of every service.
    pub custom_service_annotations: BTreeMap<String, String>,
    /// DNS name of the primary, from `{cluster}`, `{namespace}`, `{team}`, `{hostedzone}`; lower-cased.
    pub master_dns_name_format: String,
    /// Second DNS name of the primary, only where the cluster's name begins with its team.
    pub master_legacy_dns_name_format: String,
    /// DNS name of the replicas.
    pub replica_dns_name_format: String,
    /// Second DNS name of the replicas, only where the cluster's name begins with its team.
    pub replica_legacy_dns_name_format: String,
    /// External traffic policy of load balancers and node ports: `Cluster` or `Local`.
    pub external_traffic_policy: ExternalTrafficPolicy,
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            db_hosted_zone: "db.example.com".into(),
            enable_master_load_balancer: true,
            enable_master_pooler_load_balancer: false,
            enable_replica_load_balancer: false,
            enable_replica_pooler_load_balancer: false,
            enable_master_node_port: false,
            enable_master_pooler_node_port: false,
            enable_replica_node_port: false,
            enable_replica_pooler_node_port: false,
            custom_service_annotations: BTreeMap::new(),
            master_dns_name_format: "{cluster}.{namespace}.{hostedzone}".into(),
            master_legacy_dns_name_format: "{cluster}.{team}.{hostedzone}".into(),
            replica_dns_name_format: "{cluster}-repl.{namespace}.{hostedzone}".into(),
            replica_legacy_dns_name_format: "{cluster}-repl.{team}.{hostedzone}".into(),
            external_traffic_policy: ExternalTrafficPolicy::default(),
        }
    }
}
