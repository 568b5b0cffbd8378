//! What the pods are made of: volume, resources, sidecars, further volumes.

use k8s_openapi::api::core::v1::{ContainerPort, EnvVar};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::schema::Anything;

/// The persistent volume of each member.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its size, for example `10Gi`. May grow, never shrink.
    #[serde(default)]
    pub size: String,
    /// Its storage class; the cluster's default where absent. Fixed once created.
    pub storage_class: Option<String>,
    /// Labels that an existing volume must carry to be bound.
    pub selector: Option<LabelSelector>,
    /// The folder of the volume that is mounted. Fixed once created.
    pub sub_path: Option<String>,
    /// Expand variables in `subPath`.
    pub is_sub_path_expr: Option<bool>,
    /// Provisioned I/O operations per second (EBS, resize mode `mixed`).
    #[schemars(range(max = 80000))]
    pub iops: Option<i32>,
    /// Provisioned throughput in MiB/s (EBS, resize mode `mixed`).
    #[schemars(range(max = 2000))]
    pub throughput: Option<i32>,
    /// The EBS volume type (resize mode `mixed`).
    #[serde(rename = "type")]
    pub volume_type: Option<String>,
}

/// Requests and limits of a container.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What is set aside for the container.
    pub requests: Option<ResourceAmounts>,
    /// What the container may use at most.
    pub limits: Option<ResourceAmounts>,
}

/// Amounts by resource, as Kubernetes quantities.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceAmounts {
    /// CPU in cores, for example `500m`.
    pub cpu: Option<String>,
    /// Memory in bytes, for example `1Gi`.
    pub memory: Option<String>,
    /// Huge pages of 2 MiB, in bytes.
    #[serde(rename = "hugepages-2Mi")]
    pub hugepages_2mi: Option<String>,
    /// Huge pages of 1 GiB, in bytes.
    #[serde(rename = "hugepages-1Gi")]
    pub hugepages_1gi: Option<String>,
}

impl ResourceAmounts {
    /// Resource name and amount of every field that is set, in Kubernetes' own names.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { cpu, memory, hugepages_2mi, hugepages_1gi } = self;
        [("cpu", cpu), ("memory", memory), ("hugepages-2Mi", hugepages_2mi), ("hugepages-1Gi", hugepages_1gi)]
            .into_iter()
            .filter_map(|(name, amount)| Some((name, amount.as_deref()?)))
    }
}

/// A container beside the database.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sidecar {
    /// Its name; `sidecar-<index>` where absent.
    pub name: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// Ports it listens on.
    pub ports: Option<Vec<ContainerPort>>,
    /// Its environment, after what the operator sets.
    pub env: Option<Vec<EnvVar>>,
    /// Its command.
    pub command: Option<Vec<String>>,
    /// Its requests and limits; the configured defaults where absent.
    pub resources: Option<Resources>,
}

/// A further volume of the pods.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct AdditionalVolume {
    /// Its name, unique in the pod.
    #[serde(default)]
    pub name: String,
    /// Where it is mounted.
    #[serde(default)]
    pub mount_path: String,
    /// The folder of the volume that is mounted.
    pub sub_path: Option<String>,
    /// Expand variables in `subPath`.
    pub is_sub_path_expr: Option<bool>,
    /// The containers that mount it: names, or `all`; the database where absent.
    pub target_containers: Option<Vec<String>>,
    /// What it is: any volume source of a pod (`emptyDir`, `configMap`, …).
    #[serde(default)]
    pub volume_source: Anything,
}
