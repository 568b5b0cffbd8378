//! Pods that another operator made get the fingerprint that they would have, had we made them.
//!
//! Asked before the StatefulSet is touched: while its template is still the one that a pod was made from, the two are
//! compared exactly. Of a pod from an earlier template only the pod itself is left to look at. The operator writes the
//! fingerprint to the pod, so that each is compared once and is from then on a pod like any other.

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::build::Resources;
use crate::observed::{Observed, PodIdentity};
use crate::plan::adopted::{self, Source};
use crate::plan::pod_template::Fingerprint;

/// Fills in the fingerprints that are missing; which they are.
pub fn recognise(
    seen: &mut Observed,
    live: Option<&StatefulSet>,
    desired: &Resources,
) -> Vec<(PodIdentity, Fingerprint)> {
    let wanted = desired.stateful_set.as_ref().and_then(|set| set.spec.as_ref());
    let Some(wanted) = wanted.map(|spec| &spec.template) else { return Vec::new() };
    let mut recognised = Vec::new();
    for pod in seen.pods.iter_mut().filter(|pod| pod.fingerprint == Fingerprint::default()) {
        let Some(made) = &pod.stranger else { continue };
        let template = live.and_then(|set| current_template(set, made.revision.as_deref()));
        pod.fingerprint = match template {
            Some(template) => adopted::fingerprint(template, Source::Template, wanted),
            None => adopted::fingerprint(&made.template, Source::Pod, wanted),
        };
        recognised.push((pod.identity.clone(), pod.fingerprint.clone()));
    }
    recognised
}

/// The StatefulSet's template, if it is the one of that revision: its controller has seen it and names it so.
fn current_template<'a>(
    set: &'a StatefulSet,
    revision: Option<&str>,
) -> Option<&'a k8s_openapi::api::core::v1::PodTemplateSpec> {
    let status = set.status.as_ref()?;
    let is_seen = status.observed_generation >= set.metadata.generation;
    let is_it = revision.is_some() && status.update_revision.as_deref() == revision;
    set.spec.as_ref().filter(|_| is_seen && is_it).map(|spec| &spec.template)
}
