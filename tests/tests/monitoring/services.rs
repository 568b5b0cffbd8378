//! Both services as far as their figures go: the routers of production, and something that has been counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use operator::http::{Readiness, RestApi};
use serde_json::{Value, json};
use shared::api::StatusWord;
use shared::config::OperatorConfig;
use shared::plan::Disturbance;
use shared::rollout::Step;
use tests::monitoring::{Family, parse};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt;
use webhook::configuration::Source;
use webhook::routes::{App, probes, reviews};
use webhook::surroundings::World;

/// The operator's router after a little work.
pub(crate) fn operator() -> Router {
    let metrics = operator::metrics::Metrics::default();
    metrics.leads(true);
    metrics.configured(true, jiff::Timestamp::now());
    metrics.queued("default/demo".to_owned());
    drop(metrics.looks("default/demo"));
    metrics.foresaw("default/demo", Disturbance::RollingUpdate);
    metrics.observed("default/demo");
    metrics.requested("patroni", Ok(()), Duration::from_millis(2));
    metrics.stepped("default/demo", &Step::Restart { member: "demo-0".to_owned() });
    metrics.reconciled(None, Duration::from_millis(7));
    metrics.reconciled(Some("patroni"), Duration::from_secs(1));
    metrics.cluster_is("default/demo", StatusWord::Running);
    metrics.converged("default/demo");
    operator::http::router(Readiness::default(), metrics, RestApi::default())
}

/// The webhook's probes after a refusal and whatever else it counts.
pub(crate) async fn webhook() -> Router {
    let metrics = Arc::new(webhook::metrics::Metrics::default());
    metrics.watching("postgresqls", true);
    metrics.audited(&BTreeMap::from([("volume", 1)]));
    metrics.certificate_read(Some((1_700_000_000, 4_000_000_000)), jiff::Timestamp::now());
    metrics.configured(true, jiff::Timestamp::now());
    let app = App {
        configuration: watch::channel(Some(Arc::new(OperatorConfig::default()))).1,
        source: Arc::new(Source::Defaults),
        draining: watch::channel(false).1,
        metrics,
        world: Arc::new(World::default()),
        clock: || "2026-11-22T12:00:00Z".parse().unwrap(),
    };
    let answer = reviews(app.clone()).oneshot(review()).await.unwrap();
    let answer: Value = serde_json::from_slice(&body(answer).await).unwrap();
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
    probes(app)
}

/// Somebody wants to make a cluster whose volume is `big`.
fn review() -> Request<Body> {
    let manifest = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "acid-demo", "namespace": "default"},
        "spec": {"teamId": "acid", "numberOfInstances": 1, "volume": {"size": "big"}, "postgresql": {"version": "17"}},
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": "acid.zalan.do", "version": "v1", "kind": "postgresql"},
            "name": "acid-demo", "namespace": "default", "operation": "CREATE", "object": manifest,
        },
    });
    Request::post("/validate").body(Body::from(review.to_string())).unwrap()
}

async fn body(answer: axum::response::Response) -> Vec<u8> {
    answer.into_body().collect().await.unwrap().to_bytes().to_vec()
}

/// What a service prints at `/metrics`.
async fn printed(service: Router) -> String {
    let answer = service.oneshot(Request::get("/metrics").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    String::from_utf8(body(answer).await).unwrap()
}

/// The figures of both services, strictly read.
pub(crate) async fn families() -> [Vec<Family>; 2] {
    [printed(operator()).await, printed(webhook().await).await]
        .map(|text| parse(&text).unwrap_or_else(|error| panic!("{error} in\n{text}")))
}

/// Serves a router on loopback for as long as the test lasts.
pub(crate) async fn served(service: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}
