//! The settings at the top level of an `OperatorConfiguration`.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{GoDuration, InstanceBound, MaintenanceWindows};
use super::modes::Disruption;
use crate::api::MaintenanceWindow;

/// Settings that belong to no group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct General {
    /// Create and update the operator's CustomResourceDefinitions at start.
    pub enable_crd_registration: bool,
    /// Categories of the registered CRDs; `all` makes `kubectl get all` show them.
    pub crd_categories: Vec<String>,
    /// A new image is put into StatefulSets without restarting pods; they take it when they next restart.
    pub enable_lazy_spilo_upgrade: bool,
    /// Pass the major version as `PGVERSION` instead of a path in `postgresql.bin_dir`.
    pub enable_pgversion_env_var: bool,
    /// Set `ENABLE_WAL_PATH_COMPAT=true`, for WAL archives written by old Spilo images.
    pub enable_spilo_wal_path_compat: bool,
    /// A cluster's name must begin with its team and a dash.
    pub enable_team_id_clustername_prefix: bool,
    /// Address of etcd (`host:port`) for Patroni; none: Patroni keeps its state in Kubernetes objects.
    pub etcd_host: Option<String>,
    /// Patroni keeps its state in ConfigMaps; false is the deprecated way, Endpoints. Changing it on running
    /// clusters with more than one instance risks two primaries.
    pub kubernetes_use_configmaps: bool,
    /// Image of the database containers (Spilo).
    pub docker_image: String,
    /// How many clusters are reconciled at once, at least 1.
    #[schemars(range(min = 1))]
    pub workers: u32,
    /// How many clusters have members restarted, recreated or switched over for an update at once; 0: no bound. Not known
    /// to upstream.
    pub max_rolling_clusters: u32,
    /// A cluster is compared with its manifest at least this often, as a duration like 30m.
    #[serde(with = "GoDuration")]
    pub resync_period: Duration,
    /// A cluster that failed is tried again after this long, as a duration like 5m.
    #[serde(with = "GoDuration")]
    pub repair_period: Duration,
    /// Keep disruptive work to maintenance windows; false: any time is in the window.
    pub enable_maintenance_windows: bool,
    /// Windows (UTC) of clusters whose manifest has none, for example `Sat:02:00-04:00` or `01:00-06:00`.
    #[serde(with = "MaintenanceWindows")]
    pub maintenance_windows: Vec<MaintenanceWindow>,
    /// Steps of an update that are taken outside maintenance windows, too: `restart`, `recreate_replica`, `switchover`,
    /// `major_upgrade`. All but the last of them is upstream's way. Not known to upstream.
    pub outside_maintenance_windows: Vec<Disruption>,
    /// Fewest instances of a cluster, whatever its manifest says; -1: no bound.
    #[serde(with = "InstanceBound")]
    pub min_instances: Option<i32>,
    /// Most instances of a cluster, whatever its manifest says; -1: no bound.
    #[serde(with = "InstanceBound")]
    pub max_instances: Option<i32>,
    /// Manifests with this annotation, value `true`, are exempt from min_instances and max_instances.
    pub ignore_instance_limits_annotation_key: Option<String>,
    /// Manifests with this annotation, value `true`, are exempt from the limits of postgres_pod_resources.
    pub ignore_resources_limits_annotation_key: Option<String>,
    /// Raise memory requests to the memory limit, so that pods are not evicted for memory they were promised.
    pub set_memory_request_to_limit: bool,
    /// Mount a memory volume of the pod's full size at /dev/shm.
    pub enable_shm_volume: bool,
    /// Sidecars of every cluster, name to image (deprecated: use `sidecars`).
    pub sidecar_docker_images: BTreeMap<String, String>,
    /// Sidecars of every cluster, as Kubernetes containers. Not available in a ConfigMap.
    pub sidecars: Vec<Container>,
}

impl Default for General {
    fn default() -> Self {
        Self {
            enable_crd_registration: true,
            crd_categories: vec!["all".into()],
            enable_lazy_spilo_upgrade: false,
            enable_pgversion_env_var: true,
            enable_spilo_wal_path_compat: false,
            enable_team_id_clustername_prefix: false,
            etcd_host: None,
            kubernetes_use_configmaps: true,
            docker_image: "ghcr.io/zalando/spilo-18:4.1-p2".into(),
            workers: 8,
            max_rolling_clusters: 10,
            resync_period: Duration::from_mins(30),
            repair_period: Duration::from_mins(5),
            enable_maintenance_windows: true,
            maintenance_windows: Vec::new(),
            outside_maintenance_windows: Vec::new(),
            min_instances: None,
            max_instances: None,
            ignore_instance_limits_annotation_key: None,
            ignore_resources_limits_annotation_key: None,
            set_memory_request_to_limit: false,
            enable_shm_volume: true,
            sidecar_docker_images: BTreeMap::new(),
            sidecars: Vec::new(),
        }
    }
}
