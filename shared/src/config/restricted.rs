//! What a container or a volume may not ask for where the operator makes restricted pods (`enable_restricted_pods`).
//!
//! Asked by the checks of the configuration, for its sidecars, and of manifests. What is merely not said is no
//! contradiction: the builders say it. The rules are those of the level `restricted` of
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, as far as a container's own settings break them.

use k8s_openapi::api::core::v1::SecurityContext;

/// The option, for messages.
pub(crate) const OPTION: &str = "enable_restricted_pods";

/// The kinds of volumes that are let in.
pub(crate) const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What is kept of the capabilities that a container may add.
pub(crate) const HARMLESS: &str = "NET_BIND_SERVICE";

/// The fields of a container's security context that stand against the option, each with what is wrong with it.
pub(crate) fn contradictions(context: &SecurityContext) -> Vec<(&'static str, String)> {
    let added = context.capabilities.iter().flat_map(|all| all.add.iter().flatten());
    let added: Vec<&str> = added.map(String::as_str).filter(|name| *name != HARMLESS).collect();
    let profile = context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    [
        ("privileged", context.privileged == Some(true), "is true".to_owned()),
        ("allowPrivilegeEscalation", context.allow_privilege_escalation == Some(true), "is true".to_owned()),
        ("capabilities.add", !added.is_empty(), format!("has {}", added.join(", "))),
        ("runAsNonRoot", context.run_as_non_root == Some(false), "is false".to_owned()),
        ("runAsUser", context.run_as_user == Some(0), "is 0, which is root".to_owned()),
        ("seccompProfile.type", profile == Some("Unconfined"), "is Unconfined".to_owned()),
        ("procMount", context.proc_mount.as_deref() == Some("Unmasked"), "is Unmasked".to_owned()),
    ]
    .into_iter()
    .filter_map(|(field, contradicts, words)| contradicts.then_some((field, words)))
    .collect()
}
