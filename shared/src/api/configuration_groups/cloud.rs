//! The groups `aws_or_gcp` and `scalyr`: what lies outside the cluster.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::OptionalQuantity;

/// The group `aws_or_gcp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AwsOrGcp {
    /// S3 bucket for WAL and base backups.
    pub wal_s3_bucket: Option<String>,
    /// S3 bucket for the daily Postgres log.
    pub log_s3_bucket: Option<String>,
    /// IAM role of the pods (annotation `iam.amazonaws.com/role`).
    pub kube_iam_role: Option<String>,
    /// ARN of the IAM role of the pods' service account (annotation `eks.amazonaws.com/role-arn`).
    pub irsa_role_arn: Option<String>,
    /// GCS bucket for WAL and base backups.
    pub wal_gs_bucket: Option<String>,
    /// Path of the Google credentials in the database container.
    pub gcp_credentials: Option<String>,
    /// Azure storage account for WAL and base backups.
    pub wal_az_storage_account: Option<String>,
    /// Secret mounted into every database pod.
    pub additional_secret_mount: Option<String>,
    /// Where it is mounted.
    pub additional_secret_mount_path: Option<String>,
    /// AWS region, for resizing EBS volumes only.
    pub aws_region: String,
}

impl Default for AwsOrGcp {
    fn default() -> Self {
        Self {
            wal_s3_bucket: None,
            log_s3_bucket: None,
            kube_iam_role: None,
            irsa_role_arn: None,
            wal_gs_bucket: None,
            gcp_credentials: None,
            wal_az_storage_account: None,
            additional_secret_mount: None,
            additional_secret_mount_path: None,
            aws_region: "eu-central-1".into(),
        }
    }
}

/// The group `scalyr` (deprecated: use `sidecars`). Its keys carry the prefix `scalyr_`, its fields do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Scalyr {
    /// Key of the Scalyr API, in clear; without it there is no sidecar. `SCALYR_API_KEY` overrides it.
    #[serde(rename = "scalyr_api_key")]
    pub api_key: Option<String>,
    /// Image of the sidecar; without it there is none.
    #[serde(rename = "scalyr_image")]
    pub image: Option<String>,
    /// Where logs are sent.
    #[serde(rename = "scalyr_server_url")]
    pub server_url: String,
    /// CPU request of the sidecar.
    #[serde(rename = "scalyr_cpu_request", with = "OptionalQuantity")]
    pub cpu_request: Option<Quantity>,
    /// Memory request of the sidecar.
    #[serde(rename = "scalyr_memory_request", with = "OptionalQuantity")]
    pub memory_request: Option<Quantity>,
    /// CPU limit of the sidecar.
    #[serde(rename = "scalyr_cpu_limit", with = "OptionalQuantity")]
    pub cpu_limit: Option<Quantity>,
    /// Memory limit of the sidecar.
    #[serde(rename = "scalyr_memory_limit", with = "OptionalQuantity")]
    pub memory_limit: Option<Quantity>,
}

impl Default for Scalyr {
    fn default() -> Self {
        let quantity = |text: &str| Some(Quantity(text.into()));
        Self {
            api_key: None,
            image: None,
            server_url: "https://upload.eu.scalyr.com".into(),
            cpu_request: quantity("100m"),
            memory_request: quantity("50Mi"),
            cpu_limit: quantity("1"),
            memory_limit: quantity("500Mi"),
        }
    }
}
