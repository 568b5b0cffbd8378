//! The operator's settings, each written once: its key, type, unit, effect and default.
//!
//! The CRD schema, the parser of the `OperatorConfiguration` and the parser of the ConfigMap are all derived from
//! these structs; there is no other list of keys. Doc comments are what `kubectl explain` prints. The one surprise:
//! `Default` is what the *ConfigMap* defaults to; an `OperatorConfiguration` differs in a few settings, which
//! `resource_defaults` lists.

mod backup;
mod cloud;
pub mod duration;
mod formats;
mod general;
mod kubernetes;
mod load_balancer;
mod modes;
mod names;
mod operation;
mod pooler;
mod resource_defaults;
mod resources;
mod roles;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use backup::LogicalBackup;
pub use cloud::{AwsOrGcp, Scalyr};
pub use general::General;
pub use kubernetes::{ClaimRetention, InfrastructureRole, Kubernetes};
pub use load_balancer::LoadBalancer;
pub use modes::{
    BackupProvider, Disruption, ExternalTrafficPolicy, MajorVersionUpgradeMode, NodeReadinessLabelMerge,
    PodManagementPolicy, PoolerMode, RetentionPolicy, StorageResizeMode,
};
pub use names::NamespacedName;
pub use operation::{Debug, LoggingRestApi, MajorVersionUpgrade, Patroni, Timeouts};
pub use pooler::ConnectionPooler;
pub use resources::PostgresPodResources;
pub use roles::{TeamsApi, Users};

/// The operator's configuration: complete and typed. Also the schema of `OperatorConfiguration.configuration`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OperatorConfig {
    /// Settings that stand at the top level of an `OperatorConfiguration`.
    #[serde(flatten)]
    pub general: General,
    /// System users and password rotation.
    pub users: Users,
    /// Which clusters are upgraded to a new PostgreSQL major version, and when.
    pub major_version_upgrade: MajorVersionUpgrade,
    /// Names, labels and settings of the Kubernetes objects of a cluster.
    pub kubernetes: Kubernetes,
    /// Default and extreme CPU and memory of database containers; the defaults also serve sidecars and backups.
    pub postgres_pod_resources: PostgresPodResources,
    /// How long the operator waits for Kubernetes and Patroni.
    pub timeouts: Timeouts,
    /// Services, load balancers and DNS names.
    pub load_balancer: LoadBalancer,
    /// Buckets, cloud identities and mounted cloud credentials.
    pub aws_or_gcp: AwsOrGcp,
    /// Defaults of logical backups (dumps).
    pub logical_backup: LogicalBackup,
    /// Logging and access to databases.
    pub debug: Debug,
    /// Human users: Teams API, PostgresTeam resources and OAuth.
    pub teams_api: TeamsApi,
    /// The operator's own REST API.
    pub logging_rest_api: LoggingRestApi,
    /// The Scalyr logging sidecar (deprecated: use `sidecars`).
    pub scalyr: Scalyr,
    /// Defaults of connection poolers.
    pub connection_pooler: ConnectionPooler,
    /// Patroni features.
    pub patroni: Patroni,
}
