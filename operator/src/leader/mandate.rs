//! Which clusters this process may act for at this moment: all, those of its shards, or none.
//!
//! The loops that renew leases write it; every look at a cluster asks it twice, when it begins and before its one disruptive
//! step. A cluster belongs to a shard by a hash of namespace and name, not by its UID: one that is deleted and made again
//! under its name must stay in the same hands, or two processes would act on the same objects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::stores::ClusterRef;

/// What may be acted upon. Cheap to clone. The default is everything, for ever: no lease is asked for.
#[derive(Clone, Debug, Default)]
pub struct Mandate(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    shards: u32,
    held: Mutex<BTreeMap<u32, Hold>>,
    shown: watch::Sender<BTreeSet<u32>>,
}

/// A shard that is ours.
#[derive(Debug)]
struct Hold {
    until: Instant,
    /// Looks may begin: what went on while we waited has been sorted.
    open: bool,
    /// No look begins any more: the shard is about to be handed over.
    closing: bool,
    looks: usize,
}

impl Mandate {
    /// Nothing yet of so many shards; without sharding there is one.
    pub fn over(shards: u32) -> Self {
        let (shown, _) = watch::channel(BTreeSet::new());
        Self(Some(Arc::new(Inner { shards: shards.max(1), held: Mutex::default(), shown })))
    }

    /// The shard of a cluster.
    pub fn shard_of(&self, cluster: &ClusterRef) -> u32 {
        let shards = self.0.as_ref().map_or(1, |inner| inner.shards);
        shard_of(cluster.namespace.as_deref().unwrap_or_default(), &cluster.name, shards)
    }

    /// Begins a look at a cluster, if it is ours. The shard is not handed over before what is returned is dropped.
    pub fn begin(&self, cluster: &ClusterRef) -> Option<Look> {
        let Some(inner) = &self.0 else { return Some(Look(None)) };
        let shard = self.shard_of(cluster);
        let mut held = inner.held();
        let may_begin = |hold: &&mut Hold| hold.open && !hold.closing && Instant::now() < hold.until;
        let hold = held.get_mut(&shard).filter(may_begin)?;
        hold.looks += 1;
        Some(Look(Some((Arc::clone(inner), shard))))
    }

    /// Whether a cluster is ours now. Where a process was stopped for a while, that it was at the beginning of the look says
    /// nothing.
    pub fn stands(&self, cluster: &ClusterRef) -> bool {
        let Some(inner) = &self.0 else { return true };
        let shard = self.shard_of(cluster);
        inner.held().get(&shard).is_some_and(|hold| Instant::now() < hold.until)
    }

    /// The shards that are ours, whenever they change.
    pub fn held(&self) -> watch::Receiver<BTreeSet<u32>> {
        match &self.0 {
            Some(inner) => inner.shown.subscribe(),
            None => watch::channel(BTreeSet::from([0])).1,
        }
    }

    /// The shards that are ours and in which no look may begin yet.
    pub fn unopened(&self) -> BTreeSet<u32> {
        let Some(inner) = &self.0 else { return BTreeSet::new() };
        inner.held().iter().filter(|(_, hold)| !hold.open).map(|(shard, _)| *shard).collect()
    }

    /// Lets looks begin in a shard that is ours.
    pub fn open(&self, shard: u32) {
        let Some(inner) = &self.0 else { return };
        if let Some(hold) = inner.held().get_mut(&shard) {
            hold.open = true;
        }
    }

    /// Our part of what the whole fleet may do at once. Each shard has its part and at least one, so that its clusters get
    /// their turn; with more shards than `whole` the fleet therefore does as many things at once as there are shards.
    pub fn share_of(&self, whole: u32) -> u32 {
        let Some(inner) = &self.0 else { return whole };
        let (each, more) = (whole / inner.shards, whole % inner.shards);
        inner.held().keys().map(|shard| (each + u32::from(*shard < more)).max(1)).sum()
    }

    /// A shard is ours until then. Where it was not before, looks begin once it is [opened](Self::open).
    pub(super) fn hold(&self, shard: u32, until: Instant) {
        let Some(inner) = &self.0 else { return };
        let mut held = inner.held();
        held.entry(shard).or_insert(Hold { until, open: false, closing: false, looks: 0 }).until = until;
        inner.show(&held);
    }

    /// A shard is not ours any more.
    pub(super) fn lose(&self, shard: u32) {
        let Some(inner) = &self.0 else { return };
        let mut held = inner.held();
        held.remove(&shard);
        inner.show(&held);
    }

