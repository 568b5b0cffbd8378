//! The whole router, in process: what the API server sends, what it gets back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use clap::Parser as _;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::admission::surroundings::{StorageClass, StoredManifest};
use shared::config::OperatorConfig;
use tokio::sync::watch;
use tower::ServiceExt;
use webhook::args::{Args, Command};
use webhook::configuration::{Place, Source};
use webhook::metrics::Metrics;
use webhook::routes::{App, probes, reviews};
use webhook::surroundings::World;

struct Webhook {
    app: App,
    configuration: watch::Sender<Option<Arc<OperatorConfig>>>,
    draining: watch::Sender<bool>,
}

impl Webhook {
    fn started() -> Self {
        let (configuration, current) = watch::channel(None);
        let (draining, is_draining) = watch::channel(false);
        let source = Source::ConfigMap(Place {
            namespace: "operators".to_owned(),
            name: "postgres-operator".to_owned(),
        });
        let app = App {
            configuration: current,
            source: Arc::new(source),
            draining: is_draining,
            metrics: Arc::new(Metrics::default()),
            world: Arc::new(World::default()),
            clock: || "2026-03-01T12:00:00Z".parse().unwrap(),
        };
        Self { app, configuration, draining }
    }

    fn ready() -> Self {
        let webhook = Self::started();
        webhook.configuration.send_replace(Some(Arc::new(OperatorConfig::default())));
        webhook
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request =
            Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
        send(reviews(self.app.clone()), request).await
    }

    async fn review(&self, path: &str, request: Value) -> Value {
        let (code, mut answer) = self.post(path, review(request).to_string()).await;
        assert_eq!(code, StatusCode::OK, "{answer}");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], "705ab4f5");
        answer["response"].take()
    }

    async fn probe(&self, path: &str) -> (StatusCode, String) {
        let response =
            probes(self.app.clone()).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let code = response.status();
        (code, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }
}

async fn send(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.oneshot(request).await.unwrap();
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap())
}

fn review(request: Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

/// A request as the API server writes it; `null` for an object that is not there.
fn request(operation: &str, kind: &str, old: Value, new: Value) -> Value {
    let group = if kind == "ConfigMap" { "" } else { "acid.zalan.do" };
    let metadata = if new.is_null() { &old["metadata"] } else { &new["metadata"] };
    json!({
        "uid": "705ab4f5",
        "kind": {"group": group, "version": "v1", "kind": kind},
        "resource": {"group": group, "version": "v1", "resource": "postgresqls"},
        "name": metadata["name"], "namespace": metadata["namespace"],
        "operation": operation,
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": new, "oldObject": old,
        "dryRun": false, "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    })
}

fn valid() -> Value {
    json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "acid-minimal", "namespace": "default", "unknownToUs": true},
        "spec": {
            "teamId": "acid", "volume": {"size": "1Gi"}, "numberOfInstances": 2,
            "users": {"zalando": ["superuser", "createdb"], "foo_user": []},
            "databases": {"foo": "zalando"},
            "postgresql": {"version": "17"},
        },
    })
}

/// Several mistakes of several kinds, one of them against the schema.
fn invalid() -> Value {
    let mut manifest = valid();
    manifest["spec"] = json!({
        "volume": {"size": "big"}, "numberOfInstances": -1,
        "users": {"zalando": ["flying"]},
        "postgresql": {"version": "9"},
        "enableMasterLoadBalancer": "yes",
    });
    manifest
}

