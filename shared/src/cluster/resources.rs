//! What a container asks for: the manifest's amounts, filled in and bounded by the configuration.
//!
//! The order of the steps is upstream's (`contract: k8sres.go generateResourceRequirements`): defaults, minimum limits,
//! limit up to request, memory request up to limit, maximum requests. A minimum applied where there is no limit
//! makes one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::{ResourceAmounts, Resources};
use crate::quantity::{Amount, as_stored};

/// Amounts by resource, in Kubernetes' names and the user's own text.
pub(crate) type Amounts = BTreeMap<String, String>;

/// Requests and limits that fill in what a manifest leaves out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

/// Bounds that a database container is held to. Sidecars are not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) min_limits: Amounts,
    pub(crate) max_requests: Amounts,
}

/// The requirements of a container.
pub(crate) fn requirements(
    asked: Option<&Resources>,
    defaults: &Defaults,
    bounds: Option<&Bounds>,
    memory_request_is_limit: bool,
) -> ResourceRequirements {
    let mut requests = filled(asked.and_then(|resources| resources.requests.as_ref()), &defaults.requests);
    let mut limits = filled(asked.and_then(|resources| resources.limits.as_ref()), &defaults.limits);
    for (name, minimum) in bounds.into_iter().flat_map(|bounds| &bounds.min_limits) {
        raise(&mut limits, name, minimum);
    }
    for (name, request) in &requests {
        if limits.contains_key(name) {
            raise(&mut limits, name, request);
        }
    }
    if let Some(limit) = limits.get("memory").filter(|_| memory_request_is_limit) {
        raise(&mut requests, "memory", limit);
    }
    for (name, maximum) in bounds.into_iter().flat_map(|bounds| &bounds.max_requests) {
        if requests.get(name).is_some_and(|request| amount(request) > amount(maximum)) {
            requests.insert(name.clone(), maximum.clone());
        }
    }
    ResourceRequirements { requests: quantities(requests), limits: quantities(limits), claims: None }
}

/// The manifest's amounts over the defaults. `""`, `"0"` and `"null"` count as not given, as upstream has it.
fn filled(asked: Option<&ResourceAmounts>, defaults: &Amounts) -> Amounts {
    let mut amounts = Amounts::new();
    for (name, text) in defaults.iter().filter(|(_, text)| is_given(text)) {
        amounts.insert(name.clone(), text.clone());
    }
    for (name, text) in
        asked.into_iter().flat_map(ResourceAmounts::entries).filter(|(_, text)| is_given(text))
    {
        amounts.insert(name.to_owned(), text.to_owned());
    }
    amounts
}

/// Whether a text asks for anything.
pub(crate) fn is_given(text: &str) -> bool {
    !matches!(text, "" | "0" | "null")
}

fn raise(amounts: &mut Amounts, name: &str, minimum: &str) {
    if !is_given(minimum) {
        return;
    }
    if amounts.get(name).is_none_or(|current| amount(current) < amount(minimum)) {
        amounts.insert(name.to_owned(), minimum.to_owned());
    }
}

/// What a text amounts to. Validation has refused what does not parse.
fn amount(text: &str) -> Amount {
    text.parse().unwrap_or_default()
}

fn quantities(amounts: Amounts) -> Option<BTreeMap<String, Quantity>> {
    let quantities: BTreeMap<_, _> =
        amounts.into_iter().map(|(name, text)| (name, Quantity(as_stored(&text)))).collect();
    (!quantities.is_empty()).then_some(quantities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(cpu: &str, memory: &str) -> Amounts {
        [("cpu", cpu), ("memory", memory)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    fn asked(cpu: &str, memory: &str) -> Option<ResourceAmounts> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(ResourceAmounts { cpu: text(cpu), memory: text(memory), ..ResourceAmounts::default() })
    }

    /// `request cpu/memory, limit cpu/memory`, as in the tables of the contract.
    fn effective(
        requests: Option<ResourceAmounts>,
        limits: Option<ResourceAmounts>,
        bound: bool,
        to_limit: bool,
    ) -> String {
        let defaults = Defaults { requests: amounts("100m", "100Mi"), limits: amounts("1", "500Mi") };
        let bounds = Bounds { min_limits: amounts("250m", "250Mi"), max_requests: amounts("500m", "1Gi") };
        let resources = Resources { requests, limits };
        let made = requirements(Some(&resources), &defaults, bound.then_some(&bounds), to_limit);
        let text = |amounts: Option<BTreeMap<String, Quantity>>| {
            amounts.unwrap_or_default().into_values().map(|quantity| quantity.0).collect::<Vec<_>>().join("/")
        };
        format!("{} {}", text(made.requests), text(made.limits))
    }

    #[test]
    fn amounts_are_filled_in_and_bounded_as_upstream_does() {
        assert_eq!(effective(None, None, true, false), "100m/100Mi 1/500Mi");
        assert_eq!(effective(asked("50m", "50Mi"), None, true, false), "50m/50Mi 1/500Mi");
        assert_eq!(effective(asked("", "100Mi"), asked("", "1Gi"), true, false), "100m/100Mi 1/1Gi");
        assert_eq!(effective(asked("", "750Mi"), asked("", "300Mi"), true, false), "100m/750Mi 1/750Mi");
        assert_eq!(effective(None, asked("200m", "200Mi"), true, false), "100m/100Mi 250m/250Mi");
        assert_eq!(effective(None, asked("200m", "200Mi"), false, false), "100m/100Mi 200m/200Mi");
        assert_eq!(effective(asked("", "200Mi"), asked("", "300Mi"), true, true), "100m/300Mi 1/300Mi");
        assert_eq!(effective(asked("2", "2Gi"), asked("3", "3Gi"), true, false), "500m/1Gi 3/3Gi");
    }
}
