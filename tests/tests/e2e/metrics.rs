//! A real Prometheus scrapes the services where they run, and is asked for what it has read.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tests::monitoring::{Prometheus, Target, parse};
use tests::stage::{Stage, Stop, Told};

/// A question that has an answer wherever both services run, and the least it can be.
const QUESTIONS: &[(&str, f64)] = &[
    ("sum(postgres_operator_leading)", 1.0),
    (r#"sum(postgres_operator_clusters{status="Running"})"#, 1.0),
    (r#"sum(postgres_operator_reconciles_total{outcome="ok"})"#, 1.0),
    ("sum(postgres_operator_change_converged_seconds_count)", 1.0),
    (r#"sum(postgres_operator_requests_total{to="patroni",outcome="ok"})"#, 1.0),
    (r#"sum(postgres_operator_requests_total{to="sql",outcome="ok"})"#, 1.0),
    (r#"sum(postgres_operator_webhook_reviews_total{outcome="allowed"})"#, 1.0),
    ("min(postgres_operator_webhook_certificate_not_after_timestamp_seconds) - time()", 60.0),
];

/// The figures of a pod, by way of the API server.
#[derive(Clone)]
struct Figures {
    client: Client,
    path: String,
}

impl Figures {
    async fn read(&self) -> kube::Result<String> {
        let request = Request::get(&self.path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.client.request_text(request).await
    }
}

async fn figures(
    State(figures): State<Figures>,
) -> Result<([(header::HeaderName, &'static str); 1], String), StatusCode> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = figures.read().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

pub(crate) async fn a_real_prometheus_reads_both_services(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let namespace = stage.operator().namespace().to_owned();
    let pods: Api<Pod> = Api::namespaced(stage.client(), &namespace);
    let mut targets = Vec::new();
    for component in ["operator", "webhook"] {
        let labels =
            format!("app.kubernetes.io/name=postgres-operator,app.kubernetes.io/component={component}");
        let found = pods.list(&ListParams::default().labels(&labels)).await?;
        // All of them: who has answered a review is known to that one alone.
        for pod in found.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{}:8080/proxy/metrics", pod.name_any());
            let of_pod = Figures { client: stage.client(), path };
            if let Err(wrong) = parse(&of_pod.read().await?) {
                return Stop::failed(format!("the figures of the {component}: {wrong}"));
            }
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?.to_string();
            let router = Router::new().route("/metrics", get(figures)).with_state(of_pod);
            tokio::spawn(async move { axum::serve(listener, router).await });
            targets.push(Target { job: component, address, path: "/metrics".to_owned() });
        }
    }
    let asked = tokio::task::spawn_blocking(move || {
        let prometheus = Prometheus::start(&targets, None)?;
        QUESTIONS.iter().map(|(question, _)| prometheus.query(question)).collect::<std::io::Result<Vec<_>>>()
    });
    for ((question, least), found) in QUESTIONS.iter().zip(asked.await??) {
        let value = found.first().map_or(f64::NAN, |found| found.value);
        stage.tell(format!("{question} = {value}"));
        assert!(value >= *least, "{question} is {value}, less than {least}");
    }
    cluster.until_running().await?;
    Ok(())
}
