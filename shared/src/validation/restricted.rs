//! Where the operator makes restricted pods, no manifest asks for what that takes away.
//!
//! Sidecars of manifests have no security context of their own; what remains are init containers, volumes, and root.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::config::restricted::{OPTION, VOLUMES, contradictions};
use crate::field::{FieldErrors, FieldPath};

use super::init_containers;

/// Nothing stands against `enable_restricted_pods`.
pub(super) fn pods(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    if !config.kubernetes.enable_restricted_pods {
        return;
    }
    let spec = &manifest.spec;
    if spec.spilo_run_as_user == Some(0) {
        let message =
            format!("0 is root, which is not allowed here ({OPTION} of the operator is true); remove it");
        errors.forbidden(FieldPath::spec().field("spiloRunAsUser"), message);
    }
    for (path, container) in init_containers::containers(manifest) {
        let path = path.field("securityContext");
        let context = container.security_context.clone().unwrap_or_default();
        for (field, wrong) in contradictions(&context) {
            let message =
                format!("{wrong}, which is not allowed here ({OPTION} of the operator is true); remove it");
            errors.forbidden(field.split('.').fold(path.clone(), |path, part| path.field(part)), message);
        }
    }
    for (index, volume) in spec.additional_volumes.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("additionalVolumes").index(index).field("volumeSource");
        let kinds = volume.volume_source.0.as_object().into_iter().flatten();
        for (kind, _) in kinds.filter(|(kind, _)| !VOLUMES.contains(&kind.as_str())) {
            let allowed = VOLUMES.join(", ");
            let message =
                format!("is not allowed here ({OPTION} of the operator is true); choose one of {allowed}");
            errors.forbidden(path.field(kind), message);
        }
    }
}
