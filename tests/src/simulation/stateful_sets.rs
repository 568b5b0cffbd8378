//! The controller of StatefulSets: makes pods from a template, and takes surplus ones away.
//!
//! With `OnDelete` it never replaces a pod that is there. It can lag: then it goes on making pods from the template that
//! it has seen, and this is what makes a new pod an old one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fake_api::{Deletion, Key, Store, metadata};

const GROUP: &str = "apps";
const PLURAL: &str = "statefulsets";

/// The controller.
#[derive(Clone, Debug, Default)]
pub struct StatefulSets {
    /// How long it takes until it sees a change.
    pub lag: Duration,
    seen: BTreeMap<Key, Vec<Version>>,
}

/// A version of a StatefulSet, and since when it is there.
#[derive(Clone, Debug)]
struct Version {
    since: Timestamp,
    object: Arc<Value>,
    revision: String,
}

/// A StatefulSet as the controller sees it.
struct Set {
    key: Key,
    object: Arc<Value>,
    revision: String,
}

impl StatefulSets {
    pub(super) fn tick(&mut self, store: &mut Store, now: Timestamp) {
        let sets: Vec<(Key, Arc<Value>)> =
            store.all(GROUP, PLURAL, "").map(|(key, set)| (key.clone(), Arc::clone(set))).collect();
        self.seen.retain(|key, _| sets.iter().any(|(other, _)| other == key));
        for (key, live) in sets {
            if let Some(Version { object, revision, .. }) = self.seen_at(&key, &live, now) {
                Set { key, object, revision }.reconcile(store);
            }
        }
    }

    /// The newest version of a set that is old enough to have been seen.
    fn seen_at(&mut self, key: &Key, live: &Arc<Value>, now: Timestamp) -> Option<Version> {
        let lag = SignedDuration::try_from(self.lag).unwrap_or_default();
        let versions = self.seen.entry(key.clone()).or_default();
        let wish = |set: &Value| (set["metadata"]["uid"].clone(), set["metadata"]["generation"].clone());
        if versions.last().is_none_or(|last| wish(&last.object) != wish(live)) {
            versions.push(Version {
                since: now,
                object: Arc::clone(live),
                revision: revision(&key.name, live),
            });
        }
        let due = versions.iter().rposition(|version| version.since + lag <= now)?;
        versions.drain(..due);
        versions.first().filter(|seen| seen.object["metadata"]["uid"] == live["metadata"]["uid"]).cloned()
    }
}

/// The name of the revision that a template is.
fn revision(name: &str, set: &Value) -> String {
    let digest = Sha256::digest(set["spec"]["template"].to_string());
    let hex: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{hex}")
}

impl Set {
    fn name(&self) -> &str {
        &self.key.name
    }

