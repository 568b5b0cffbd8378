//! What `/metrics` shows. Labels are fixed words, never data.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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
struct WebhookLabels {
    webhook: &'static str,
}

/// All metrics of the webhook.
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    seconds: Family<WebhookLabels, Histogram>,
    watch_failed: Family<KindLabels, Gauge>,
    stored_invalid: Family<CategoryLabels, Gauge>,
    /// End of the served certificate's validity, in seconds since 1970.
    pub certificate_not_after: Gauge,
    /// Beginning of the served certificate's validity, in seconds since 1970: how old it is.
    pub certificate_not_before: Gauge,
    /// 1 while the certificate files hold something that cannot be served.
    pub certificate_rejected: Gauge,
    /// When the files last held something that cannot be served, in seconds since 1970; 0 for never.
    pub certificate_last_rejected: Gauge,
    /// 1 while the configuration object is invalid and an earlier one is in force.
    pub configuration_invalid: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("postgres_operator_webhook");
        let reviews = Family::<ReviewLabels, Counter>::default();
        let seconds = Family::<WebhookLabels, Histogram>::new_with_constructor(|| {
            Histogram::new([0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0])
        });
        let watch_failed = Family::<KindLabels, Gauge>::default();
        let stored_invalid = Family::<CategoryLabels, Gauge>::default();
        let certificate_not_after = Gauge::default();
        let certificate_not_before = Gauge::default();
        let certificate_rejected = Gauge::default();
        let certificate_last_rejected = Gauge::default();
        let configuration_invalid = Gauge::default();
        registry.register("reviews", "Reviews answered, by operation and outcome", reviews.clone());
        registry.register("review_seconds", "Time from body to answer", seconds.clone());
        registry.register(
            "watch_failed",
            "1 while a kind cannot be watched and there are no warnings about it",
            watch_failed.clone(),
        );
        registry.register(
            "stored_invalid",
            "Stored manifests that would be rejected today, by what is wrong",
            stored_invalid.clone(),
        );
        registry.register(
            "certificate_not_after_seconds",
            "End of the served certificate's validity",
            certificate_not_after.clone(),
        );
        registry.register(
            "certificate_not_before_seconds",
            "Beginning of the served certificate's validity",
            certificate_not_before.clone(),
        );
        registry.register(
            "certificate_last_rejected_seconds",
            "When the certificate files last held a pair that cannot be served; 0 for never",
            certificate_last_rejected.clone(),
        );
        registry.register(
            "certificate_rejected",
            "1 while the certificate files hold a pair that cannot be served",
            certificate_rejected.clone(),
        );
        registry.register(
            "configuration_invalid",
            "1 while the configuration is invalid and an earlier one is in force",
            configuration_invalid.clone(),
        );
        Self {
            registry,
            reviews,
            seconds,
            watch_failed,
            stored_invalid,
            certificate_not_after,
            certificate_not_before,
            certificate_rejected,
            certificate_last_rejected,
            configuration_invalid,
        }
    }
}

impl Metrics {
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
