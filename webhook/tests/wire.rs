//! Whatever arrives is answered: bytes that are no review with 400, reviews with a verdict, over a connection that stays.
//!
//! The bytes are mutilated reviews from a fixed seed. Each is sent over the same HTTP connection as the ones before, so
//! that a connection that was dropped shows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may be blunt"
)]

mod harm;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use harm::{Harm, harm};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tokio::sync::watch;
use webhook::configuration::Source;
use webhook::metrics::Metrics;
use webhook::routes::{App, reviews};
use webhook::surroundings::World;

/// One connection to a webhook that is ready.
async fn connected() -> SendRequest<Body> {
    let (_, configuration) = watch::channel(Some(Arc::new(OperatorConfig::default())));
    let (_, draining) = watch::channel(false);
    let app = App {
        configuration,
        source: Arc::new(Source::Defaults),
        draining,
        metrics: Arc::new(Metrics::default()),
        world: Arc::new(World::default()),
        clock: || "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, reviews(app)).await });
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut SendRequest<Body>, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
    sender.ready().await.expect("the connection was dropped");
    let request = Request::post(path).header("host", "webhook").body(Body::from(body)).unwrap();
    let response = sender.send_request(request).await.expect("there was no answer");
    let code = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).expect("the answer is no JSON"))
}

fn review(old: &Value, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": {"group": "acid.zalan.do", "version": "v1", "kind": "postgresql"},
            "name": "acid-minimal", "namespace": "default", "operation": "UPDATE", "object": new, "oldObject": old,
        },
    })
}

fn manifest() -> Value {
    json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "acid-minimal", "namespace": "default"},
        "spec": {
            "teamId": "acid", "volume": {"size": "1Gi"}, "numberOfInstances": 2,
            "users": {"zalando": ["superuser"]}, "databases": {"foo": "zalando"},
            "postgresql": {"version": "17", "parameters": {"max_connections": "100"}},
            "sidecars": [{"name": "x", "image": "y", "ports": [{"containerPort": 1}]}],
            "maintenanceWindows": ["Sat:01:00-02:00"],
        },
    })
}

fn body(harm: Harm) -> Vec<u8> {
    let mut whole = review(&manifest(), &manifest());
    whole["request"]["object"]["spec"]["numberOfInstances"] = json!(3);
    harm.done_to(whole, &["/request/object", "/request/oldObject"])
}

#[test]
fn whatever_arrives_is_answered_over_a_connection_that_stays() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(connected());
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let seed = TestRng::deterministic_rng(config.rng_algorithm);
    let (mut bad, mut judged) = (0, 0);
    let mut runner = TestRunner::new_with_rng(config, seed);
    let strategy = (harm(), prop_oneof![Just("/validate"), Just("/mutate")]);
    for _ in 0..400 {
        let (harm, path) = strategy.new_tree(&mut runner).unwrap().current();
        let sent = body(harm);
        let (code, answer) = runtime.block_on(send(&mut connection, path, sent.clone()));
        let sent = String::from_utf8_lossy(&sent);
        match code {
            StatusCode::OK => {
                judged += 1;
                assert!(answer["response"]["allowed"].is_boolean(), "{sent}");
            }
            StatusCode::BAD_REQUEST => {
                bad += 1;
                assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(400)), "{sent}");
                assert!(!answer["message"].as_str().unwrap().is_empty(), "{sent}");
            }
            other => panic!("{other}: {sent}"),
        }
    }
    assert!(bad > 50 && judged > 50, "{bad} bad and {judged} judged are too few to say anything");
}

#[tokio::test]
async fn many_reviews_go_over_one_connection() {
    let mut connection = connected().await;
    for members in 0..50 {
        let mut new = manifest();
        new["spec"]["numberOfInstances"] = json!(members);
        let body = review(&manifest(), &new).to_string().into_bytes();
        let (code, answer) = send(&mut connection, "/validate", body).await;
        assert_eq!((code, &answer["response"]["allowed"]), (StatusCode::OK, &json!(true)));
    }
}

#[tokio::test]
async fn a_tree_that_is_too_deep_is_bad_and_costs_no_connection() {
    let mut connection = connected().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = review(&manifest(), &json!("deep")).to_string().replace("\"deep\"", &deep);
    let (code, answer) = send(&mut connection, "/validate", body.into_bytes()).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert!(answer["message"].as_str().unwrap().contains("recursion"), "{answer}");
    let body = review(&manifest(), &manifest()).to_string().into_bytes();
    assert_eq!(send(&mut connection, "/validate", body).await.0, StatusCode::OK);
}
