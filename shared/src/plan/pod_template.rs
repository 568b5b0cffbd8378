//! Which differences between a pod and its template make the pod outdated: one list, two uses.
//!
//! [`RESTART_FIELDS`] gives both the fingerprint that a pod carries and the reasons for which it is recreated. What
//! matters only when a cluster is created (the `bootstrap` half of `SPILO_CONFIGURATION`, clone settings) is left out:
//! changing it updates the template and disturbs nobody.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A hash per restart-relevant field.
///
/// A field that one side does not know is *unknown*, not *different*: a new entry in the list never rolls a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<String, String>);

type Extract = fn(&PodTemplateSpec) -> Value;

/// The fields that a running pod cannot take over, with what of each counts.
const RESTART_FIELDS: &[(&str, Extract)] = &[
    ("image", image),
    ("env", env),
    ("resources", resources),
    ("ports", |template| of_containers(template, |container| json!(container.ports))),
    ("probes", |template| {
        of_containers(template, |c| json!([c.liveness_probe, c.readiness_probe, c.startup_probe]))
    }),
    ("command", |template| of_containers(template, |container| json!([container.command, container.args]))),
    ("mounts", |template| of_containers(template, |container| json!(container.volume_mounts))),
    ("containerSecurity", |template| of_containers(template, |container| json!(container.security_context))),
    ("sidecars", sidecars),
    ("initContainers", |template| of_pod(template, |pod| json!(pod.init_containers))),
    ("volumes", |template| of_pod(template, |pod| json!(pod.volumes))),
    ("serviceAccount", |template| of_pod(template, |pod| json!(pod.service_account_name))),
    ("gracePeriod", |template| of_pod(template, |pod| json!(pod.termination_grace_period_seconds))),
    ("podSecurity", |template| of_pod(template, |pod| json!(pod.security_context))),
    ("scheduling", |template| {
        of_pod(template, |pod| {
            json!([pod.affinity, pod.tolerations, pod.topology_spread_constraints, pod.scheduler_name])
        })
    }),
    ("priorityClass", |template| of_pod(template, |pod| json!(pod.priority_class_name))),
    ("labels", |template| json!(template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()))),
];

/// The field whose change a lazy image upgrade ignores.
pub const IMAGE: &str = "image";

/// The fingerprint of a template.
pub fn fingerprint(template: &PodTemplateSpec) -> Fingerprint {
    Fingerprint::of(parts(template))
}

/// What counts of a template, field by field in the order of the list.
pub(super) fn parts(template: &PodTemplateSpec) -> impl Iterator<Item = (&'static str, Value)> {
    RESTART_FIELDS.iter().map(|(name, extract)| (*name, extract(template)))
}

/// The fields in which a pod differs from the template, in the order of the list.
pub fn differences(pod: &Fingerprint, template: &Fingerprint) -> Vec<&'static str> {
    let differs = |name: &&str| match (pod.0.get(*name), template.0.get(*name)) {
        (Some(have), Some(want)) => have != want,
        _ => false,
    };
    RESTART_FIELDS.iter().map(|(name, _)| *name).filter(differs).collect()
}

impl Fingerprint {
    /// The fingerprint of these parts.
    pub(super) fn of(parts: impl Iterator<Item = (&'static str, Value)>) -> Self {
        Self(parts.map(|(name, part)| (name.to_owned(), hash(&part))).collect())
    }

    /// The fingerprint as the annotation holds it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// The fingerprint from an annotation; what cannot be read is unknown.
    pub fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_default())
    }
}

