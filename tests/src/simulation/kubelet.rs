//! The nodes: a pod gets a node and an address, its image is pulled, its containers run, it becomes ready, it ends.
//!
//! An image may be one that cannot be pulled. A pod is ready when what runs in it says so: its Postgres is up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fake_api::{Key, Store};

use super::Patroni;
use super::clock::after;

/// The nodes.
#[derive(Clone, Debug)]
pub struct Kubelet {
    /// How many nodes there are.
    pub nodes: usize,
    /// Seconds until a pod's containers run.
    pub start: u64,
    /// Seconds until a pod that was asked to end has ended.
    pub end: u64,
    /// Images that cannot be pulled.
    pub broken_images: BTreeSet<String>,
    addresses: u64,
    deadlines: BTreeMap<String, Timestamp>,
}

impl Default for Kubelet {
    fn default() -> Self {
        Self {
            nodes: 3,
            start: 3,
            end: 2,
            broken_images: BTreeSet::new(),
            addresses: 0,
            deadlines: BTreeMap::new(),
        }
    }
}

impl Kubelet {
    pub(super) fn tick(&mut self, store: &mut Store, patroni: &Patroni, now: Timestamp) {
        let pods: Vec<(Key, Arc<Value>)> =
            store.all("", "pods", "").map(|(key, pod)| (key.clone(), Arc::clone(pod))).collect();
        let mut waited_for = BTreeSet::new();
        for (key, pod) in pods {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            let ends = pod["metadata"]["deletionTimestamp"].is_string();
            let (what, seconds) = if ends { ("end", self.end) } else { ("start", self.start) };
            let what = format!("{uid} {what}");
            let due = *self.deadlines.entry(what.clone()).or_insert_with(|| after(now, seconds)) <= now;
            waited_for.insert(what);
            match (ends, due) {
                (true, true) => store.end(&key),
                (true, false) => {}
                (false, false) => self.place(store, &key, &pod),
                (false, true) if pod["spec"]["nodeName"].is_null() => {
                    self.place(store, &key, &pod);
                    let status = json!({"phase": "Pending", "conditions":
                        [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
                    let is_placed = store.get(&key).is_some_and(|pod| !pod["spec"]["nodeName"].is_null());
                    if !is_placed && pod["status"] != status {
                        store.edit(&key, |pod| pod["status"] = status);
                    }
                }
                (false, true) => {
                    let status = self.status(patroni, &pod, now);
                    if pod["status"] != status {
                        store.edit(&key, |pod| pod["status"] = status);
                    }
                }
            }
        }
        self.deadlines.retain(|what, _| waited_for.contains(what));
    }

    /// Gives a pod its node, by its ordinal; the next one where that keeps pods away. Without objects for them, all nodes
    /// take pods.
    fn place(&self, store: &mut Store, key: &Key, pod: &Value) {
        if !pod["spec"]["nodeName"].is_null() {
            return;
        }
        let ordinal = key.name.rsplit_once('-').and_then(|(_, text)| text.parse::<usize>().ok());
        let names = (0..self.nodes).map(|place| (ordinal.unwrap_or_default() + place) % self.nodes);
        let mut names = names.map(|number| format!("node-{number}"));
        let home = home_of_volume(store, key);
        if let Some(node) =
            names.find(|name| takes_pods(store, name) && home.as_ref().is_none_or(|home| home == name))
        {
            store.edit(key, |pod| pod["spec"]["nodeName"] = json!(node));
        }
    }

    /// The status of a pod that has had its time to start.
    fn status(&mut self, patroni: &Patroni, pod: &Value, now: Timestamp) -> Value {
        let is_broken = |image: &str| self.broken_images.contains(image);
        if containers(pod).any(|container| container["image"].as_str().is_some_and(is_broken)) {
            return self.waiting(pod);
        }
        let address = pod["status"]["podIP"].as_str().map(str::to_owned).unwrap_or_else(|| self.address());
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        running(pod, &address, patroni.is_up(uid) || !is_database(pod), now)
    }

    fn address(&mut self) -> String {
        self.addresses += 1;
        format!("10.2.{}.{}", self.addresses / 250, self.addresses % 250 + 1)
    }

    fn waiting(&self, pod: &Value) -> Value {
        let reason = |container: &Value| match container["image"].as_str() {
            Some(image) if self.broken_images.contains(image) => "ImagePullBackOff",
            _ => "ContainerCreating",
        };
        let statuses: Vec<Value> = containers(pod)
            .map(|one| {
                json!({"name": one["name"], "image": one["image"], "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason(one)}}})
            })
            .collect();
        json!({"phase": "Pending", "containerStatuses": statuses,
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]})
    }
}

fn takes_pods(store: &Store, node: &str) -> bool {
    let node = store.get(&Key::new("", "nodes", "", node));
    node.is_none_or(|node| {
        node["spec"]["unschedulable"] != true && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
    })
}

/// The node that a pod's volume is on, where it is a local one.
fn home_of_volume(store: &Store, pod: &Key) -> Option<String> {
    let claim = Key::new("", "persistentvolumeclaims", &pod.namespace, &format!("pgdata-{}", pod.name));
    let volume = store.get(&claim)?["spec"]["volumeName"].as_str()?.to_owned();
    let volume = store.get(&Key::new("", "persistentvolumes", "", &volume))?;
    let term = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0];
    term["matchExpressions"][0]["values"][0].as_str().map(str::to_owned)
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

/// Whether Postgres runs in a pod.
fn is_database(pod: &Value) -> bool {
    containers(pod).any(|container| container["name"] == "postgres")
}

fn running(pod: &Value, address: &str, ready: bool, now: Timestamp) -> Value {
    let began = pod["status"]["startTime"].as_str().map(str::to_owned);
    let began = began.unwrap_or_else(|| crate::fake_api::seconds(now));
    let statuses: Vec<Value> = containers(pod)
        .map(|one| {
            json!({"name": one["name"], "image": one["image"], "imageID": "", "ready": ready,
            "restartCount": 0, "state": {"running": {"startedAt": began}}})
        })
        .collect();
    let ready = if ready { "True" } else { "False" };
    json!({"phase": "Running", "podIP": address, "startTime": began, "containerStatuses": statuses,
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]})
}
