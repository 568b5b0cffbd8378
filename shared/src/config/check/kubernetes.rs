//! Images, names of objects, sidecars, and what the pods run as.

use std::collections::BTreeSet;

use super::syntax::{capability, is_dns_label, is_dns_name, is_image};
use crate::config::OperatorConfig;
use crate::config::reading::Findings;
use crate::config::restricted::{OPTION, contradictions};

/// Images can be pulled, as far as their names go.
pub(super) fn images(config: &OperatorConfig, findings: &mut Findings) {
    let single = [
        ("docker_image", Some(&config.general.docker_image)),
        ("logical_backup_docker_image", Some(&config.logical_backup.docker_image)),
        ("connection_pooler_image", Some(&config.connection_pooler.image)),
        ("scalyr_image", config.scalyr.image.as_ref()),
    ];
    let single = single.into_iter().filter_map(|(leaf, image)| Some((leaf, image?)));
    let mapped = config.general.sidecar_docker_images.values().map(|image| ("sidecar_docker_images", image));
    for (leaf, image) in single.chain(mapped) {
        if !is_image(image) {
            findings.error(leaf, format!("has {image:?}; write an image like registry.example.com/name:tag"));
        }
    }
}

/// Names of objects and domains are names.
pub(super) fn names(config: &OperatorConfig, findings: &mut Findings) {
    let (kubernetes, cloud) = (&config.kubernetes, &config.aws_or_gcp);
    let prefix = format!("{}x", config.logical_backup.job_prefix);
    for (leaf, name) in [
        ("pod_service_account_name", Some(&kubernetes.pod_service_account_name)),
        ("pod_environment_secret", kubernetes.pod_environment_secret.as_ref()),
        ("pod_priority_class_name", kubernetes.pod_priority_class_name.as_ref()),
        ("cluster_domain", Some(&kubernetes.cluster_domain)),
        ("db_hosted_zone", Some(&config.load_balancer.db_hosted_zone)),
        ("additional_secret_mount", cloud.additional_secret_mount.as_ref()),
        (
            "logical_backup_cronjob_environment_secret",
            config.logical_backup.cronjob_environment_secret.as_ref(),
        ),
        ("logical_backup_job_prefix", Some(&prefix)),
    ] {
        if name.is_some_and(|name| !is_dns_name(name)) {
            findings.error(leaf, "is not a name; use lower-case letters, digits, - and .");
        }
    }
    let watched = kubernetes.watched_namespace.as_deref().filter(|namespace| *namespace != "*");
    if watched.is_some_and(|namespace| !is_dns_label(namespace)) {
        findings.error("watched_namespace", "is not a namespace; write its name, or * for every namespace");
    }
}

/// Sidecars have names of their own.
pub(super) fn sidecars(config: &OperatorConfig, findings: &mut Findings) {
    let general = &config.general;
    let mut taken = BTreeSet::from(["postgres"]);
    let listed = general.sidecars.iter().map(|sidecar| ("sidecars", sidecar.name.as_str()));
    let mapped = general.sidecar_docker_images.keys().map(|name| ("sidecar_docker_images", name.as_str()));
    for (leaf, name) in listed.chain(mapped) {
        if !is_dns_label(name) {
            findings.error(leaf, format!("has the name {name:?}; use lower-case letters, digits and -"));
        } else if !taken.insert(name) {
            findings.error(leaf, format!("has the name {name}, which another container has; choose another"));
        }
    }
}

/// The embedded definitions are of the pods' own service account.
pub(super) fn pod_identity(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    let account = &kubernetes.pod_service_account_name;
    let defined = kubernetes.pod_service_account_definition.as_ref();
    if let Some(name) = defined.and_then(|definition| definition.metadata.name.as_ref())
        && name != account
    {
        let message =
            format!("is named {name}, but will be named {account}, as pod_service_account_name says");
        findings.warn("pod_service_account_definition", message);
    }
    let leaf = "pod_service_account_role_binding_definition";
    if let Some(binding) = &kubernetes.pod_service_account_role_binding_definition {
        let mut subjects = binding.subjects.iter().flatten();
        if !subjects.any(|subject| subject.kind == "ServiceAccount" && subject.name == *account) {
            findings.error(leaf, format!("has no subject of kind ServiceAccount named {account}; add it"));
        }
        if binding.role_ref.name.is_empty() {
            findings.error(leaf, "has no roleRef.name; name the Role or ClusterRole it binds to");
        }
    }
}

