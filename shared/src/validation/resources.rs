//! CPU, memory and huge pages: quantities that parse, mean what was meant, and do not contradict each other.
//!
//! Upstream raises a limit below its request in silence, and its pattern accepts `5K`, which Kubernetes does not.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;

use crate::api::{Postgresql, ResourceAmounts, Resources};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};
use crate::quantity::Amount;

/// Less memory or storage than this is a forgotten unit, not a wish: 1Mi.
pub(super) const LEAST_BYTES: i128 = 1 << 20;

/// What upstream reads as "not set".
const UNSET: &[&str] = &["", "0", "null"];

/// The resources of every container that a manifest describes.
pub(super) fn amounts(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let root = FieldPath::spec();
    if let Some(resources) = &spec.resources {
        container(&root.field("resources"), resources, errors);
    }
    for (index, sidecar) in spec.sidecars.iter().flatten().enumerate() {
        if let Some(resources) = &sidecar.resources {
            container(&root.field("sidecars").index(index).field("resources"), resources, errors);
        }
    }
    if let Some(resources) = spec.connection_pooler.as_ref().and_then(|pooler| pooler.resources.as_ref()) {
        container(&root.field("connectionPooler").field("resources"), resources, errors);
    }
}

/// The resources of init containers, which the API server would refuse only with the StatefulSet.
pub(super) fn init_containers(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let containers = manifest.spec.init_containers.iter().flatten().enumerate();
    for (index, resources) in containers.filter_map(|(index, it)| Some((index, it.resources.as_ref()?))) {
        let path = FieldPath::spec().field("initContainers").index(index).field("resources");
        for (side, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
            for (name, Quantity(text)) in amounts.iter().flatten() {
                if let Err(error) = text.parse::<Amount>() {
                    errors.invalid(path.field(side).key(name), format!("\"{text}\" {error}"));
                }
            }
        }
        for (name, Quantity(request)) in resources.requests.iter().flatten() {
            let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
            let Some(Quantity(limit)) = limit else { continue };
            if let (Ok(asked), Ok(most)) = (request.parse::<Amount>(), limit.parse::<Amount>())
                && asked > most
            {
                let message =
                    format!("{request} is more than the limit of {limit}; lower it or raise the limit");
                errors.invalid(path.field("requests").key(name), message);
            }
        }
    }
}

fn container(path: &FieldPath, resources: &Resources, errors: &mut FieldErrors) {
    let requests = side(&path.field("requests"), resources.requests.as_ref(), errors);
    let limits = side(&path.field("limits"), resources.limits.as_ref(), errors);
    for (name, request, text) in requests {
        let limit = limits.iter().find(|(limited, _, _)| *limited == name);
        let path = || path.field("requests").field(name);
        let pages = name.starts_with("hugepages-");
        match limit {
            Some((_, limit, limit_text)) if request > *limit => {
                errors.invalid(
                    path(),
                    format!("{text} is more than the limit of {limit_text}; lower it or raise the limit"),
                );
            }
            Some((_, limit, limit_text)) if pages && request != *limit => {
                errors.invalid(
                    path(),
                    format!("{text} must equal the limit of {limit_text}: huge pages are not shared"),
                );
            }
            None if pages => {
                errors.invalid(path(), format!("needs a limit of {text} as well: huge pages are not shared"));
            }
            _ => {}
        }
    }
}

/// The amounts of one side that can be compared; what is wrong with the others.
fn side<'a>(
    path: &FieldPath,
    amounts: Option<&'a ResourceAmounts>,
    errors: &mut FieldErrors,
) -> Vec<(&'static str, Amount, &'a str)> {
    let mut parsed = Vec::new();
    for (name, text) in amounts.into_iter().flat_map(ResourceAmounts::entries) {
        if UNSET.contains(&text) {
            continue;
        }
        let path = || path.field(name);
        match text.parse::<Amount>() {
            Err(error) => errors.invalid(path(), format!("\"{text}\" {error}")),
            Ok(amount) if amount < Amount::default() => errors.invalid(path(), format!("{text} is negative")),
            Ok(amount) if name != "cpu" && amount.units() < LEAST_BYTES => {
                errors.invalid(
                    path(),
                    format!("\"{text}\" is less than 1Mi; is a unit missing, as in 512Mi or 2Gi?"),
                );
            }
            Ok(amount) => parsed.push((name, amount, text)),
        }
    }
    for (name, page) in [("hugepages-2Mi", 2_i128 << 20), ("hugepages-1Gi", 1 << 30)] {
        let uneven = parsed.iter().find(|(of, amount, _)| *of == name && amount.units() % page != 0);
        if let Some((_, _, text)) = uneven {
            let size = name.trim_start_matches("hugepages-");
            errors.invalid(path.field(name), format!("{text} is not a multiple of the page size {size}"));
        }
    }
    parsed
}

/// Says what the configured bounds turn the database's resources into.
pub(super) fn clamped<'m>(manifest: &'m Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    let key = config.general.ignore_resources_limits_annotation_key.as_deref();
    if key.is_some_and(|key| manifest.annotations().get(key).is_some_and(|value| value == "true")) {
        return;
    }
    let bounds = &config.postgres_pod_resources;
    let Some(resources) = &manifest.spec.resources else { return };
    let (requests, limits) = (resources.requests.as_ref(), resources.limits.as_ref());
    let cpu = |side: Option<&'m ResourceAmounts>| side?.cpu.as_deref();
    let memory = |side: Option<&'m ResourceAmounts>| side?.memory.as_deref();
    for (name, request, limit, most, least) in [
        ("cpu", cpu(requests), cpu(limits), &bounds.max_cpu_request, &bounds.min_cpu_limit),
        ("memory", memory(requests), memory(limits), &bounds.max_memory_request, &bounds.min_memory_limit),
    ] {
        let path = FieldPath::spec().field("resources");
        if let Some((text, bound)) = outside(request, most, |amount, most| amount > most) {
            let message = format!("is lowered from {text} to {bound} (max_{name}_request of the operator)");
            changes.push(Change {
                field: path.field("requests").field(name),
                effect: Effect::Ignored,
                message,
            });
        }
        if let Some((text, bound)) = outside(limit, least, |amount, least| amount < least) {
            let message = format!("is raised from {text} to {bound} (min_{name}_limit of the operator)");
            changes.push(Change {
                field: path.field("limits").field(name),
                effect: Effect::Ignored,
                message,
            });
        }
    }
}

/// An amount and the bound it is on the wrong side of, as they are written.
fn outside<'a>(
    amount: Option<&'a str>,
    bound: &'a Option<Quantity>,
    wrong: fn(Amount, Amount) -> bool,
) -> Option<(&'a str, &'a str)> {
    let (text, bound) = (amount?, bound.as_ref()?.0.as_str());
    let is_wrong = !UNSET.contains(&text) && wrong(text.parse().ok()?, bound.parse().ok()?);
    is_wrong.then_some((text, bound))
}
