//! Which differences between a pod and its template make the pod outdated: one list, two uses.
//!
//! [`RESTART_FIELDS`] gives both the fingerprint that a pod carries and the reasons for which it is recreated. What
//! matters only when a cluster is created (the `bootstrap` half of `SPILO_CONFIGURATION`, clone settings) is left out:
//! changing it updates the template and disturbs nobody.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A hash per restart-relevant field.
///
/// A field that one side does not know is *unknown*, not *different*: a new entry in the list never rolls a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<String, String>);

/// Writes what counts of a field, as JSON.
type Extract = fn(&PodTemplateSpec, &mut Json);

/// The fields that a running pod cannot take over, with what of each counts.
const RESTART_FIELDS: &[(&str, Extract)] = &[
    ("image", image),
    ("env", env),
    ("resources", resources),
    ("ports", |template, json| of_containers(template, json, |container| &container.ports)),
    ("probes", |template, json| {
        of_containers(template, json, |c| (&c.liveness_probe, &c.readiness_probe, &c.startup_probe));
    }),
    ("command", |template, json| of_containers(template, json, |c| (&c.command, &c.args))),
    ("mounts", |template, json| of_containers(template, json, |container| &container.volume_mounts)),
    ("containerSecurity", |template, json| {
        of_containers(template, json, |container| &container.security_context);
    }),
    ("sidecars", sidecars),
    ("initContainers", |template, json| of_pod(template, json, |pod| &pod.init_containers)),
    ("volumes", |template, json| of_pod(template, json, |pod| &pod.volumes)),
    ("serviceAccount", |template, json| of_pod(template, json, |pod| &pod.service_account_name)),
    ("gracePeriod", |template, json| of_pod(template, json, |pod| &pod.termination_grace_period_seconds)),
    ("podSecurity", |template, json| of_pod(template, json, |pod| &pod.security_context)),
    ("scheduling", |template, json| {
        of_pod(template, json, |pod| {
            (&pod.affinity, &pod.tolerations, &pod.topology_spread_constraints, &pod.scheduler_name)
        });
    }),
    ("priorityClass", |template, json| of_pod(template, json, |pod| &pod.priority_class_name)),
    ("labels", |template, json| {
        json.write(&template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()));
    }),
];

/// The field whose change a lazy image upgrade ignores.
pub const IMAGE: &str = "image";

/// The fingerprint of a template.
pub fn fingerprint(template: &PodTemplateSpec) -> Fingerprint {
    let mut json = Json(Vec::with_capacity(LONG));
    let hashes = RESTART_FIELDS.iter().map(|(name, extract)| {
        json.0.clear();
        extract(template, &mut json);
        ((*name).to_owned(), json.hash())
    });
    Fingerprint(hashes.collect())
}

/// What counts of a template, field by field in the order of the list, to be held against another one.
pub(super) fn parts(template: &PodTemplateSpec) -> impl Iterator<Item = (&'static str, Value)> {
    RESTART_FIELDS.iter().map(|(name, extract)| {
        let mut json = Json(Vec::new());
        extract(template, &mut json);
        (*name, serde_json::from_slice(&json.0).unwrap_or_default())
    })
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
        let hash = |part: &Value| {
            let mut json = Json(Vec::new());
            json.write(part);
            json.hash()
        };
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

/// The JSON that is hashed.
///
/// Pods carry these hashes for as long as they live: JSON that is written in another way, be it only in another order,
/// would have every pod of every cluster recreated. Keys are sorted; the types of Kubernetes tell them in that order.
struct Json(Vec<u8>);

/// Bytes of a long environment, so that the memory hardly ever has to grow.
const LONG: usize = 8 * 1024;

impl Json {
    fn write(&mut self, value: &(impl Serialize + ?Sized)) {
        // Into memory nothing fails but a value that JSON cannot hold, and no template has one.
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.clear();
        }
    }

    /// 12 hex digits tell any two apart that meet here.
    fn hash(&self) -> String {
        const DIGITS: [char; 16] =
            ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        let halves = |byte: u8| [byte >> 4, byte & 15];
        let hash = Sha256::digest(&self.0);
        hash.iter()
            .take(6)
            .flat_map(|byte| halves(*byte))
            .filter_map(|half| DIGITS.get(usize::from(half)))
            .collect()
    }
}

