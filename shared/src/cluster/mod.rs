//! The resolved cluster: what a manifest, the configuration and the objects they name amount to.
//!
//! The only thing builders, the planner and the rollout read. [`Cluster::resolve`] is its only constructor, so a
//! `Cluster` in hand means: valid, complete, typed. The one fact to know: it is recomputed at every reconcile and
//! stored nowhere, which is how a changed configuration reaches clusters whose manifest never changed.

mod databases;
pub(crate) mod logical_backup;
pub(crate) mod network;
pub(crate) mod pod;
pub(crate) mod pooler;
mod postgres;
mod references;
mod resolve;
mod resources;
mod sidecars;
mod stored_form;
pub mod streams;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

pub use logical_backup::{BackupJob, LogicalBackups};
pub use network::{Exposure, Network};
pub use pod::{AntiAffinity, CloudStorage, Environment, Pod, SecretMount, Security, Tls};
pub use pooler::{PoolerSettings, Poolers};
pub use postgres::{Origin, Postgres};
pub use references::References;
pub use streams::Stream;
pub use windows::Windows;

use crate::annotations::AnnotationMap;
use crate::config::{Disruption, StorageResizeMode};
use crate::labels::Labels;
use crate::roles::password::Encryption;
use crate::roles::{Role, RoleSet, Rotation};

/// One PostgreSQL cluster, as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    pub(crate) identity: Identity,
    pub(crate) labels: Labels,
    pub(crate) inherited: AnnotationMap,
    pub(crate) downscaler: AnnotationMap,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) members: i32,
    pub(crate) postgres: Postgres,
    pub(crate) origin: Origin,
    pub(crate) pod: Pod,
    pub(crate) volume: DataVolume,
    pub(crate) network: Network,
    pub(crate) poolers: Poolers,
    pub(crate) logical_backups: LogicalBackups,
    pub(crate) streams: Vec<Stream>,
    pub(crate) budgets: Budgets,
    pub(crate) service_account: ServiceAccountTemplate,
    pub(crate) users: SystemUsers,
    pub(crate) roles: RoleSet,
    pub(crate) rotation: Rotation,
    pub(crate) policy: Policy,
}

/// Whose cluster it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The manifest's name; the prefix of every child's.
    pub name: String,
    /// The namespace of the manifest and of almost every child.
    pub namespace: String,
    /// The manifest's UID; part of the path of WAL archives and backups.
    pub uid: String,
    /// The owning team.
    pub team: String,
}

/// The volume of each member.
#[derive(Clone, Debug, PartialEq)]
pub struct DataVolume {
    pub(crate) size: String,
    pub(crate) storage_class: Option<String>,
    pub(crate) selector: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>,
    pub(crate) sub_path: Option<SubPath>,
    pub(crate) retention: ClaimRetention,
    pub(crate) resize: StorageResizeMode,
    pub(crate) performance: DiskPerformance,
}

/// What the disk behind a volume can do, as far as the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskPerformance {
    pub(crate) kind: Option<String>,
    pub(crate) iops: Option<i32>,
    pub(crate) throughput: Option<i32>,
}

/// The folder of a volume that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubPath {
    /// As it stands.
    Plain(String),
    /// With variables of the pod expanded.
    Expression(String),
}

/// What becomes of claims when the StatefulSet goes or shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimRetention {
    pub(crate) delete_when_deleted: bool,
    pub(crate) delete_when_scaled: bool,
}

/// The disruption budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    pub(crate) primary_name: String,
    pub(crate) select_primary: bool,
    /// Whether they hold anything back; relaxed budgets exist but permit every eviction.
    pub(crate) enforced: bool,
    /// Whether Patroni marks a pod as critical while it bootstraps, so that the second budget holds it.
    pub(crate) bootstrap_labels: bool,
    /// Members that must stay where the selector takes in all of them.
    pub(crate) min_available: i32,
}

/// The service account of the pods, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceAccountTemplate {
    pub(crate) account: k8s_openapi::api::core::v1::ServiceAccount,
    pub(crate) binding: k8s_openapi::api::rbac::v1::RoleBinding,
}

