//! Variables that name archives: where WAL and logs go, and where a clone or a standby reads from.

use k8s_openapi::api::core::v1::EnvVar;

use crate::api::{CloneDescription, StandbyDescription};
use crate::cluster::Cluster;

use super::PASSWORD_KEY;
use super::env::{literal, secret_ref};

/// Where EKS mounts the token of a service account that takes an AWS role.
const IRSA_TOKEN: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token";

/// Where WAL and logs are archived.
pub(super) fn archives(cluster: &Cluster) -> Vec<EnvVar> {
    let cloud = &cluster.pod.environment.cloud;
    let suffix = format!("/{}", cluster.identity.uid);
    let mut all = Vec::new();
    for (name, bucket, scope) in [
        ("WAL_S3_BUCKET", &cloud.wal_s3_bucket, "WAL"),
        ("WAL_GS_BUCKET", &cloud.wal_gs_bucket, "WAL"),
        ("AZURE_STORAGE_ACCOUNT", &cloud.wal_az_storage_account, "WAL"),
        ("LOG_S3_BUCKET", &cloud.log_s3_bucket, "LOG"),
    ] {
        if scope == "LOG" {
            all.extend(given("GOOGLE_APPLICATION_CREDENTIALS", cloud.gcp_credentials.as_deref()));
        }
        if let Some(bucket) = bucket {
            all.push(literal(name, bucket));
            all.push(literal(&format!("{scope}_BUCKET_SCOPE_SUFFIX"), &suffix));
            all.push(literal(&format!("{scope}_BUCKET_SCOPE_PREFIX"), ""));
        }
    }
    all
}

/// Where a clone reads from: another cluster's base backup, or with a timestamp its WAL archive.
pub(super) fn clone(cluster: &Cluster, source: &CloneDescription) -> Vec<EnvVar> {
    let mut all = vec![literal("CLONE_SCOPE", &source.cluster)];
    match &source.timestamp {
        None => all.extend(base_backup(cluster, source)),
        Some(timestamp) => all.extend(wal_archive(cluster, source, timestamp)),
    }
    all.extend(irsa(cluster, "CLONE"));
    all
}

fn base_backup(cluster: &Cluster, source: &CloneDescription) -> Vec<EnvVar> {
    let user = &cluster.users.replication;
    let secret = crate::names::secret(&cluster.users.secret_template, user, &source.cluster);
    vec![
        literal("CLONE_METHOD", "CLONE_WITH_BASEBACKUP"),
        literal("CLONE_HOST", &source.cluster),
        literal("CLONE_PORT", "5432"),
        literal("CLONE_USER", user),
        secret_ref("CLONE_PASSWORD", &secret, PASSWORD_KEY),
    ]
}

fn wal_archive(cluster: &Cluster, source: &CloneDescription, timestamp: &str) -> Vec<EnvVar> {
    let cloud = &cluster.pod.environment.cloud;
    let mut all = Vec::new();
    match &source.s3_wal_path {
        Some(path) if !path.is_empty() => all.push(literal("CLONE_WALE_S3_PREFIX", path)),
        _ => {
            all.extend(if let Some(bucket) = &cloud.wal_s3_bucket {
                vec![literal("CLONE_WAL_S3_BUCKET", bucket)]
            } else if let Some(bucket) = &cloud.wal_gs_bucket {
                let credentials =
                    given("CLONE_GOOGLE_APPLICATION_CREDENTIALS", cloud.gcp_credentials.as_deref());
                std::iter::once(literal("CLONE_WAL_GS_BUCKET", bucket)).chain(credentials).collect()
            } else {
                given("CLONE_AZURE_STORAGE_ACCOUNT", cloud.wal_az_storage_account.as_deref())
                    .into_iter()
                    .collect()
            });
            let suffix = source.uid.as_ref().map(|uid| format!("/{uid}")).unwrap_or_default();
            all.push(literal("CLONE_WAL_BUCKET_SCOPE_SUFFIX", &suffix));
        }
    }
    all.push(literal("CLONE_METHOD", "CLONE_WITH_WALE"));
    all.push(literal("CLONE_TARGET_TIME", timestamp));
    all.push(literal("CLONE_WAL_BUCKET_SCOPE_PREFIX", ""));
    all.extend(given("CLONE_AWS_ENDPOINT", source.s3_endpoint.as_deref()));
    all.extend(given("CLONE_WALE_S3_ENDPOINT", source.s3_endpoint.as_deref()));
    all.extend(given("CLONE_AWS_ACCESS_KEY_ID", source.s3_access_key_id.as_deref()));
    all.extend(given("CLONE_AWS_SECRET_ACCESS_KEY", source.s3_secret_access_key.as_deref()));
    let path_style = source.s3_force_path_style.map(|on| if on { "1" } else { "0" });
    all.extend(given("CLONE_AWS_S3_FORCE_PATH_STYLE", path_style));
    all
}

/// What a standby follows: a host, an archive, or a host with an archive for what the host no longer has.
pub(super) fn standby(cluster: &Cluster, source: &StandbyDescription) -> Vec<EnvVar> {
    let mut all = Vec::new();
    if let Some(host) = source.standby_host.as_deref().filter(|host| !host.is_empty()) {
        all.push(literal("STANDBY_HOST", host));
        all.extend(given("STANDBY_PORT", source.standby_port.as_deref()));
        all.extend(given("STANDBY_PRIMARY_SLOT_NAME", source.standby_primary_slot_name.as_deref()));
    }
    let s3 = given("STANDBY_WALE_S3_PREFIX", source.s3_wal_path.as_deref());
    if let Some(archive) = s3.or_else(|| given("STANDBY_WALE_GS_PREFIX", source.gs_wal_path.as_deref())) {
        all.push(archive);
        all.push(literal("STANDBY_METHOD", "STANDBY_WITH_WALE"));
        all.push(literal("STANDBY_WAL_BUCKET_SCOPE_PREFIX", ""));
    }
    all.extend(irsa(cluster, "STANDBY"));
    all
}

fn irsa(cluster: &Cluster, scope: &str) -> Vec<EnvVar> {
    let role = cluster.pod.environment.cloud.irsa.as_deref();
    let variables = |role: &str| {
        vec![
            literal(&format!("{scope}_AWS_ROLE_ARN"), role),
            literal(&format!("{scope}_AWS_WEB_IDENTITY_TOKEN_FILE"), IRSA_TOKEN),
        ]
    };
    role.map(variables).unwrap_or_default()
}

fn given(name: &str, value: Option<&str>) -> Option<EnvVar> {
    value.filter(|value| !value.is_empty()).map(|value| literal(name, value))
}
