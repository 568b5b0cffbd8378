//! One watch: its events go into a store, and those that matter become clusters to look at.
//!
//! After a relist (start, or a watch that was too old) every object arrives again, and the ones that vanished meanwhile
//! do not arrive at all; both are told apart by the digests remembered from before.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use tokio::task::JoinSet;

use super::{Changes, ClusterRef, Manifest};

/// What can be kept in a store.
pub(super) trait Kept: Clone + Send + Sync + 'static {}

impl<K: Clone + Send + Sync + 'static> Kept for K {}

/// Whose object it is.
#[derive(Clone)]
pub(super) enum Owner {
    /// The object is a manifest.
    Itself,
    /// The cluster that this label names.
    Labelled(String, Store<Manifest>),
    /// Every cluster of the object's namespace.
    Namespace(Store<Manifest>),
    /// The object is a node: the clusters that this label names on the pods there.
    OnNode(String, Store<Pod>),
    /// Every cluster.
    Everyone(Store<Manifest>),
}

impl Owner {
    /// The clusters to look at when this object changed.
    fn of<K: Resource<DynamicType = ()>>(&self, object: &K) -> Vec<ClusterRef> {
        let namespace = object.namespace().unwrap_or_default();
        match self {
            Self::Itself => vec![ObjectRef::new(&object.name_any()).within(&namespace)],
            Self::Labelled(label, manifests) => {
                let Some(own) = named_by(object, label) else { return Vec::new() };
                if manifests.get(&own).is_some() {
                    return vec![own];
                }
                // A Secret may stand in another namespace than its cluster, and says only the cluster's name.
                refs(&manifests.state_filter(|manifest| manifest.name_any() == own.name))
            }
            Self::OnNode(label, pods) => {
                let here = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
                let pods = pods.state_filter(|pod| here(pod).as_deref() == Some(object.name_any().as_str()));
                pods.iter().filter_map(|pod| named_by(pod.as_ref(), label)).collect()
            }
            Self::Everyone(manifests) => refs(&manifests.state()),
            Self::Namespace(manifests) => {
                refs(&manifests.state_filter(|manifest| {
                    manifest.namespace().as_deref().unwrap_or_default() == namespace
                }))
            }
        }
    }
}

/// The cluster that a label names, in the object's own namespace.
fn named_by<K: Resource<DynamicType = ()>>(object: &K, label: &str) -> Option<ClusterRef> {
    let name = object.labels().get(label)?;
    Some(ObjectRef::new(name).within(&object.namespace().unwrap_or_default()))
}

/// The names of these manifests.
fn refs(manifests: &[Arc<Manifest>]) -> Vec<ClusterRef> {
    manifests.iter().map(|manifest| ObjectRef::from_obj(manifest.as_ref())).collect()
}

/// A watch with what it needs.
pub(super) struct Follow<K: Resource<DynamicType = ()> + Kept> {
    trim: fn(&mut K),
    digest: fn(&mut K) -> u64,
    owner: Owner,
    changes: Changes,
    known: HashMap<ObjectRef<K>, u64>,
    fresh: HashMap<ObjectRef<K>, u64>,
    optional: bool,
    departure: Option<Departure<K>>,
}

/// What is told of an object that is gone, as it was last.
type Departure<K> = Box<dyn Fn(&K) + Send>;

impl<K: Resource<DynamicType = ()> + Kept> Follow<K> {
    /// `trim` drops what nobody reads, `digest` tells whether the rest has changed.
    pub(super) fn new(trim: fn(&mut K), digest: fn(&mut K) -> u64, owner: Owner, changes: Changes) -> Self {
        let (known, fresh) = (HashMap::new(), HashMap::new());
        Self { trim, digest, owner, changes, known, fresh, optional: false, departure: None }
    }

    /// Tells of every object that goes, before anybody can learn of one that comes after it under its name.
    pub(super) fn on_departure(self, tell: impl Fn(&K) + Send + 'static) -> Self {
        Self { departure: Some(Box::new(tell)), ..self }
    }

    /// What is followed need not exist: that it cannot be read is told once.
    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Follows the stream in the background, until the set is dropped.
    pub(super) fn spawn(
        mut self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        watches: &mut JoinSet<()>,
    ) -> Store<K> {
        let mut writer = Writer::new(());
        let store = writer.as_reader();
        watches.spawn(async move {
            let mut stream = std::pin::pin!(stream);
            let mut told = false;
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => self.take(event, &mut writer),
                    Err(error) if self.optional && told => {
                        tracing::debug!(%error, kind = %K::kind(&()), "a watch was interrupted");
                    }
                    Err(error) => {
                        told = true;
                        tracing::warn!(%error, kind = %K::kind(&()), "a watch was interrupted");
                    }
                }
            }
        });
        store
    }

    /// Takes an event: store first, so that whoever looks at the cluster sees it.
    pub(super) fn take(&mut self, mut event: Event<K>, writer: &mut Writer<K>) {
        if let Some(tell) = &self.departure {
            self.departed(&event, &writer.as_reader(), tell);
        }
        let changed = match &mut event {
            Event::Apply(object) => {
                let (key, digest) = self.trimmed(object);
                if self.known.insert(key, digest) == Some(digest) {
                    Vec::new()
                } else {
                    self.owner.of(object)
                }
            }
            Event::Delete(object) => {
                (self.trim)(object);
                self.known.remove(&ObjectRef::from_obj(object));
                self.owner.of(object)
            }
            Event::Init => {
                self.fresh.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let (key, digest) = self.trimmed(object);
                let same = self.known.get(&key) == Some(&digest);
                self.fresh.insert(key, digest);
                if same { Vec::new() } else { self.owner.of(object) }
            }
            Event::InitDone => self.vanished(&writer.as_reader()),
        };
        writer.apply_watcher_event(&event);
        for cluster in changed {
            self.changes.push(cluster);
        }
    }

    /// Tells of the object that an event takes away: deleted, replaced under its name, or not brought back by a relist.
    fn departed(&self, event: &Event<K>, store: &Store<K>, tell: &Departure<K>) {
        match event {
            Event::Delete(object) => tell(object),
            Event::Apply(object) | Event::InitApply(object) => {
                let before = store.get(&ObjectRef::from_obj(object));
                if let Some(before) = before.filter(|before| before.uid() != object.uid()) {
                    tell(&before);
                }
            }
            Event::InitDone => {
                let gone = self.known.keys().filter(|key| !self.fresh.contains_key(key));
                gone.filter_map(|key| store.get(key)).for_each(|object| tell(&object));
            }
            Event::Init => {}
        }
    }

    /// Drops what nobody reads; what identifies the rest.
    fn trimmed(&self, object: &mut K) -> (ObjectRef<K>, u64) {
        (self.trim)(object);
        let digest = (self.digest)(object);
        (ObjectRef::from_obj(object), digest)
    }

    /// The owners of objects that a relist did not bring back.
    fn vanished(&mut self, store: &Store<K>) -> Vec<ClusterRef> {
        let before = std::mem::replace(&mut self.known, std::mem::take(&mut self.fresh));
        let gone = before.keys().filter(|key| !self.known.contains_key(key));
        gone.filter_map(|key| store.get(key)).flat_map(|object| self.owner.of(object.as_ref())).collect()
    }
}
