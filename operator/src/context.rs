//! What every reconcile is given: the client, the stores, the ports and the configuration in force.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use shared::config::OperatorConfig;
use tokio::sync::watch;

use crate::activity::Activity;
use crate::cluster::stores::Stores;
use crate::cluster::{KnownDisks, Proofs, Upgrades};
use crate::database::Database;
use crate::disks::Disks;
use crate::events::Events;
use crate::exec::Exec;
use crate::leader::Mandate;
use crate::metrics::Metrics;
use crate::patroni::Patroni;
use crate::rolling::Places;
use crate::team::Teams;

/// The clock. A function, so that tests can say what time it is.
pub type Clock = fn() -> Timestamp;

/// What every reconcile is given. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What is known of Kubernetes.
    pub stores: Stores,
    /// Patroni's HTTP API.
    pub patroni: Patroni,
    /// The Teams API.
    pub teams: Teams,
    /// PostgreSQL.
    pub database: Arc<dyn Database>,
    /// Which stored passwords have been checked.
    pub proofs: Proofs,
    /// Where users read what happened.
    pub events: Events,
    /// Figures.
    pub metrics: Metrics,
    /// Commands in pods.
    pub exec: Arc<dyn Exec>,
    /// Disks in EC2.
    pub disks: Arc<dyn Disks>,
    /// What is known of them.
    pub known_disks: KnownDisks,
    /// Which clusters this process upgrades to another major version.
    pub upgrades: Upgrades,
    /// What is being done, for the REST API.
    pub activity: Activity,
    /// Which clusters are being updated.
    pub rolling: Places,
    /// Which clusters this process may act for at the moment.
    pub mandate: Mandate,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<OperatorConfig>>,
    /// Which clusters are ours, where several operators share a Kubernetes: those whose annotation holds this.
    pub controller_id: Option<String>,
    /// The namespace that is served; all where there is none.
    pub watched: Option<String>,
    /// The operator's own namespace.
    pub namespace: String,
    /// The clock.
    pub clock: Clock,
}

impl Context {
    /// The configuration as it is now.
    pub fn config(&self) -> Arc<OperatorConfig> {
        self.config.borrow().clone()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
