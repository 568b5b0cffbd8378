//! What is dropped from objects on arrival, and what counts as a change of the rest.
//!
//! With ten thousand clusters this decides how much memory the operator needs, and how often it is woken. Whatever is
//! dropped here cannot be read anywhere else, and changes of it are never noticed.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Node, NodeSpec, Pod, PodSpec, PodStatus, Secret,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::annotations::FINGERPRINT;
use shared::build::USER_LIST_KEY;
use shared::plan::pod_template::Fingerprint;

use super::Manifest;

/// `kubectl apply` keeps a copy of the whole object here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What Patroni writes into its objects in every loop, or keeps there as a growing list.
const HEARTBEAT: [&str; 6] = ["failsafe", "history", "optime", "renewTime", "retain_slots", "slots"];

/// What is kept of Patroni's annotation on a pod: everything that does not change while the database merely works.
const MEMBER: [&str; 8] = [
    "pause",
    "pending_restart",
    "pending_restart_reason",
    "replication_state",
    "role",
    "state",
    "timeline",
    "version",
];

/// The annotation in which Patroni keeps a member's state.
const STATUS: &str = "status";

/// What is kept of a Secret.
const CREDENTIAL: [&str; 4] = ["nextRotation", "password", USER_LIST_KEY, "username"];

/// Drops what nobody reads of any object.
pub(super) fn nothing_more<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// A manifest loses no more than any object.
pub(super) fn manifest(object: &mut Manifest) {
    nothing_more(object);
}

/// An object that Patroni may write to, without its heartbeat.
pub(super) fn heartbeat<K: Resource>(object: &mut K) {
    nothing_more(object);
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.retain(|name, _| !HEARTBEAT.contains(&name.as_str()));
    }
}

/// A pod, without its member's positions. Of one that we recognise by its fingerprint, what is made from the template is
/// dropped, too: the StatefulSet holds the same once more, and it is most of what a pod weighs.
pub(super) fn pod(object: &mut Pod) {
    nothing_more(object);
    if let Some(status) = object.metadata.annotations.as_mut().and_then(|all| all.get_mut(STATUS)) {
        member(status);
    }
    let fingerprint = object.annotations().get(FINGERPRINT).map(|text| Fingerprint::parse(text));
    if fingerprint.is_some_and(|known| known != Fingerprint::default()) {
        object.spec = object.spec.take().map(place_and_resources);
    }
    object.status = object.status.take().map(health);
}

/// What is kept of what Patroni says of its member.
fn member(status: &mut String) {
    if let Ok(mut member) = serde_json::from_str::<Map<String, Value>>(status) {
        member.retain(|key, _| MEMBER.contains(&key.as_str()));
        *status = Value::Object(member).to_string();
    }
}

/// Where a pod runs, and what it takes from a quota.
fn place_and_resources(spec: PodSpec) -> PodSpec {
    let only = |container: Container| Container {
        name: container.name,
        resources: container.resources,
        ..Container::default()
    };
    PodSpec {
        node_name: spec.node_name,
        containers: spec.containers.into_iter().map(only).collect(),
        init_containers: spec.init_containers.map(|all| all.into_iter().map(only).collect()),
        ..PodSpec::default()
    }
}

/// How a pod is, and where it is reached.
fn health(status: PodStatus) -> PodStatus {
    let only = |container: ContainerStatus| ContainerStatus {
        name: container.name,
        state: container.state,
        ..ContainerStatus::default()
    };
    let states = |all: Option<Vec<ContainerStatus>>| all.map(|all| all.into_iter().map(only).collect());
    PodStatus {
        phase: status.phase,
        pod_ip: status.pod_ip,
        conditions: status.conditions,
        container_statuses: states(status.container_statuses),
        init_container_statuses: states(status.init_container_statuses),
        ..PodStatus::default()
    }
}

/// A node: its name, its labels, and what keeps pods away. Everything else changes all the time.
pub(super) fn node(object: &mut Node) {
    nothing_more(object);
    object.metadata.annotations = None;
    object.status = None;
    if let Some(spec) = &mut object.spec {
        let (unschedulable, taints) = (spec.unschedulable.take(), spec.taints.take());
        *spec = NodeSpec { unschedulable, taints, ..NodeSpec::default() };
    }
}

/// A Secret, without keys that are none of ours.
pub(super) fn secret(object: &mut Secret) {
    nothing_more(object);
    if let Some(data) = &mut object.data {
        data.retain(|key, _| CREDENTIAL.contains(&key.as_str()));
    }
}

/// A Deployment, without the figures that change with every pod.
pub(super) fn deployment(object: &mut Deployment) {
    nothing_more(object);
    object.status = None;
}

/// A CronJob, without when it ran.
pub(super) fn cron_job(object: &mut CronJob) {
    nothing_more(object);
    object.status = None;
}

/// A disruption budget, without the figures that change with every pod.
pub(super) fn disruption_budget(object: &mut PodDisruptionBudget) {
    nothing_more(object);
    object.status = None;
}