    /// Lets no look begin in a shard, or lets them begin again.
    pub(super) fn close(&self, shard: u32, closing: bool) {
        let Some(inner) = &self.0 else { return };
        if let Some(hold) = inner.held().get_mut(&shard) {
            hold.closing = closing;
        }
    }

    /// Whether no look is under way in a shard.
    pub(super) fn is_idle(&self, shard: u32) -> bool {
        let Some(inner) = &self.0 else { return true };
        inner.held().get(&shard).is_none_or(|hold| hold.looks == 0)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, BTreeMap<u32, Hold>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, held: &BTreeMap<u32, Hold>) {
        let now: BTreeSet<u32> = held.keys().copied().collect();
        self.shown.send_if_modified(|shown| std::mem::replace(shown, now.clone()) != now);
    }
}

/// A look under way.
#[derive(Debug)]
pub struct Look(Option<(Arc<Inner>, u32)>);

impl Drop for Look {
    fn drop(&mut self) {
        let Some((inner, shard)) = &self.0 else { return };
        if let Some(hold) = inner.held().get_mut(shard) {
            hold.looks = hold.looks.saturating_sub(1);
        }
    }
}

/// The same in every process and every release: a part of the SHA-256 of `namespace/name`, modulo the number of shards.
fn shard_of(namespace: &str, name: &str, shards: u32) -> u32 {
    let hash = Sha256::digest(format!("{namespace}/{name}"));
    let number = hash.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    u32::try_from(number % u64::from(shards.max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn cluster(name: &str) -> ClusterRef {
        ObjectRef::new(name).within("default")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn a_clusters_shard_is_the_same_for_ever() {
        // Two releases that run side by side must agree: these figures never change.
        let shards: Vec<u32> =
            ["a", "b", "c", "acid-minimal"].map(|name| shard_of("default", name, 4)).into();
        assert_eq!(shards, [2, 2, 1, 3]);
    }

    #[test]
    fn clusters_are_spread_evenly() {
        let mut counts = [0_u32; 8];
        for number in 0..8000 {
            let shard = shard_of("default", &format!("acid-{number}"), 8);
            *counts.get_mut(usize::try_from(shard).unwrap()).unwrap() += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_clusters_of_held_shards_are_looked_at_and_only_until_the_lease_runs_out() {
        let mandate = Mandate::over(1);
        assert!(mandate.begin(&cluster("a")).is_none());
        mandate.hold(0, soon());
        mandate.open(0);
        assert!(mandate.begin(&cluster("a")).is_some());
        assert!(mandate.stands(&cluster("a")));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(mandate.begin(&cluster("a")).is_none() && !mandate.stands(&cluster("a")));
    }

    #[test]
    fn a_shard_that_was_lost_and_is_ours_again_is_opened_anew() {
        let mandate = Mandate::over(1);
        for _ in 0..2 {
            mandate.hold(0, soon());
            assert!(mandate.begin(&cluster("a")).is_none(), "what was seen meanwhile is not sorted yet");
            assert_eq!(mandate.unopened(), BTreeSet::from([0]));
            mandate.open(0);
            mandate.hold(0, soon()); // renewed
            assert!(mandate.begin(&cluster("a")).is_some() && mandate.unopened().is_empty());
            mandate.lose(0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_that_is_handed_over_finishes_its_looks_and_begins_none() {
        let mandate = Mandate::over(1);
        mandate.hold(0, soon());
        mandate.open(0);
        let look = mandate.begin(&cluster("a")).unwrap();
        mandate.close(0, true);
        assert!(mandate.begin(&cluster("b")).is_none() && !mandate.is_idle(0));
        drop(look);
        assert!(mandate.is_idle(0));
    }

    #[test]
    fn the_fleets_budget_is_divided_and_leaves_no_shard_without() {
        let share = |whole, held: &[u32]| {
            let mandate = Mandate::over(4);
            held.iter().for_each(|shard| mandate.hold(*shard, soon()));
            mandate.share_of(whole)
        };
        assert_eq!([share(10, &[0, 1]), share(10, &[2, 3]), share(10, &[0, 1, 2, 3])], [6, 4, 10]);
        assert_eq!([share(2, &[0]), share(2, &[3])], [1, 1]);
        assert_eq!(Mandate::default().share_of(7), 7);
    }
}
