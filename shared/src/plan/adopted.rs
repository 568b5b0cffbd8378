//! The fingerprint of a pod that another operator made: which of the fields that count are as we want them.
//!
//! Asked once per such pod, when the operator first sees it. The hashes of our own pods are those of what we asked for;
//! of this one only what the API server keeps is known, with every default filled in and with whatever admission added
//! (a token's volume, tolerations, another team's sidecar). So each field is compared in meaning: where it is as we want
//! it, it gets our hash, where not, its own. What cannot be told from a default is *unknown*, and not different.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::build::SPILO_CONFIGURATION;
use crate::quantity::Amount;

use super::pod_template::{Fingerprint, parts};

/// What is known of how a pod was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The template that it was made from: what is there and not wanted is another operator's wish.
    Template,
    /// The pod itself: what is there and not wanted may have been added by admission.
    Pod,
}

/// The fingerprint of what another operator made, in terms of what is wanted.
pub fn fingerprint(made: &PodTemplateSpec, source: Source, wanted: &PodTemplateSpec) -> Fingerprint {
    let made = with_containers_in_order_of(made, wanted);
    let fields = parts(&made).zip(parts(wanted));
    Fingerprint::of(fields.map(|((name, have), (_, want))| {
        let comparison = Comparison { source, keys_count: KEYS_COUNT.contains(&name), amounts: false };
        (name, if comparison.covers(&want, &have) { want } else { have })
    }))
}

/// Fields that are maps of wishes: a key that only the live one has is no default of Kubernetes.
const KEYS_COUNT: &[&str] = &["resources", "labels"];

/// Plain fields within the others that Kubernetes never fills in by itself.
const NEVER_DEFAULTED: &[&str] = &[
    "fsGroup",
    "medium",
    "priorityClassName",
    "readOnly",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "sizeLimit",
    "subPath",
    "subPathExpr",
];

/// What tells the items of a list apart, in Kubernetes' lists whose order means nothing.
const IDENTITY: &[&str] = &["name", "mountPath", "containerPort", "topologyKey", "key", "operator"];

/// The volume that upstream's pods have though their manifest says `enableShmVolume: false`. They keep it until they are
/// recreated for another reason: adopting a cluster restarts nothing that works.
const KEPT: &str = "dshm";

/// Kubernetes' own scheduler, which it names where nobody does.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// Injected sidecars may stand before the database: the containers that we want come first, in our order.
fn with_containers_in_order_of(made: &PodTemplateSpec, wanted: &PodTemplateSpec) -> PodTemplateSpec {
    let order: Vec<&str> =
        wanted.spec.iter().flat_map(|pod| &pod.containers).map(|c| c.name.as_str()).collect();
    let mut made = made.clone();
    if let Some(pod) = &mut made.spec {
        let place = |name: &str| order.iter().position(|wanted| *wanted == name).unwrap_or(order.len());
        pod.containers.sort_by_key(|container| place(&container.name));
    }
    made
}

/// How two parts are compared.
#[derive(Clone, Copy)]
struct Comparison {
    source: Source,
    keys_count: bool,
    amounts: bool,
}

impl Comparison {
    /// Whether `have` is what `want` asks for.
    fn covers(self, want: &Value, have: &Value) -> bool {
        match (want, have) {
            (Value::Object(wanted), Value::Object(live)) => {
                let all = wanted.iter().all(|(key, want)| {
                    let have = live.get(key).unwrap_or(&Value::Null);
                    self.within(key).field_covers(key, want, have)
                });
                let mut further = live.iter().filter(|(key, _)| !wanted.contains_key(*key));
                all && (self.source == Source::Pod || further.all(|(key, have)| self.is_default(key, have)))
            }
            (Value::Array(wanted), Value::Array(live)) => self.items_cover(wanted, live),
            (Value::String(want), Value::String(have)) => want == have || self.same_amount(want, have),
            (Value::String(want), Value::Null) => want.is_empty(),
            // What Kubernetes leaves out, it also leaves out where somebody wrote it.
            (Value::Bool(want), Value::Null) => !want,
            (want, have) if is_nothing(want) => {
                let is_all_kept = have.as_array().is_some_and(|items| items.iter().all(is_kept));
                self.source == Source::Pod || is_nothing(have) || is_all_kept || *have == *DEFAULT_SCHEDULER
            }
            (want, have) => want == have,
        }
    }

    /// Spilo's configuration is a document of its own, in which nobody fills in anything.
    fn field_covers(self, key: &str, want: &Value, have: &Value) -> bool {
        if key == SPILO_CONFIGURATION { want == have } else { self.covers(want, have) }
    }

