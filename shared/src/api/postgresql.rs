//! The kind `postgresql`: the top of a manifest.
//!
//! The kind is lower-case, as upstream made it; the Rust type is [`Postgresql`].

#![allow(clippy::duplicated_attributes, reason = "one `printcolumn` for each column")]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, NodeAffinity, Probe, Toleration, TopologySpreadConstraint,
};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::schema::Anything;
use super::{
    AdditionalVolume, CloneDescription, ConnectionPooler, Patroni, PostgresqlParam, PostgresqlStatus,
    PreparedDatabase, Resources, Sidecar, StandbyDescription, Stream, TlsDescription, Volume,
};

/// A PostgreSQL cluster run by Patroni.
#[skip_serializing_none]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[schemars(transform = super::schema::without_nulls)]
#[schemars(transform = super::rules::write)]
#[kube(
    group = "acid.zalan.do",
    version = "v1",
    kind = "postgresql",
    root = "Postgresql",
    plural = "postgresqls",
    singular = "postgresql",
    shortname = "pg",
    category = "all",
    namespaced,
    status = "PostgresqlStatus",
    derive = "PartialEq",
    derive = "Default",
    label("app.kubernetes.io/name", "postgres-operator"),
    scale(
        spec_replicas_path = ".spec.numberOfInstances",
        status_replicas_path = ".status.numberOfInstances",
        label_selector_path = ".status.labelSelector"
    ),
    printcolumn(
        name = "Team",
        type_ = "string",
        json_path = ".spec.teamId",
        description = "Team responsible"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".spec.postgresql.version",
        description = "PostgreSQL major version"
    ),
    printcolumn(
        name = "Pods",
        type_ = "integer",
        json_path = ".spec.numberOfInstances",
        description = "Number of members"
    ),
    printcolumn(
        name = "Volume",
        type_ = "string",
        json_path = ".spec.volume.size",
        description = "Size of each member's volume"
    ),
    printcolumn(
        name = "CPU-Request",
        type_ = "string",
        json_path = ".spec.resources.requests.cpu",
        description = "CPU requested by each member"
    ),
    printcolumn(
        name = "Memory-Request",
        type_ = "string",
        json_path = ".spec.resources.requests.memory",
        description = "Memory requested by each member"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.PostgresClusterStatus",
        description = "What the operator makes of it"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlSpec {
    /// The team that owns the cluster; becomes the label `team` of everything made for it.
    #[serde(default)]
    pub team_id: String,
    /// How many members the cluster has, primary included. 0 stops it and keeps its volumes.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub number_of_instances: i32,
    /// PostgreSQL's version and parameters.
    #[serde(default)]
    pub postgresql: PostgresqlParam,
    /// The volume of each member.
    #[serde(default)]
    pub volume: Volume,

    /// The Spilo image; the operator's configured one where absent.
    pub docker_image: Option<String>,
    /// CPU, memory and huge pages of each member's database container.
    pub resources: Option<Resources>,
    /// Patroni's settings.
    pub patroni: Option<Patroni>,

    /// Login roles, each with its flags (`SUPERUSER`, `nologin`, …). The value may be null or an empty list.
    pub users: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// Databases, each with the role that owns it.
    pub databases: Option<BTreeMap<String, String>>,
    /// Databases with owner, reader and writer roles; an empty map asks for one, named as the cluster.
    pub prepared_databases: Option<BTreeMap<String, PreparedDatabase>>,
    /// Users whose password is rotated by giving a new login role.
    pub users_with_secret_rotation: Option<Vec<String>>,
    /// Users whose password is rotated in place.
    pub users_with_in_place_secret_rotation: Option<Vec<String>>,
    /// Users whose password is never rotated. Wins over the other two lists.
    pub users_ignoring_secret_rotation: Option<Vec<String>>,

    /// Start as a copy of another cluster. Read only when the cluster is created.
    pub clone: Option<CloneDescription>,
    /// Follow another cluster until this section is removed.
    pub standby: Option<StandbyDescription>,
    /// The certificate that PostgreSQL serves.
    pub tls: Option<TlsDescription>,

    /// A PgBouncer in front of the primary.
    pub enable_connection_pooler: Option<bool>,
    /// A PgBouncer in front of the replicas.
    pub enable_replica_connection_pooler: Option<bool>,
    /// Settings of the poolers. Its presence alone asks for the primary's pooler.
    pub connection_pooler: Option<ConnectionPooler>,

    /// Make the primary's Service a load balancer.
    pub enable_master_load_balancer: Option<bool>,
    /// Make the primary pooler's Service a load balancer.
    pub enable_master_pooler_load_balancer: Option<bool>,
    /// Make the replicas' Service a load balancer.
    pub enable_replica_load_balancer: Option<bool>,
    /// Make the replica pooler's Service a load balancer.
    pub enable_replica_pooler_load_balancer: Option<bool>,
    /// Publish the primary's Service on a port of every node. Wins over a load balancer.
    pub enable_master_node_port: Option<bool>,
    /// Publish the primary pooler's Service on a port of every node.
    pub enable_master_pooler_node_port: Option<bool>,
    /// Publish the replicas' Service on a port of every node.
    pub enable_replica_node_port: Option<bool>,
    /// Publish the replica pooler's Service on a port of every node.
    pub enable_replica_pooler_node_port: Option<bool>,
    /// The node port of the primary's Service; chosen by Kubernetes where absent.
    pub master_node_port: Option<i32>,
    /// The node port of the primary pooler's Service.
    pub master_pooler_node_port: Option<i32>,
    /// The node port of the replicas' Service.
    pub replica_node_port: Option<i32>,
    /// The node port of the replica pooler's Service.
    pub replica_pooler_node_port: Option<i32>,
    /// Networks (CIDR, v4 or v6) that may reach the load balancers; none where empty.
    pub allowed_source_ranges: Option<Vec<String>>,
    /// Annotations of all Services.
    pub service_annotations: Option<BTreeMap<String, String>>,
    /// Annotations of the primary's Services.
    pub master_service_annotations: Option<BTreeMap<String, String>>,
    /// Annotations of the replicas' Services.
    pub replica_service_annotations: Option<BTreeMap<String, String>>,

    /// Containers beside the database, in each member's pod.
    pub sidecars: Option<Vec<Sidecar>>,
    /// Containers that run before the database starts.
    #[serde(rename = "initContainers")]
    pub init_containers: Option<Vec<Container>>,
    /// Further volumes of the pods.
    pub additional_volumes: Option<Vec<AdditionalVolume>>,
    /// Environment variables of the database container. Names the operator sets itself are not overridden.
    pub env: Option<Vec<EnvVar>>,
    /// Sources of environment variables of the database container.
    pub env_from: Option<Vec<EnvFromSource>>,
    /// Annotations of the pods.
    pub pod_annotations: Option<BTreeMap<String, String>>,
    /// The priority class of the pods.
    pub pod_priority_class_name: Option<String>,
    /// The scheduler of the pods.
    pub scheduler_name: Option<String>,
    /// The user id that the database container runs as.
    pub spilo_run_as_user: Option<i64>,
    /// The group id that the database container runs as.
    pub spilo_run_as_group: Option<i64>,
    /// The group id that owns the volumes.
    #[serde(rename = "spiloFSGroup")]
    pub spilo_fs_group: Option<i64>,
    /// A liveness probe for the database container.
    pub liveness_probe: Option<Probe>,
    /// Give the database container a memory-backed `/dev/shm`.
    pub enable_shm_volume: Option<bool>,

    /// Where the pods may or should run.
    pub node_affinity: Option<NodeAffinity>,
    /// How the pods spread over nodes and zones.
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Taints that the pods tolerate. Replaces the configured toleration.
    pub tolerations: Option<Vec<Toleration>>,

    /// Dump all databases to object storage on a schedule.
    pub enable_logical_backup: Option<bool>,
    /// The schedule of the dumps, five cron fields.
    pub logical_backup_schedule: Option<String>,
    /// How long dumps are kept, as `date -d "<value> ago"` understands it.
    pub logical_backup_retention: Option<String>,
    /// When disruptive work may be done, for example `Sat:02:00-04:00`, in UTC. Any time where absent.
    pub maintenance_windows: Option<Vec<String>>,
    /// Change streams to publish.
    pub streams: Option<Vec<Stream>>,

    /// Removed in v2: use `initContainers`.
    #[serde(rename = "init_containers")]
    pub removed_init_containers: Option<Anything>,
    /// Removed in v2: use `podPriorityClassName`.
    #[serde(rename = "pod_priority_class_name")]
    pub removed_pod_priority_class_name: Option<String>,
    /// Removed in v2: use `enableMasterLoadBalancer`.
    pub use_load_balancer: Option<bool>,
    /// Removed in v2: use `enableReplicaLoadBalancer`.
    pub replica_load_balancer: Option<bool>,
}
