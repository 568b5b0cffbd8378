//! What Patroni reads from Kubernetes and writes to it: its pods, their labels and annotations, its own objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fake_api::{Key, Store};

use super::{Cluster, Member, Version};

/// A pod in which Patroni runs.
#[derive(Clone, Debug)]
pub(super) struct RunningPod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) address: String,
}

type Place = (String, String);

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["labels"][name].as_str()
}

/// The pods of databases, by cluster. One that was asked to end has let go of Patroni.
pub(super) fn pods_by_cluster(store: &Store) -> BTreeMap<Place, Vec<RunningPod>> {
    let mut found: BTreeMap<Place, Vec<RunningPod>> = BTreeMap::new();
    for (key, pod) in store.all("", "pods", "") {
        let Some(cluster) = label(pod, "cluster-name").filter(|_| label(pod, "application") == Some("spilo"))
        else {
            continue;
        };
        let pods = found.entry((key.namespace.clone(), cluster.to_owned())).or_default();
        let runs = pod["status"]["phase"] == "Running" && !pod["metadata"]["deletionTimestamp"].is_string();
        if let Some(address) = pod["status"]["podIP"].as_str().filter(|_| runs) {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            pods.push(RunningPod { name: key.name.clone(), uid, address: address.to_owned() });
        }
    }
    found
}

pub(super) fn has_pods(store: &Store, place: &Place) -> bool {
    store.all("", "pods", &place.0).any(|(_, pod)| label(pod, "cluster-name") == Some(place.1.as_str()))
}

/// The configuration that a new cluster begins with: Spilo's, and what the pod's environment lays over it.
pub(super) fn bootstrap(store: &Store, namespace: &str, pod: &str) -> Value {
    let pod = store.get(&Key::new("", "pods", namespace, pod));
    first_configuration(pod.map_or(&Value::Null, |pod| pod))
}

/// The same, of a pod as JSON.
pub fn first_configuration(pod: &Value) -> Value {
    let mut config = json!({
        "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 33_554_432,
        "postgresql": {"use_pg_rewind": true, "use_slots": true, "parameters": {
            "archive_mode": "on", "archive_timeout": "1800s", "log_statement": "ddl", "max_connections": 100,
            "max_replication_slots": 10, "max_wal_senders": 10, "wal_level": "hot_standby"}},
    });
    let environment = environment(pod, "SPILO_CONFIGURATION");
    let local: Value = environment.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if let Some(wish) = local.pointer("/bootstrap/dcs") {
        json_patch::merge(&mut config, wish);
    }
    config
}

/// The major version that a pod was made for.
pub(super) fn version(store: &Store, namespace: &str, pod: &str) -> u64 {
    let pod = store.get(&Key::new("", "pods", namespace, pod));
    let text = pod.and_then(|pod| environment(pod, "PGVERSION"));
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn environment(pod: &Value, name: &str) -> Option<String> {
    let containers = pod["spec"]["containers"].as_array()?.iter();
    let mut variables = containers.flat_map(|one| one["env"].as_array().into_iter().flatten());
    variables.find(|variable| variable["name"] == name)?["value"].as_str().map(str::to_owned)
}

/// Writes roles on the pods, and Patroni's own objects.
pub(super) fn publish(store: &mut Store, place: &Place, cluster: &Cluster, version: Version, now: Timestamp) {
    let known = |member: &&Member| cluster.leader.is_some() || member.may_lead;
    for member in cluster.members.values().filter(known) {
        let leads = cluster.leader.as_deref() == Some(member.name.as_str());
        let role = if leads { "master" } else { "replica" };
        let mut status = json!({"role": role, "state": member.state(leads, version, now), "version": "4"});
        if !member.told.is_empty() {
            status["pending_restart"] = json!(true);
        }
        let status = status.to_string();
        let key = Key::new("", "pods", &place.0, &member.name);
        let is_known = |pod: &Value| {
            label(pod, "spilo-role") == Some(role)
                && pod["metadata"]["annotations"]["status"] == status.as_str()
        };
        if store.get(&key).is_none_or(|pod| is_known(pod)) {
            continue;
        }
        store.edit(&key, |pod| {
            pod["metadata"]["labels"]["spilo-role"] = json!(role);
            pod["metadata"]["annotations"]["status"] = json!(status);
        });
    }
    if !cluster.initialised || cluster.members.is_empty() {
        return;
    }
    let member = cluster.members.keys().next().map(String::as_str).unwrap_or_default();
    let pod = store.get(&Key::new("", "pods", &place.0, member));
    let in_maps = pod.is_some_and(|pod| environment(pod, "KUBERNETES_USE_CONFIGMAPS").is_some());
    let leader = if in_maps { format!("{}-leader", place.1) } else { place.1.clone() };
    keep(store, place, in_maps, &format!("{}-config", place.1), ("config", &cluster.config.to_string()));
    keep(store, place, in_maps, &leader, ("leader", cluster.leader.as_deref().unwrap_or_default()));
}

/// Keeps an object of Patroni's with one annotation: a ConfigMap, or Endpoints.
fn keep(store: &mut Store, place: &Place, in_maps: bool, name: &str, (annotation, value): (&str, &str)) {
    let (plural, kind) = if in_maps { ("configmaps", "ConfigMap") } else { ("endpoints", "Endpoints") };
    let key = Key::new("", plural, &place.0, name);
    if store.get(&key).is_none() {
        let labels = json!({"application": "spilo", "cluster-name": place.1});
        let object = json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"labels": labels, "annotations": {annotation: value}}});
        // It was not there a line ago.
        let _ = store.create(key, object, None);
        return;
    }
    if store.get(&key).is_some_and(|object| object["metadata"]["annotations"][annotation] == value) {
        return;
    }
    store.edit(&key, |object| object["metadata"]["annotations"][annotation] = json!(value));
}
