//! The group `connection_pooler`. Its keys carry the prefix `connection_pooler_`, its fields do not.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PoolerMode;
use super::formats::OptionalQuantity;

/// The group `connection_pooler`: what a pooler is when its manifest does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConnectionPooler {
    /// Pods of a pooler, at least 1. An OperatorConfiguration has at least 2.
    #[serde(rename = "connection_pooler_number_of_instances")]
    #[schemars(range(min = 1))]
    pub number_of_instances: i32,
    /// Schema of the lookup function for passwords.
    #[serde(rename = "connection_pooler_schema")]
    pub schema: String,
    /// Role that looks up passwords; not the superuser.
    #[serde(rename = "connection_pooler_user")]
    pub user: String,
    /// Image of the pooler (PgBouncer).
    #[serde(rename = "connection_pooler_image")]
    pub image: String,
    /// How long a server connection is lent: `session` or `transaction`.
    #[serde(rename = "connection_pooler_mode")]
    pub mode: PoolerMode,
    /// Server connections per database, over all pods of the pooler.
    #[serde(rename = "connection_pooler_max_db_connections")]
    pub max_db_connections: i32,
    /// CPU request of a pooler whose manifest has none, like 500m.
    #[serde(rename = "connection_pooler_default_cpu_request", with = "OptionalQuantity")]
    pub default_cpu_request: Option<Quantity>,
    /// Memory request of a pooler whose manifest has none, like 100Mi.
    #[serde(rename = "connection_pooler_default_memory_request", with = "OptionalQuantity")]
    pub default_memory_request: Option<Quantity>,
    /// CPU limit of a pooler whose manifest has none, like 1.
    #[serde(rename = "connection_pooler_default_cpu_limit", with = "OptionalQuantity")]
    pub default_cpu_limit: Option<Quantity>,
    /// Memory limit of a pooler whose manifest has none, like 100Mi.
    #[serde(rename = "connection_pooler_default_memory_limit", with = "OptionalQuantity")]
    pub default_memory_limit: Option<Quantity>,
}

impl Default for ConnectionPooler {
    fn default() -> Self {
        Self {
            number_of_instances: 2,
            schema: "pooler".into(),
            user: "pooler".into(),
            image: "ghcr.io/zalando/postgres-operator/pgbouncer:v2.0.1".into(),
            mode: PoolerMode::default(),
            max_db_connections: 60,
            default_cpu_request: None,
            default_memory_request: None,
            default_cpu_limit: None,
            default_memory_limit: None,
        }
    }
}
