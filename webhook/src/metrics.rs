//! What `/metrics` shows. Labels are fixed words, never data.
//!
//! A family without a member is not printed at all, so each begins with those that alerts ask for, at nought.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use shared::admission::category;
use shared::field::{FieldErrors, Reason};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Upper bounds for reviews, in seconds: checks take some ten microseconds, a preview of a large fleet longer.
const REVIEW: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    webhook: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CategoryLabels {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    field: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: &'static str,
}

/// All metrics of the webhook.
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    refusals: Family<RuleLabels, Counter>,
    seconds: Family<WebhookLabels, Histogram>,
    watch_failed: Family<KindLabels, Gauge>,
    stored_invalid: Family<CategoryLabels, Gauge>,
    certificate: Certificate,
    /// 1 while the configuration object is invalid and an earlier one is in force.
    pub configuration_invalid: Gauge,
    /// When a valid configuration was last read, in seconds since 1970; 0 until then.
    pub configuration_loaded: Gauge,
}

/// What is told of the served certificate.
struct Certificate {
    /// Beginning of the served certificate's validity, in seconds since 1970.
    not_before: Gauge,
    /// End of the served certificate's validity, in seconds since 1970.
    not_after: Gauge,
    /// How often the certificate files could not be served.
    failures: Counter,
    /// When they could not be served last, in seconds since 1970; 0 if they always could.
    last_failure: Gauge,
    /// 1 while the certificate files hold something that cannot be served.
    rejected: Gauge,
}

impl Certificate {
    fn registered(own: &mut Registry) -> Self {
        Self {
            not_before: kept(
                own,
                "certificate_not_before_timestamp_seconds",
                "Beginning of the served certificate's validity",
                Gauge::default(),
            ),
            not_after: kept(
                own,
                "certificate_not_after_timestamp_seconds",
                "End of the served certificate's validity",
                Gauge::default(),
            ),
            rejected: kept(
                own,
                "certificate_rejected",
                "1 while the certificate files hold a pair that cannot be served",
                Gauge::default(),
            ),
            failures: kept(
                own,
                "certificate_load_failures",
                "How often the certificate files were read and could not be served",
                Counter::default(),
            ),
            last_failure: kept(
                own,
                "certificate_last_failure_timestamp_seconds",
                "When the certificate files could not be served last, 0 if they always could",
                Gauge::default(),
            ),
        }
    }
}

/// Registers a metric under its name and hands it out.
fn kept<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("postgres_operator_webhook");
        registry.register("build", "The webhook's version, as a label", Info::new([("version", VERSION)]));
        let own = &mut registry;
        let seconds = Family::<WebhookLabels, Histogram>::new_with_constructor(|| Histogram::new(REVIEW));
        let metrics = Self {
            reviews: kept(own, "reviews", "Reviews answered, by operation and outcome", Family::default()),
            refusals: kept(
                own,
                "refusals",
                "Errors in refused objects, by the field they are about and what is wrong with it",
                Family::default(),
            ),
            seconds: kept(own, "review_seconds", "Time from body to answer", seconds),
            watch_failed: kept(
                own,
                "watch_failed",
                "1 while a kind cannot be watched and there are no warnings about it",
                Family::default(),
            ),
            stored_invalid: kept(
                own,
                "stored_invalid",
                "Stored manifests that would be rejected today, by what is wrong",
                Family::default(),
            ),
            certificate: Certificate::registered(own),
            configuration_invalid: kept(
                own,
                "configuration_invalid",
                "1 while the configuration is invalid and an earlier one is in force",
                Gauge::default(),
            ),
            configuration_loaded: kept(
                own,
                "configuration_loaded_timestamp_seconds",
                "When a valid configuration was last read, 0 until then",
                Gauge::default(),
            ),
            registry,
        };
        metrics.begin_at_nought();
        metrics
    }
}

