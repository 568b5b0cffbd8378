//! The group `kubernetes`: names, labels, pods and volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Probe, ServiceAccount, Toleration};
use k8s_openapi::api::rbac::v1::RoleBinding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{EmbeddedManifest, GoDuration, SingleToleration};
use super::{
    NamespacedName, NodeReadinessLabelMerge, PodManagementPolicy, RetentionPolicy, StorageResizeMode,
};

/// The group `kubernetes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Kubernetes {
    /// Let the manifest own the cluster's objects, so that Kubernetes deletes them with it. Delete annotations no
    /// longer protect a cluster then.
    pub enable_owner_references: bool,
    /// Put a finalizer on manifests, so that nothing is left behind when one is deleted.
    pub enable_finalizers: bool,
    /// Service account of database, pooler and backup pods.
    pub pod_service_account_name: String,
    /// That service account as JSON or YAML, when it needs more than its name.
    #[serde(with = "EmbeddedManifest")]
    pub pod_service_account_definition: Option<ServiceAccount>,
    /// Its role binding as JSON or YAML; none: to the ClusterRole of the same name.
    #[serde(with = "EmbeddedManifest")]
    pub pod_service_account_role_binding_definition: Option<RoleBinding>,
    /// How long database, pooler and backup pods may take to stop, as a duration like 5m.
    #[serde(with = "GoDuration")]
    pub pod_terminate_grace_period: Duration,
    /// Liveness probe of database containers whose manifest has none. Not available in a ConfigMap.
    pub liveness_probe: Option<Probe>,
    /// Run database containers privileged.
    pub spilo_privileged: bool,
    /// Let processes in database containers gain privileges.
    pub spilo_allow_privilege_escalation: bool,
    /// User id of database containers; none: the image's own.
    pub spilo_runasuser: Option<i64>,
    /// Group id of database containers; none: the image's own.
    pub spilo_runasgroup: Option<i64>,
    /// Group id that owns the volumes of database pods.
    pub spilo_fsgroup: Option<i64>,
    /// Linux capabilities added to database containers, for example SYS_NICE.
    pub additional_pod_capabilities: Vec<String>,
    /// Make database, pooler and backup pods such that Pod Security `restricted` lets them in: not root, no
    /// capabilities, no gain of privileges. Privileges of other options and manifests are refused then.
    pub enable_restricted_pods: bool,
    /// Namespace whose manifests are served; `*`: every namespace; none: the operator's own.
    pub watched_namespace: Option<String>,
    /// Name of a cluster's disruption budget; contains `{cluster}`.
    pub pdb_name_format: String,
    /// The disruption budget protects only the primary.
    pub pdb_master_label_selector: bool,
    /// Protect primaries from node drains; false relaxes the budgets.
    pub enable_pod_disruption_budget: bool,
    /// How volumes grow: `pvc`, `ebs`, `mixed` or `off`.
    pub storage_resize_mode: StorageResizeMode,
    /// Allow init containers in manifests.
    pub enable_init_containers: bool,
    /// Allow sidecars in manifests.
    pub enable_sidecars: bool,
    /// Share the directory of the Postgres socket with sidecars.
    pub share_pgsocket_with_sidecars: bool,
    /// Name of a user's Secret, from `{username}`, `{cluster}` (both required), `{tprkind}` and `{tprgroup}`.
    pub secret_name_template: String,
    /// DNS domain of the Kubernetes cluster.
    pub cluster_domain: String,
    /// Secret with the token of the Teams API, as name or namespace/name.
    pub oauth_token_secret_name: NamespacedName,
    /// Secret with infrastructure roles in the old format (deprecated).
    pub infrastructure_roles_secret_name: Option<NamespacedName>,
    /// Secrets with infrastructure roles. In a ConfigMap one of them, as `secretname:…,userkey:…,…`.
    pub infrastructure_roles_secrets: Vec<InfrastructureRole>,
    /// Label in which Patroni writes a pod's role.
    pub pod_role_label: String,
    /// Labels that select everything the operator owns, together with the cluster's name.
    pub cluster_labels: BTreeMap<String, String>,
    /// Labels copied from a manifest to the cluster's objects.
    pub inherited_labels: Vec<String>,
    /// Annotations copied from a manifest to the cluster's objects.
    pub inherited_annotations: Vec<String>,
    /// Regular expressions for annotations that are copied to StatefulSets, poolers and event streams.
    pub downscaler_annotations: Vec<String>,
    /// Annotations that others write and the operator leaves alone.
    pub ignored_annotations: Vec<String>,
    /// Label in which objects carry their cluster's name.
    pub cluster_name_label: String,
    /// Annotation that must hold today's date before a cluster may be deleted.
    pub delete_annotation_date_key: Option<String>,
    /// Annotation that must hold the cluster's name before it may be deleted.
    pub delete_annotation_name_key: Option<String>,
    /// Labels of nodes that may run database pods; a node without them counts as going out of service.
    pub node_readiness_label: BTreeMap<String, String>,
    /// How that joins a manifest's own node affinity: `AND` or `OR`.
    pub node_readiness_label_merge: NodeReadinessLabelMerge,
    /// Annotations of every database pod.
    pub custom_pod_annotations: BTreeMap<String, String>,
    /// Toleration of database pods whose manifest has none: key, operator, value, effect.
    #[serde(with = "SingleToleration")]
    pub toleration: Option<Toleration>,
    /// ConfigMap with environment variables of all database pods; a changed value restarts them.
    pub pod_environment_configmap: Option<NamespacedName>,
    /// Secret, in each cluster's namespace, with environment variables of database pods.
    pub pod_environment_secret: Option<String>,
    /// Priority class of database pods.
    pub pod_priority_class_name: Option<String>,
    /// How long moving primaries off a draining node is tried, as a duration like 20m.
    #[serde(with = "GoDuration")]
    pub master_pod_move_timeout: Duration,
    /// Keep the pods of a cluster on different nodes.
    pub enable_pod_antiaffinity: bool,
    /// What "different" means: a label of nodes.
    pub pod_antiaffinity_topology_key: String,
    /// Prefer different nodes instead of insisting on them.
    pub pod_antiaffinity_preferred_during_scheduling: bool,
    /// Start pods one by one or at once: `ordered_ready` or `parallel`.
    pub pod_management_policy: PodManagementPolicy,
    /// What the StatefulSet does with volume claims it no longer needs.
    pub persistent_volume_claim_retention_policy: ClaimRetention,
    /// Delete a cluster's Secrets with it.
    pub enable_secrets_deletion: bool,
    /// Delete a cluster's volume claims with it, whatever the retention policy says.
    pub enable_persistent_volume_claim_deletion: bool,
    /// Give database containers a readiness probe at Patroni's `/readiness`.
    pub enable_readiness_probe: bool,
    /// A user `namespace.name` in a manifest gets its Secret in that namespace.
    pub enable_cross_namespace_secret: bool,
}