    fn at(&self, pointer: &str) -> &Value {
        self.object.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn uid(&self) -> &Value {
        self.at("/metadata/uid")
    }

    fn pod_key(&self, ordinal: i64) -> Key {
        Key::new("", "pods", &self.key.namespace, &format!("{}-{ordinal}", self.name()))
    }

    fn reconcile(&self, store: &mut Store) {
        if self.at("/metadata/deletionTimestamp").is_string() {
            return;
        }
        self.adopt(store);
        let wanted = self.at("/spec/replicas").as_i64().unwrap_or(1);
        let parallel = self.at("/spec/podManagementPolicy") == "Parallel";
        for ordinal in 0..wanted {
            let pod = store.get(&self.pod_key(ordinal)).cloned();
            match pod {
                None => self.make_pod(store, ordinal),
                Some(pod) if parallel || is_ready(&pod) => continue,
                Some(_) => {}
            }
            if !parallel {
                break;
            }
        }
        self.scale_down(store, wanted, parallel);
        self.report(store);
    }

    /// Takes over pods that match and have no owner.
    fn adopt(&self, store: &mut Store) {
        let selector = self.at("/spec/selector/matchLabels").clone();
        let belongs = |key: &Key, pod: &Value| {
            let ordinal = key.name.strip_prefix(self.name()).and_then(|rest| rest.strip_prefix('-'));
            let labels = selector.as_object().into_iter().flatten();
            ordinal.is_some_and(|text| text.parse::<u32>().is_ok())
                && labels.into_iter().all(|(name, value)| pod["metadata"]["labels"].get(name) == Some(value))
                && pod["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty)
        };
        let pods = store.all("", "pods", &self.key.namespace);
        let strays: Vec<Key> =
            pods.filter(|(key, pod)| belongs(key, pod)).map(|(key, _)| key.clone()).collect();
        let owner = self.owner();
        for key in strays {
            store.edit(&key, |pod| drop(metadata(pod).insert("ownerReferences".to_owned(), owner.clone())));
        }
    }

    fn owner(&self) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": self.name(), "uid": self.uid(),
            "controller": true, "blockOwnerDeletion": true}])
    }

    fn make_pod(&self, store: &mut Store, ordinal: i64) {
        let key = self.pod_key(ordinal);
        self.make_claims(store, &key.name);
        let template = self.at("/spec/template");
        let mut labels = template["metadata"]["labels"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("controller-revision-hash".to_owned(), json!(self.revision));
            labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), json!(key.name));
            labels.insert("apps.kubernetes.io/pod-index".to_owned(), json!(ordinal.to_string()));
        }
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"labels": labels, "annotations": template["metadata"]["annotations"],
                "ownerReferences": self.owner()},
            "spec": template["spec"], "status": {"phase": "Pending"},
        });
        // A pod of that name may still be there: the next tick sees it.
        let _ = store.create(key, pod, None);
    }

    fn make_claims(&self, store: &mut Store, pod: &str) {
        for template in self.at("/spec/volumeClaimTemplates").as_array().into_iter().flatten() {
            let name = template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let key = Key::new("", "persistentvolumeclaims", &self.key.namespace, &format!("{name}-{pod}"));
            let mut labels = template["metadata"]["labels"].clone();
            let selector = self.at("/spec/selector/matchLabels").as_object().into_iter().flatten();
            for (name, value) in selector {
                labels[name] = value.clone();
            }
            let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"labels": labels}, "spec": template["spec"], "status": {"phase": "Bound"}});
            // A claim outlives its pod.
            let _ = store.create(key, claim, None);
        }
    }

    /// Takes the pods away that are too many, the highest first.
    fn scale_down(&self, store: &mut Store, wanted: i64, parallel: bool) {
        let pods = self.pods(store);
        let surplus = pods.iter().filter(|(ordinal, _)| *ordinal >= wanted).rev();
        for (_, pod) in surplus {
            let key = Key::new(
                "",
                "pods",
                &self.key.namespace,
                pod["metadata"]["name"].as_str().unwrap_or_default(),
            );
            // It may have gone by itself.
            let _ = store.delete(&key, &Deletion::default());
            if !parallel {
                break;
            }
        }
    }

    /// The pods of this set, by ordinal.
    fn pods(&self, store: &Store) -> Vec<(i64, Arc<Value>)> {
        let owned = |pod: &Value| pod.pointer("/metadata/ownerReferences/0/uid") == Some(self.uid());
        let ordinal = |key: &Key| key.name.rsplit_once('-').and_then(|(_, ordinal)| ordinal.parse().ok());
        let pods = store.all("", "pods", &self.key.namespace).filter(|(_, pod)| owned(pod));
        let mut pods: Vec<_> = pods.filter_map(|(key, pod)| Some((ordinal(key)?, Arc::clone(pod)))).collect();
        pods.sort_by_key(|(ordinal, _)| *ordinal);
        pods
    }

    /// Writes the status.
    fn report(&self, store: &mut Store) {
        let pods = self.pods(store);
        let updated =
            |pod: &Value| pod["metadata"]["labels"]["controller-revision-hash"] == json!(self.revision);
        let status = json!({
            "observedGeneration": self.at("/metadata/generation"),
            "replicas": pods.len(),
            "readyReplicas": pods.iter().filter(|(_, pod)| is_ready(pod)).count(),
            "updatedReplicas": pods.iter().filter(|(_, pod)| updated(pod)).count(),
            "updateRevision": self.revision,
        });
        if store.get(&self.key).is_some_and(|set| set["status"] == status) {
            return;
        }
        store.edit(&self.key, |set| {
            if let Some(fields) = set.as_object_mut() {
                fields.insert("status".to_owned(), status);
            }
        });
    }
}

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}
