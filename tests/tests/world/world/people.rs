//! What people do in a world: to the manifest, to nodes, to the operators' configuration.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tests::fake_api::{Deletion, Key, Manager};

use super::{World, manifest_key};

impl World {
    /// `kubectl apply`: makes the manifest, or replaces its specification.
    pub(crate) fn apply(&self, manifest: Value) {
        let user = Manager { name: "kubectl".to_owned(), applies: false, subresource: String::new() };
        let key = manifest_key();
        self.api.with(|store| {
            if store.get(&key).is_none() {
                return drop(store.create(key, manifest, Some(&user)).unwrap());
            }
            let replaced = store.change(&key, Some(&user), |old| {
                let mut new = old.clone();
                new["spec"] = manifest["spec"].clone();
                Ok(new)
            });
            drop(replaced.unwrap());
        });
    }

    /// Changes the manifest's specification by a merge patch.
    pub(crate) fn patch(&self, patch: Value) {
        let mut manifest = (*self.api.get(&manifest_key()).unwrap()).clone();
        json_patch::merge(&mut manifest, &json!({ "spec": patch }));
        self.apply(manifest);
    }

    /// `kubectl delete` of the manifest.
    pub(crate) fn delete(&self) {
        self.api.with(|store| store.delete(&manifest_key(), &Deletion::default()).map(drop)).unwrap();
    }

    /// Makes the nodes objects: they take pods until they are told not to.
    pub(crate) fn show_nodes(&self) {
        for number in 0..self.nature.lock().unwrap().kubelet.nodes {
            let name = format!("node-{number}");
            let labels = json!({"kubernetes.io/hostname": name});
            let node =
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"labels": labels}, "spec": {}});
            self.api.with(|store| store.create(Key::new("", "nodes", "", &name), node, None)).unwrap();
        }
    }

    /// Changes a node's specification.
    pub(crate) fn node(&self, name: &str, spec: Value) {
        self.api.with(|store| {
            store.edit(&Key::new("", "nodes", "", name), |node| json_patch::merge(&mut node["spec"], &spec));
        });
    }

    /// Changes the operators' configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut OperatorConfig)) {
        let mut config = (**self.config.borrow()).clone();
        change(&mut config);
        self.config.send_replace(Arc::new(config));
    }
}