fn fields(response: &Value) -> Vec<&str> {
    response["status"]["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["field"].as_str().unwrap())
        .collect()
}

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

#[tokio::test]
async fn a_body_that_is_no_review_gets_a_400_that_says_why() {
    let webhook = Webhook::ready();
    let no_object = request("CREATE", "postgresql", Value::Null, Value::Null);
    let table = [
        ("not json".to_owned(), "the body is no AdmissionReview: expected"),
        ("{}".to_owned(), "the body is no AdmissionReview of admission.k8s.io/v1"),
        (json!({"apiVersion": "v1", "kind": "Pod"}).to_string(), "but \"Pod\" of \"v1\""),
        (
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}).to_string(),
            "has no request",
        ),
        (review(json!({"uid": 7})).to_string(), "the body is no AdmissionReview: invalid type: integer"),
        (review(no_object).to_string(), "the request has no object"),
        (String::new(), "the body is no AdmissionReview: EOF"),
    ];
    for (body, words) in table {
        let (code, status) = webhook.post("/validate", body).await;
        assert_eq!(code, StatusCode::BAD_REQUEST);
        assert_eq!((&status["kind"], &status["code"]), (&json!("Status"), &json!(400)));
        let message = status["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    }
    let (_, metrics) = webhook.probe("/metrics").await;
    let line = "reviews_total{webhook=\"validate\",operation=\"unknown\",outcome=\"bad\"} 7";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_review_of_six_megabytes_is_read_and_one_of_eight_is_refused() {
    let webhook = Webhook::ready();
    let mut large = valid();
    large["metadata"]["annotations"] = json!({"padding": "x".repeat(6 * 1024 * 1024)});
    let create = request("CREATE", "postgresql", Value::Null, large);
    assert_eq!(webhook.review("/validate", create).await["allowed"], true);
    let (code, status) = webhook.post("/validate", "x".repeat(8 * 1024 * 1024)).await;
    assert_eq!(code, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status["kind"], "Status");
}

#[tokio::test]
async fn nothing_is_judged_before_a_configuration_is_there() {
    let webhook = Webhook::started();
    assert_eq!(webhook.probe("/healthz").await.0, StatusCode::OK);
    assert_eq!(webhook.probe("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let create = review(request("CREATE", "postgresql", Value::Null, valid()));
    assert_eq!(webhook.post("/validate", create.to_string()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    webhook.configuration.send_replace(Some(Arc::new(OperatorConfig::default())));
    assert_eq!(webhook.probe("/readyz").await, (StatusCode::OK, "ok".to_owned()));
    assert_eq!(webhook.post("/validate", create.to_string()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_stopping_webhook_is_not_ready_but_answers_and_asks_to_close() {
    let webhook = Webhook::ready();
    webhook.draining.send_replace(true);
    assert_eq!(webhook.probe("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let body = review(request("CREATE", "postgresql", Value::Null, valid())).to_string();
    let response = reviews(webhook.app.clone())
        .oneshot(Request::post("/validate").body(Body::from(body)).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["connection"], "close");
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

#[tokio::test]
async fn a_policy_is_told_beside_every_other_error_and_by_either_webhook() {
    let mut webhook = Webhook::ready();
    let args = [
        "webhook",
        "serve",
        "--refuse-volumes",
        "hostPath,nfs",
        "--allowed-registries",
        "registry.example.com",
    ];
    let Command::Serve(serve) = Args::parse_from(args).command else { unreachable!("not serve") };
    webhook.app.world = Arc::new(World { policy: serve.policy.policy(), ..World::default() });
    let mut manifest = valid();
    manifest["spec"]["dockerImage"] = json!("busybox");
    manifest["spec"]["additionalVolumes"] =
        json!([{"name": "host", "mountPath": "/host", "volumeSource": {"hostPath": {"path": "/"}}}]);
    let refused = ["spec.dockerImage", "spec.additionalVolumes[0].volumeSource.hostPath"];
    for (path, size, others) in
        [("/mutate", "1Gi", &[][..]), ("/validate", "1Gi", &[]), ("/mutate", "big", &["spec.volume.size"])]
    {
        manifest["spec"]["volume"]["size"] = json!(size);
        let answer =
            webhook.review(path, request("CREATE", "postgresql", Value::Null, manifest.clone())).await;
        let causes = answer["status"]["details"]["causes"].as_array().unwrap();
        let fields: Vec<&str> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
        assert_eq!(fields, [others, &refused].concat(), "{path}");
        assert!(answer["status"]["message"].as_str().unwrap().contains("--refuse-volumes"), "{answer}");
    }
    // What is stored may still be changed elsewhere.
    manifest["spec"]["volume"]["size"] = json!("1Gi");
    let mut changed = manifest.clone();
    changed["spec"]["numberOfInstances"] = json!(3);
    let answer = webhook.review("/validate", request("UPDATE", "postgresql", manifest, changed)).await;
    assert_eq!(answer["allowed"], true, "{answer}");
}
