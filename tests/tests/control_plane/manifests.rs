//! Manifests that are accepted, without any webhook.

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};
use shared::api::Postgresql;

use crate::golden;

/// Manifests of a namespace, untyped: what is written is what was given.
pub(crate) fn manifests(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Postgresql>(&()))
}

pub(crate) async fn make_namespace(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
    match Api::all(client.clone()).create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        made => drop(made.unwrap()),
    }
}

/// The smallest manifest, with these fields of the spec besides or instead.
pub(crate) fn manifest(name: &str, fields: &Value) -> DynamicObject {
    let mut spec = json!({
        "teamId": "acid", "numberOfInstances": 2, "volume": { "size": "10Gi" }, "postgresql": { "version": "16" },
    });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    DynamicObject::new(name, &ApiResource::erase::<Postgresql>(&())).data(json!({ "spec": spec }))
}

pub(crate) async fn every_golden_manifest_is_stored_as_it_was_written(client: Client) {
    make_namespace(&client, "golden-manifests").await;
    let api = manifests(&client, "golden-manifests");
    let mut refused = Vec::new();
    let all = golden::manifests();
    for (file, text) in &all {
        let mut manifest: DynamicObject = serde_saphyr::from_str(text).unwrap();
        manifest.metadata.namespace = None;
        match api.create(&PostParams::default(), &manifest).await {
            Ok(stored) if stored.data["spec"] == manifest.data["spec"] => {}
            Ok(stored) => refused.push(format!("{file}: stored as {}", stored.data["spec"])),
            Err(error) => refused.push(format!("{file}: {error}")),
        }
    }
    assert!(all.len() > 20, "only {} manifests were found", all.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

pub(crate) async fn a_null_counts_as_absent(client: Client) {
    let api = manifests(&client, "default");
    let fields = json!({
        "clone": null, "standby": null, "users": null, "allowedSourceRanges": null, "tls": null, "patroni": { "slots": null },
        "volume": { "size": "1Gi", "storageClass": null }, "usersWithSecretRotation": null, "resources": null,
        "databases": null, "sidecars": null,
    });
    let stored = api.create(&PostParams::default(), &manifest("nulls", &fields)).await.unwrap();
    let spec = stored.data["spec"].as_object().unwrap();
    assert_eq!(
        spec.keys().collect::<Vec<_>>(),
        ["numberOfInstances", "patroni", "postgresql", "teamId", "volume"]
    );
    assert_eq!(spec["volume"], json!({ "size": "1Gi" }));
}

pub(crate) async fn a_number_is_a_quantity_in_embedded_kubernetes_types(client: Client) {
    let api = manifests(&client, "default");
    let fields = json!({ "initContainers": [{
        "name": "first", "image": "image", "resources": { "requests": { "cpu": 1, "memory": "1Gi" } },
    }] });
    api.create(&PostParams::default(), &manifest("numbers", &fields)).await.unwrap();
    let typed: Api<Postgresql> = Api::namespaced(client, "default");
    let read = typed.get("numbers").await.unwrap();
    let resources = read.spec.init_containers.unwrap()[0].resources.clone().unwrap();
    assert_eq!(resources.requests.unwrap()["cpu"].0, "1");
}
