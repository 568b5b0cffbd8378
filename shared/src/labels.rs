//! Every label we write, and which of them select.
//!
//! Selectors hold only the configured cluster labels and the cluster's name. The full set on an object adds the team
//! and inherited labels, which may change; a selector may not.

use std::collections::BTreeMap;

use crate::config::OperatorConfig;
use crate::names::MemberRole;

/// The label of the owning team.
pub const TEAM: &str = "team";
/// The label that marks a pod during a critical operation; the second disruption budget selects it.
pub const CRITICAL_OPERATION: &str = "critical-operation";

/// The label that tells databases, poolers and backups of one cluster apart.
pub const APPLICATION: &str = "application";
/// The value of [`APPLICATION`] on everything of a pooler.
pub const POOLER: &str = "db-connection-pooler";
/// The value of [`APPLICATION`] on everything of the logical backups.
pub const LOGICAL_BACKUP: &str = "spilo-logical-backup";
/// The label that names the pooler; its value is the pooler's own name.
pub const CONNECTION_POOLER: &str = "connection-pooler";

/// A set of labels.
pub type LabelMap = BTreeMap<String, String>;

/// The labels of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    common: LabelMap,
    selector: LabelMap,
    full: LabelMap,
    name_key: String,
    role_key: String,
}

impl Labels {
    /// The labels of a cluster from its manifest's name, team and own labels.
    pub fn new(name: &str, team: &str, own: Option<&LabelMap>, config: &OperatorConfig) -> Self {
        let kubernetes = &config.kubernetes;
        let common = kubernetes.cluster_labels.clone();
        let mut selector = common.clone();
        selector.insert(kubernetes.cluster_name_label.clone(), name.to_owned());
        let mut full = selector.clone();
        full.insert(TEAM.to_owned(), team.to_owned());
        for key in &kubernetes.inherited_labels {
            if let Some(value) = own.and_then(|labels| labels.get(key)) {
                full.insert(key.clone(), value.clone());
            }
        }
        let name_key = kubernetes.cluster_name_label.clone();
        Self { common, selector, full, name_key, role_key: kubernetes.pod_role_label.clone() }
    }

    /// What all clusters of this operator share.
    pub fn common(&self) -> LabelMap {
        self.common.clone()
    }

    /// The label that names the cluster.
    pub fn name_key(&self) -> &str {
        &self.name_key
    }

    /// The label that Patroni keeps on the pods: who is primary.
    pub fn role_key(&self) -> &str {
        &self.role_key
    }

    /// What selects the cluster's database pods.
    pub fn selector(&self) -> LabelMap {
        self.selector.clone()
    }

    /// What selects the pods of one role.
    pub fn role_selector(&self, role: MemberRole) -> LabelMap {
        self.with_role(self.selector(), role)
    }

    /// What every object of the cluster carries.
    pub fn full(&self) -> LabelMap {
        self.full.clone()
    }

    /// What an object for one role carries.
    pub fn full_for_role(&self, role: MemberRole) -> LabelMap {
        self.with_role(self.full(), role)
    }

    /// What selects pods that are in a critical operation.
    pub fn critical_selector(&self) -> LabelMap {
        let mut labels = self.selector();
        labels.insert(CRITICAL_OPERATION.to_owned(), "true".to_owned());
        labels
    }

    /// What selects the pods of a pooler; also what its Service carries.
    pub fn pooler_selector(&self, pooler: &str) -> LabelMap {
        as_pooler(self.selector(), pooler)
    }

    /// What the other objects of a pooler carry.
    pub fn pooler_full(&self, pooler: &str, role: MemberRole) -> LabelMap {
        as_pooler(self.full_for_role(role), pooler)
    }

    /// What tells the logical backups' objects from those of any other cluster.
    pub fn backup_selector(&self) -> LabelMap {
        as_backup(self.selector())
    }

    /// What everything of the logical backups carries.
    pub fn backup_full(&self) -> LabelMap {
        as_backup(self.full())
    }

    fn with_role(&self, mut labels: LabelMap, role: MemberRole) -> LabelMap {
        labels.insert(self.role_key.clone(), role.label_value().to_owned());
        labels
    }
}

fn as_pooler(mut labels: LabelMap, pooler: &str) -> LabelMap {
    labels.insert(APPLICATION.to_owned(), POOLER.to_owned());
    labels.insert(CONNECTION_POOLER.to_owned(), pooler.to_owned());
    labels
}

fn as_backup(mut labels: LabelMap) -> LabelMap {
    labels.insert(APPLICATION.to_owned(), LOGICAL_BACKUP.to_owned());
    labels
}

/// Whether an object carries all of these labels.
pub fn carries(labels: Option<&LabelMap>, wanted: &LabelMap) -> bool {
    wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// A selector as the API server and `kubectl -l` write it.
pub fn selector_text(labels: &LabelMap) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
