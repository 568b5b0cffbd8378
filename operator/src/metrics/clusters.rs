//! What the figures have to remember of each cluster: who waits to be looked at, and which changes are under way.
//!
//! Nothing of it becomes a label, and it is gone with the process: a change that an operator does not live to see carried
//! out is not counted.

use std::collections::HashMap;
use std::time::Duration;

use shared::api::StatusWord;
use shared::plan::{Accuracy, Disturbance};
use tokio::time::Instant;

/// By `namespace/name`.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    statuses: HashMap<String, StatusWord>,
    waiting: HashMap<String, Instant>,
    /// What the look under way was for: since when it is known.
    arrived: HashMap<String, Instant>,
    changes: HashMap<String, Change>,
}

/// A change of a manifest that is not carried out yet.
#[derive(Debug)]
struct Change {
    since: Instant,
    told: Option<Disturbance>,
    done: Disturbance,
}

impl Clusters {
    /// A cluster waits from now on, if it does not wait already. How many do.
    pub(super) fn queue(&mut self, cluster: String) -> usize {
        self.waiting.entry(cluster).or_insert_with(Instant::now);
        self.waiting.len()
    }

    /// A cluster is looked at: how long it has waited, if it was waiting, and how many wait now.
    pub(super) fn look(&mut self, cluster: &str) -> (Option<Duration>, usize) {
        let since = self.waiting.remove(cluster);
        self.arrived.insert(cluster.to_owned(), since.unwrap_or_else(Instant::now));
        (since.map(|since| since.elapsed()), self.waiting.len())
    }

    fn arrived(&self, cluster: &str) -> Instant {
        self.arrived.get(cluster).copied().unwrap_or_else(Instant::now)
    }

    fn change(&mut self, cluster: &str) -> &mut Change {
        let since = self.arrived(cluster);
        let new = Change { since, told: None, done: Disturbance::Nothing };
        self.changes.entry(cluster.to_owned()).or_insert(new)
    }

    /// A change of a manifest was told to do this at worst. One that comes while another is under way joins it.
    pub(super) fn foresaw(&mut self, cluster: &str, told: Disturbance) {
        let since = self.arrived(cluster);
        let change = self.change(cluster);
        change.since = since;
        change.told = change.told.max(Some(told));
    }

    /// The status tells of the change; how long that took.
    pub(super) fn observed(&mut self, cluster: &str) -> Duration {
        self.change(cluster);
        self.arrived(cluster).elapsed()
    }

    /// Something was done to a cluster.
    pub(super) fn stepped(&mut self, cluster: &str, done: Disturbance) {
        if let Some(change) = self.changes.get_mut(cluster) {
            change.done = change.done.max(done);
        }
    }

    /// Nothing is left to do: how long the change took, and how far what was told of it came true.
    pub(super) fn converged(&mut self, cluster: &str) -> Option<(Duration, Option<Accuracy>)> {
        let Change { since, told, done } = self.changes.remove(cluster)?;
        Some((since.elapsed(), told.map(|told| Accuracy::of(told, done))))
    }

    /// A cluster has this status now; which one it had.
    pub(super) fn is(&mut self, cluster: &str, status: StatusWord) -> Option<StatusWord> {
        self.statuses.insert(cluster.to_owned(), status)
    }

    /// A cluster is gone: which status it had, and how many wait now.
    pub(super) fn gone(&mut self, cluster: &str) -> (Option<StatusWord>, usize) {
        self.waiting.remove(cluster);
        self.arrived.remove(cluster);
        self.changes.remove(cluster);
        (self.statuses.remove(cluster), self.waiting.len())
    }
}
