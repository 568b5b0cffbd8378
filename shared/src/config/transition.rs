//! Settings that may not change while clusters exist.
//!
//! Objects are found again by the names and labels these settings give them. The webhook asks when an old and a new
//! configuration meet running clusters; without clusters every change is fine.

use super::OperatorConfig;
use super::keys::Source;
use crate::field::FieldErrors;

/// A setting that existing clusters depend on: its key, whether it changed, and what that would do to them.
type Fixed = (&'static str, fn(&OperatorConfig, &OperatorConfig) -> bool, &'static str);

const SELECTS: &str = "clusters would no longer find their own pods and Services";
const NAMES: &str = "objects under the old names would stay behind, and new ones stand beside them";
const STATE: &str = "members would look for the leader in two places, and two could lead";
const ROLES: &str = "running clusters keep the old role, and nobody would know its password";

const FIXED: &[Fixed] = &[
    ("cluster_labels", |old, new| old.kubernetes.cluster_labels != new.kubernetes.cluster_labels, SELECTS),
    (
        "cluster_name_label",
        |old, new| old.kubernetes.cluster_name_label != new.kubernetes.cluster_name_label,
        SELECTS,
    ),
    ("pod_role_label", |old, new| old.kubernetes.pod_role_label != new.kubernetes.pod_role_label, SELECTS),
    (
        "secret_name_template",
        |old, new| old.kubernetes.secret_name_template != new.kubernetes.secret_name_template,
        NAMES,
    ),
    ("pdb_name_format", |old, new| old.kubernetes.pdb_name_format != new.kubernetes.pdb_name_format, NAMES),
    (
        "logical_backup_job_prefix",
        |old, new| old.logical_backup.job_prefix != new.logical_backup.job_prefix,
        NAMES,
    ),
    ("super_username", |old, new| old.users.super_username != new.users.super_username, ROLES),
    (
        "replication_username",
        |old, new| old.users.replication_username != new.users.replication_username,
        ROLES,
    ),
    (
        "kubernetes_use_configmaps",
        |old, new| old.general.kubernetes_use_configmaps != new.general.kubernetes_use_configmaps,
        STATE,
    ),
    ("etcd_host", |old, new| old.general.etcd_host != new.general.etcd_host, STATE),
];

/// The settings that existing clusters depend on and that change, each with what that does to clusters.
pub(crate) fn fixed_that_change(
    old: &OperatorConfig,
    new: &OperatorConfig,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let changed = FIXED.iter().filter(|(_, changed, _)| changed(old, new));
    changed.map(|(leaf, _, consequence)| (*leaf, *consequence))
}

/// What is wrong with going from `old` to `new` while clusters exist.
pub fn changes_that_orphan(source: Source, old: &OperatorConfig, new: &OperatorConfig) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (leaf, consequence) in fixed_that_change(old, new) {
        errors.forbidden(source.path(leaf), format!("may not change while clusters exist: {consequence}"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_existing_clusters_depend_on_is_fixed() {
        let old = OperatorConfig::default();
        let mut new = old.clone();
        new.general.docker_image = "spilo:next".into();
        assert!(changes_that_orphan(Source::Resource, &old, &new).is_empty());
        new.kubernetes.pod_role_label = "role".into();
        new.general.etcd_host = Some("etcd:2379".into());
        let errors = changes_that_orphan(Source::Resource, &old, &new);
        let paths: Vec<&str> = errors.paths().map(|path| path.as_str()).collect();
        assert_eq!(paths, ["configuration.kubernetes.pod_role_label", "configuration.etcd_host"]);
    }

    #[test]
    fn every_fixed_setting_has_a_case_in_the_catalogue() {
        let denied: Vec<String> =
            crate::catalogue::refused().into_iter().flat_map(|case| case.denied).collect();
        for (leaf, _, consequence) in FIXED {
            let told = |line: &String| line.contains(leaf) && line.ends_with(consequence);
            assert!(denied.iter().any(told), "no case for {leaf}");
        }
    }

    #[test]
    fn every_fixed_setting_is_a_key() {
        for (leaf, _, _) in FIXED {
            assert!(super::super::keys::KEYS.contains_key(*leaf), "{leaf}");
        }
    }
}
