//! Backups, WAL archives and the secrets they need.

use super::syntax::{is_bucket, is_http_url, is_schedule, is_span};
use crate::config::reading::Findings;
use crate::config::{BackupProvider, OperatorConfig, StorageResizeMode};

/// Backups have a schedule that Kubernetes takes.
pub(super) fn schedule(config: &OperatorConfig, findings: &mut Findings) {
    let schedule = &config.logical_backup.schedule;
    if !is_schedule(schedule) {
        let message =
            format!("is {schedule:?}; write minute, hour, day, month, weekday, for example 30 00 * * *");
        findings.error("logical_backup_schedule", message);
    }
}

/// The settings of logical backups belong to their provider.
pub(super) fn backup_target(config: &OperatorConfig, findings: &mut Findings) {
    let backup = &config.logical_backup;
    let is_set = |setting: &Option<String>| setting.is_some();
    match backup.provider {
        BackupProvider::Az => {
            if !is_set(&backup.azure_storage_container) {
                findings.warn("logical_backup_azure_storage_container", "is missing for the provider az");
            }
        }
        BackupProvider::Gcs => {
            if !is_set(&backup.s3_bucket) {
                findings.warn(
                    "logical_backup_s3_bucket",
                    "is missing; it names the bucket of the provider gcs too",
                );
            }
        }
        BackupProvider::S3 => {}
    }
    for (leaf, setting, provider) in [
        ("logical_backup_azure_storage_account_name", &backup.azure_storage_account_name, BackupProvider::Az),
        ("logical_backup_azure_storage_container", &backup.azure_storage_container, BackupProvider::Az),
        (
            "logical_backup_google_application_credentials",
            &backup.google_application_credentials,
            BackupProvider::Gcs,
        ),
        ("logical_backup_s3_endpoint", &backup.s3_endpoint, BackupProvider::S3),
    ] {
        if setting.is_some() && backup.provider != provider {
            let (wanted, chosen) = (provider.as_str(), backup.provider.as_str());
            findings
                .warn(leaf, format!("is for the provider {wanted}, but logical_backup_provider is {chosen}"));
        }
    }
}

/// WAL goes to one place, and a mounted Secret has one.
pub(super) fn wal_target(config: &OperatorConfig, findings: &mut Findings) {
    let cloud = &config.aws_or_gcp;
    let targets = [
        ("wal_s3_bucket", cloud.wal_s3_bucket.is_some()),
        ("wal_gs_bucket", cloud.wal_gs_bucket.is_some()),
        ("wal_az_storage_account", cloud.wal_az_storage_account.is_some()),
    ];
    let mut set = targets.into_iter().filter_map(|(leaf, is_set)| is_set.then_some(leaf));
    if let Some(first) = set.next() {
        for other in set {
            findings.warn(other, format!("stands beside {first}; WAL is archived to one place only"));
        }
    }
    let (mount, path) = (&cloud.additional_secret_mount, &cloud.additional_secret_mount_path);
    if mount.is_some() && path.is_none() {
        findings.error(
            "additional_secret_mount_path",
            "is missing; write where additional_secret_mount is mounted",
        );
    }
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        findings.error("additional_secret_mount_path", "is not a path; begin with /");
    }
}