fn of_pod<'a, T: Serialize>(template: &'a PodTemplateSpec, json: &mut Json, part: fn(&'a PodSpec) -> T) {
    json.write(&template.spec.as_ref().map(part));
}

/// A part of each container, by name.
fn of_containers<'a, T: Serialize>(
    template: &'a PodTemplateSpec,
    json: &mut Json,
    part: impl Fn(&'a Container) -> T,
) {
    let containers = template.spec.iter().flat_map(|pod| &pod.containers);
    let parts: BTreeMap<&str, T> =
        containers.map(|container| (container.name.as_str(), part(container))).collect();
    json.write(&parts);
}

/// The database's image. Sidecars' images count as sidecars, so that lazy upgrades hold only for Spilo.
fn image(template: &PodTemplateSpec, json: &mut Json) {
    let database = template.spec.iter().flat_map(|pod| &pod.containers).next();
    json.write(&database.map(|container| &container.image));
}

fn sidecars(template: &PodTemplateSpec, json: &mut Json) {
    let sidecars = template.spec.iter().flat_map(|pod| pod.containers.iter().skip(1));
    let images: Vec<_> = sidecars.map(|sidecar| (&sidecar.name, &sidecar.image)).collect();
    json.write(&images);
}

fn resources(template: &PodTemplateSpec, json: &mut Json) {
    of_containers(template, json, |container| {
        let asked = container.resources.as_ref();
        (
            amounts(asked.and_then(|asked| asked.requests.as_ref())),
            amounts(asked.and_then(|asked| asked.limits.as_ref())),
        )
    });
}

/// Amounts by value: `0.5` and `500m` are the same request.
fn amounts(quantities: Option<&BTreeMap<String, Quantity>>) -> BTreeMap<&str, String> {
    let value = |text: &str| {
        text.parse::<crate::quantity::Amount>().map_or_else(|_| text.to_owned(), |amount| amount.to_string())
    };
    quantities.into_iter().flatten().map(|(name, quantity)| (name.as_str(), value(&quantity.0))).collect()
}

/// What counts of a variable.
#[derive(Serialize)]
#[serde(untagged)]
enum Counts<'a> {
    Variable(&'a Option<String>, &'a Option<EnvVarSource>),
    Configuration(Value),
}

/// Variables by name; what is read only at bootstrap is left out.
fn env(template: &PodTemplateSpec, json: &mut Json) {
    of_containers(template, json, |container| {
        let variables = container.env.iter().flatten().filter(|variable| !is_of_bootstrap(&variable.name));
        let by_name: BTreeMap<&str, Counts<'_>> = variables
            .map(|variable| match (variable.name.as_str(), &variable.value) {
                (crate::build::SPILO_CONFIGURATION, Some(text)) => {
                    (crate::build::SPILO_CONFIGURATION, Counts::Configuration(local_half(text)))
                }
                (name, value) => (name, Counts::Variable(value, &variable.value_from)),
            })
            .collect();
        (by_name, &container.env_from)
    });
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
    let mut configuration = serde_json::from_str::<LocalHalf>(text)
        .map(|sections| Value::Object(sections.0))
        .or_else(|_| serde_json::from_str(text))
        .unwrap_or_else(|_| json!(text));
    configuration.sort_all_objects();
    configuration
}

/// The sections of the configuration but for `bootstrap`, which is the longest and not even read.
struct LocalHalf(Map<String, Value>);

impl<'de> Deserialize<'de> for LocalHalf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LocalSections)
    }
}

struct LocalSections;

