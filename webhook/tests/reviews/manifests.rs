//! Manifests and teams: defaulted, refused with every error, or let through.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value, json};
use shared::admission::surroundings::{StorageClass, StoredManifest};
use shared::config::OperatorConfig;

use super::{Webhook, fields, invalid, request, valid};

#[tokio::test]
async fn a_valid_manifest_gets_its_defaults_as_a_patch_and_is_allowed() {
    let webhook = Webhook::ready();
    let create = request("CREATE", "postgresql", Value::Null, valid());
    let response = webhook.review("/mutate", create.clone()).await;
    assert_eq!(response["allowed"], true);
    assert!(response.get("status").is_none());
    if let Some(patch) = response.get("patch") {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(patch.as_str().unwrap()).unwrap();
        let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
        assert!(patch.0.iter().all(|op| matches!(op, json_patch::PatchOperation::Add(_))), "{patch}");
        let mut after = valid();
        json_patch::patch(&mut after, &patch).unwrap();
        assert_eq!(after["spec"]["teamId"], "acid");

        let again = webhook.review("/mutate", request("CREATE", "postgresql", Value::Null, after)).await;
        assert!(again.get("patch").is_none(), "a second pass has nothing to add: no patch field at all");
        assert!(again.get("patchType").is_none());
    }
    let response = webhook.review("/validate", create).await;
    assert_eq!(response, json!({"uid": "705ab4f5", "allowed": true}));
}

#[tokio::test]
async fn an_invalid_manifest_is_refused_with_every_error_at_once() {
    let webhook = Webhook::ready();
    for path in ["/mutate", "/validate"] {
        let create = request("CREATE", "postgresql", Value::Null, invalid());
        let response = webhook.review(path, create).await;
        assert_eq!(response["allowed"], false);
        assert!(response.get("patch").is_none());
        let status = &response["status"];
        assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
        let details = &status["details"];
        assert_eq!((&details["kind"], &details["name"]), (&json!("postgresql"), &json!("acid-minimal")));
        assert_eq!(details["group"], "acid.zalan.do");

        let fields = fields(&response);
        for field in [
            "spec.teamId",
            "spec.volume.size",
            "spec.numberOfInstances",
            "spec.postgresql.version",
            "spec.enableMasterLoadBalancer",
        ] {
            assert!(fields.contains(&field), "{field} is missing from {fields:?}");
        }

        let lines: Vec<&str> = status["message"].as_str().unwrap().lines().collect();
        assert_eq!(lines[0], format!("postgresql \"acid-minimal\" is invalid: {} errors", fields.len()));
        for (line, cause) in lines[1..].iter().zip(details["causes"].as_array().unwrap()) {
            let expected =
                format!("  {}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap());
            assert_eq!(*line, expected);
            assert!(cause["reason"].as_str().unwrap().starts_with("FieldValue"));
        }
    }
}

#[tokio::test]
async fn an_update_that_leaves_the_spec_alone_passes_although_it_is_invalid() {
    let webhook = Webhook::ready();
    let mut relabelled = invalid();
    relabelled["metadata"]["labels"] = json!({"a": "b"});
    relabelled["metadata"]["finalizers"] = json!([]);
    for path in ["/mutate", "/validate"] {
        let update = request("UPDATE", "postgresql", invalid(), relabelled.clone());
        assert_eq!(webhook.review(path, update).await, json!({"uid": "705ab4f5", "allowed": true}), "{path}");
    }
}

#[tokio::test]
async fn an_object_being_deleted_can_lose_its_finalizer_whatever_else_changes() {
    let webhook = Webhook::ready();
    let mut terminating = invalid();
    terminating["metadata"]["deletionTimestamp"] = json!("2026-03-01T00:00:00Z");
    terminating["metadata"]["annotations"] = json!({"delete-date": "2020-01-01"});
    let update = request("UPDATE", "postgresql", valid(), terminating.clone());
    let delete = request("DELETE", "postgresql", terminating, Value::Null);
    for path in ["/mutate", "/validate"] {
        assert_eq!(webhook.review(path, update.clone()).await["allowed"], true, "{path}");
        assert_eq!(webhook.review(path, delete.clone()).await["allowed"], true, "{path}");
    }
}

#[tokio::test]
async fn an_update_to_an_invalid_spec_is_refused_and_to_a_valid_one_is_allowed() {
    let webhook = Webhook::ready();
    let update = request("UPDATE", "postgresql", valid(), invalid());
    assert_eq!(webhook.review("/validate", update).await["allowed"], false);
    let mut scaled = valid();
    scaled["spec"]["numberOfInstances"] = json!(3);
    let response = webhook.review("/validate", request("UPDATE", "postgresql", valid(), scaled)).await;
    assert_eq!(response["allowed"], true);
    for warning in response.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        assert!(warning.as_str().unwrap().len() < 256);
    }
}

