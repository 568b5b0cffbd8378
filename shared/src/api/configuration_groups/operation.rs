//! The groups that steer the operator itself: upgrades, timeouts, debugging, its REST API, Patroni features.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MajorVersionUpgradeMode;
use super::formats::{GoDuration, MajorVersion};
use crate::version::PostgresVersion;

/// The group `major_version_upgrade`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MajorVersionUpgrade {
    /// Which clusters are upgraded: `off`, `manual` or `full`.
    pub major_version_upgrade_mode: MajorVersionUpgradeMode,
    /// Teams whose clusters are upgraded although the mode is `off`.
    pub major_version_upgrade_team_allow_list: Vec<String>,
    /// In mode `full`, clusters older than this are upgraded.
    #[serde(with = "MajorVersion")]
    pub minimal_major_version: PostgresVersion,
    /// In mode `full`, what they are upgraded to.
    #[serde(with = "MajorVersion")]
    pub target_major_version: PostgresVersion,
}

impl Default for MajorVersionUpgrade {
    fn default() -> Self {
        Self {
            major_version_upgrade_mode: MajorVersionUpgradeMode::default(),
            major_version_upgrade_team_allow_list: Vec::new(),
            minimal_major_version: PostgresVersion::OLDEST,
            target_major_version: PostgresVersion::NEWEST,
        }
    }
}

/// The group `timeouts`. All are durations like 10m.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Timeouts {
    /// Between two looks at a StatefulSet or pod environment Secret that should change.
    #[serde(with = "GoDuration")]
    pub resource_check_interval: Duration,
    /// How long a StatefulSet may take to become ready, or an object to go away.
    #[serde(with = "GoDuration")]
    pub resource_check_timeout: Duration,
    /// How long a new pod may take to receive its role label.
    #[serde(with = "GoDuration")]
    pub pod_label_wait_timeout: Duration,
    /// How long a pod may take to go away.
    #[serde(with = "GoDuration")]
    pub pod_deletion_wait_timeout: Duration,
    /// Without effect; `CRD_READY_WAIT_INTERVAL` in the operator's environment is what counts.
    #[serde(with = "GoDuration")]
    pub ready_wait_interval: Duration,
    /// Without effect; `CRD_READY_WAIT_TIMEOUT` in the operator's environment is what counts.
    #[serde(with = "GoDuration")]
    pub ready_wait_timeout: Duration,
    /// Between two tries of a Patroni API call.
    #[serde(with = "GoDuration")]
    pub patroni_api_check_interval: Duration,
    /// How long a Patroni API call is tried.
    #[serde(with = "GoDuration")]
    pub patroni_api_check_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resource_check_interval: Duration::from_secs(3),
            resource_check_timeout: Duration::from_mins(10),
            pod_label_wait_timeout: Duration::from_mins(10),
            pod_deletion_wait_timeout: Duration::from_mins(10),
            ready_wait_interval: Duration::from_secs(4),
            ready_wait_timeout: Duration::from_secs(30),
            patroni_api_check_interval: Duration::from_secs(1),
            patroni_api_check_timeout: Duration::from_secs(5),
        }
    }
}

/// The group `debug`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Debug {
    /// Log at debug level.
    pub debug_logging: bool,
    /// Let the operator connect to databases; false: no roles, databases or extensions are managed.
    pub enable_database_access: bool,
}

impl Default for Debug {
    fn default() -> Self {
        Self { debug_logging: true, enable_database_access: true }
    }
}

/// The group `logging_rest_api`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LoggingRestApi {
    /// TCP port of the operator's REST API.
    pub api_port: u16,
    /// Log lines kept per cluster.
    pub ring_log_lines: u32,
    /// Changes kept per cluster.
    pub cluster_history_entries: u32,
}

impl Default for LoggingRestApi {
    fn default() -> Self {
        Self { api_port: 8080, ring_log_lines: 100, cluster_history_entries: 1000 }
    }
}

/// The group `patroni`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Patroni {
    /// Keep a primary running while the Kubernetes API is away, as long as it reaches all members.
    pub enable_patroni_failsafe_mode: bool,
}
