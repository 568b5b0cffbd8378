//! The figures by name: what each counts, in which unit, and with which labels. `docs/monitoring.md` is made of it.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

/// Upper bounds for looks, in seconds: one takes milliseconds, one with a switchover many seconds.
const LOOK: [f64; 10] = [0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// For what waits: events of a tenth of a second are one look, so less than that is rare.
const QUEUE: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

/// For requests: deadlines are between seconds and a minute.
const REQUEST: [f64; 10] = [0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// For the time until a status says that a change was seen: tools look two seconds after they have written.
const OBSERVED: [f64; 8] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];

/// For the time until a change is carried out: nothing but objects, a restart, a rolling update, a window.
const CONVERGED: [f64; 11] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0, 86400.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Status {
    pub(super) status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Category {
    pub(super) category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    pub(super) to: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Upstream {
    pub(super) to: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Verdict {
    pub(super) accuracy: &'static str,
}

/// The figures.
#[derive(Clone, Debug)]
pub(super) struct Families {
    pub(super) reconciles: Family<Outcome, Counter>,
    pub(super) reconcile_seconds: Histogram,
    pub(super) looking: Gauge,
    pub(super) errors: Family<Category, Counter>,
    pub(super) queue_length: Gauge,
    pub(super) queue_seconds: Histogram,
    pub(super) steps: Family<Kind, Counter>,
    pub(super) observed_seconds: Histogram,
    pub(super) converged_seconds: Histogram,
    pub(super) forecasts: Family<Verdict, Counter>,
    pub(super) clusters: Family<Status, Gauge>,
    pub(super) without_manifest: Gauge,
    pub(super) requests: Family<Request, Counter>,
    pub(super) request_seconds: Family<Upstream, Histogram>,
    pub(super) leading: Gauge,
    pub(super) shards: Gauge,
    pub(super) configuration_invalid: Gauge,
    pub(super) configuration_loaded: Gauge,
}

impl Families {
    /// All of them, under their names. Prometheus' exposition adds `_total` to counters and a full stop to the help.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The operator's version, as a label", version);
        let mut own = Named(registry);
        let request_seconds = Family::<Upstream, Histogram>::new_with_constructor(|| Histogram::new(REQUEST));
        Self {
            reconciles: own.is("reconciles", "Looks at clusters that ended, by outcome"),
            reconcile_seconds: own.keeps(
                "reconcile_seconds",
                "How long looks at clusters took",
                Histogram::new(LOOK),
            ),
            looking: own.is("looks_under_way", "Clusters that are being looked at"),
            errors: own.is("errors", "What failed in looks at clusters, stages and whole looks, by category"),
            queue_length: own
                .is("queue_length", "Clusters that wait to be looked at because something changed"),
            queue_seconds: own.keeps(
                "queue_seconds",
                "How long clusters waited to be looked at after something changed",
                Histogram::new(QUEUE),
            ),
            steps: own.is("steps", "Disruptive steps taken, by kind"),
            observed_seconds: own.keeps(
                "change_observed_seconds",
                "Time from the arrival of a changed manifest until its status says that it was seen",
                Histogram::new(OBSERVED),
            ),
            converged_seconds: own.keeps(
                "change_converged_seconds",
                "Time from the arrival of a changed manifest until its cluster is as it says",
                Histogram::new(CONVERGED),
            ),
            forecasts: own.is(
                "forecasts",
                "Changes carried out, by how what was done compares with what was told before",
            ),
            clusters: own.is("clusters", "Clusters by the word in their status"),
            without_manifest: own.is(
                "clusters_without_manifest",
                "Clusters whose manifest was missing when this operator began to act",
            ),
            requests: own
                .is("requests", "Requests to Patroni, PostgreSQL, the Teams API and EC2, by outcome"),
            request_seconds: own.keeps("request_seconds", "How long those requests took", request_seconds),
            leading: own.is("leading", "1 on the operator that acts, 0 on one that waits for the lease"),
            shards: own
                .is("shards", "Shards of clusters that this operator acts for; undivided, all are one"),
            configuration_invalid: own.is(
                "configuration_invalid",
                "1 while the configuration is missing or invalid; an earlier one stays in force",
            ),
            configuration_loaded: own
                .is("configuration_loaded_timestamp_seconds", "When a valid configuration was last read"),
        }
    }
}

/// Registers what it hands out.
struct Named<'a>(&'a mut Registry);

impl Named<'_> {
    fn is<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.keeps(name, help, M::default())
    }

    fn keeps<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }
}
