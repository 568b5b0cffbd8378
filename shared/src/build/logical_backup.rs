//! The CronJob of the logical backups.
//!
//! Its pod is made like a member's, with one container that dumps and exits. Upstream draws it to other backup pods, of
//! which there are none; ours is drawn to the database it dumps, so that the dump need not cross the network.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, PodAffinity, PodAffinityTerm, PodSecurityContext, PodSpec, PodTemplateSpec,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::annotations::IAM_ROLE;
use crate::cluster::{BackupJob, Cluster};
use crate::config::BackupProvider;

use super::PASSWORD_KEY;
use super::containers::{POSTGRES_PORT, database_ports};
use super::env::{field_ref, has, literal, secret_ref};
use super::meta::{meta, with_inherited};
use super::pod_template::{selecting, spread};
use super::security::{of_container, of_pod, restrained};
use super::volumes::{mount, secret};

pub(super) fn logical_backup(cluster: &Cluster) -> Option<CronJob> {
    let job = cluster.logical_backups.wanted.as_ref()?;
    let metadata = meta(
        cluster,
        cluster.logical_backups.name.clone(),
        cluster.labels.backup_full(),
        job.annotations.clone(),
    );
    let template = JobTemplateSpec {
        metadata: Some(template_meta(cluster, job)),
        spec: Some(JobSpec {
            template: pod_template(cluster, job),
            ttl_seconds_after_finished: Some(job.settings.ttl_seconds_after_finished),
            ..JobSpec::default()
        }),
    };
    Some(CronJob {
        metadata,
        spec: Some(CronJobSpec {
            schedule: job.schedule.clone(),
            concurrency_policy: Some("Forbid".to_owned()),
            successful_jobs_history_limit: Some(job.settings.successful_jobs_history_limit),
            failed_jobs_history_limit: Some(job.settings.failed_jobs_history_limit),
            job_template: template,
            ..CronJobSpec::default()
        }),
        status: None,
    })
}

/// Labels and annotations, the same on the CronJob, the Job and the pod.
fn template_meta(cluster: &Cluster, job: &BackupJob) -> ObjectMeta {
    ObjectMeta {
        labels: Some(cluster.labels.backup_full()),
        annotations: with_inherited(cluster, job.annotations.clone()),
        ..ObjectMeta::default()
    }
}

fn pod_template(cluster: &Cluster, job: &BackupJob) -> PodTemplateSpec {
    let pod = &cluster.pod;
    let mut metadata = template_meta(cluster, job);
    if let Some(role) = pod.annotations.get(IAM_ROLE) {
        let annotations: &mut BTreeMap<_, _> = metadata.annotations.get_or_insert_default();
        annotations.insert(IAM_ROLE.to_owned(), role.clone());
    }
    let spec = PodSpec {
        service_account_name: Some(pod.service_account.clone()),
        termination_grace_period_seconds: i64::try_from(pod.grace_period.as_secs()).ok(),
        security_context: Some(security_context(cluster)),
        tolerations: Some(pod.tolerations.clone()).filter(|tolerations| !tolerations.is_empty()),
        topology_spread_constraints: spread(cluster, &cluster.labels.backup_selector()),
        affinity: Some(affinity(cluster, job)),
        restart_policy: Some("Never".to_owned()),
        containers: vec![restrained(&pod.security, container(cluster, job))],
        volumes: pod.secret_mount.as_ref().map(|credentials| vec![secret(&credentials.secret, None)]),
        ..PodSpec::default()
    };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

/// Nothing, as upstream's, or the user of the database.
fn security_context(cluster: &Cluster) -> PodSecurityContext {
    let security = &cluster.pod.security;
    if security.restricted {
        of_pod(security, security.user, security.group)
    } else {
        PodSecurityContext::default()
    }
}

/// Near a member of the cluster, if there is room.
fn affinity(cluster: &Cluster, job: &BackupJob) -> Affinity {
    let near = WeightedPodAffinityTerm {
        weight: 1,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(selecting(cluster.labels.selector())),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        node_affinity: job.node_affinity.clone(),
        pod_affinity: Some(PodAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![near]),
            ..PodAffinity::default()
        }),
        pod_anti_affinity: None,
    }
}

