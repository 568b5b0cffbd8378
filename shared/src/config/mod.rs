//! The operator's configuration, from its two sources.
//!
//! `OperatorConfig` is what everyone else reads: complete and typed. The webhook and the operator ask for it with
//! `from_resource` or `from_config_map`. The surprise: an `OperatorConfiguration` and a ConfigMap have different
//! defaults, because they always had; `OperatorConfig::default()` is the ConfigMap's.

mod check;
mod environment;
mod from_config_map;
mod from_resource;
mod keys;
mod reading;
pub(crate) mod restricted;
mod transition;

pub use crate::api::configuration_groups::{
    AwsOrGcp, BackupProvider, ClaimRetention, ConnectionPooler, Debug, Disruption, ExternalTrafficPolicy,
    General, InfrastructureRole, Kubernetes, LoadBalancer, LoggingRestApi, LogicalBackup,
    MajorVersionUpgrade, MajorVersionUpgradeMode, NamespacedName, NodeReadinessLabelMerge, OperatorConfig,
    Patroni, PodManagementPolicy, PoolerMode, PostgresPodResources, RetentionPolicy, Scalyr,
    StorageResizeMode, TeamsApi, Timeouts, Users,
};
pub(crate) use check::syntax;
pub use environment::{Environment, WatchedNamespace};
pub use from_config_map::read_config_map;
pub use from_resource::read_resource;
pub use keys::{Source, one_by_one};
pub use reading::{Reading, Warning};
pub use transition::changes_that_orphan;
pub(crate) use transition::fixed_that_change;
