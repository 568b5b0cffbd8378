//! Labels and annotations: that Kubernetes takes them, and that they do not get into each other's way.

use regex::Regex;

use super::syntax::{is_label_key, is_label_value};
use crate::config::OperatorConfig;
use crate::config::reading::Findings;
use crate::labels;

/// Labels that mean something to the operator, besides those that the configuration names.
const OURS: &[&str] = &["team", "critical-operation"];

/// Every label and annotation has a legal key.
pub(super) fn keys(config: &OperatorConfig, findings: &mut Findings) {
    let (general, kubernetes) = (&config.general, &config.kubernetes);
    let single = [
        ("cluster_name_label", Some(&kubernetes.cluster_name_label)),
        ("pod_role_label", Some(&kubernetes.pod_role_label)),
        ("pod_antiaffinity_topology_key", Some(&kubernetes.pod_antiaffinity_topology_key)),
        ("delete_annotation_date_key", kubernetes.delete_annotation_date_key.as_ref()),
        ("delete_annotation_name_key", kubernetes.delete_annotation_name_key.as_ref()),
        ("ignore_instance_limits_annotation_key", general.ignore_instance_limits_annotation_key.as_ref()),
        ("ignore_resources_limits_annotation_key", general.ignore_resources_limits_annotation_key.as_ref()),
    ];
    let lists = [
        ("inherited_labels", &kubernetes.inherited_labels),
        ("inherited_annotations", &kubernetes.inherited_annotations),
        ("ignored_annotations", &kubernetes.ignored_annotations),
    ];
    let maps = [
        ("cluster_labels", &kubernetes.cluster_labels),
        ("node_readiness_label", &kubernetes.node_readiness_label),
        ("custom_pod_annotations", &kubernetes.custom_pod_annotations),
        ("custom_service_annotations", &config.load_balancer.custom_service_annotations),
    ];
    let single = single.into_iter().filter_map(|(leaf, key)| Some((leaf, key?)));
    let listed = lists.into_iter().flat_map(|(leaf, keys)| keys.iter().map(move |key| (leaf, key)));
    let mapped = maps.into_iter().flat_map(|(leaf, map)| map.keys().map(move |key| (leaf, key)));
    for (leaf, key) in single.chain(listed).chain(mapped) {
        if !is_label_key(key) {
            findings.error(leaf, format!("has {key:?}; write a key like name or example.com/name"));
        }
    }
}

/// Every label has a legal value.
pub(super) fn values(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    for (leaf, map) in [
        ("cluster_labels", &kubernetes.cluster_labels),
        ("node_readiness_label", &kubernetes.node_readiness_label),
    ] {
        for (key, value) in map.iter().filter(|(_, value)| !is_label_value(value)) {
            let message = "write at most 63 letters, digits, -, _ and .";
            findings.error(leaf, format!("has {value:?} for {key}; {message}"));
        }
    }
}

/// The labels that select are different ones.
pub(super) fn apart(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    if kubernetes.cluster_name_label == kubernetes.pod_role_label {
        findings.error("pod_role_label", "is also cluster_name_label; they must be two labels");
    }
    for (leaf, key) in [
        ("cluster_name_label", &kubernetes.cluster_name_label),
        ("pod_role_label", &kubernetes.pod_role_label),
    ] {
        if kubernetes.cluster_labels.contains_key(key) {
            findings.error("cluster_labels", format!("has {key}, which is {leaf}; choose another key"));
        }
    }
}

/// Poolers and backups are told from databases by one label, which the databases must have too.
pub(super) fn application(config: &OperatorConfig, findings: &mut Findings) {
    match config.kubernetes.cluster_labels.get(labels::APPLICATION).map(String::as_str) {
        None => {
            let message = "lacks application, by which poolers and backups are told from databases: their pods count as \
                           members; add application:spilo before the first cluster is made";
            findings.warn("cluster_labels", message);
        }
        Some(taken @ (labels::POOLER | labels::LOGICAL_BACKUP)) => {
            let message =
                format!("has application:{taken}, which is not for databases; write application:spilo");
            findings.error("cluster_labels", message);
        }
        Some(_) => {}
    }
}

/// A manifest cannot overwrite a label that the operator selects by: pods would drop out of their Services.
pub(super) fn inherited(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    for label in &kubernetes.inherited_labels {
        let selects = OURS.contains(&label.as_str())
            || *label == kubernetes.cluster_name_label
            || *label == kubernetes.pod_role_label
            || kubernetes.cluster_labels.contains_key(label);
        if selects {
            findings
                .error("inherited_labels", format!("has {label}, by which the operator selects; remove it"));
        }
    }
}

/// Regular expressions compile.
pub(super) fn expressions(config: &OperatorConfig, findings: &mut Findings) {
    for expression in &config.kubernetes.downscaler_annotations {
        if Regex::new(expression).is_err() {
            let message =
                format!("has {expression:?}, which is no regular expression; write one like downscaler/.*");
            findings.error("downscaler_annotations", message);
        }
    }
}
