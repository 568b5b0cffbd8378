//! Every figure the operator counts, and the text Prometheus reads.
//!
//! Whoever does something records it here; the HTTP server prints it. Labels are `&'static str` throughout: a cluster's
//! name or an error's text can never become a label by accident, so the number of series does not grow with the fleet.
//! Surprising: a family without a member is not printed at all, so each begins with those that alerts ask for, at nought.

mod clusters;
mod families;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use shared::api::StatusWord;
use shared::plan::{Accuracy, Disturbance};
use shared::rollout::Step;

use clusters::Clusters;
use families::{Category, Families, Kind, Outcome, Request, Status, Upstream, Verdict};

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a look at a cluster ended.
const OK: &str = "ok";
const FAILED: &str = "failed";

/// The figures. Cheap to clone; all clones count into the same registry.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    families: Families,
    clusters: Arc<Mutex<Clusters>>,
}

/// A look that is under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Looking(Metrics);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.families.looking.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("postgres_operator");
        let families = Families::registered(&mut registry);
        let metrics = Self { registry: Arc::new(registry), families, clusters: Arc::default() };
        metrics.begin_at_nought();
        metrics
    }
}

impl Metrics {
    /// Makes the series that must be there before anything has happened.
    fn begin_at_nought(&self) {
        let families = &self.families;
        for outcome in [OK, FAILED] {
            drop(families.reconciles.get_or_create(&Outcome { outcome }));
        }
        for status in StatusWord::ALL {
            drop(families.clusters.get_or_create(&Status { status: status.as_str() }));
        }
        for kind in Step::ACTS {
            drop(families.steps.get_or_create(&Kind { kind }));
        }
        for to in ["patroni", "sql"] {
            drop(families.requests.get_or_create(&Request { to, outcome: OK }));
            drop(families.request_seconds.get_or_create(&Upstream { to }));
        }
        for accuracy in Accuracy::ALL {
            drop(families.forecasts.get_or_create(&Verdict { accuracy: accuracy.as_str() }));
        }
        drop(families.errors.get_or_create(&Category { category: "kubernetes" }));
    }

    fn clusters(&self) -> MutexGuard<'_, Clusters> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that a cluster (`namespace/name`) is to be looked at for.
    pub fn queued(&self, cluster: String) {
        let waiting = self.clusters().queue(cluster);
        self.families.queue_length.set(count(waiting));
    }

    /// A look at a cluster begins.
    pub fn looks(&self, cluster: &str) -> Looking {
        let (waited, waiting) = self.clusters().look(cluster);
        self.families.queue_length.set(count(waiting));
        waited.iter().for_each(|waited| self.families.queue_seconds.observe(waited.as_secs_f64()));
        self.families.looking.inc();
        Looking(self.clone())
    }

    /// A look at a cluster ended, well or with an error of this category.
    pub fn reconciled(&self, failed: Option<&'static str>, took: Duration) {
        let outcome = if failed.is_some() { FAILED } else { OK };
        self.families.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.families.reconcile_seconds.observe(took.as_secs_f64());
        failed.into_iter().for_each(|category| self.failed(category));
    }

    /// Something failed: a stage of a look, or the whole.
    pub fn failed(&self, category: &'static str) {
        self.families.errors.get_or_create(&Category { category }).inc();
    }

    /// A manifest changed, and this is the worst that its change was said to do.
    pub fn foresaw(&self, cluster: &str, told: Disturbance) {
        self.clusters().foresaw(cluster, told);
    }

    /// The status says that a change of the manifest was seen.
    pub fn observed(&self, cluster: &str) {
        let took = self.clusters().observed(cluster);
        self.families.observed_seconds.observe(took.as_secs_f64());
    }

    /// A step was taken on a cluster.
    pub fn stepped(&self, cluster: &str, step: &Step) {
        self.families.steps.get_or_create(&Kind { kind: step.kind() }).inc();
        self.clusters().stepped(cluster, step.disturbance());
    }

    /// A cluster is as its manifest says.
    pub fn converged(&self, cluster: &str) {
        let Some((took, accuracy)) = self.clusters().converged(cluster) else { return };
        self.families.converged_seconds.observe(took.as_secs_f64());
        if let Some(accuracy) = accuracy {
            self.families.forecasts.get_or_create(&Verdict { accuracy: accuracy.as_str() }).inc();
        }
    }

    /// A cluster has this status now.
    pub fn cluster_is(&self, cluster: &str, status: StatusWord) {
        let before = self.clusters().is(cluster, status);
        self.leaves(before);
        self.families.clusters.get_or_create(&Status { status: status.as_str() }).inc();
    }

    /// A cluster is gone.
    pub fn cluster_gone(&self, cluster: &str) {
        let (before, waiting) = self.clusters().gone(cluster);
        self.families.queue_length.set(count(waiting));
        self.leaves(before);
    }

    fn leaves(&self, before: Option<StatusWord>) {
        if let Some(before) = before {
            self.families.clusters.get_or_create(&Status { status: before.as_str() }).dec();
        }
    }

