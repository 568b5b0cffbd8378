//! The group `logical_backup`. Its keys carry the prefix `logical_backup_`, its fields do not.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BackupProvider;
use super::formats::OptionalQuantity;

/// The group `logical_backup`: the CronJob that dumps a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogicalBackup {
    /// When to dump, in cron notation: minute, hour, day of month, month, day of week.
    #[serde(rename = "logical_backup_schedule")]
    #[schemars(regex(pattern = r"^(@[a-z]+|\S+(\s+\S+){4})$"))]
    pub schedule: String,
    /// Image of the backup job.
    #[serde(rename = "logical_backup_docker_image")]
    pub docker_image: String,
    /// Where dumps go: `s3`, `gcs` or `az`.
    #[serde(rename = "logical_backup_provider")]
    pub provider: BackupProvider,
    /// Bucket of S3 or GCS.
    #[serde(rename = "logical_backup_s3_bucket")]
    pub s3_bucket: Option<String>,
    /// First part of the path in the bucket.
    #[serde(rename = "logical_backup_s3_bucket_prefix")]
    pub s3_bucket_prefix: String,
    /// Region of the bucket.
    #[serde(rename = "logical_backup_s3_region")]
    pub s3_region: Option<String>,
    /// Address of an S3 service that is not AWS.
    #[serde(rename = "logical_backup_s3_endpoint")]
    pub s3_endpoint: Option<String>,
    /// Access key, in clear: prefer cronjob_environment_secret.
    #[serde(rename = "logical_backup_s3_access_key_id")]
    pub s3_access_key_id: Option<String>,
    /// Secret key, in clear: prefer cronjob_environment_secret.
    #[serde(rename = "logical_backup_s3_secret_access_key")]
    pub s3_secret_access_key: Option<String>,
    /// Server-side encryption, for example AES256.
    #[serde(rename = "logical_backup_s3_sse")]
    pub s3_sse: Option<String>,
    /// How long dumps are kept, in words, for example `2 week`; none: for ever.
    #[serde(rename = "logical_backup_s3_retention_time")]
    pub s3_retention_time: Option<String>,
    /// Path of the Google credentials in the job's container.
    #[serde(rename = "logical_backup_google_application_credentials")]
    pub google_application_credentials: Option<String>,
    /// Azure storage account.
    #[serde(rename = "logical_backup_azure_storage_account_name")]
    pub azure_storage_account_name: Option<String>,
    /// Azure storage container.
    #[serde(rename = "logical_backup_azure_storage_container")]
    pub azure_storage_container: Option<String>,
    /// Key of the Azure storage account, in clear: prefer cronjob_environment_secret.
    #[serde(rename = "logical_backup_azure_storage_account_key")]
    pub azure_storage_account_key: Option<String>,
    /// First part of the CronJob's name; the cluster's name follows.
    #[serde(rename = "logical_backup_job_prefix")]
    pub job_prefix: String,
    /// Secret in the cluster's namespace whose keys become the job's environment.
    #[serde(rename = "logical_backup_cronjob_environment_secret")]
    pub cronjob_environment_secret: Option<String>,
    /// CPU request of the job, else the default of database containers.
    #[serde(rename = "logical_backup_cpu_request", with = "OptionalQuantity")]
    pub cpu_request: Option<Quantity>,
    /// Memory request of the job, else the default of database containers.
    #[serde(rename = "logical_backup_memory_request", with = "OptionalQuantity")]
    pub memory_request: Option<Quantity>,
    /// CPU limit of the job, else the default of database containers.
    #[serde(rename = "logical_backup_cpu_limit", with = "OptionalQuantity")]
    pub cpu_limit: Option<Quantity>,
    /// Memory limit of the job, else the default of database containers.
    #[serde(rename = "logical_backup_memory_limit", with = "OptionalQuantity")]
    pub memory_limit: Option<Quantity>,
    /// Finished jobs that are kept.
    #[serde(rename = "logical_backup_successful_jobs_history_limit")]
    #[schemars(range(min = 0))]
    pub successful_jobs_history_limit: i32,
    /// Failed jobs that are kept.
    #[serde(rename = "logical_backup_failed_jobs_history_limit")]
    #[schemars(range(min = 0))]
    pub failed_jobs_history_limit: i32,
    /// Seconds after which a finished job is deleted.
    #[serde(rename = "logical_backup_ttl_seconds_after_finished")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: i32,
}

impl Default for LogicalBackup {
    fn default() -> Self {
        Self {
            schedule: "30 00 * * *".into(),
            docker_image: "ghcr.io/zalando/postgres-operator/logical-backup:v2.0.1".into(),
            provider: BackupProvider::default(),
            s3_bucket: None,
            s3_bucket_prefix: "spilo".into(),
            s3_region: None,
            s3_endpoint: None,
            s3_access_key_id: None,
            s3_secret_access_key: None,
            s3_sse: None,
            s3_retention_time: None,
            google_application_credentials: None,
            azure_storage_account_name: None,
            azure_storage_container: None,
            azure_storage_account_key: None,
            job_prefix: "logical-backup-".into(),
            cronjob_environment_secret: None,
            cpu_request: None,
            memory_request: None,
            cpu_limit: None,
            memory_limit: None,
            successful_jobs_history_limit: 3,
            failed_jobs_history_limit: 3,
            ttl_seconds_after_finished: 86_400,
        }
    }
}
