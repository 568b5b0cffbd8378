//! The rest of Kubernetes around the API server in memory, and Patroni in its pods: plain data and a `tick`.
//!
//! Everything is a function of the objects, of what was remembered and of the time, so a test can keep a copy, go back
//! and let another operator go on from there. Nothing here asks the operator's code what is right.

#![allow(clippy::indexing_slicing, reason = "what a JSON value does not have is null, and never a panic")]

pub mod clock;
mod garbage;
mod kubelet;
pub mod patroni;
mod stateful_sets;

use jiff::Timestamp;

use crate::fake_api::Store;

pub use kubelet::Kubelet;
pub use patroni::Patroni;
pub use stateful_sets::StatefulSets;

/// Everything that acts by itself.
#[derive(Clone, Debug, Default)]
pub struct Nature {
    /// The controller of StatefulSets.
    pub stateful_sets: StatefulSets,
    /// The nodes.
    pub kubelet: Kubelet,
    /// What runs in the pods.
    pub patroni: Patroni,
}

impl Nature {
    /// Lets everything act that is due.
    pub fn tick(&mut self, store: &mut Store, now: Timestamp) {
        garbage::collect(store);
        self.stateful_sets.tick(store, now);
        self.kubelet.tick(store, &self.patroni, now);
        self.patroni.tick(store, now);
    }
}