    /// A request to `patroni`, `sql`, `teams` or `ec2` ended: `ok`, or the category of its error.
    pub fn requested(&self, to: &'static str, outcome: Result<(), &'static str>, took: Duration) {
        let outcome = outcome.err().unwrap_or(OK);
        self.families.requests.get_or_create(&Request { to, outcome }).inc();
        self.families.request_seconds.get_or_create(&Upstream { to }).observe(took.as_secs_f64());
    }

    /// Whether this operator is one that acts.
    pub fn leads(&self, leading: bool) {
        self.families.leading.set(i64::from(leading));
    }

    /// This operator acts for so many shards of clusters; without sharding all clusters are one.
    pub fn holds(&self, shards: usize) {
        self.families.shards.set(i64::try_from(shards).unwrap_or(i64::MAX));
    }

    /// So many clusters had no manifest when this operator began to act.
    pub fn without_manifest(&self, clusters: usize) {
        self.families.without_manifest.set(count(clusters));
    }

    /// A configuration was read: taken over, or refused. Or there is none.
    pub fn configured(&self, valid: bool, now: Timestamp) {
        self.families.configuration_invalid.set(i64::from(!valid));
        if valid {
            self.families.configuration_loaded.set(now.as_second());
        }
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail; were it to, a half text is better than none.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// A number of things as a gauge holds it.
fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_has(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.text();
        for line in lines {
            assert!(text.contains(&format!("postgres_operator_{line}\n")), "{line} in {text}");
        }
    }

    #[test]
    fn a_cluster_counts_under_one_status_only() {
        let metrics = Metrics::default();
        metrics.cluster_is("a/demo", StatusWord::Creating);
        metrics.cluster_is("a/demo", StatusWord::Running);
        metrics.cluster_is("b/demo", StatusWord::Running);
        metrics.cluster_gone("b/demo");
        assert_has(&metrics, &[r#"clusters{status="Creating"} 0"#, r#"clusters{status="Running"} 1"#]);
    }

    #[test]
    fn looks_steps_errors_and_requests_are_counted_by_kind() {
        let metrics = Metrics::default();
        metrics.reconciled(None, Duration::from_millis(3));
        metrics.reconciled(Some("patroni"), Duration::from_millis(3));
        metrics.stepped("a/demo", &Step::Restart { member: "demo-0".to_owned() });
        metrics.requested("patroni", Err("deadline"), Duration::from_secs(2));
        assert_has(
            &metrics,
            &[
                r#"reconciles_total{outcome="ok"} 1"#,
                r#"reconciles_total{outcome="failed"} 1"#,
                r#"errors_total{category="patroni"} 1"#,
                r#"steps_total{kind="Restart"} 1"#,
                r#"steps_total{kind="Switchover"} 0"#,
                r#"requests_total{to="patroni",outcome="deadline"} 1"#,
                "reconcile_seconds_count 2",
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_counted_once_until_it_is_looked_at() {
        let metrics = Metrics::default();
        metrics.queued("a/demo".to_owned());
        tokio::time::advance(Duration::from_secs(3)).await;
        metrics.queued("a/demo".to_owned());
        assert_has(&metrics, &["queue_length 1", "looks_under_way 0"]);
        let looking = metrics.looks("a/demo");
        assert_has(&metrics, &["queue_length 0", "looks_under_way 1", "queue_seconds_sum 3.0"]);
        drop(looking);
        drop(metrics.looks("a/demo")); // by a timer: it did not wait
        assert_has(&metrics, &["queue_seconds_count 1", "looks_under_way 0"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_timed_until_it_is_observed_and_until_it_is_carried_out() {
        let metrics = Metrics::default();
        metrics.queued("a/demo".to_owned());
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(metrics.looks("a/demo"));
        metrics.foresaw("a/demo", Disturbance::Reload);
        tokio::time::advance(Duration::from_secs(1)).await;
        metrics.observed("a/demo");
        metrics.stepped("a/demo", &Step::Restart { member: "demo-0".to_owned() });
        tokio::time::advance(Duration::from_secs(8)).await;
        metrics.converged("a/demo");
        metrics.converged("a/demo"); // nothing is open any more
        assert_has(
            &metrics,
            &[
                "change_observed_seconds_sum 2.0",
                "change_converged_seconds_sum 10.0",
                "change_converged_seconds_count 1",
                r#"forecasts_total{accuracy="more"} 1"#,
                r#"forecasts_total{accuracy="as_told"} 0"#,
            ],
        );
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_new_cluster_nothing_was_told() {
        let metrics = Metrics::default();
        drop(metrics.looks("a/demo"));
        metrics.observed("a/demo");
        metrics.converged("a/demo");
        let unjudged = [r#"forecasts_total{accuracy="as_told"} 0"#, "change_converged_seconds_count 1"];
        assert_has(&metrics, &unjudged);
    }

    #[test]
    fn an_invalid_configuration_is_told_and_the_last_good_one_keeps_its_date() {
        let (metrics, at) = (Metrics::default(), |second| Timestamp::from_second(second).unwrap());
        metrics.configured(true, at(5));
        metrics.configured(false, at(9));
        assert_has(&metrics, &["configuration_invalid 1", "configuration_loaded_timestamp_seconds 5"]);
    }
}
