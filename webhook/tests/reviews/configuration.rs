//! The operator's own configuration, as an object and as a ConfigMap.

use serde_json::{Value, json};
use shared::admission::surroundings::StoredManifest;

use super::{Webhook, fields, request, valid};

#[tokio::test]
async fn a_change_of_the_operators_own_configuration_is_held_against_the_clusters() {
    let webhook = Webhook::ready();
    let stored = StoredManifest::of(&valid());
    webhook.app.world.clusters.fill([("default".to_owned(), "acid-minimal".to_owned(), stored)]);
    let map = |name: &str, data: Value, insisted: Option<&str>| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": {
                "name": name, "namespace": "operators", "annotations": {"acid.zalan.do/insist": insisted},
            },
        })
    };
    let review = |new: Value| {
        let old = map(new["metadata"]["name"].as_str().unwrap(), json!({}), None);
        webhook.review("/validate", request("UPDATE", "ConfigMap", old, new))
    };
    let image = json!({"docker_image": "spilo:next"});
    let response = review(map("postgres-operator", image.clone(), None)).await;
    let told = response["warnings"][0].as_str().unwrap();
    assert_eq!(told, "data[docker_image]: rolling update of 1 cluster (2 pods); first: default/acid-minimal");

    let label = json!({"cluster_name_label": "name"});
    let response = review(map("postgres-operator", label.clone(), None)).await;
    assert_eq!(fields(&response), ["data[cluster_name_label]"]);
    let response = review(map("postgres-operator", label.clone(), Some("cluster_name_label"))).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(
        review(map("another-operators", label, None)).await,
        json!({"uid": "705ab4f5", "allowed": true})
    );
}

#[tokio::test]
async fn an_operator_configuration_is_judged_when_it_changes() {
    let webhook = Webhook::ready();
    let object = |workers: Value| {
        json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "OperatorConfiguration",
            "metadata": {"name": "postgresql-operator-default-configuration", "namespace": "operators"},
            "configuration": {"workers": workers},
        })
    };
    let create = request("CREATE", "OperatorConfiguration", Value::Null, object(json!("many")));
    let response = webhook.review("/validate", create).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["details"]["kind"], "OperatorConfiguration");
    assert!(fields(&response).iter().any(|field| field.contains("workers")));
    let unchanged = request("UPDATE", "OperatorConfiguration", object(json!("many")), object(json!("many")));
    assert_eq!(webhook.review("/validate", unchanged).await["allowed"], true);
    let valid = request("CREATE", "OperatorConfiguration", Value::Null, object(json!(8)));
    assert_eq!(webhook.review("/validate", valid).await["allowed"], true);
}

#[tokio::test]
async fn of_all_config_maps_only_the_operators_own_is_judged() {
    let webhook = Webhook::ready();
    let map = |namespace: &str, name: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"workers": "many"},
            "metadata": {"name": name, "namespace": namespace},
        })
    };
    for (namespace, name, allowed) in [
        ("operators", "postgres-operator", false),
        ("default", "postgres-operator", true),
        ("operators", "other", true),
    ] {
        let create = request("CREATE", "ConfigMap", Value::Null, map(namespace, name));
        assert_eq!(webhook.review("/validate", create).await["allowed"], allowed, "{namespace}/{name}");
    }
}
