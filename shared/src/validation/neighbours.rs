//! Clusters side by side: two whose objects would have one name.
//!
//! Everything of a cluster is named after it, so that `orders-repl` has the Service that `orders` makes for its replicas,
//! and both operators' halves fight over it. Asked with the manifests that the webhook holds; no check of a single
//! manifest can know.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::names::{self, MemberRole};

/// What one name may be given to once in a namespace.
const SERVICE: &str = "Service";

/// The kinds and names of everything a manifest makes, as far as two manifests could clash over it.
fn objects(manifest: &Postgresql, config: &OperatorConfig) -> BTreeMap<(&'static str, String), &'static str> {
    let (name, spec) = (manifest.name_any(), &manifest.spec);
    let mut objects = BTreeMap::from([
        ((SERVICE, names::service(&name, MemberRole::Primary)), "for the primary"),
        ((SERVICE, names::service(&name, MemberRole::Replica)), "for the replicas"),
        (("PodDisruptionBudget", names::critical_budget(&name)), "for critical operations"),
        (
            ("PodDisruptionBudget", names::primary_budget(&config.kubernetes.pdb_name_format, &name)),
            "for the primary",
        ),
    ]);
    for patroni in names::patroni_objects(&name) {
        // A headless Service, or Endpoints of that name, which belong to a Service of that name.
        objects.insert((SERVICE, patroni), "of Patroni");
    }
    let pooled = super::pooler::wanted(spec).then_some(MemberRole::Primary);
    let replicas = (spec.enable_replica_connection_pooler == Some(true)).then_some(MemberRole::Replica);
    for role in pooled.into_iter().chain(replicas) {
        objects.insert((SERVICE, names::pooler(&name, role)), "of the pooler");
    }
    if spec.enable_logical_backup == Some(true) {
        let job = names::logical_backup(&config.logical_backup.job_prefix, &name);
        objects.insert(("CronJob", job), "of the logical backups");
    }
    objects
}

/// Adds an error for each of the `others` with which `manifest` would share an object.
pub(crate) fn neighbours(
    manifest: &Postgresql,
    others: &[Postgresql],
    config: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    let own = objects(manifest, config);
    let beside = |other: &&Postgresql| {
        other.namespace() == manifest.namespace() && other.name_any() != manifest.name_any()
    };
    for other in others.iter().filter(beside) {
        let theirs = objects(other, config);
        let Some(((kind, name), whose)) = theirs.iter().find(|(object, _)| own.contains_key(*object)) else {
            continue;
        };
        errors.duplicate(
            FieldPath::new("metadata").field("name"),
            format!(
                "\"{}\" would use the {kind} {name}, which is one {whose} of the cluster {}; choose another name",
                manifest.name_any(),
                other.name_any()
            ),
        );
    }
}
