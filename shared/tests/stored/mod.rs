//! Objects as they come back from Kubernetes: with its defaults, its bookkeeping and a status.
//!
//! Written after what a real API server added to the golden objects. The benchmark compares with such objects, because
//! the operator does, and the tests of drift change them.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::build::{Credential, Pooler, Resources, UserList};
use shared::plan::{Kind, ObjectName, objects};

/// What is there once everything that is wanted has been applied.
pub(crate) fn stored(wanted: &Resources) -> Resources {
    let mut all = Resources::default();
    for (name, object) in objects(wanted) {
        let place = place_of(&name, wanted);
        put(&mut all, name.kind, place, as_stored(name.kind, object));
    }
    all
}

/// Which user a Secret belongs to; that is no part of the object as it is compared.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Credential(&'a Credential),
    Users(&'a UserList),
    Anywhere,
}

pub(crate) fn place_of<'a>(name: &ObjectName, wanted: &'a Resources) -> Place<'a> {
    let is = |other: &Option<String>| other.as_deref() == Some(name.name.as_str());
    let mut lists = wanted.poolers.iter().filter_map(|pooler| pooler.users.as_ref());
    match (name.kind, wanted.credentials.iter().find(|one| is(&one.metadata.name))) {
        (Kind::Secret, Some(credential)) => Place::Credential(credential),
        (Kind::Secret, None) => Place::Users(lists.find(|list| is(&list.metadata.name)).unwrap()),
        _ => Place::Anywhere,
    }
}

/// Puts an object among the others of its kind.
pub(crate) fn put(all: &mut Resources, kind: Kind, place: Place<'_>, object: Value) {
    match kind {
        Kind::ServiceAccount => all.service_account = typed(object),
        Kind::RoleBinding => all.role_binding = typed(object),
        Kind::Service => all.services.extend(typed(object)),
        Kind::Endpoints => all.endpoints.extend(typed(object)),
        Kind::PodDisruptionBudget => all.disruption_budgets.extend(typed(object)),
        Kind::StatefulSet => all.stateful_set = typed(object),
        Kind::Deployment => all.poolers.push(Pooler { deployment: typed(object), ..Pooler::default() }),
        Kind::CronJob => all.logical_backup = typed(object),
        Kind::FabricEventStream => all.event_streams.extend(typed(object)),
        Kind::Secret => {
            let metadata = typed(object.pointer("/metadata").cloned().unwrap()).unwrap();
            match place {
                Place::Credential(one) => all.credentials.push(Credential { metadata, ..one.clone() }),
                Place::Users(list) => {
                    let users = Some(UserList { metadata, ..list.clone() });
                    all.poolers.push(Pooler { users, ..Pooler::default() });
                }
                Place::Anywhere => unreachable!("a Secret without a user"),
            }
        }
    }
}

/// The object, unless it is none of its kind any more.
pub(crate) fn typed<T: DeserializeOwned>(object: Value) -> Option<T> {
    serde_json::from_value(object).ok()
}

/// The object with everything that Kubernetes adds.
pub(crate) fn as_stored(kind: Kind, mut object: Value) -> Value {
    add(
        object.pointer_mut("/metadata"),
        json!({
            "creationTimestamp": "2026-11-22T08:00:00Z", "generation": 3, "resourceVersion": "123456",
            "uid": "0f6a1f2e-6d0b-4a5e-9c1e-2b7f6a1d9e10",
        }),
    );
    match kind {
        Kind::Service => {
            add(
                object.pointer_mut("/spec"),
                json!({
                    "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "internalTrafficPolicy": "Cluster",
                    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                }),
            );
            add(Some(&mut object), json!({"status": {"loadBalancer": {}}}));
        }
        Kind::StatefulSet => {
            add(object.pointer_mut("/spec"), json!({"revisionHistoryLimit": 10}));
            for claim in
                object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut).unwrap()
            {
                let more = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"},
                });
                add(Some(claim), more);
            }
            let status = json!({"replicas": 2, "readyReplicas": 2, "currentRevision": "demo-7d9f", "collisionCount": 0});
            add(Some(&mut object), json!({ "status": status }));
            add_to_pod(object.pointer_mut("/spec/template/spec"));
        }
        Kind::Deployment => {
            add(
                object.pointer_mut("/spec"),
                json!({
                    "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                }),
            );
            add_to_pod(object.pointer_mut("/spec/template/spec"));
        }
        Kind::CronJob => {
            add(object.pointer_mut("/spec"), json!({"suspend": false}));
            add_to_pod(object.pointer_mut("/spec/jobTemplate/spec/template/spec"));
        }
        Kind::ServiceAccount
        | Kind::RoleBinding
        | Kind::Secret
        | Kind::Endpoints
        | Kind::PodDisruptionBudget
        | Kind::FabricEventStream => {}
    }
    object
}

fn add_to_pod(pod: Option<&mut Value>) {
    let pod = pod.unwrap();
    let account = pod.get("serviceAccountName").cloned();
    add(
        Some(&mut *pod),
        json!({
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "serviceAccount": account,
        }),
    );
    for list in ["containers", "initContainers"] {
        for container in items(pod, list) {
            add(
                Some(container),
                json!({
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent", "resources": {},
                }),
            );
            for probe in ["livenessProbe", "readinessProbe"] {
                add(
                    container.get_mut(probe),
                    json!({
                        "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                    }),
                );
            }
        }
    }
    for volume in items(pod, "volumes") {
        add(volume.get_mut("secret"), json!({"defaultMode": 420}));
    }
}

fn items<'a>(of: &'a mut Value, list: &str) -> Vec<&'a mut Value> {
    of.get_mut(list).and_then(Value::as_array_mut).map(|items| items.iter_mut().collect()).unwrap_or_default()
}

/// Adds the keys that are not there.
fn add(to: Option<&mut Value>, more: Value) {
    let Some(fields) = to.and_then(Value::as_object_mut) else { return };
    for (key, value) in more.as_object().unwrap() {
        fields.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
