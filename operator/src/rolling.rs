//! How many clusters are updated at once.
//!
//! A new image in the operator's configuration concerns every cluster. Each takes a place before its first disruptive
//! step and gives it back when nothing is left to do. The one fact to know: a place lapses when its cluster takes no
//! step for ten minutes. Clusters that are stuck must not keep the rest of the fleet from being updated for ever, and
//! yet an image that nobody can start reaches the fleet a few clusters at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::cluster::stores::ClusterRef;

/// A cluster that takes no step for this long gives its place to others.
const LAPSES_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The places, and who holds them since when. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Places {
    held: Arc<Mutex<HashMap<ClusterRef, Timestamp>>>,
}

impl Places {
    /// Takes or keeps a place for a cluster that is about to take a step; false when all are taken by others.
    /// `limit` of none means that there is a place for everybody.
    pub fn take(&self, cluster: &ClusterRef, limit: Option<u32>, now: Timestamp) -> bool {
        let Some(limit) = limit else { return true };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|holder, since| holder == cluster || now.duration_since(*since) < LAPSES_AFTER);
        let has_place =
            held.contains_key(cluster) || u32::try_from(held.len()).is_ok_and(|taken| taken < limit);
        if has_place {
            held.insert(cluster.clone(), now);
        }
        has_place
    }

    /// Gives a cluster's place back.
    pub fn leave(&self, cluster: &ClusterRef) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn cluster(name: &str) -> ClusterRef {
        ObjectRef::new(name).within("default")
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_place_is_for_one_cluster_until_it_leaves() {
        let places = Places::default();
        assert!(places.take(&cluster("a"), Some(1), at(0)));
        assert!(places.take(&cluster("a"), Some(1), at(1)), "it holds it already");
        assert!(!places.take(&cluster("b"), Some(1), at(1)));
        places.leave(&cluster("a"));
        assert!(places.take(&cluster("b"), Some(1), at(2)));
    }

    #[test]
    fn a_cluster_that_takes_no_step_loses_its_place() {
        let places = Places::default();
        assert!(places.take(&cluster("stuck"), Some(1), at(0)));
        assert!(!places.take(&cluster("b"), Some(1), at(9)));
        assert!(places.take(&cluster("b"), Some(1), at(10)));
    }

    #[test]
    fn without_a_limit_everybody_has_a_place() {
        let places = Places::default();
        assert!((0..100).all(|number| places.take(&cluster(&number.to_string()), None, at(0))));
    }
}