/// The roles that Patroni needs, and how Secrets are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUsers {
    pub(crate) superuser: String,
    pub(crate) replication: String,
    pub(crate) secret_template: String,
}

/// How the operator treats the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// An image change waits until something else recreates a pod.
    pub lazy_image_upgrade: bool,
    /// The data directory may be upgraded to another major version.
    pub upgrades: bool,
    /// Roles and databases are managed.
    pub database_access: bool,
    /// What the database grants beyond the manifest is taken away.
    pub strict_revocation: bool,
    /// How long a recreated pod may take to get its role label.
    pub pod_start_timeout: Duration,
    /// When members may be restarted, recreated and switched over for an update.
    pub windows: Windows,
    /// What of it may be done at any time.
    pub outside_windows: Vec<Disruption>,
    /// The labels without which a node has to be left.
    pub readiness: BTreeMap<String, String>,
    /// Secrets go with the cluster.
    pub delete_secrets: bool,
    /// Claims go with the cluster.
    pub delete_claims: bool,
    /// The manifest carries the operator's finalizer.
    pub finalizer: bool,
}

impl Policy {
    /// The windows that a step of an update has to wait for; none when it may be taken `now`. Where the time is not known,
    /// every window counts as closed.
    ///
    /// The rollout holds back what this says, and the preview tells it.
    pub fn waits_for(&self, step: Disruption, now: Option<Timestamp>) -> Option<&Windows> {
        let open = match (&self.windows, now) {
            (Windows::Always, _) => true,
            (windows, Some(now)) => windows.are_open(now),
            (Windows::Only(_), None) => false,
        };
        (!open && !self.outside_windows.contains(&step)).then_some(&self.windows)
    }
}

impl Cluster {
    /// Whose cluster it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Its labels and selectors.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// How many members it should have, within the configured bounds.
    pub fn members(&self) -> i32 {
        self.members
    }

    /// How the operator treats it.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The roles and databases it should have.
    pub fn roles(&self) -> &RoleSet {
        &self.roles
    }

    /// Whose password changes by itself.
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// How the server stores passwords: as the manifest's parameters say, else as PostgreSQL does by default.
    pub fn password_encryption(&self) -> Encryption {
        let parameter = |key: &str| {
            let dynamic = self.postgres.dynamic.parameters.get(key);
            dynamic.or_else(|| self.postgres.local_parameters.get(key)).map(String::as_str)
        };
        match parameter("password_encryption") {
            Some("md5") => Encryption::Md5,
            Some(_) | None => Encryption::scram(parameter("scram_iterations")),
        }
    }

    /// Whether it follows another cluster, and so takes no writes of its own.
    pub fn is_standby(&self) -> bool {
        matches!(self.origin, Origin::Standby(_))
    }

    /// The names of the pods' service account and of its role binding.
    pub fn service_account_names(&self) -> (&str, &str) {
        let template = &self.service_account;
        (name_of(&template.account.metadata), name_of(&template.binding.metadata))
    }

    /// The names of the disruption budgets.
    pub fn budget_names(&self) -> [String; 2] {
        [self.budgets.primary_name.clone(), crate::names::critical_budget(&self.identity.name)]
    }

    /// The CronJob of the logical backups, wanted or not.
    pub fn logical_backup_name(&self) -> &str {
        &self.logical_backups.name
    }

    /// The user that poolers look passwords up with, wanted or not.
    pub fn pooler_user(&self) -> &str {
        &self.poolers.user
    }

    /// The superuser's name.
    pub fn superuser(&self) -> &str {
        &self.users.superuser
    }

    /// The namespace of a role's Secret.
    pub fn secret_namespace<'a>(&'a self, role: &'a Role) -> &'a str {
        role.secret_namespace.as_deref().unwrap_or(&self.identity.namespace)
    }

    /// The name of a role's Secret.
    pub fn secret_name(&self, user: &str) -> String {
        crate::names::secret(&self.users.secret_template, user, &self.identity.name)
    }
}

fn name_of(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}
