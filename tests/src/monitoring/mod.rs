//! What reads the services' figures: a strict reader of the text that they print, and a real Prometheus.
//!
//! Asked by `tests/tests/monitoring`, which needs no cluster, and by the story on a cluster (`tests/tests/e2e/metrics.rs`).

mod exposition;
mod prometheus;

pub use exposition::{Family, Kind, Sample, classic, parse};
pub use prometheus::{Found, Prometheus, Target, promtool};
