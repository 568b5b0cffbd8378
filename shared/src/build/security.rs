//! What pods and their containers may do on their node: what is configured, or as little as Pod Security `restricted` asks.
//!
//! Every builder of a pod asks here. Where pods are not restricted, nothing is said beyond what upstream says: each word
//! more would outdate every pod there is.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, SeccompProfile, SecurityContext,
};

use crate::cluster::pod::Security;

/// The context of a pod that runs as this user and group.
pub(super) fn of_pod(security: &Security, user: Option<i64>, group: Option<i64>) -> PodSecurityContext {
    let profile = || SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None };
    PodSecurityContext {
        run_as_user: user,
        run_as_group: group,
        fs_group: security.volume_group,
        run_as_non_root: security.restricted.then_some(true),
        seccomp_profile: security.restricted.then(profile),
        ..PodSecurityContext::default()
    }
}

/// The context of a container from Spilo's or the backups' image.
pub(super) fn of_container(security: &Security) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(security.privilege_escalation),
        privileged: Some(security.privileged),
        read_only_root_filesystem: Some(false),
        ..SecurityContext::default()
    }
}

/// The container, and what it does not say itself as restricted as its pod.
pub(super) fn restrained(security: &Security, mut container: Container) -> Container {
    if security.restricted {
        let context = container.security_context.get_or_insert_default();
        context.allow_privilege_escalation.get_or_insert(false);
        context.capabilities.get_or_insert_with(Capabilities::default).drop = Some(vec!["ALL".to_owned()]);
    }
    container
}