    /// Lists whose items have names are sets; of all others the order counts.
    fn items_cover(self, wanted: &[Value], live: &[Value]) -> bool {
        let same_length = wanted.len() == live.len();
        if same_length && wanted.iter().zip(live).all(|(want, have)| self.covers(want, have)) {
            return true;
        }
        let is_item = |item: &Value| match item {
            Value::Object(fields) => IDENTITY.iter().any(|key| fields.contains_key(*key)),
            Value::Array(_) => !same_length,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        wanted.iter().chain(live).all(is_item)
            && wanted.iter().all(|want| live.iter().any(|have| self.covers(want, have)))
            && (self.source == Source::Pod
                || live.iter().all(|have| is_kept(have) || wanted.iter().any(|want| self.covers(want, have))))
    }

    /// Whether a field that nobody wants may have been filled in by Kubernetes.
    fn is_default(self, key: &str, have: &Value) -> bool {
        match have {
            Value::Object(fields) => fields.iter().all(|(key, have)| self.is_default(key, have)),
            Value::Array(items) => items.iter().all(is_nothing),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                !self.keys_count && !NEVER_DEFAULTED.contains(&key)
            }
        }
    }

    /// The same below a key.
    fn within(self, key: &str) -> Self {
        let amounts = self.amounts || matches!(key, "requests" | "limits" | "sizeLimit" | "divisor");
        Self { amounts, ..self }
    }

    fn same_amount(self, one: &str, other: &str) -> bool {
        let same = || matches!((one.parse::<Amount>(), other.parse::<Amount>()), (Ok(one), Ok(other)) if one == other);
        self.amounts && same()
    }
}

/// Whether a volume or its mount is upstream's against the manifest's own wish.
fn is_kept(item: &Value) -> bool {
    item.get("name").and_then(Value::as_str).is_some_and(|name| name == KEPT)
}

