//! What a story reads off its world.

use std::sync::Arc;

use serde_json::Value;
use tests::fake_api::Key;

use super::{NAMESPACE, World, manifest_key};

impl World {
    /// Whether the operator has said that it is at work.
    pub(super) fn is_busy(&self) -> bool {
        let status = self.status();
        let word = status["PostgresClusterStatus"].as_str().unwrap_or_default();
        let observed = status["observedGeneration"].as_i64();
        let manifest = self.api.get(&manifest_key());
        manifest.is_some_and(|manifest| {
            manifest["metadata"]["generation"].as_i64() != observed
                || matches!(word, "" | "Creating" | "Updating")
                || manifest["metadata"]["deletionTimestamp"].is_string()
        })
    }

    pub(super) fn changes(&self) -> (u64, u64) {
        (self.api.state().store.version(), self.nature.lock().unwrap().patroni.changes())
    }

    /// What the status of the cluster says.
    pub(crate) fn status(&self) -> Value {
        self.api.get(&manifest_key()).map(|manifest| manifest["status"].clone()).unwrap_or_default()
    }

    /// The word in it.
    pub(crate) fn word(&self) -> String {
        self.status()["PostgresClusterStatus"].as_str().unwrap_or_default().to_owned()
    }

    /// Every disruptive act since the last [`forget`](Self::forget), in order.
    pub(crate) fn acts(&self) -> Vec<String> {
        let mut acts = self.recreated.lock().unwrap().clone();
        let nature = self.nature.lock().unwrap();
        acts.extend(nature.patroni.acts.iter().map(|act| (act.at, act.what.clone())));
        acts.sort_by_key(|(at, _)| *at);
        acts.into_iter().map(|(_, what)| what).collect()
    }

    /// The pods that are there, by name.
    pub(crate) fn pods(&self) -> Vec<String> {
        let state = self.api.state();
        state.store.all("", "pods", NAMESPACE).map(|(key, _)| key.name.clone()).collect()
    }

    /// Every object but events, as `resource name`.
    pub(crate) fn objects(&self) -> Vec<String> {
        let state = self.api.state();
        let objects = state.store.everything().filter(|(key, _)| key.resource != "events");
        objects.map(|(key, _)| format!("{} {}", key.resource, key.name)).collect()
    }

    /// The events for people, or any other objects of one plural in any group.
    pub(crate) fn objects_of(&self, resource: &str) -> Vec<Arc<Value>> {
        let state = self.api.state();
        let all = state.store.everything().filter(|(key, _)| key.resource == resource);
        all.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The manifest as it is stored.
    pub(crate) fn manifest(&self) -> Arc<Value> {
        self.api.get(&manifest_key()).unwrap()
    }

    /// An object.
    pub(crate) fn object(&self, group: &str, resource: &str, name: &str) -> Arc<Value> {
        let key = Key::new(group, resource, NAMESPACE, name);
        self.api.get(&key).unwrap_or_else(|| panic!("{resource} {name} is not there"))
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> String {
        let nature = self.nature.lock().unwrap();
        nature.patroni.leader(NAMESPACE, "demo").unwrap_or_default().to_owned()
    }

    /// The major version of the data.
    pub(crate) fn major(&self) -> u64 {
        self.nature.lock().unwrap().patroni.major(NAMESPACE, "demo").unwrap_or_default()
    }

    /// A setting, in every member that is there.
    pub(crate) fn in_force(&self, setting: &str) -> Vec<String> {
        let pods = self.pods();
        let nature = self.nature.lock().unwrap();
        pods.iter().filter_map(|pod| nature.patroni.in_force(NAMESPACE, pod, setting)).collect()
    }

    /// How many calls of operators changed something.
    pub(crate) fn writes(&self) -> usize {
        let state = self.api.state();
        state.journal.iter().filter(|call| call.changed && call.key.resource != "events").count()
    }
}
