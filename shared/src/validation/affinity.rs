//! Node affinity as the API server would check it: terms, weights, operators, labels and their values.

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::selectors;

/// Node affinity with at least one term, each of them readable.
pub(super) fn affinity(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(affinity) = &manifest.spec.node_affinity else { return };
    let root = FieldPath::spec().field("nodeAffinity");
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        let path = root.field("requiredDuringSchedulingIgnoredDuringExecution").field("nodeSelectorTerms");
        if required.node_selector_terms.is_empty() {
            errors.required(path.clone(), "needs at least one term");
        }
        for (index, one) in required.node_selector_terms.iter().enumerate() {
            term(&path.index(index), one, errors);
        }
    }
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (index, one) in preferred.enumerate() {
        let path = root.field("preferredDuringSchedulingIgnoredDuringExecution").index(index);
        if !(1..=100).contains(&one.weight) {
            errors.invalid(path.field("weight"), format!("{} must be between 1 and 100", one.weight));
        }
        term(&path.field("preference"), &one.preference, errors);
    }
}

fn term(path: &FieldPath, term: &NodeSelectorTerm, errors: &mut FieldErrors) {
    for (index, expression) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        selectors::key(&path.field("key"), &expression.key, errors);
        requirement(&path, expression, errors);
    }
    for (index, field) in term.match_fields.iter().flatten().enumerate() {
        let path = path.field("matchFields").index(index);
        if field.key != "metadata.name" {
            let message =
                format!("\"{}\" is not supported; the only field of a node is metadata.name", field.key);
            errors.not_supported(path.field("key"), message);
        }
        if !["In", "NotIn"].contains(&field.operator.as_str()) {
            errors.not_supported(
                path.field("operator"),
                format!("\"{}\" is not supported; choose In or NotIn", field.operator),
            );
        } else if field.values.as_ref().is_none_or(|values| values.len() != 1) {
            errors.invalid(path.field("values"), "must be the name of one node");
        }
    }
}

fn requirement(path: &FieldPath, expression: &NodeSelectorRequirement, errors: &mut FieldErrors) {
    let values = expression.values.as_deref().unwrap_or_default();
    let operator = expression.operator.as_str();
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(path.field("values"), format!("is required with operator {operator}"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(path.field("values"), format!("must be absent with operator {operator}"));
        }
        "Gt" | "Lt" if values.len() != 1 || values.iter().any(|value| value.parse::<i64>().is_err()) => {
            errors.invalid(
                path.field("values"),
                format!("must be one whole number in quotes with operator {operator}"),
            );
        }
        "In" | "NotIn" => {
            for (at, value) in values.iter().enumerate() {
                selectors::label_value(&path.field("values").index(at), value, errors);
            }
        }
        "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => {
            let message =
                format!("\"{other}\" is not supported; choose In, NotIn, Exists, DoesNotExist, Gt or Lt");
            errors.not_supported(path.field("operator"), message);
        }
    }
}
