//! The whole router, in process: what the API server sends, what it gets back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

mod configuration;
mod manifests;
mod policy;
mod service;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tokio::sync::watch;
use tower::ServiceExt;
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
