//! A real Prometheus scrapes both services, evaluates the shipped alerts, and is asked for figures.

use tests::monitoring::{Prometheus, Target};

use crate::path;
use crate::services::{operator, served, webhook};

/// A question and the one value that answers it.
const FIGURES: &[(&str, f64)] = &[
    ("count(postgres_operator_build_info)", 1.0),
    ("count(postgres_operator_webhook_build_info)", 1.0),
    (r#"postgres_operator_reconciles_total{outcome="ok"}"#, 1.0),
    (r#"postgres_operator_errors_total{category="patroni"}"#, 1.0),
    (r#"postgres_operator_forecasts_total{accuracy="less"}"#, 1.0),
    ("postgres_operator_reconcile_seconds_count", 2.0),
    (r#"postgres_operator_reconcile_seconds_bucket{le="0.02"}"#, 1.0),
    (r#"sum by (job) (postgres_operator_webhook_reviews_total{outcome="denied"})"#, 1.0),
    (r#"postgres_operator_webhook_refusals_total{field="volume"}"#, 1.0),
    // The alert on manifests that would be refused waits for an hour, and so is pending.
    (r#"ALERTS{alertname="PostgresManifestOutdated"}"#, 1.0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_reads_both_services_and_answers_by_their_figures() {
    let target = |job, address: std::net::SocketAddr| Target {
        job,
        address: address.to_string(),
        path: "/metrics".to_owned(),
    };
    let targets =
        [target("operator", served(operator()).await), target("webhook", served(webhook().await).await)];
    let asked = tokio::task::spawn_blocking(move || {
        let prometheus = Prometheus::start(&targets, Some(&path("deploy/monitoring/alerts.yaml"))).unwrap();
        // Rules are evaluated a moment after the first scrape.
        while prometheus.query(r#"ALERTS{alertname="PostgresManifestOutdated"}"#).unwrap().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        FIGURES.iter().map(|(question, _)| prometheus.query(question).unwrap()).collect::<Vec<_>>()
    });
    for ((question, expected), found) in FIGURES.iter().zip(asked.await.unwrap()) {
        let values: Vec<f64> = found.iter().map(|found| found.value).collect();
        assert_eq!(values, [*expected], "{question}: {found:?}");
    }
}