fn container(cluster: &Cluster, job: &BackupJob) -> Container {
    let (security, credentials) = (&cluster.pod.security, &cluster.pod.secret_mount);
    Container {
        name: "logical-backup".to_owned(),
        image: Some(job.settings.docker_image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(job.resources.clone()),
        ports: Some(database_ports()),
        env: Some(env(cluster, job)),
        volume_mounts: credentials.as_ref().map(|found| vec![mount(&found.secret, &found.path)]),
        security_context: Some(of_container(security)),
        ..Container::default()
    }
}

fn env(cluster: &Cluster, job: &BackupJob) -> Vec<EnvVar> {
    let mut all = database(cluster);
    all.extend(target(cluster, job));
    all.extend(provider(job));
    if let Some((name, keys)) = &job.secret {
        for key in keys {
            if !has(&all, key) {
                all.push(secret_ref(key, name, key));
            }
        }
    }
    all
}

/// What to dump, and as whom.
fn database(cluster: &Cluster) -> Vec<EnvVar> {
    let superuser = cluster.superuser();
    vec![
        literal("SCOPE", &cluster.identity.name),
        literal("CLUSTER_NAME_LABEL", cluster.labels.name_key()),
        field_ref("POD_NAMESPACE", "metadata.namespace"),
        literal("PG_VERSION", &cluster.postgres.version.to_string()),
        literal("PGPORT", &POSTGRES_PORT.to_string()),
        literal("PGUSER", superuser),
        literal("PGDATABASE", superuser),
        literal("PGSSLMODE", "require"),
        secret_ref("PGPASSWORD", &cluster.secret_name(superuser), PASSWORD_KEY),
    ]
}

/// Where the dump goes. The image reads the bucket's name here whatever the provider.
fn target(cluster: &Cluster, job: &BackupJob) -> Vec<EnvVar> {
    let settings = &job.settings;
    vec![
        literal("LOGICAL_BACKUP_PROVIDER", settings.provider.as_str()),
        literal("LOGICAL_BACKUP_S3_BUCKET", text(&settings.s3_bucket)),
        literal("LOGICAL_BACKUP_S3_BUCKET_PREFIX", &settings.s3_bucket_prefix),
        literal("LOGICAL_BACKUP_S3_BUCKET_SCOPE_SUFFIX", &format!("/{}", cluster.identity.uid)),
    ]
}

/// What the provider needs besides.
fn provider(job: &BackupJob) -> Vec<EnvVar> {
    let settings = &job.settings;
    let given = |name: &str, value: &Option<String>| {
        value.as_deref().filter(|value| !value.is_empty()).map(|value| literal(name, value))
    };
    let mut all = Vec::new();
    match settings.provider {
        BackupProvider::S3 => {
            all.push(literal("LOGICAL_BACKUP_S3_REGION", text(&settings.s3_region)));
            all.push(literal("LOGICAL_BACKUP_S3_ENDPOINT", text(&settings.s3_endpoint)));
            all.push(literal("LOGICAL_BACKUP_S3_SSE", text(&settings.s3_sse)));
            all.push(literal("LOGICAL_BACKUP_S3_RETENTION_TIME", &job.retention));
            all.extend(given("AWS_ACCESS_KEY_ID", &settings.s3_access_key_id));
            all.extend(given("AWS_SECRET_ACCESS_KEY", &settings.s3_secret_access_key));
        }
        BackupProvider::Gcs => all.extend(given(
            "LOGICAL_BACKUP_GOOGLE_APPLICATION_CREDENTIALS",
            &settings.google_application_credentials,
        )),
        BackupProvider::Az => {
            let account = text(&settings.azure_storage_account_name);
            all.push(literal("LOGICAL_BACKUP_AZURE_STORAGE_ACCOUNT_NAME", account));
            let container = text(&settings.azure_storage_container);
            all.push(literal("LOGICAL_BACKUP_AZURE_STORAGE_CONTAINER", container));
            let key = &settings.azure_storage_account_key;
            all.extend(given("LOGICAL_BACKUP_AZURE_STORAGE_ACCOUNT_KEY", key));
        }
    }
    all
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}
