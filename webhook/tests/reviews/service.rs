//! What is no review, what is too large, and a webhook that begins or ends.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tower::ServiceExt;
use webhook::routes::reviews;

use super::{Webhook, request, review, valid};

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
