//! The number of members: an error below zero, a notice outside the configured bounds.

use kube::ResourceExt;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

fn path() -> FieldPath {
    FieldPath::spec().field("numberOfInstances")
}

/// Zero stops a cluster; fewer there cannot be.
pub(super) fn not_negative(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let wanted = manifest.spec.number_of_instances;
    if wanted < 0 {
        errors.invalid(path(), format!("{wanted} is negative; 0 stops the cluster, 1 or more runs it"));
    }
}

/// Says how many members there will be, when the configuration's bounds change the number.
pub(super) fn clamped(manifest: &Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    let wanted = manifest.spec.number_of_instances;
    let effective = effective(manifest, config);
    if effective != wanted {
        let bound = if effective < wanted { "max_instances" } else { "min_instances" };
        let message = format!("the cluster gets {effective} members, not {wanted} ({bound} of the operator)");
        changes.push(Change { field: path(), effect: Effect::Ignored, message });
    }
}

/// A budget that keeps the only member keeps its node too.
pub(super) fn blocks_drains(manifest: &Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    if effective(manifest, config) == 1 && config.kubernetes.enable_pod_disruption_budget {
        let message = "a single member and its disruption budget keep its node from being drained".to_owned();
        changes.push(Change { field: path(), effect: Effect::Ignored, message });
    }
}

/// The number of members after the configured bounds.
fn effective(manifest: &Postgresql, config: &OperatorConfig) -> i32 {
    let wanted = manifest.spec.number_of_instances;
    let key = config.general.ignore_instance_limits_annotation_key.as_deref();
    if key.is_some_and(|key| manifest.annotations().get(key).is_some_and(|value| value == "true")) {
        return wanted;
    }
    let lone_standby = manifest.spec.standby.is_some() && wanted == 1;
    let at_most = config.general.max_instances.unwrap_or(wanted);
    let at_least = config.general.min_instances.filter(|_| !lone_standby).unwrap_or(wanted);
    wanted.min(at_most).max(at_least.min(at_most))
}