impl Metrics {
    /// Makes the series that must be there before anything has happened.
    fn begin_at_nought(&self) {
        for outcome in ["denied", "unready", "late", "failed"] {
            drop(self.reviews.get_or_create(&ReviewLabels {
                webhook: "validate",
                operation: "create",
                outcome,
            }));
        }
        let reason = Reason::Invalid.as_str();
        drop(self.refusals.get_or_create(&RuleLabels { field: "other", reason }));
    }

    /// Counts what was wrong with an object that is refused, once for each field and kind of mistake.
    pub fn refused(&self, errors: &FieldErrors) {
        let rules: BTreeSet<_> =
            errors.iter().map(|error| (category(&error.path), error.reason.as_str())).collect();
        for (field, reason) in rules {
            self.refusals.get_or_create(&RuleLabels { field, reason }).inc();
        }
    }

    /// The certificate files were read: what they hold is served, or could not be.
    pub fn certificate_read(&self, validity: Option<(i64, i64)>, now: Timestamp) {
        self.certificate.rejected.set(i64::from(validity.is_none()));
        match validity {
            Some((from, until)) => {
                self.certificate.not_before.set(from);
                self.certificate.not_after.set(until);
            }
            None => {
                self.certificate.failures.inc();
                self.certificate.last_failure.set(now.as_second());
            }
        }
    }

    /// A configuration was read, valid or not.
    pub fn configured(&self, valid: bool, now: Timestamp) {
        self.configuration_invalid.set(i64::from(!valid));
        if valid {
            self.configuration_loaded.set(now.as_second());
        }
    }

    /// Counts a review and its time.
    pub fn reviewed(
        &self,
        webhook: &'static str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        self.reviews.get_or_create(&ReviewLabels { webhook, operation, outcome }).inc();
        self.seconds.get_or_create(&WebhookLabels { webhook }).observe(took.as_secs_f64());
    }

    /// Whether a kind can be watched.
    pub fn watching(&self, kind: &'static str, works: bool) {
        self.watch_failed.get_or_create(&KindLabels { kind }).set(i64::from(!works));
    }

    /// How many stored manifests would be rejected today, by category.
    pub fn audited(&self, categories: &BTreeMap<&'static str, i64>) {
        self.stored_invalid.clear();
        for (&category, &count) in categories {
            self.stored_invalid.get_or_create(&CategoryLabels { category }).set(count);
        }
    }

    /// Everything, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use shared::field::FieldPath;

    use super::*;

    #[test]
    fn refusals_are_counted_by_field_and_kind_of_mistake_and_never_by_value() {
        let (metrics, mut errors) = (Metrics::default(), FieldErrors::default());
        errors.invalid(FieldPath::spec().field("users").key("hunter2"), "is no name");
        errors.invalid(FieldPath::spec().field("users").key("hunter3"), "is no name");
        errors.required(FieldPath::spec().field("hunter4"), "is required");
        metrics.refused(&errors);
        let text = metrics.text();
        for rule in [
            r#"{field="users",reason="FieldValueInvalid"} 1"#,
            r#"{field="other",reason="FieldValueRequired"} 1"#,
        ] {
            assert!(text.contains(&format!("postgres_operator_webhook_refusals_total{rule}")), "{text}");
        }
        assert!(!text.contains("hunter"), "{text}");
    }

    #[test]
    fn a_certificate_that_cannot_be_served_leaves_the_dates_of_the_one_that_is() {
        let (metrics, now) = (Metrics::default(), Timestamp::from_second(100).unwrap());
        metrics.certificate_read(Some((10, 200)), now);
        metrics.certificate_read(None, now);
        let text = metrics.text();
        for line in [
            "not_before_timestamp_seconds 10",
            "not_after_timestamp_seconds 200",
            "rejected 1",
            "load_failures_total 1",
            "last_failure_timestamp_seconds 100",
        ] {
            assert!(
                text.contains(&format!("postgres_operator_webhook_certificate_{line}\n")),
                "{line}: {text}"
            );
        }
    }
}