/// Buckets, accounts and addresses are named as the clouds name them.
pub(super) fn places(config: &OperatorConfig, findings: &mut Findings) {
    let (cloud, backup) = (&config.aws_or_gcp, &config.logical_backup);
    for (leaf, bucket) in [
        ("wal_s3_bucket", &cloud.wal_s3_bucket),
        ("wal_gs_bucket", &cloud.wal_gs_bucket),
        ("log_s3_bucket", &cloud.log_s3_bucket),
    ] {
        let Some(bucket) = bucket else { continue };
        // Spilo puts s3:// before it, so a path behind the name is fine.
        let name = bucket.split('/').next().unwrap_or_default();
        if bucket.contains("://") {
            findings
                .error(leaf, format!("is {bucket:?}; write the bucket's name alone, without s3:// or gs://"));
        } else if !is_bucket(name) {
            let message = format!("is {bucket:?}; write 3 to 63 lower-case letters, digits, - and .");
            findings.error(leaf, message);
        }
    }
    for (leaf, account) in [
        ("wal_az_storage_account", &cloud.wal_az_storage_account),
        ("logical_backup_azure_storage_account_name", &backup.azure_storage_account_name),
    ] {
        let is_account = |name: &str| {
            (3..=24).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if let Some(account) = account.as_deref().filter(|account| !is_account(account)) {
            findings.error(
                leaf,
                format!("is {account:?}; a storage account has 3 to 24 lower-case letters and digits"),
            );
        }
    }
    if let Some(endpoint) = backup.s3_endpoint.as_deref().filter(|endpoint| !is_http_url(endpoint)) {
        findings.error(
            "logical_backup_s3_endpoint",
            format!("is {endpoint:?}; write an address like https://s3.eu-central-1.amazonaws.com"),
        );
    }
    for (leaf, region) in
        [("aws_region", Some(&cloud.aws_region)), ("logical_backup_s3_region", backup.s3_region.as_ref())]
    {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some(region) = region.filter(|region| !region.chars().all(is_region)) {
            findings.error(leaf, format!("is {region:?}; write a region like eu-central-1"));
        }
    }
    if let Some(arn) =
        cloud.irsa_role_arn.as_deref().filter(|arn| !(arn.starts_with("arn:") && arn.contains(":role/")))
    {
        let message = format!("is {arn:?}; write an ARN like arn:aws:iam::123456789012:role/postgres");
        findings.error("irsa_role_arn", message);
    }
}

/// EC2 is asked by operators that are built for it. Which one runs, nobody here can know.
pub(super) fn disks(config: &OperatorConfig, findings: &mut Findings) {
    let mode = match config.kubernetes.storage_resize_mode {
        StorageResizeMode::Ebs => "ebs",
        StorageResizeMode::Mixed => "mixed",
        StorageResizeMode::Pvc | StorageResizeMode::Off => return,
    };
    let message = format!(
        "{mode} asks EC2, which takes an operator built with the feature ec2; clusters of another one say so in their \
         status"
    );
    findings.warn("storage_resize_mode", message);
}

/// How S3 encrypts, and how long dumps are kept.
pub(super) fn backup_options(config: &OperatorConfig, findings: &mut Findings) {
    let backup = &config.logical_backup;
    if let Some(sse) =
        backup.s3_sse.as_deref().filter(|sse| !["AES256", "aws:kms", "aws:kms:dsse"].contains(sse))
    {
        findings.error(
            "logical_backup_s3_sse",
            format!("is {sse:?}; choose one of AES256, aws:kms, aws:kms:dsse"),
        );
    }
    if let Some(span) = backup.s3_retention_time.as_deref().filter(|span| !is_span(span)) {
        let message = format!("is {span:?}; write a span of time like \"2 weeks\" or \"30 days\"");
        findings.error("logical_backup_s3_retention_time", message);
    }
}

/// Everyone who may read the configuration reads these.
pub(super) fn secrets_in_clear(config: &OperatorConfig, findings: &mut Findings) {
    let backup = &config.logical_backup;
    for (leaf, secret) in [
        ("logical_backup_s3_access_key_id", &backup.s3_access_key_id),
        ("logical_backup_s3_secret_access_key", &backup.s3_secret_access_key),
        ("logical_backup_azure_storage_account_key", &backup.azure_storage_account_key),
    ] {
        if secret.is_some() {
            let message = "stands in clear; put it into a Secret and name that in \
                           logical_backup_cronjob_environment_secret";
            findings.warn(leaf, message);
        }
    }
    if config.scalyr.api_key.is_some() {
        findings.warn("scalyr_api_key", "stands in clear; use sidecars with a reference to a Secret");
    }
}
