//! Whether Pod Security lets the pods into the namespace.
//!
//! The rules are those of <https://kubernetes.io/docs/concepts/security/pod-security-standards/>, as far as a pod that
//! we build can break them: a member shares no namespace of its host, and has no host ports but in sidecars.

use k8s_openapi::api::core::v1::{Container, PodSpec, SecurityContext, Volume};
use serde_json::Value;

use super::{Built, Findings, Scene, namespace};
use crate::config::restricted;

/// The label of a namespace with the level that is enforced there.
pub const LEVEL_LABEL: &str = "pod-security.kubernetes.io/enforce";

/// How much a pod may do. The larger, the less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    #[default]
    Privileged,
    /// Nothing that leads out of the pod.
    Baseline,
    /// Only what is good practice.
    Restricted,
}

impl Level {
    /// Reads the value of the label; without one, everything is allowed.
    pub fn of(label: Option<&str>) -> Self {
        match label {
            Some("restricted") => Self::Restricted,
            Some("baseline") => Self::Baseline,
            _ => Self::Privileged,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// What a container may add under `baseline`.
const HARMLESS: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The pods are let in.
pub(super) fn pods(scene: &Scene<'_>, built: &Built, findings: &mut Findings) {
    let Some(level) = scene.around.pod_security.filter(|level| *level != Level::Privileged) else { return };
    let mut reasons = baseline(&built.pod);
    if level == Level::Restricted {
        reasons.extend(beyond_baseline(&built.pod));
    }
    if reasons.is_empty() {
        return;
    }
    let shown: Vec<&str> = reasons.iter().take(3).map(String::as_str).collect();
    let more = reasons.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    findings.warn(
        namespace(),
        format!("Pod Security \"{}\" refuses the pods now: {}{more}", level.as_str(), shown.join(", ")),
    );
}

fn containers(pod: &PodSpec) -> impl Iterator<Item = (&Container, SecurityContext)> {
    let all = pod.init_containers.iter().flatten().chain(&pod.containers);
    all.map(|container| (container, container.security_context.clone().unwrap_or_default()))
}

/// The capabilities that a container adds and that are forbidden to it.
fn adds(container: &str, security: &SecurityContext, is_forbidden: impl Fn(&str) -> bool) -> Option<String> {
    let added = security.capabilities.iter().flat_map(|all| all.add.iter().flatten());
    let forbidden: Vec<&str> = added.map(String::as_str).filter(|added| is_forbidden(added)).collect();
    (!forbidden.is_empty()).then(|| format!("{container} adds {}", forbidden.join(" ")))
}

fn baseline(pod: &PodSpec) -> Vec<String> {
    let mut reasons = Vec::new();
    for (container, security) in containers(pod) {
        let name = &container.name;
        if security.privileged == Some(true) {
            reasons.push(format!("{name} is privileged"));
        }
        reasons.extend(adds(name, &security, |added| !HARMLESS.contains(&added)));
        if container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port != 0)) {
            reasons.push(format!("{name} has a host port"));
        }
    }
    let on_host = |volume: &&Volume| volume.host_path.is_some();
    reasons.extend(
        pod.volumes.iter().flatten().find(on_host).map(|volume| format!("{} is a hostPath", volume.name)),
    );
    reasons
}

/// What `restricted` forbids and `baseline` does not.
fn beyond_baseline(pod: &PodSpec) -> Vec<String> {
    let mut reasons = Vec::new();
    let whole = pod.security_context.clone().unwrap_or_default();
    for (container, security) in containers(pod) {
        let name = &container.name;
        if security.allow_privilege_escalation != Some(false) {
            reasons.push(format!("{name} allows privilege escalation"));
        }
        if security.run_as_non_root.or(whole.run_as_non_root) != Some(true) {
            reasons.push(format!("{name} has no runAsNonRoot"));
        }
        if security.run_as_user.or(whole.run_as_user) == Some(0) {
            reasons.push(format!("{name} runs as root"));
        }
        let dropped = security.capabilities.as_ref().and_then(|all| all.drop.as_ref());
        if !dropped.is_some_and(|dropped| dropped.iter().any(|name| name == "ALL")) {
            reasons.push(format!("{name} does not drop ALL capabilities"));
        }
        // What is forbidden at both levels has been told.
        reasons.extend(adds(name, &security, |added| {
            added != restricted::HARMLESS && HARMLESS.contains(&added)
        }));
        let profile = security.seccomp_profile.as_ref().or(whole.seccomp_profile.as_ref());
        if !profile.is_some_and(|profile| ["RuntimeDefault", "Localhost"].contains(&profile.type_.as_str())) {
            reasons.push(format!("{name} has no seccomp profile"));
        }
    }
    reasons.extend(pod.volumes.iter().flatten().filter_map(kind_beyond_baseline));
    reasons
}

/// The kind of a volume that `restricted` does not let in and `baseline` does.
fn kind_beyond_baseline(volume: &Volume) -> Option<String> {
    let fields = serde_json::to_value(volume).ok()?;
    let is_let_in =
        |field: &str| field == "name" || field == "hostPath" || restricted::VOLUMES.contains(&field);
    let kind =
        fields.as_object()?.iter().find(|(field, value)| !is_let_in(field) && **value != Value::Null)?.0;
    Some(format!("{} is a volume of kind {kind}", volume.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_thing_is_told_at_the_level_that_forbids_it_first() {
        let restrained = json!({
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 101,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "seccompProfile": {"type": "RuntimeDefault"},
        });
        let mut pod = json!({
            "containers": [{"name": "postgres", "securityContext": restrained}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        });
        let told = |pod: &Value| {
            let pod: PodSpec = serde_json::from_value(pod.clone()).unwrap();
            (baseline(&pod), beyond_baseline(&pod))
        };
        assert_eq!(told(&pod), (Vec::new(), Vec::new()));

        let context = &mut pod["containers"][0]["securityContext"];
        context["capabilities"]["add"] = json!(["CHOWN", "SYS_ADMIN"]);
        context["runAsUser"] = json!(0);
        pod["volumes"] = json!([
            {"name": "share", "nfs": {"server": "files", "path": "/"}},
            {"name": "host", "hostPath": {"path": "/"}},
        ]);
        let (baseline, beyond) = told(&pod);
        assert_eq!(baseline, ["postgres adds SYS_ADMIN", "host is a hostPath"]);
        assert_eq!(beyond, ["postgres runs as root", "postgres adds CHOWN", "share is a volume of kind nfs"]);
    }
}
