//! The logical backups of a cluster: a job that dumps all databases to object storage.
//!
//! Almost everything comes from the configuration; a manifest says whether, when, and for how long dumps are kept. The
//! CronJob's name is known also while no backup is wanted, so that a left-over is found.

use k8s_openapi::api::core::v1::{NodeAffinity, ResourceRequirements};

use crate::annotations::AnnotationMap;
use crate::api::PostgresqlSpec;
use crate::config::{LogicalBackup as Settings, OperatorConfig};
use crate::names;

use super::{Identity, References, pod, resources};

/// The backups.
#[derive(Clone, Debug, PartialEq)]
pub struct LogicalBackups {
    /// The CronJob's name.
    pub(crate) name: String,
    /// The job, when backups are wanted.
    pub(crate) wanted: Option<BackupJob>,
}

/// The job.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupJob {
    pub(crate) schedule: String,
    /// How long dumps are kept; S3 only.
    pub(crate) retention: String,
    /// The configured rest.
    pub(crate) settings: Settings,
    pub(crate) resources: ResourceRequirements,
    /// The Secret with further variables, and its keys.
    pub(crate) secret: Option<(String, Vec<String>)>,
    /// Nodes that are ready for databases; a manifest's own affinity is for its members.
    pub(crate) node_affinity: Option<NodeAffinity>,
    pub(crate) annotations: AnnotationMap,
}

impl LogicalBackups {
    /// The backups that manifest and configuration ask for.
    pub(super) fn resolve(
        identity: &Identity,
        spec: &PostgresqlSpec,
        config: &OperatorConfig,
        references: &References,
    ) -> Self {
        Self {
            name: names::logical_backup(&config.logical_backup.job_prefix, &identity.name),
            wanted: (spec.enable_logical_backup == Some(true)).then(|| job(spec, config, references)),
        }
    }
}

fn job(spec: &PostgresqlSpec, config: &OperatorConfig, references: &References) -> BackupJob {
    let settings = config.logical_backup.clone();
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut keys = references.backup_secret_keys.clone();
    keys.sort();
    BackupJob {
        schedule: given(&spec.logical_backup_schedule).unwrap_or_else(|| settings.schedule.clone()),
        retention: given(&spec.logical_backup_retention)
            .or_else(|| settings.s3_retention_time.clone())
            .unwrap_or_default(),
        resources: job_resources(&settings, config),
        secret: given(&settings.cronjob_environment_secret).map(|name| (name, keys)),
        node_affinity: pod::node_affinity(None, config),
        annotations: pod::own_annotations(spec, config),
        settings,
    }
}

/// The job's own amounts over those of database containers.
fn job_resources(settings: &Settings, config: &OperatorConfig) -> ResourceRequirements {
    let mut defaults = pod::defaults(config);
    defaults.requests.extend(pod::amounts(&settings.cpu_request, &settings.memory_request));
    defaults.limits.extend(pod::amounts(&settings.cpu_limit, &settings.memory_limit));
    resources::requirements(None, &defaults, None, config.general.set_memory_request_to_limit)
}
