//! Every figure the operator counts, and the text Prometheus reads.
//!
//! Whoever does something records it here; the HTTP server prints it. Labels are `&'static str` throughout: a cluster's
//! name or an error's text can never become a label by accident, so the number of series does not grow with the fleet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the reconcile histogram, in seconds: a look takes milliseconds, a switchover many seconds.
const RECONCILE_SECONDS: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    to: &'static str,
    outcome: &'static str,
}

/// The figures. Cheap to clone; all clones count into the same registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<Outcome, Counter>,
    reconcile_seconds: Histogram,
    clusters: Family<Status, Gauge>,
    statuses: Arc<Mutex<HashMap<String, &'static str>>>,
    steps: Family<Kind, Counter>,
    requests: Family<Request, Counter>,
    leading: Gauge,
    without_manifest: Gauge,
    missing_rights: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("postgres_operator");
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles that ended, by outcome", reconciles.clone());
        let reconcile_seconds = Histogram::new(RECONCILE_SECONDS);
        registry.register("reconcile_seconds", "How long reconciles took", reconcile_seconds.clone());
        let clusters = Family::default();
        registry.register("clusters", "Clusters by their status", clusters.clone());
        let steps = Family::default();
        registry.register("steps", "Steps taken, by kind", steps.clone());
        let requests = Family::default();
        registry.register("requests", "Requests to Patroni and Postgres, by outcome", requests.clone());
        let leading = Gauge::default();
        registry.register("leading", "Whether this operator is the one that acts", leading.clone());
        let without_manifest = Gauge::default();
        let help = "Clusters whose manifest was missing when this operator began to act";
        registry.register("clusters_without_manifest", help, without_manifest.clone());
        let missing_rights = Gauge::default();
        let help = "Rights that the operator lacks; its log names them once, at the start";
        registry.register("missing_rights", help, missing_rights.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            reconcile_seconds,
            clusters,
            statuses: Arc::default(),
            steps,
            requests,
            leading,
            without_manifest,
            missing_rights,
        }
    }
}

impl Metrics {
    /// A reconcile ended: `ok`, or the category of its error.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// A cluster (`namespace/name`) has this status now.
    pub fn cluster_is(&self, cluster: &str, status: &'static str) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = statuses.insert(cluster.to_owned(), status) {
            self.clusters.get_or_create(&Status { status: before }).dec();
        }
        self.clusters.get_or_create(&Status { status }).inc();
    }

    /// A cluster is gone.
    pub fn cluster_gone(&self, cluster: &str) {
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = statuses.remove(cluster) {
            self.clusters.get_or_create(&Status { status: before }).dec();
        }
    }

    /// A step of this kind was taken.
    pub fn stepped(&self, kind: &'static str) {
        self.steps.get_or_create(&Kind { kind }).inc();
    }

    /// A request to `patroni` or `sql` ended: `ok`, or the category of its error.
    pub fn requested(&self, to: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&Request { to, outcome }).inc();
    }

    /// Whether this operator is the one that acts.
    pub fn leads(&self, leading: bool) {
        self.leading.set(i64::from(leading));
    }

    /// So many clusters had no manifest when this operator began to act.
    pub fn without_manifest(&self, clusters: usize) {
        self.without_manifest.set(i64::try_from(clusters).unwrap_or(i64::MAX));
    }

    /// So many rights are missing.
    pub fn lacks_rights(&self, rights: usize) {
        self.missing_rights.set(i64::try_from(rights).unwrap_or(i64::MAX));
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail; were it to, a half text is better than none.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_counts_under_one_status_only() {
        let metrics = Metrics::default();
        metrics.cluster_is("a/demo", "Creating");
        metrics.cluster_is("a/demo", "Running");
        metrics.cluster_is("b/demo", "Running");
        metrics.cluster_gone("b/demo");
        let text = metrics.text();
        assert!(text.contains(r#"postgres_operator_clusters{status="Creating"} 0"#), "{text}");
        assert!(text.contains(r#"postgres_operator_clusters{status="Running"} 1"#), "{text}");
    }

    #[test]
    fn reconciles_steps_and_requests_are_counted_by_category() {
        let metrics = Metrics::default();
        metrics.reconciled("ok", Duration::from_millis(3));
        metrics.stepped("switchover");
        metrics.requested("patroni", "deadline");
        let text = metrics.text();
        assert!(text.contains(r#"postgres_operator_reconciles_total{outcome="ok"} 1"#), "{text}");
        assert!(text.contains(r#"postgres_operator_steps_total{kind="switchover"} 1"#), "{text}");
        assert!(
            text.contains(r#"postgres_operator_requests_total{to="patroni",outcome="deadline"} 1"#),
            "{text}"
        );
        assert!(text.contains("postgres_operator_reconcile_seconds_count 1"), "{text}");
    }
}
