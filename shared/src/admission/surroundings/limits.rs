//! Whether the namespace's LimitRanges let the containers and claims in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::LimitRangeItem;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::quota::amount;
use super::{Built, Findings, Scene, namespace};
use crate::quantity::Amount;

/// Every container and claim is within what the LimitRanges allow.
pub(super) fn containers(scene: &Scene<'_>, built: &Built, findings: &mut Findings) {
    let Some(ranges) = &scene.around.limit_ranges else { return };
    for (name, items) in ranges.iter() {
        for item in items {
            let refused = match item.type_.as_str() {
                "Container" => container(item, built),
                "PersistentVolumeClaim" if scene.old.is_none() => claim(item, built),
                _ => None,
            };
            if let Some(refused) = refused {
                findings.warn(namespace(), format!("LimitRange \"{name}\" stops pods now: {refused}"));
            }
        }
    }
}

/// The first container outside the range, and why.
fn container(item: &LimitRangeItem, built: &Built) -> Option<String> {
    built.pod.containers.iter().find_map(|container| {
        let below = bounds(&item.min).find_map(|(what, least)| {
            let request = amount(container, what, false)?;
            (request < least.1).then(|| format!("{what} request of {} is below {}", container.name, least.0))
        });
        below.or_else(|| {
            bounds(&item.max).find_map(|(what, most)| {
                let limit = amount(container, what, true)?;
                (limit > most.1).then(|| format!("{what} limit of {} is above {}", container.name, most.0))
            })
        })
    })
}

fn claim(item: &LimitRangeItem, built: &Built) -> Option<String> {
    let size = built.cluster.volume.size.parse::<Amount>().ok()?;
    let below = bounds(&item.min).find(|(what, least)| *what == "storage" && size < least.1);
    let above = bounds(&item.max).find(|(what, most)| *what == "storage" && size > most.1);
    let told =
        |word: &str, bound: &str| format!("volumes of {} are {word} {bound}", built.cluster.volume.size);
    below.map(|(_, (text, _))| told("below", text)).or(above.map(|(_, (text, _))| told("above", text)))
}

/// Each bound with its text, as far as it can be read.
fn bounds(bounds: &Option<BTreeMap<String, Quantity>>) -> impl Iterator<Item = (&str, (&str, Amount))> {
    bounds.iter().flatten().filter_map(|(what, Quantity(text))| {
        Some((what.as_str(), (text.as_str(), text.parse::<Amount>().ok()?)))
    })
}
