//! Manifests that went without our finalizer: what they left behind is still to be taken down.
//!
//! Such a manifest is only known from the event of its deletion, so it is kept here, as it was last, until nothing of its
//! cluster is left. Meanwhile a manifest that comes under the same name is not looked at: its cluster begins when the old
//! one is gone. A store of its own, so that the same machinery looks at these as at those that are there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::{Changes, ClusterRef, Manifest};

/// The manifests that are gone. Cheap to clone.
#[derive(Clone)]
pub struct Departed {
    writer: Arc<Mutex<Writer<Manifest>>>,
    released: Arc<Mutex<HashSet<String>>>,
    /// What they were like.
    pub manifests: Store<Manifest>,
    /// Those to look at.
    pub changes: Changes,
}

impl Default for Departed {
    fn default() -> Self {
        let mut writer = Writer::new(());
        // Nothing is listed: the store is as full as it can be from the beginning.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        Self {
            manifests: writer.as_reader(),
            writer: Arc::new(Mutex::new(writer)),
            released: Arc::default(),
            changes: Changes::default(),
        }
    }
}

impl Departed {
    /// A manifest is gone.
    pub fn note(&self, manifest: &Manifest) {
        let uid = manifest.uid().unwrap_or_default();
        if self.released.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid) {
            return;
        }
        self.write(&Event::Apply(manifest.clone()));
        self.changes.push(ObjectRef::from_obj(manifest));
    }

    /// A manifest is let go by ourselves, because nothing of its cluster is left: its departure is no news.
    pub(in crate::cluster) fn release<K: Resource>(&self, manifest: &K) {
        let uid = manifest.uid().unwrap_or_default();
        self.released.lock().unwrap_or_else(PoisonError::into_inner).insert(uid);
    }

    /// Whether something of a cluster of this name is still to be taken down.
    pub(in crate::cluster) fn has(&self, cluster: &ClusterRef) -> bool {
        self.manifests.get(cluster).is_some()
    }

    /// Whether what this manifest left behind is still to be taken down.
    pub(in crate::cluster) fn is_kept(&self, manifest: &Manifest) -> bool {
        self.manifests.get(&ObjectRef::from_obj(manifest)).is_some_and(|kept| kept.uid() == manifest.uid())
    }

    /// Nothing is left.
    pub(in crate::cluster) fn forget(&self, manifest: &Manifest) {
        self.write(&Event::Delete(manifest.clone()));
    }

    fn write(&self, event: &Event<Manifest>) {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).apply_watcher_event(event);
    }
}