#[tokio::test]
async fn a_deletion_is_told_what_becomes_of_the_volumes() {
    let webhook = Webhook::ready();
    let delete = request("DELETE", "postgresql", valid(), Value::Null);
    let response = webhook.review("/validate", delete.clone()).await;
    let told = response["warnings"][0].as_str().unwrap();
    assert!(told.starts_with("metadata.name: 2 volumes of 1Gi are deleted with all data"), "{told}");

    let mut careful = OperatorConfig::default();
    careful.kubernetes.delete_annotation_name_key = Some("delete-name".to_owned());
    webhook.configuration.send_replace(Some(Arc::new(careful)));
    let mut kept_by_a_finalizer = valid();
    kept_by_a_finalizer["metadata"]["finalizers"] = json!(["postgres-operator.acid.zalan.do"]);
    for manifest in [valid(), kept_by_a_finalizer] {
        let delete = request("DELETE", "postgresql", manifest, Value::Null);
        let response = webhook.review("/validate", delete).await;
        assert_eq!(response["allowed"], false);
        assert_eq!(fields(&response), ["metadata.annotations[delete-name]"]);
    }
}

#[tokio::test]
async fn what_stands_around_is_told_and_a_taken_name_refused() {
    let webhook = Webhook::ready();
    let classes = [(String::new(), "slow".to_owned(), StorageClass { expandable: true, default: false })];
    webhook.app.world.storage_classes.fill(classes);
    let create = request("CREATE", "postgresql", Value::Null, valid());
    let response = webhook.review("/validate", create).await;
    let told = response["warnings"][0].as_str().unwrap();
    assert!(
        told.starts_with("spec.volume.storageClass: is not set and no StorageClass is the default"),
        "{told}"
    );

    let stored = StoredManifest::of(&valid());
    webhook.app.world.clusters.fill([("default".to_owned(), "acid-minimal".to_owned(), stored)]);
    let mut other = valid();
    other["metadata"]["name"] = json!("acid-minimal-repl");
    let create = request("CREATE", "postgresql", Value::Null, other);
    let response = webhook.review("/validate", create).await;
    assert_eq!(fields(&response), ["metadata.name"]);
}

#[tokio::test]
async fn a_team_that_names_itself_is_refused() {
    let webhook = Webhook::ready();
    let team = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "PostgresTeam", "metadata": {"name": "t", "namespace": "default"},
        "spec": {"additionalTeams": {"acid": ["acid"]}},
    });
    let response = webhook.review("/validate", request("CREATE", "PostgresTeam", Value::Null, team)).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["details"]["kind"], "PostgresTeam");
}

#[tokio::test]
async fn deleting_an_invalid_manifest_is_allowed() {
    let webhook = Webhook::ready();
    let delete = request("DELETE", "postgresql", invalid(), Value::Null);
    assert_eq!(webhook.review("/validate", delete).await["allowed"], true);
}

#[tokio::test]
async fn a_subresource_is_none_of_our_business() {
    let webhook = Webhook::ready();
    for (path, part) in [("/validate", "status"), ("/mutate", "status"), ("/mutate", "scale")] {
        let mut update = request("UPDATE", "postgresql", valid(), invalid());
        update["subResource"] = json!(part);
        assert_eq!(webhook.review(path, update).await, json!({"uid": "705ab4f5", "allowed": true}), "{path}");
    }
}
