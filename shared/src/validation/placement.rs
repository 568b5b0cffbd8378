//! Where pods may run and what they are told: tolerations, spreading, scheduler, ids, annotations.
//!
//! The API server would refuse these only with the StatefulSet, minutes after the manifest was accepted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Toleration, TopologySpreadConstraint};

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::{selectors, text};

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Every toleration is one that Kubernetes accepts.
pub(super) fn tolerations(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, toleration) in manifest.spec.tolerations.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("tolerations").index(index);
        one_toleration(&path, toleration, errors);
    }
}

fn one_toleration(path: &FieldPath, toleration: &Toleration, errors: &mut FieldErrors) {
    let [key, operator, value, effect] =
        [&toleration.key, &toleration.operator, &toleration.value, &toleration.effect]
            .map(|text| text.as_deref().unwrap_or_default());
    match operator {
        "Exists" if !value.is_empty() => {
            errors.invalid(path.field("value"), "must be absent with operator Exists; use operator Equal");
        }
        "" | "Equal" if key.is_empty() => {
            errors.required(path.field("key"), "is required, unless operator is Exists");
        }
        "" | "Equal" | "Exists" => {}
        other => {
            let message = format!("\"{other}\" is not supported; choose Equal or Exists");
            errors.not_supported(path.field("operator"), message);
        }
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        let message = format!("\"{effect}\" is not supported; choose {}", EFFECTS.join(", "));
        errors.not_supported(path.field("effect"), message);
    } else if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        errors.invalid(path.field("tolerationSeconds"), "needs effect NoExecute");
    }
    if !key.is_empty() && !text::is_qualified_name(key) {
        errors.invalid(path.field("key"), format!("\"{key}\" cannot be the key of a taint"));
    }
    if !text::is_label_value(value) {
        let message =
            format!("\"{value}\" cannot be the value of a taint; use at most 63 letters, digits, -, _ and .");
        errors.invalid(path.field("value"), message);
    }
}

/// Every constraint on spreading is one that Kubernetes accepts.
pub(super) fn spreading(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut seen = Vec::new();
    for (index, spread) in manifest.spec.topology_spread_constraints.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("topologySpreadConstraints").index(index);
        if spread.max_skew < 1 {
            errors.invalid(path.field("maxSkew"), format!("{} must be at least 1", spread.max_skew));
        }
        if spread.topology_key.is_empty() {
            errors
                .required(path.field("topologyKey"), "is required, for example topology.kubernetes.io/zone");
        } else if !text::is_qualified_name(&spread.topology_key) {
            let message = format!(
                "\"{}\" cannot be a label of nodes; write for example topology.kubernetes.io/zone",
                spread.topology_key
            );
            errors.invalid(path.field("topologyKey"), message);
        }
        details(&path, spread, errors);
        let otherwise = spread.when_unsatisfiable.as_str();
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&otherwise) {
            let message = format!("\"{otherwise}\" is not supported; choose DoNotSchedule or ScheduleAnyway");
            errors.not_supported(path.field("whenUnsatisfiable"), message);
        }
        let pair = (&spread.topology_key, otherwise);
        if seen.contains(&pair) {
            errors.duplicate(
                path,
                format!("{} is spread over with {otherwise} already; remove one", spread.topology_key),
            );
        }
        seen.push(pair);
    }
}

/// What else a constraint may say.
fn details(path: &FieldPath, spread: &TopologySpreadConstraint, errors: &mut FieldErrors) {
    if let Some(least) = spread.min_domains {
        if least < 1 {
            errors.invalid(path.field("minDomains"), format!("{least} must be at least 1"));
        } else if spread.when_unsatisfiable != "DoNotSchedule" {
            errors.invalid(path.field("minDomains"), "needs whenUnsatisfiable: DoNotSchedule");
        }
    }
    for (name, policy) in [
        ("nodeAffinityPolicy", &spread.node_affinity_policy),
        ("nodeTaintsPolicy", &spread.node_taints_policy),
    ] {
        if let Some(policy) = policy.as_deref().filter(|policy| !["Honor", "Ignore"].contains(policy)) {
            let message = format!("\"{policy}\" is not supported; choose Honor or Ignore");
            errors.not_supported(path.field(name), message);
        }
    }
    if let Some(selector) = &spread.label_selector {
        selectors::selector(&path.field("labelSelector"), selector, errors);
    }
}

/// Ids of users and groups.
pub(super) fn ids(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    for (name, id) in [
        ("spiloRunAsUser", spec.spilo_run_as_user),
        ("spiloRunAsGroup", spec.spilo_run_as_group),
        ("spiloFSGroup", spec.spilo_fs_group),
    ] {
        if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
            errors
                .invalid(FieldPath::spec().field(name), format!("{id} is not an id; write 0 to 2147483647"));
        }
    }
}

/// What schedules the pods, and how important they are.
pub(super) fn names(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    for (name, given, what) in [
        ("schedulerName", &spec.scheduler_name, "a scheduler"),
        ("podPriorityClassName", &spec.pod_priority_class_name, "a PriorityClass"),
    ] {
        if let Some(given) = text::given(given).filter(|given| !text::is_dns_1123_subdomain(given)) {
            errors.invalid(
                FieldPath::spec().field(name),
                format!(
                    "\"{given}\" cannot be the name of {what}; use lower-case letters, digits and dashes"
                ),
            );
        }
    }
}

/// Keys of annotations.
pub(super) fn annotations(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    for (name, map) in [
        ("podAnnotations", &spec.pod_annotations),
        ("serviceAnnotations", &spec.service_annotations),
        ("masterServiceAnnotations", &spec.master_service_annotations),
        ("replicaServiceAnnotations", &spec.replica_service_annotations),
    ] {
        for key in
            map.iter().flat_map(BTreeMap::keys).filter(|key| !text::is_qualified_name(&key.to_lowercase()))
        {
            let message =
                format!("\"{key}\" cannot be the key of an annotation; write name or example.com/name");
            errors.invalid(FieldPath::spec().field(name).key(key), message);
        }
    }
}
