//! The manifests that we have written to and not yet seen again.
//!
//! A store is a little behind the API server. The step that was taken a moment ago stands in the status that we wrote;
//! whoever looks at an older status takes the step once more: a real cluster restarted a member twice within three
//! seconds. So a manifest older than our own last write of it is not looked at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::{Resource, ResourceExt};

/// The version of each manifest's last write, until it has been seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<HashMap<String, u64>>>);

impl Written {
    /// Takes note of what the API server answered to a write.
    pub(super) fn note<K: Resource>(&self, object: &K) {
        if let (Some(uid), Some(version)) = (object.uid(), version(object)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, version);
        }
    }

    /// Whether we have written to this object since. One that has caught up is forgotten.
    pub(super) fn is_ahead_of<K: Resource>(&self, object: &K) -> bool {
        let (Some(uid), Some(seen)) = (object.uid(), version(object)) else { return false };
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ahead = written.get(&uid).is_some_and(|written| *written > seen);
        if !is_ahead {
            written.remove(&uid);
        }
        is_ahead
    }
}

/// Resource versions of one kind grow; Kubernetes promises it since 1.35 and has always done it. One that is no number is
/// never behind.
pub(super) fn version<K: Resource>(object: &K) -> Option<u64> {
    object.resource_version()?.parse().ok()
}