/// Hashes the JSON of a value; 12 hex digits tell any two apart that meet here.
///
/// Keys are sorted first: the order of a JSON map depends on how `serde_json` was compiled, and a hash that is stored
/// on an object must not.
pub(crate) fn hash(value: &impl Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    value.sort_all_objects();
    Sha256::digest(value.to_string()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn of_pod(template: &PodTemplateSpec, part: fn(&PodSpec) -> Value) -> Value {
    template.spec.as_ref().map(part).unwrap_or_default()
}

/// A part of each container, by name.
fn of_containers(template: &PodTemplateSpec, part: fn(&Container) -> Value) -> Value {
    let containers = template.spec.iter().flat_map(|pod| &pod.containers);
    containers
        .map(|container| (container.name.clone(), part(container)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The database's image. Sidecars' images count as sidecars, so that lazy upgrades hold only for Spilo.
fn image(template: &PodTemplateSpec) -> Value {
    let database = template.spec.iter().flat_map(|pod| &pod.containers).next();
    json!(database.map(|container| &container.image))
}

fn sidecars(template: &PodTemplateSpec) -> Value {
    let sidecars = template.spec.iter().flat_map(|pod| pod.containers.iter().skip(1));
    sidecars.map(|sidecar| json!([sidecar.name, sidecar.image])).collect()
}

fn resources(template: &PodTemplateSpec) -> Value {
    of_containers(template, |container| {
        let asked = container.resources.clone().unwrap_or_default();
        json!([amounts(asked.requests), amounts(asked.limits)])
    })
}

/// Amounts by value: `0.5` and `500m` are the same request.
fn amounts(
    quantities: Option<BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
) -> Value {
    let value = |text: &str| {
        text.parse::<crate::quantity::Amount>().map_or(json!(text), |amount| json!(amount.to_string()))
    };
    quantities
        .into_iter()
        .flatten()
        .map(|(name, quantity)| (name, value(&quantity.0)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Variables by name; what is read only at bootstrap is left out.
fn env(template: &PodTemplateSpec) -> Value {
    of_containers(template, |container| {
        let variables = container.env.iter().flatten().filter(|variable| !is_of_bootstrap(&variable.name));
        let by_name: BTreeMap<&str, Value> = variables
            .map(|variable| match (variable.name.as_str(), &variable.value) {
                (crate::build::SPILO_CONFIGURATION, Some(text)) => {
                    (crate::build::SPILO_CONFIGURATION, local_half(text))
                }
                (name, _) => (name, json!([variable.value, variable.value_from])),
            })
            .collect();
        json!([by_name, container.env_from])
    })
}

/// The template without what only a new cluster reads, for a comparison of the rest.
pub(super) fn without_bootstrap(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    for container in template.spec.iter_mut().flat_map(|pod| &mut pod.containers) {
        let variables = container.env.iter_mut();
        variables.for_each(|variables| variables.retain(|variable| !is_of_bootstrap(&variable.name)));
        let configurations = container.env.iter_mut().flatten();
        for variable in configurations.filter(|variable| variable.name == crate::build::SPILO_CONFIGURATION) {
            variable.value = variable.value.as_deref().map(|text| local_half(text).to_string());
        }
    }
    template
}

/// Whether a variable tells a new cluster what to copy.
fn is_of_bootstrap(variable: &str) -> bool {
    variable.starts_with("CLONE_")
}

/// `SPILO_CONFIGURATION` without what only `initdb` and the first leader read.
fn local_half(text: &str) -> Value {
    let mut configuration: Value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    if let Some(sections) = configuration.as_object_mut() {
        sections.remove("bootstrap");
    }
    configuration
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str, spilo: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": {"labels": {"team": "acid"}},
            "spec": {"containers": [
                {"name": "postgres", "image": image, "env": [{"name": "SPILO_CONFIGURATION", "value": spilo}]},
            ]},
        }))
        .unwrap()
    }

    fn changed(before: &PodTemplateSpec, after: &PodTemplateSpec) -> Vec<&'static str> {
        differences(&fingerprint(before), &fingerprint(after))
    }

    #[test]
    fn a_new_image_makes_a_pod_outdated_and_says_why() {
        assert_eq!(changed(&template("spilo:1", "{}"), &template("spilo:2", "{}")), ["image"]);
    }

    #[test]
    fn settings_that_only_a_new_cluster_reads_disturb_nobody() {
        let before = template("spilo:1", r#"{"postgresql":{},"bootstrap":{"dcs":{"ttl":30}}}"#);
        let after = template("spilo:1", r#"{"postgresql":{},"bootstrap":{"dcs":{"ttl":20}}}"#);
        assert!(changed(&before, &after).is_empty());
        let local = template("spilo:1", r#"{"postgresql":{"parameters":{"shared_buffers":"1GB"}}}"#);
        assert_eq!(changed(&before, &local), ["env"]);
    }

    #[test]
    fn what_a_pod_does_not_know_is_not_different() {
        let now = fingerprint(&template("spilo:1", "{}"));
        assert!(differences(&Fingerprint::default(), &now).is_empty());
        assert_eq!(Fingerprint::parse(&now.to_text()), now);
    }
}