/// What Kubernetes does not store: it leaves an empty list or section out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_nothing),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::pod_template::{differences, fingerprint as ours};

    fn template(change: impl FnOnce(&mut Value)) -> PodTemplateSpec {
        let mut template = json!({
            "metadata": {"labels": {"application": "spilo", "team": "acid"}},
            "spec": {
                "serviceAccountName": "postgres-pod", "terminationGracePeriodSeconds": 300, "securityContext": {"fsGroup": 103},
                "containers": [{
                    "name": "postgres", "image": "spilo:1",
                    "env": [
                        {"name": "SCOPE", "value": "demo"},
                        {"name": "EMPTY", "value": ""},
                        {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
                        {"name": "SPILO_CONFIGURATION", "value": r#"{"postgresql":{"parameters":{"shared_buffers":"1GB"}}}"#},
                    ],
                    "ports": [{"containerPort": 8008, "protocol": "TCP"}, {"containerPort": 5432, "protocol": "TCP"}],
                    "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}},
                    "volumeMounts": [{"name": "pgdata", "mountPath": "/home/postgres/pgdata"}],
                    "securityContext": {"privileged": false},
                    "livenessProbe": {"httpGet": {"path": "/liveness", "port": 8008}},
                }],
                "tolerations": [{"key": "postgres", "operator": "Exists"}],
                "volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory"}}, {"name": "tls", "secret": {"secretName": "tls"}}],
            },
        });
        change(&mut template);
        serde_json::from_value(template).unwrap()
    }

    /// As the API server keeps it.
    fn defaulted(template: &mut Value) {
        let pod = &mut template["spec"];
        pod["restartPolicy"] = json!("Always");
        pod["schedulerName"] = json!("default-scheduler");
        pod["serviceAccount"] = json!("postgres-pod");
        pod["volumes"][1]["secret"]["defaultMode"] = json!(420);
        let container = &mut pod["containers"][0];
        container["env"][1].as_object_mut().unwrap().remove("value");
        container["terminationMessagePath"] = json!("/dev/termination-log");
        container["resources"]["limits"]["cpu"] = json!("1000m");
        let probe = &mut container["livenessProbe"];
        probe["httpGet"]["scheme"] = json!("HTTP");
        for (key, value) in [("timeoutSeconds", 1), ("periodSeconds", 10), ("failureThreshold", 3)] {
            probe[key] = json!(value);
        }
    }

    /// As it runs: admission and the controllers have been at it.
    fn running(template: &mut Value) {
        defaulted(template);
        template["metadata"]["labels"]["controller-revision-hash"] = json!("demo-1");
        let pod = &mut template["spec"];
        pod["nodeName"] = json!("node-1");
        pod["priorityClassName"] = json!("usual");
        pod["securityContext"]["runAsUser"] = json!(101);
        pod["tolerations"].as_array_mut().unwrap().insert(
            0,
            json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 300}),
        );
        let token = json!({"name": "kube-api-access", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}});
        pod["volumes"].as_array_mut().unwrap().push(token);
        pod["volumes"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "pgdata", "persistentVolumeClaim": {"claimName": "a"}}));
        let container = &mut pod["containers"][0];
        let mount = json!({"name": "kube-api-access", "mountPath": "/var/run/secrets", "readOnly": true});
        container["volumeMounts"].as_array_mut().unwrap().push(mount);
        container["env"].as_array_mut().unwrap().push(json!({"name": "AWS_REGION", "value": "eu"}));
        pod["containers"]
            .as_array_mut()
            .unwrap()
            .insert(0, json!({"name": "istio-proxy", "image": "istio:1"}));
    }

    fn outdated(made: &PodTemplateSpec, source: Source, wanted: &PodTemplateSpec) -> Vec<&'static str> {
        differences(&fingerprint(made, source, wanted), &ours(wanted))
    }

    #[test]
    fn what_the_api_server_and_admission_add_makes_no_pod_outdated() {
        let wanted = template(|_| {});
        assert_eq!(outdated(&template(defaulted), Source::Template, &wanted), Vec::<&str>::new());
        assert_eq!(outdated(&template(running), Source::Pod, &wanted), Vec::<&str>::new());
    }

    type Edit = fn(&mut Value);

    /// A change of what is wanted, and the field for which pods that were made before it are outdated.
    const CHANGES: &[(&str, Edit)] = &[
        ("image", |t| t["spec"]["containers"][0]["image"] = json!("spilo:2")),
        ("env", |t| t["spec"]["containers"][0]["env"][0]["value"] = json!("other")),
        ("env", |t| t["spec"]["containers"][0]["env"][1]["value"] = json!("no longer")),
        ("env", |t| {
            t["spec"]["containers"][0]["env"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "NEW", "value": "1"}));
        }),
        ("env", |t| {
            t["spec"]["containers"][0]["env"][3]["value"] = json!(r#"{"postgresql":{"parameters":{}}}"#);
        }),
        ("resources", |t| t["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("200m")),
        ("ports", |t| t["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(8009)),
        ("probes", |t| t["spec"]["containers"][0]["livenessProbe"]["httpGet"]["path"] = json!("/other")),
        ("mounts", |t| t["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = json!("data")),
        ("containerSecurity", |t| t["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true)),
        ("sidecars", |t| {
            t["spec"]["containers"]
                .as_array_mut()
                .unwrap()
                .push(json!({"name": "exporter", "image": "exporter:1"}));
        }),
        ("initContainers", |t| t["spec"]["initContainers"] = json!([{"name": "first", "image": "busybox"}])),
        ("volumes", |t| t["spec"]["volumes"][1]["secret"]["secretName"] = json!("other")),
        ("serviceAccount", |t| t["spec"]["serviceAccountName"] = json!("other")),
        ("gracePeriod", |t| t["spec"]["terminationGracePeriodSeconds"] = json!(60)),
        ("podSecurity", |t| t["spec"]["securityContext"]["fsGroup"] = json!(104)),
        ("scheduling", |t| t["spec"]["tolerations"][0]["key"] = json!("database")),
        ("priorityClass", |t| t["spec"]["priorityClassName"] = json!("high")),
        ("labels", |t| t["metadata"]["labels"]["team"] = json!("other")),
    ];

    #[test]
    fn a_changed_wish_makes_the_pods_of_the_old_one_outdated() {
        for (field, change) in CHANGES {
            let wanted = template(change);
            for (made, source) in [(template(defaulted), Source::Template), (template(running), Source::Pod)]
            {
                assert!(outdated(&made, source, &wanted).contains(field), "{field} from the {source:?}");
            }
        }
    }

    /// Wishes that are no longer there; only the template that a pod was made from tells them from additions.
    const REMOVALS: &[(&str, Edit)] = &[
        ("env", |t| drop(t["spec"]["containers"][0]["env"].as_array_mut().unwrap().remove(0))),
        ("resources", |t| t["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "100m"})),
        ("probes", |t| t["spec"]["containers"][0]["livenessProbe"] = Value::Null),
        ("mounts", |t| t["spec"]["containers"][0]["volumeMounts"] = Value::Null),
        ("volumes", |t| drop(t["spec"]["volumes"].as_array_mut().unwrap().remove(1))),
        ("volumes", |t| t["spec"]["volumes"][0]["emptyDir"] = json!({})),
        ("podSecurity", |t| t["spec"]["securityContext"] = json!({})),
        ("scheduling", |t| t["spec"]["tolerations"] = Value::Null),
        ("labels", |t| drop(t["metadata"]["labels"].as_object_mut().unwrap().remove("team"))),
    ];

    #[test]
    fn the_shared_memory_that_upstream_mounts_against_the_manifest_costs_no_restart() {
        let wanted = template(|t| drop(t["spec"]["volumes"].as_array_mut().unwrap().remove(0)));
        assert_eq!(outdated(&template(defaulted), Source::Template, &wanted), Vec::<&str>::new());
        let without = template(|t| t["spec"]["volumes"] = Value::Null);
        let alone = template(|t| drop(t["spec"]["volumes"].as_array_mut().unwrap().pop()));
        assert_eq!(outdated(&alone, Source::Template, &without), Vec::<&str>::new());
    }

    #[test]
    fn a_wish_that_is_gone_is_seen_in_the_template_and_never_guessed_from_the_pod() {
        for (field, change) in REMOVALS {
            let wanted = template(change);
            assert_eq!(
                outdated(&template(defaulted), Source::Template, &wanted),
                [*field],
                "from the template"
            );
            assert_eq!(
                outdated(&template(running), Source::Pod, &wanted),
                Vec::<&str>::new(),
                "{field} from the pod"
            );
        }
    }
}
