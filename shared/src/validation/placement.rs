//! Where pods may run and what they are told: tolerations, affinity, spreading, ids, probe, annotations.
//!
//! The API server would refuse these only with the StatefulSet, minutes after the manifest was accepted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorTerm, Toleration};

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::text;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Every toleration is one that Kubernetes accepts.
pub(super) fn tolerations(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, toleration) in manifest.spec.tolerations.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("tolerations").index(index);
        one_toleration(&path, toleration, errors);
    }
}

fn one_toleration(path: &FieldPath, toleration: &Toleration, errors: &mut FieldErrors) {
    let text_of = |value: &Option<String>| value.clone().unwrap_or_default();
    let (key, operator) = (text_of(&toleration.key), text_of(&toleration.operator));
    let (value, effect) = (text_of(&toleration.value), text_of(&toleration.effect));
    match operator.as_str() {
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
    if !effect.is_empty() && !EFFECTS.contains(&effect.as_str()) {
        let message = format!("\"{effect}\" is not supported; choose {}", EFFECTS.join(", "));
        errors.not_supported(path.field("effect"), message);
    } else if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        errors.invalid(path.field("tolerationSeconds"), "needs effect NoExecute");
    }
    if !key.is_empty() && !text::is_qualified_name(&key) {
        errors.invalid(path.field("key"), format!("\"{key}\" cannot be the key of a taint"));
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
        }
        let otherwise = spread.when_unsatisfiable.as_str();
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&otherwise) {
            let message = format!("\"{otherwise}\" is not supported; choose DoNotSchedule or ScheduleAnyway");
            errors.not_supported(path.field("whenUnsatisfiable"), message);
        }
        let pair = (&spread.topology_key, otherwise);
        if seen.contains(&pair) {
            errors
                .duplicate(path, format!("{} is spread over with {otherwise} already", spread.topology_key));
        }
        seen.push(pair);
    }
}

/// Node affinity with at least one term, each of them readable.
pub(super) fn affinity(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(affinity) = &manifest.spec.node_affinity else { return };
    let root = FieldPath::spec().field("nodeAffinity");
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        let path = root.field("requiredDuringSchedulingIgnoredDuringExecution").field("nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            errors.required(path.clone(), "needs at least one term");
        }
        for (index, term) in required.node_selector_terms.iter().enumerate() {
            expressions(&path.index(index), term, errors);
        }
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (index, term) in preferred.enumerate() {
        let path = root.field("preferredDuringSchedulingIgnoredDuringExecution").index(index);
        if !(1..=100).contains(&term.weight) {
            errors.invalid(path.field("weight"), format!("{} must be between 1 and 100", term.weight));
        }
        expressions(&path.field("preference"), &term.preference, errors);
    }
}

fn expressions(path: &FieldPath, term: &NodeSelectorTerm, errors: &mut FieldErrors) {
    for (index, expression) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        let values = expression.values.as_deref().unwrap_or_default().len();
        match expression.operator.as_str() {
            "In" | "NotIn" if values == 0 => {
                errors.required(
                    path.field("values"),
                    format!("is required with operator {}", expression.operator),
                );
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let message = format!("must be absent with operator {}", expression.operator);
                errors.forbidden(path.field("values"), message);
            }
            "Gt" | "Lt" if values != 1 => {
                let message = format!("must be one number with operator {}", expression.operator);
                errors.invalid(path.field("values"), message);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => {
                let message =
                    format!("\"{other}\" is not supported; choose In, NotIn, Exists, DoesNotExist, Gt or Lt");
                errors.not_supported(path.field("operator"), message);
            }
        }
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

/// A probe asks in exactly one way.
pub(super) fn liveness_probe(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(probe) = &manifest.spec.liveness_probe else { return };
    let path = FieldPath::spec().field("livenessProbe");
    let ways =
        [probe.exec.is_some(), probe.grpc.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        errors.invalid(path.clone(), "needs exactly one of exec, grpc, httpGet and tcpSocket");
    }
    for (name, number) in [
        ("failureThreshold", probe.failure_threshold),
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("periodSeconds", probe.period_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
    ] {
        if let Some(number) = number.filter(|number| *number < 0) {
            errors.invalid(path.field(name), format!("{number} is negative"));
        }
    }
    if probe.success_threshold.is_some_and(|number| number > 1) {
        errors.invalid(path.field("successThreshold"), "must be 1 for a liveness probe");
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