/// What an object is, apart from the version of its last write.
pub(super) fn digest<K: Resource + Serialize>(object: &mut K) -> u64 {
    let version = object.meta_mut().resource_version.take();
    let digest = digest_of(object);
    object.meta_mut().resource_version = version;
    digest
}

/// What a manifest is, apart from its status, which we write ourselves. The generation stands for the spec.
pub(super) fn manifest_digest(object: &mut Manifest) -> u64 {
    written(object)
}

/// What an object is whose generation stands for the rest.
pub(super) fn written<K: Resource>(object: &mut K) -> u64 {
    let version = object.meta_mut().resource_version.take();
    let digest = digest_of(object.meta());
    object.meta_mut().resource_version = version;
    digest
}

/// The hash of a value's JSON. Good within one process only. As text at once: to write each kind into a hasher as well would
/// be the code of all of them once more.
fn digest_of(value: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Kubernetes objects came from JSON and go back to it; were one not to, its digest would merely say nothing.
    hasher.write(&serde_json::to_vec(value).unwrap_or_default());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod_with(status: &str, version: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "demo-0", "resourceVersion": version,
                "managedFields": [{"manager": "kubelet"}],
                "annotations": {"status": status, LAST_APPLIED: "{}"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_node_changes_when_pods_are_kept_away_and_not_with_its_heartbeat() {
        let digest_of = |unschedulable: bool, heartbeat: &str| {
            let mut object: Node = serde_json::from_value(json!({
                "metadata": {"name": "n", "annotations": {"volumes": heartbeat}},
                "spec": {"podCIDR": "10.0.0.0/24", "unschedulable": unschedulable},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": heartbeat}]},
            }))
            .unwrap();
            node(&mut object);
            digest(&mut object)
        };
        let (first, later) = ("2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z");
        assert_eq!(digest_of(false, first), digest_of(false, later));
        assert_ne!(digest_of(false, first), digest_of(true, first));
    }

    #[test]
    fn a_member_that_merely_works_does_not_change() {
        let digest_of = |status: &str, version: &str| {
            let mut object = pod_with(status, version);
            pod(&mut object);
            assert!(object.metadata.managed_fields.as_ref().is_none_or(Vec::is_empty));
            assert!(!object.annotations().contains_key(LAST_APPLIED));
            assert_eq!(object.resource_version().as_deref(), Some(version));
            digest(&mut object)
        };
        let first = digest_of(r#"{"role":"replica","state":"running","xlog_location":1}"#, "1");
        assert_eq!(first, digest_of(r#"{"role":"replica","state":"running","xlog_location":2}"#, "2"));
        assert_ne!(first, digest_of(r#"{"role":"replica","state":"running","pending_restart":true}"#, "3"));
    }

    #[test]
    fn a_pod_keeps_its_place_its_resources_and_its_health_and_a_stranger_keeps_all() {
        let trimmed = |annotations: Value| {
            let mut object: Pod = serde_json::from_value(json!({
                "metadata": {"name": "demo-0", "annotations": annotations},
                "spec": {"nodeName": "n", "serviceAccountName": "postgres-pod", "containers": [
                    {"name": "postgres", "image": "spilo:1", "resources": {"requests": {"cpu": "1"}}},
                ]},
                "status": {"phase": "Running", "podIP": "10.2.0.1", "qosClass": "Burstable", "containerStatuses": [
                    {"name": "postgres", "image": "spilo:1", "imageID": "i", "ready": true, "restartCount": 3,
                     "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                ]},
            }))
            .unwrap();
            pod(&mut object);
            object
        };
        let ours = trimmed(json!({ FINGERPRINT: r#"{"image":"0123456789abcdef"}"# }));
        let (spec, status) = (ours.spec.unwrap(), ours.status.unwrap());
        assert_eq!((spec.node_name.as_deref(), spec.service_account_name), (Some("n"), None));
        assert_eq!(spec.containers[0].resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0, "1");
        assert_eq!(spec.containers[0].image, None);
        assert_eq!((status.phase.as_deref(), status.pod_ip.as_deref()), (Some("Running"), Some("10.2.0.1")));
        let states = status.container_statuses.unwrap();
        assert!(states[0].state.as_ref().unwrap().running.is_some());
        for theirs in [json!({}), json!({ FINGERPRINT: "" })] {
            let spec = trimmed(theirs).spec.unwrap();
            assert_eq!(spec.containers[0].image.as_deref(), Some("spilo:1"), "to be recognised by");
        }
    }

    #[test]
    fn a_secret_keeps_only_the_credential() {
        let mut object: Secret = serde_json::from_value(json!({
            "metadata": {"name": "s"}, "data": {"username": "YQ==", "password": "Yg==", "tls.key": "Yw=="},
        }))
        .unwrap();
        secret(&mut object);
        let keys: Vec<_> = object.data.unwrap().into_keys().collect();
        assert_eq!(keys, ["password", "username"]);
    }
}
