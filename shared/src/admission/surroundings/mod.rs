//! What stands around a manifest in Kubernetes "as of now", and what of it will be in the cluster's way.
//!
//! The webhook keeps these things from its watches and hands them in as plain data; nothing is ever asked on the way of
//! a request. What is here may have changed a moment later, so almost all of it is a warning; only a name that another
//! cluster's objects have for certain is an error. The surprise: `None` means "not known" (no right to watch, or no
//! list yet) and says nothing, while an empty map means that there is nothing of the kind.

mod clash;
mod limits;
mod pod_security;
mod quota;
mod references;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LimitRangeItem, PodSpec};
use kube::ResourceExt;

pub use pod_security::{LEVEL_LABEL, Level};

use crate::api::Postgresql;
use crate::build;
use crate::cluster::{Cluster, References};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};
use crate::quantity::Amount;

/// Things of one kind by name: those of the manifest's namespace, or those that stand in none.
pub type Named<T> = Arc<BTreeMap<String, T>>;

/// What stands around a manifest.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The StorageClasses.
    pub storage_classes: Option<Named<StorageClass>>,
    /// The PriorityClasses.
    pub priority_classes: Option<Named<()>>,
    /// What Pod Security lets into the namespace.
    pub pod_security: Option<Level>,
    /// The ResourceQuotas of the namespace.
    pub quotas: Option<Named<Quota>>,
    /// The LimitRanges of the namespace.
    pub limit_ranges: Option<Named<Vec<LimitRangeItem>>>,
    /// The names of the namespace's Secrets.
    pub secrets: Option<Named<()>>,
    /// The names of the namespace's ConfigMaps.
    pub config_maps: Option<Named<()>>,
    /// The manifests of the namespace.
    pub clusters: Option<Named<StoredManifest>>,
    /// The time; decides what waits for a maintenance window.
    pub now: Option<Timestamp>,
}

/// What a StorageClass can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// Whether its volumes can grow (`allowVolumeExpansion`).
    pub expandable: bool,
    /// Whether it is taken where none is named.
    pub default: bool,
}

/// A ResourceQuota: what may be used and what is. Amounts that cannot be read are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The most of each resource.
    pub hard: BTreeMap<String, Amount>,
    /// How much of it is used.
    pub used: BTreeMap<String, Amount>,
    /// Whether it counts only some pods (`scopes`, `scopeSelector`). Such a quota is not judged.
    pub scoped: bool,
}

/// A stored manifest, kept as text: ten thousand of them as trees would be a hundred megabytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredManifest(Box<str>);

impl StoredManifest {
    /// Keeps what decisions need of an object: neither its status nor what tools note beside it.
    pub fn of(object: &serde_json::Value) -> Self {
        let mut object = object.clone();
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
        }
        if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
            metadata.remove("managedFields");
            let annotations = metadata.get_mut("annotations").and_then(serde_json::Value::as_object_mut);
            annotations.map(|all| all.remove("kubectl.kubernetes.io/last-applied-configuration"));
        }
        Self(object.to_string().into_boxed_str())
    }

    /// The object again, without what was dropped.
    pub fn raw(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The manifest, when it can be read.
    pub fn typed(&self) -> Option<Postgresql> {
        serde_json::from_str(&self.0).ok()
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What is certain.
    pub(super) errors: FieldErrors,
    /// What is so now.
    pub(super) warnings: Vec<Change>,
}

impl Findings {
    fn warn(&mut self, field: FieldPath, message: impl Into<String>) {
        self.warnings.push(Change { field, effect: Effect::Ignored, message: message.into() });
    }
}

/// What each look may use.
struct Scene<'a> {
    old: Option<&'a Postgresql>,
    new: &'a Postgresql,
    config: &'a OperatorConfig,
    around: &'a Surroundings,
}

/// A cluster with the pods it would have.
struct Built {
    cluster: Cluster,
    pod: PodSpec,
}

impl Built {
    /// Nothing when the manifest is not valid.
    fn of(manifest: &Postgresql, config: &OperatorConfig) -> Option<Self> {
        let cluster = Cluster::resolve(manifest, config, &References::unread()).ok()?;
        Some(Self { pod: build::pod_spec(&cluster), cluster })
    }
}

/// The place to name when it is the namespace that refuses.
fn namespace() -> FieldPath {
    FieldPath::new("metadata").field("namespace")
}

/// What is around that a manifest, or a change of it, will meet.
pub(super) fn look(
    old: Option<&Postgresql>,
    new: &Postgresql,
    config: &OperatorConfig,
    around: &Surroundings,
) -> Findings {
    let mut findings = Findings::default();
    let scene = Scene { old, new, config, around };
    storage::classes(&scene, &mut findings);
    references::objects(&scene, &mut findings);
    references::clone_source(&scene, &mut findings);
    clash::names(&scene, &mut findings);
    if !scene.pods_are_judged() {
        return findings;
    }
    let Some(built) = Built::of(new, config) else { return findings };
    references::priority_class(&scene, &built, &mut findings);
    pod_security::pods(&scene, &built, &mut findings);
    limits::containers(&scene, &built, &mut findings);
    let before = old.and_then(|old| Built::of(old, config));
    quota::demand(&scene, before.as_ref(), &built, &mut findings);
    findings
}

impl Scene<'_> {
    /// Whether anything here depends on what the pods look like: building them costs more than the rest together.
    fn pods_are_judged(&self) -> bool {
        let names_priority = self.new.spec.pod_priority_class_name.is_some()
            || self.config.kubernetes.pod_priority_class_name.is_some();
        let any = |count: Option<usize>| count.is_some_and(|count| count > 0);
        (names_priority && self.around.priority_classes.is_some())
            || self.around.pod_security.is_some_and(|level| level != Level::Privileged)
            || any(self.around.quotas.as_ref().map(|all| all.len()))
            || any(self.around.limit_ranges.as_ref().map(|all| all.len()))
    }

    fn name(&self) -> String {
        self.new.name_any()
    }
}

#[cfg(test)]
mod tests;