/// What becomes of volume claims: `retain` or `delete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimRetention {
    /// When the cluster is deleted.
    pub when_deleted: RetentionPolicy,
    /// When it is scaled down.
    pub when_scaled: RetentionPolicy,
}

/// A Secret with roles that every cluster has, and which of its keys hold what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfrastructureRole {
    /// The Secret, as name or namespace/name.
    pub secretname: NamespacedName,
    /// Key of the user name (or the user name itself, when `details` gives more).
    pub userkey: String,
    /// Key of the password.
    pub passwordkey: String,
    /// Key of the role the user is a member of.
    #[serde(default)]
    pub rolekey: Option<String>,
    /// User name when the Secret has no `userkey`.
    #[serde(default)]
    pub defaultuservalue: Option<String>,
    /// Role when the Secret has no `rolekey`.
    #[serde(default)]
    pub defaultrolevalue: Option<String>,
    /// Further flags and options of the role, as YAML.
    #[serde(default)]
    pub details: Option<String>,
    /// Keys are patterns with a number: user1, password1, inrole1, user2, …
    #[serde(default)]
    pub template: bool,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            enable_owner_references: false,
            enable_finalizers: false,
            pod_service_account_name: "postgres-pod".into(),
            pod_service_account_definition: None,
            pod_service_account_role_binding_definition: None,
            pod_terminate_grace_period: Duration::from_mins(5),
            liveness_probe: None,
            spilo_privileged: false,
            spilo_allow_privilege_escalation: true,
            spilo_runasuser: None,
            spilo_runasgroup: None,
            spilo_fsgroup: None,
            additional_pod_capabilities: Vec::new(),
            enable_restricted_pods: false,
            watched_namespace: None,
            pdb_name_format: "postgres-{cluster}-pdb".into(),
            pdb_master_label_selector: true,
            enable_pod_disruption_budget: true,
            storage_resize_mode: StorageResizeMode::default(),
            enable_init_containers: true,
            enable_sidecars: true,
            share_pgsocket_with_sidecars: false,
            secret_name_template: "{username}.{cluster}.credentials.{tprkind}.{tprgroup}".into(),
            cluster_domain: "cluster.local".into(),
            oauth_token_secret_name: NamespacedName::local("postgresql-operator"),
            infrastructure_roles_secret_name: None,
            infrastructure_roles_secrets: Vec::new(),
            pod_role_label: "spilo-role".into(),
            cluster_labels: BTreeMap::from([("application".into(), "spilo".into())]),
            inherited_labels: Vec::new(),
            inherited_annotations: Vec::new(),
            downscaler_annotations: Vec::new(),
            ignored_annotations: Vec::new(),
            cluster_name_label: "cluster-name".into(),
            delete_annotation_date_key: None,
            delete_annotation_name_key: None,
            node_readiness_label: BTreeMap::new(),
            node_readiness_label_merge: NodeReadinessLabelMerge::default(),
            custom_pod_annotations: BTreeMap::new(),
            toleration: None,
            pod_environment_configmap: None,
            pod_environment_secret: None,
            pod_priority_class_name: None,
            master_pod_move_timeout: Duration::from_mins(20),
            enable_pod_antiaffinity: false,
            pod_antiaffinity_topology_key: "kubernetes.io/hostname".into(),
            pod_antiaffinity_preferred_during_scheduling: false,
            pod_management_policy: PodManagementPolicy::default(),
            persistent_volume_claim_retention_policy: ClaimRetention::default(),
            enable_secrets_deletion: true,
            enable_persistent_volume_claim_deletion: true,
            enable_readiness_probe: false,
            enable_cross_namespace_secret: false,
        }
    }
}
