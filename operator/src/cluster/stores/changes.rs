//! The clusters to look at: a set, not a queue of events.
//!
//! Hundreds of events of one cluster are one entry, so the list never grows beyond the number of clusters, however long
//! the controller is busy or waits for its lease.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, stream};
use tokio::sync::Notify;

use super::ClusterRef;

/// The clusters in which something changed. One consumer.
#[derive(Clone, Debug, Default)]
pub struct Changes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<ClusterRef>,
    known: HashSet<ClusterRef>,
}

impl Changes {
    /// Something changed in this cluster.
    pub fn push(&self, cluster: ClusterRef) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.known.insert(cluster.clone()) {
            waiting.order.push_back(cluster);
            self.0.arrived.notify_one();
        }
    }

    /// Every cluster that waits to be looked at, in order.
    pub fn waiting(&self) -> Vec<ClusterRef> {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.order.iter().cloned().collect()
    }

    /// The next cluster to look at, when there is one.
    pub fn try_next(&self) -> Option<ClusterRef> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.order.pop_front()?;
        waiting.known.remove(&next);
        Some(next)
    }

    /// The next cluster to look at, as soon as there is one.
    pub async fn next(&self) -> ClusterRef {
        loop {
            if let Some(cluster) = self.try_next() {
                return cluster;
            }
            self.0.arrived.notified().await;
        }
    }

    /// The same as an endless stream, for `kube::runtime::applier` or `Controller::reconcile_on`.
    pub fn into_stream(self) -> impl Stream<Item = ClusterRef> + Send + 'static {
        stream::unfold(self, async |changes| Some((changes.next().await, changes)))
    }
}