/// Capabilities are Linux's, and privileges do not contradict each other.
pub(super) fn security(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    for name in &kubernetes.additional_pod_capabilities {
        if let Err(message) = capability(name) {
            findings.error("additional_pod_capabilities", message);
        }
    }
    if kubernetes.spilo_privileged && !kubernetes.spilo_allow_privilege_escalation {
        let message = "is false, but Kubernetes refuses that of a privileged container; set spilo_privileged to false too";
        findings.error("spilo_allow_privilege_escalation", message);
    }
}

/// Where pods are to be restricted, nothing asks for what that takes away.
///
/// `spilo_allow_privilege_escalation` counts as false then: its default is true, so it says nothing about a wish.
pub(super) fn restricted(config: &OperatorConfig, findings: &mut Findings) {
    let (kubernetes, general) = (&config.kubernetes, &config.general);
    if !kubernetes.enable_restricted_pods {
        return;
    }
    let choose = format!("but {OPTION} is true; choose one of the two");
    if kubernetes.spilo_privileged {
        findings.error("spilo_privileged", format!("is true, {choose}"));
    }
    if !kubernetes.additional_pod_capabilities.is_empty() {
        let names = kubernetes.additional_pod_capabilities.join(", ");
        findings.error("additional_pod_capabilities", format!("has {names}, {choose}"));
    }
    if kubernetes.spilo_runasuser == Some(0) {
        let message =
            format!("is 0, which is root, but {OPTION} is true; leave it out for 101, the image's postgres");
        findings.error("spilo_runasuser", message);
    }
    for sidecar in &general.sidecars {
        let context = sidecar.security_context.clone().unwrap_or_default();
        for (field, wrong) in contradictions(&context) {
            let name = &sidecar.name;
            findings.error("sidecars", format!("{name}: securityContext.{field} {wrong}, {choose}"));
        }
    }
}

/// The toleration of all pods is one that Kubernetes accepts.
pub(super) fn toleration(config: &OperatorConfig, findings: &mut Findings) {
    let Some(toleration) = &config.kubernetes.toleration else { return };
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let (operator, effect) = (given(&toleration.operator), given(&toleration.effect));
    let leaf = "toleration";
    match operator.as_str() {
        "Exists" if !given(&toleration.value).is_empty() => {
            findings.error(leaf, "has a value with operator Exists; remove the value, or use Equal");
        }
        "" | "Equal" if given(&toleration.key).is_empty() => {
            findings.error(leaf, "has no key; name the key of a taint, or use operator Exists");
        }
        "" | "Equal" | "Exists" => {}
        other => findings.error(leaf, format!("has the operator {other:?}; choose Equal or Exists")),
    }
    if !["", "NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect.as_str()) {
        findings.error(
            leaf,
            format!("has the effect {effect:?}; choose NoSchedule, PreferNoSchedule or NoExecute"),
        );
    }
}

/// Two annotations that protect from deletion are two: one value cannot be a day and a name.
pub(super) fn protection(config: &OperatorConfig, findings: &mut Findings) {
    let kubernetes = &config.kubernetes;
    let (date, name) = (&kubernetes.delete_annotation_date_key, &kubernetes.delete_annotation_name_key);
    if date.is_some() && date == name {
        findings.error(
            "delete_annotation_name_key",
            "is also delete_annotation_date_key, so no cluster could be deleted; choose another key",
        );
    }
    if kubernetes.enable_owner_references && (date.is_some() || name.is_some()) {
        let leaf = if date.is_some() { "delete_annotation_date_key" } else { "delete_annotation_name_key" };
        findings.warn(
            leaf,
            "protects nothing with enable_owner_references: Kubernetes deletes what belongs to a cluster",
        );
    }
}

/// What still works but is on its way out.
pub(super) fn deprecated(config: &OperatorConfig, findings: &mut Findings) {
    let (general, kubernetes) = (&config.general, &config.kubernetes);
    for (leaf, is_used, instead) in [
        ("sidecar_docker_images", !general.sidecar_docker_images.is_empty(), "sidecars"),
        (
            "infrastructure_roles_secret_name",
            kubernetes.infrastructure_roles_secret_name.is_some(),
            "infrastructure_roles_secrets",
        ),
        ("scalyr_image", config.scalyr.image.is_some(), "sidecars"),
    ] {
        if is_used {
            findings.warn(leaf, format!("is deprecated; use {instead}"));
        }
    }
    if !general.kubernetes_use_configmaps && general.etcd_host.is_none() {
        let message = "is false: Patroni keeps its state in Endpoints, which Kubernetes deprecates. \
                       Migrate clusters one by one, with one instance running";
        findings.warn("kubernetes_use_configmaps", message);
    }
}
