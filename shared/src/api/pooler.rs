//! The connection pooler in front of a cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::Resources;

/// Settings of PgBouncer. What is absent comes from the operator's configuration.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPooler {
    /// How many pods.
    #[schemars(range(min = 1))]
    pub number_of_instances: Option<i32>,
    /// The schema of the lookup function.
    pub schema: Option<String>,
    /// The role that PgBouncer looks passwords up with.
    pub user: Option<String>,
    /// When a server connection goes back to the pool.
    #[schemars(extend("enum" = ["session", "transaction"]))]
    pub mode: Option<String>,
    /// PgBouncer's image.
    pub docker_image: Option<String>,
    /// Server connections per database, over all pods.
    #[serde(rename = "maxDBConnections")]
    pub max_db_connections: Option<i32>,
    /// Requests and limits of the container.
    pub resources: Option<Resources>,
}
