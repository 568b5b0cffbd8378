//! Whether the namespace's ResourceQuotas leave room for what the members ask for.
//!
//! Counted is what the StatefulSet adds: pods, their requests and limits, claims and storage. The pods of poolers and of
//! backup jobs are not counted, so a warning is never an exaggeration.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Built, Findings, Scene, namespace};
use crate::quantity::Amount;

/// Thousandths of each resource.
type Demand = BTreeMap<String, i128>;

/// What must be on every container once a quota counts it, and the names by which quotas count it.
const COUNTED: &[(&str, bool, &[&str])] = &[
    ("cpu", false, &["requests.cpu", "cpu"]),
    ("memory", false, &["requests.memory", "memory"]),
    ("cpu", true, &["limits.cpu"]),
    ("memory", true, &["limits.memory"]),
];

/// No quota is exceeded by what the change adds.
pub(super) fn demand(scene: &Scene<'_>, before: Option<&Built>, after: &Built, findings: &mut Findings) {
    let Some(quotas) = scene.around.quotas.as_ref().filter(|quotas| !quotas.is_empty()) else { return };
    let (had, wants) = (before.map(of).unwrap_or_default(), of(after));
    for (name, quota) in quotas.iter().filter(|(_, quota)| !quota.scoped) {
        for (resource, hard) in &quota.hard {
            unlimited(scene, name, resource, after, findings);
            let more = wants.get(resource).copied().unwrap_or_default()
                - had.get(resource).copied().unwrap_or_default();
            let used = quota.used.get(resource).copied().unwrap_or_default();
            if more > 0 && used.thousandths() + more > hard.thousandths() {
                let text = |thousandths| text(resource, thousandths);
                findings.warn(
                    namespace(),
                    format!(
                        "ResourceQuota \"{name}\" stops pods now: {resource} {} of {} used, {} more wanted",
                        text(used.thousandths()),
                        text(hard.thousandths()),
                        text(more)
                    ),
                );
            }
        }
    }
}

/// A quota on requests or limits refuses every pod with a container that has none.
fn unlimited(scene: &Scene<'_>, quota: &str, resource: &str, after: &Built, findings: &mut Findings) {
    let counted = COUNTED.iter().find(|(_, _, names)| names.contains(&resource));
    let Some((what, is_limit, _)) = counted else { return };
    // Defaults of a LimitRange would fill it in.
    let filled = scene.around.limit_ranges.iter().flat_map(|all| all.values()).flatten();
    if filled.into_iter().any(|item| item.default.is_some() || item.default_request.is_some()) {
        return;
    }
    let bare = containers(after).find(|container| amount(container, what, *is_limit).is_none());
    if let Some(container) = bare {
        let kind = if *is_limit { "limit" } else { "request" };
        let message = format!(
            "ResourceQuota \"{quota}\" refuses pods now: container {} has no {what} {kind}",
            container.name
        );
        findings.warn(namespace(), message);
    }
}

fn containers(built: &Built) -> impl Iterator<Item = &Container> {
    built.pod.containers.iter().chain(built.pod.init_containers.iter().flatten())
}

/// What all members ask for together.
fn of(built: &Built) -> Demand {
    let members = i128::from(built.cluster.members.max(0));
    let mut demand = Demand::new();
    for key in ["pods", "count/pods", "persistentvolumeclaims", "count/persistentvolumeclaims"] {
        demand.insert(key.to_owned(), members * 1000);
    }
    for (what, is_limit, names) in COUNTED {
        let each = per_pod(built, what, *is_limit);
        demand.extend(names.iter().map(|name| ((*name).to_owned(), each * members)));
    }
    let size = built.cluster.volume.size.parse::<Amount>().unwrap_or_default().thousandths();
    demand.insert("requests.storage".to_owned(), size * members);
    if let Some(class) = &built.cluster.volume.storage_class {
        let of_class = format!("{class}.storageclass.storage.k8s.io");
        demand.insert(format!("{of_class}/requests.storage"), size * members);
        demand.insert(format!("{of_class}/persistentvolumeclaims"), members * 1000);
    }
    demand
}

/// What Kubernetes counts for a pod: its containers together, or its largest init container if that is more.
fn per_pod(built: &Built, what: &str, is_limit: bool) -> i128 {
    let of = |container: &Container| amount(container, what, is_limit).unwrap_or_default().thousandths();
    let together: i128 = built.pod.containers.iter().map(of).sum();
    let first = built.pod.init_containers.iter().flatten().map(of).max().unwrap_or_default();
    together.max(first)
}

/// What a container asks for. A limit stands for a request that is not given.
pub(super) fn amount(container: &Container, what: &str, is_limit: bool) -> Option<Amount> {
    let resources = container.resources.as_ref()?;
    let limit = resources.limits.as_ref().and_then(|all| all.get(what));
    let request = resources.requests.as_ref().and_then(|all| all.get(what));
    let Quantity(text) = if is_limit { limit } else { request.or(limit) }?;
    text.parse().ok()
}

/// An amount as a person writes it: cores and counts in units or `m`, bytes in Mi or Gi.
fn text(resource: &str, thousandths: i128) -> String {
    let is_bytes =
        resource.contains("memory") || resource.contains("storage") && !resource.contains("claims");
    let (units, rest) = (thousandths / 1000, thousandths % 1000);
    if !is_bytes {
        return if rest == 0 { units.to_string() } else { format!("{thousandths}m") };
    }
    for (shift, suffix) in [(30, "Gi"), (20, "Mi"), (10, "Ki")] {
        if units >= 1 << shift && units % (1 << shift) == 0 {
            return format!("{}{suffix}", units >> shift);
        }
    }
    units.to_string()
}
