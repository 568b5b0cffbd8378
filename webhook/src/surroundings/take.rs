//! What is kept of an object: no more than decisions read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, Namespace, ResourceQuota};
use k8s_openapi::api::storage::v1::StorageClass as KubernetesStorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kube::api::{DynamicObject, PartialObjectMeta};
use shared::admission::readable_team;
use shared::admission::surroundings::{LEVEL_LABEL, Level, Quota, StorageClass, StoredManifest};
use shared::api::PostgresTeam;
use shared::quantity::Amount;

/// The mark of the class that is taken where none is named.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// A manifest, as text.
pub(super) fn manifest(object: &DynamicObject) -> StoredManifest {
    StoredManifest::of(&serde_json::to_value(object).unwrap_or_default())
}

/// What a team says.
pub(super) fn team(object: &DynamicObject) -> PostgresTeam {
    readable_team(&serde_json::to_value(object).unwrap_or_default())
}

/// That it is there.
pub(super) fn name<K>(_: &PartialObjectMeta<K>) {}

/// What a StorageClass can do.
pub(super) fn storage_class(class: &KubernetesStorageClass) -> StorageClass {
    StorageClass {
        expandable: class.allow_volume_expansion.unwrap_or(false),
        default: class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true"),
    }
}

/// What Pod Security enforces in a namespace.
pub(super) fn level(namespace: &PartialObjectMeta<Namespace>) -> Level {
    Level::of(namespace.labels().get(LEVEL_LABEL).map(String::as_str))
}

/// What a quota allows and what is used of it.
pub(super) fn quota(quota: &ResourceQuota) -> Quota {
    let (spec, status) = (quota.spec.as_ref(), quota.status.as_ref());
    let scopes = spec.is_some_and(|spec| spec.scopes.as_ref().is_some_and(|scopes| !scopes.is_empty()));
    Quota {
        hard: amounts(spec.and_then(|spec| spec.hard.as_ref())),
        used: amounts(status.and_then(|status| status.used.as_ref())),
        scoped: scopes || spec.is_some_and(|spec| spec.scope_selector.is_some()),
    }
}

/// The bounds of a LimitRange.
pub(super) fn limit_range(range: &LimitRange) -> Vec<LimitRangeItem> {
    range.spec.as_ref().map(|spec| spec.limits.clone()).unwrap_or_default()
}

fn amounts(all: Option<&BTreeMap<String, Quantity>>) -> BTreeMap<String, Amount> {
    let all = all.into_iter().flatten();
    all.filter_map(|(name, Quantity(text))| Some((name.clone(), text.parse().ok()?))).collect()
}
