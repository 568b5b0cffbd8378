//! Quantities among each other. That each is one was found while parsing.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::config::OperatorConfig;
use crate::config::reading::Findings;
use crate::quantity::Amount;

fn amount(quantity: Option<&Quantity>) -> Option<Amount> {
    quantity.and_then(|quantity| quantity.0.parse().ok())
}

/// Whether both are set and the first is more.
fn exceeds(quantity: Option<&Quantity>, bound: Option<&Quantity>) -> bool {
    matches!((amount(quantity), amount(bound)), (Some(quantity), Some(bound)) if quantity > bound)
}

/// A request fits into its limit; Kubernetes refuses the pod otherwise.
pub(super) fn requests_and_limits(config: &OperatorConfig, findings: &mut Findings) {
    let (pods, pooler) = (&config.postgres_pod_resources, &config.connection_pooler);
    let (backup, scalyr) = (&config.logical_backup, &config.scalyr);
    for (leaf, request, limit) in [
        ("default_cpu_request", &pods.default_cpu_request, &pods.default_cpu_limit),
        ("default_memory_request", &pods.default_memory_request, &pods.default_memory_limit),
        ("connection_pooler_default_cpu_request", &pooler.default_cpu_request, &pooler.default_cpu_limit),
        (
            "connection_pooler_default_memory_request",
            &pooler.default_memory_request,
            &pooler.default_memory_limit,
        ),
        ("logical_backup_cpu_request", &backup.cpu_request, &backup.cpu_limit),
        ("logical_backup_memory_request", &backup.memory_request, &backup.memory_limit),
        ("scalyr_cpu_request", &scalyr.cpu_request, &scalyr.cpu_limit),
        ("scalyr_memory_request", &scalyr.memory_request, &scalyr.memory_limit),
    ] {
        if exceeds(request.as_ref(), limit.as_ref()) {
            findings.error(
                leaf,
                format!("is more than {}; lower it or raise that", leaf.replace("request", "limit")),
            );
        }
    }
}

/// Defaults keep to the bounds; a default beyond one is changed for every cluster.
pub(super) fn bounds(config: &OperatorConfig, findings: &mut Findings) {
    let pods = &config.postgres_pod_resources;
    for (leaf, least, limit) in [
        ("default_cpu_limit", &pods.min_cpu_limit, &pods.default_cpu_limit),
        ("default_memory_limit", &pods.min_memory_limit, &pods.default_memory_limit),
    ] {
        if exceeds(least.as_ref(), limit.as_ref()) {
            findings
                .warn(leaf, format!("is less than {} and is raised to it", leaf.replace("default", "min")));
        }
    }
    for (leaf, request, most) in [
        ("default_cpu_request", &pods.default_cpu_request, &pods.max_cpu_request),
        ("default_memory_request", &pods.default_memory_request, &pods.max_memory_request),
    ] {
        if exceeds(request.as_ref(), most.as_ref()) {
            findings
                .warn(leaf, format!("is more than {} and is lowered to it", leaf.replace("default", "max")));
        }
    }
}
