//! Init containers as the API server would check them: volumes they mount, ports, policies, variables, capabilities.
//!
//! A manifest's init containers go into the pods as they are, so a mistake shows up as a StatefulSet that makes no pod.

use k8s_openapi::api::core::v1::Container;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::config::syntax;
use crate::field::{FieldErrors, FieldPath};
use crate::names::DATA_VOLUME;

use super::environment;

pub(super) fn containers(manifest: &Postgresql) -> impl Iterator<Item = (FieldPath, &Container)> {
    let path = FieldPath::spec().field("initContainers");
    let listed = manifest.spec.init_containers.iter().flatten().enumerate();
    listed.map(move |(index, container)| (path.index(index), container))
}

/// What they mount is a volume of the pod, each at a place of its own.
pub(super) fn mounts(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let mut known: Vec<&str> = vec![DATA_VOLUME, "dshm", "postgresql-run"];
    known.extend(spec.additional_volumes.iter().flatten().map(|volume| volume.name.as_str()));
    known.extend(spec.tls.iter().map(|tls| tls.secret_name.as_str()));
    known.extend(spec.tls.iter().filter_map(|tls| tls.ca_secret_name.as_deref()));
    known.extend(config.aws_or_gcp.additional_secret_mount.as_deref());
    for (path, container) in containers(manifest) {
        let mut taken: Vec<&str> = Vec::new();
        for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let path = path.field("volumeMounts").index(at);
            let place = mount.mount_path.as_str();
            if !known.contains(&mount.name.as_str()) {
                let message = format!(
                    "\"{}\" is no volume of the pods; mount {DATA_VOLUME}, or one of spec.additionalVolumes",
                    mount.name
                );
                errors.invalid(path.field("name"), message);
            }
            if place.is_empty() {
                errors.required(
                    path.field("mountPath"),
                    "is required: where in the container the volume is mounted",
                );
            } else if taken.contains(&place) {
                errors.duplicate(
                    path.field("mountPath"),
                    format!("{place} holds another volume already; mount elsewhere"),
                );
            }
            taken.push(place);
        }
    }
}

/// Words of which Kubernetes knows a few.
pub(super) fn policies(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, container) in containers(manifest) {
        for (name, word, known) in [
            ("imagePullPolicy", &container.image_pull_policy, &["Always", "IfNotPresent", "Never"][..]),
            ("restartPolicy", &container.restart_policy, &["Always", "OnFailure", "Never"][..]),
            (
                "terminationMessagePolicy",
                &container.termination_message_policy,
                &["File", "FallbackToLogsOnError"][..],
            ),
        ] {
            if let Some(word) = word.as_deref().filter(|word| !known.contains(word)) {
                errors.not_supported(
                    path.field(name),
                    format!("\"{word}\" is not supported; choose {}", known.join(", ")),
                );
            }
        }
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let probes = [
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ];
        for (name, _) in probes.into_iter().filter(|(_, given)| *given && !sidecar) {
            errors.forbidden(
                path.field(name),
                "is only for init containers that go on running (restartPolicy: Always)",
            );
        }
    }
}

/// Their variables.
pub(super) fn variables(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, container) in containers(manifest) {
        let variables = container.env.as_deref().unwrap_or_default();
        environment::list(&path.field("env"), variables, &|_| None, errors);
    }
}

/// Capabilities are written without `CAP_`, and privileges do not contradict each other.
pub(super) fn security(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, container) in containers(manifest) {
        let Some(context) = &container.security_context else { continue };
        let path = path.field("securityContext");
        let capabilities = context.capabilities.as_ref();
        for (side, names) in [
            ("add", capabilities.and_then(|capabilities| capabilities.add.as_deref())),
            ("drop", capabilities.and_then(|capabilities| capabilities.drop.as_deref())),
        ] {
            for (at, name) in names.into_iter().flatten().enumerate() {
                if let Err(message) = syntax::capability(name) {
                    errors.invalid(path.field("capabilities").field(side).index(at), message);
                }
            }
        }
        if context.privileged == Some(true) && context.allow_privilege_escalation == Some(false) {
            let message = "cannot be false for a privileged container; remove one of the two";
            errors.invalid(path.field("allowPrivilegeEscalation"), message);
        }
        if context.run_as_non_root == Some(true) && context.run_as_user == Some(0) {
            errors.invalid(
                path.field("runAsUser"),
                "is 0, which is root, but runAsNonRoot is true; write another id",
            );
        }
    }
}