impl<'de> Visitor<'de> for LocalSections {
    type Value = LocalHalf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sections of Spilo's configuration")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut sections: A) -> Result<LocalHalf, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = sections.next_key::<String>()? {
            if name == "bootstrap" {
                sections.next_value::<IgnoredAny>()?;
            } else {
                kept.insert(name, sections.next_value()?);
            }
        }
        Ok(LocalHalf(kept))
    }
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

    /// A template with something in every field that counts.
    fn full() -> PodTemplateSpec {
        let spilo = r#"{"postgresql":{"parameters":{"b":"1","a":"2"}},"bootstrap":{"dcs":{"ttl":30}}}"#;
        let near = json!({"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"team": "acid"}}}});
        let database = json!({
            "name": "postgres", "image": "spilo:1", "imagePullPolicy": "IfNotPresent",
            "resources": {"requests": {"memory": "1Gi", "cpu": "0.5"}, "limits": {"cpu": "2"}},
            "ports": [{"protocol": "TCP", "containerPort": 5432}],
            "env": [
                {"name": "SCOPE", "value": "demo"}, {"name": "CLONE_SCOPE", "value": "x"},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP", "apiVersion": "v1"}}},
                {"name": "SPILO_CONFIGURATION", "value": spilo},
            ],
            "envFrom": [{"configMapRef": {"name": "more"}}],
            "readinessProbe": {"timeoutSeconds": 5, "httpGet": {"port": 8008, "path": "/readiness", "scheme": "HTTP"}},
            "volumeMounts": [{"name": "pgdata", "mountPath": "/home/postgres/pgdata", "subPath": "x"}],
            "securityContext": {"privileged": false, "allowPrivilegeEscalation": true,
                "capabilities": {"add": ["SYS_NICE"]}},
        });
        serde_json::from_value(json!({
            "metadata": {"labels": {"team": "acid", "application": "spilo"}, "annotations": {"a": "b"}},
            "spec": {
                "serviceAccountName": "postgres-pod", "terminationGracePeriodSeconds": 300,
                "priorityClassName": "high", "schedulerName": "own",
                "securityContext": {"runAsUser": 101, "runAsGroup": 103, "fsGroup": 103},
                "tolerations": [{"key": "postgres", "operator": "Exists", "effect": "NoSchedule"}],
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [near]}},
                "topologySpreadConstraints":
                    [{"whenUnsatisfiable": "DoNotSchedule", "topologyKey": "zone", "maxSkew": 1}],
                "initContainers": [{"name": "first", "image": "busybox", "command": ["true"]}],
                "containers": [database, {"name": "beside", "image": "busybox", "args": ["a"]}],
                "volumes": [{"name": "run", "emptyDir": {"medium": "Memory"}},
                    {"name": "cert", "secret": {"secretName": "cert", "defaultMode": 416}}],
            },
        }))
        .unwrap()
    }

    /// Computed apart from this program, from the JSON with sorted keys. Pods out there carry them.
    #[test]
    fn a_new_version_of_the_operator_computes_the_hashes_that_pods_carry() {
        let expected = [
            ("command", "5172aaa86938"),
            ("containerSecurity", "4282ae7e7a5a"),
            ("env", "0341a78c0306"),
            ("gracePeriod", "983bd614bb5a"),
            ("image", "4b9f904e1549"),
            ("initContainers", "fc7c3fb31b1e"),
            ("labels", "de0f1ac3e4df"),
            ("mounts", "0884ac09e4db"),
            ("podSecurity", "5cfe8c5702c9"),
            ("ports", "0238bd73e307"),
            ("priorityClass", "b57c4299afe3"),
            ("probes", "876f42ae4108"),
            ("resources", "5ec39964b7c7"),
            ("scheduling", "8dbdbff1139b"),
            ("serviceAccount", "2fa5b6fa646d"),
            ("sidecars", "7f528c56c3f2"),
            ("volumes", "d3c4cc9eac3b"),
        ];
        let expected = expected.map(|(field, hash)| (field.to_owned(), hash.to_owned()));
        assert_eq!(fingerprint(&full()), Fingerprint(expected.into()));
    }
}
