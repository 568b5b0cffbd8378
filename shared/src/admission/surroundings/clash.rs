//! Whether an object of this cluster would have the name of an object of another cluster in the namespace.
//!
//! Two clusters that write one object would take it from each other for ever, and two leaders would share a lock. Names
//! begin with the cluster's, so only clusters of which one's name begins the other's are looked at; and those of which
//! the backup jobs' names, which are cut, come out the same.

use std::collections::BTreeSet;

use kube::ResourceExt;

use super::{Findings, Scene};
use crate::api::Postgresql;
use crate::build::build;
use crate::cluster::{Cluster, References};
use crate::config::OperatorConfig;
use crate::field::FieldPath;
use crate::names;
use crate::plan::{Kind, objects};

/// Kind and name of an object.
type Name = (&'static str, String);

/// No object of the cluster has the name of another cluster's.
pub(super) fn names(scene: &Scene<'_>, findings: &mut Findings) {
    let (Some(clusters), name) = (&scene.around.clusters, scene.name()) else { return };
    let mut own: Option<BTreeSet<Name>> = None;
    let prefix = &scene.config.logical_backup.job_prefix;
    for (other, manifest) in clusters.iter().filter(|(other, _)| may_clash(&name, other, prefix)) {
        let Some(manifest) = manifest.typed() else { continue };
        let own = own.get_or_insert_with(|| added(scene));
        if own.is_empty() {
            return;
        }
        let theirs = written(&manifest, scene.config);
        if let Some((kind, object)) = own.intersection(&theirs).next() {
            findings.errors.duplicate(
                FieldPath::new("metadata").field("name"),
                format!(
                    "needs the {kind} \"{object}\", which belongs to the cluster \"{other}\"; choose another name"
                ),
            );
        }
    }
}

/// Whether any derived names can be equal at all.
fn may_clash(one: &str, other: &str, job_prefix: &str) -> bool {
    let extends =
        |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
    let job = |cluster| names::logical_backup(job_prefix, cluster);
    one != other && (extends(one, other) || extends(other, one) || job(one) == job(other))
}

/// What this cluster writes, and did not write before the change: an old clash is no reason to refuse another change.
fn added(scene: &Scene<'_>) -> BTreeSet<Name> {
    let mut own = written(scene.new, scene.config);
    if let Some(old) = scene.old {
        let before = written(old, scene.config);
        own.retain(|name| !before.contains(name));
    }
    own
}

/// What a cluster and its Patroni write. What all clusters of a namespace share is left out.
fn written(manifest: &Postgresql, config: &OperatorConfig) -> BTreeSet<Name> {
    let Ok(cluster) = Cluster::resolve(manifest, config, &References::unread()) else {
        return BTreeSet::new();
    };
    let shared = [Kind::ServiceAccount, Kind::RoleBinding];
    let mut all: BTreeSet<Name> = objects(&build(&cluster))
        .into_iter()
        .filter(|(name, _)| !shared.contains(&name.kind))
        .map(|(name, _)| (name.kind.as_str(), name.name))
        .collect();
    let own: Vec<Name> = all.iter().filter(|(kind, _)| *kind == Kind::Service.as_str()).cloned().collect();
    // A Service and its Endpoints have one name, whoever writes the latter.
    all.extend(own.into_iter().map(|(_, name)| (Kind::Endpoints.as_str(), name)));
    let state = if config.general.kubernetes_use_configmaps { "ConfigMap" } else { Kind::Endpoints.as_str() };
    all.extend(names::patroni_objects(&manifest.name_any()).map(|name| (state, name)));
    all
}
