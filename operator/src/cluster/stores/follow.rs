//! One watch: its events go into a store, and those that matter become clusters to look at.
//!
//! After a relist (start, or a watch that was too old) every object arrives again, and the ones that vanished meanwhile
//! do not arrive at all; both are told apart by what was kept before.

use std::any::Any;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::kept::{Clue, Form, Kept, Packer};
use super::store::{ByName, Store, key, named};
use super::{Changes, ClusterRef, Manifest};

/// What can be kept in a store.
pub(super) trait Keepable: Clone + Send + Sync + 'static {}

impl<K: Clone + Send + Sync + 'static> Keepable for K {}

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
                if manifests.contains(&own) {
                    return vec![own];
                }
                // A Secret may stand in another namespace than its cluster, and says only the cluster's name.
                manifests.names().into_iter().filter(|manifest| manifest.name == own.name).collect()
            }
            Self::OnNode(label, pods) => {
                let here = |pod: &Pod| node_of(pod) == Some(object.name_any().as_str());
                let pods = pods.found_by(Clue::node(&object.name_any()));
                pods.iter().filter(|pod| here(pod)).filter_map(|pod| named_by(pod.as_ref(), label)).collect()
            }
            Self::Everyone(manifests) => manifests.names(),
            Self::Namespace(manifests) => {
                let is_here =
                    |manifest: &ClusterRef| manifest.namespace.as_deref().unwrap_or_default() == namespace;
                manifests.names().into_iter().filter(is_here).collect()
            }
        }
    }

    /// What such an object is found by.
    fn clues<K: Resource<DynamicType = ()> + 'static>(&self, object: &K) -> [Option<Clue>; 2] {
        let cluster = match self {
            Self::Labelled(label, _) => object.labels().get(label).map(|name| Clue::cluster(name)),
            Self::Itself | Self::Namespace(_) | Self::OnNode(..) | Self::Everyone(_) => None,
        };
        let pod = (object as &dyn Any).downcast_ref::<Pod>();
        [cluster, pod.and_then(node_of).map(Clue::node)]
    }
}

/// Where a pod runs.
fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// The cluster that a label names, in the object's own namespace.
fn named_by<K: Resource<DynamicType = ()>>(object: &K, label: &str) -> Option<ClusterRef> {
    let name = object.labels().get(label)?;
    Some(ObjectRef::new(name).within(&object.namespace().unwrap_or_default()))
}

/// How many kinds are listed at once at the start. More would be no sooner listed and take more memory: what is read of a
/// list is many times as large as what is kept.
const LISTS: usize = 4;

/// The watches that run. They end with it.
pub(super) struct Watches {
    tasks: JoinSet<()>,
    lists: Arc<Semaphore>,
}

impl Default for Watches {
    fn default() -> Self {
        Self { tasks: JoinSet::new(), lists: Arc::new(Semaphore::new(LISTS)) }
    }
}

impl Watches {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }
}

/// A watch with what it needs.
pub(super) struct Follow<K: Resource<DynamicType = ()> + Keepable> {
    trim: fn(&mut K),
    digest: fn(&mut K) -> u64,
    owner: Owner,
    changes: Changes,
    store: Store<K>,
    filled: watch::Sender<bool>,
    packer: Packer,
    fresh: ByName<K>,
    optional: bool,
    departure: Option<Departure<K>>,
    beside: Option<Beside<K>>,
}

/// What is told of an object that is gone, as it was last.
type Departure<K> = Box<dyn Fn(&K) + Send>;

/// Who is told of every event when the store has taken it.
type Beside<K> = Box<dyn FnMut(&Event<K>) + Send>;

impl<K: Resource<DynamicType = ()> + Keepable> Follow<K> {
    /// `trim` drops what nobody reads, `digest` tells whether the rest has changed, which is kept in this form.
    pub(super) fn new(
        form: Form<K>,
        trim: fn(&mut K),
        digest: fn(&mut K) -> u64,
        owner: Owner,
        changes: Changes,
    ) -> Self {
        let (store, filled) = Store::new(form);
        Self {
            trim,
            digest,
            owner,
            changes,
            store,
            filled,
            packer: Packer::default(),
            fresh: ByName::new(),
            optional: false,
            departure: None,
            beside: None,
        }
    }

    /// Tells of every object that goes, before anybody can learn of one that comes after it under its name.
    pub(super) fn on_departure(self, tell: impl Fn(&K) + Send + 'static) -> Self {
        Self { departure: Some(Box::new(tell)), ..self }
    }

    /// Tells of every event, when the store has taken it and before anybody is sent to look at it.
    pub(super) fn beside(self, tell: impl FnMut(&Event<K>) + Send + 'static) -> Self {
        Self { beside: Some(Box::new(tell)), ..self }
    }

    /// What is followed need not exist: that it cannot be read is told once.
    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    /// Where what is followed is read.
    pub(super) fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Follows the stream in the background, until the set is dropped.
    pub(super) fn spawn(
        mut self,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        watches: &mut Watches,
    ) -> Store<K> {
        let (store, lists) = (self.store(), Arc::clone(&watches.lists));
        watches.tasks.spawn(async move {
            let mut stream = std::pin::pin!(stream);
            let mut told = false;
            let mut turn = lists.acquire_owned().await.ok();
            while let Some(event) = stream.next().await {
                if matches!(event, Ok(Event::InitDone) | Err(_)) {
                    drop(turn.take()); // what cannot be listed holds up nobody
                }
                match event {
                    Ok(event) => self.take(event),
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
    pub(super) fn take(&mut self, mut event: Event<K>) {
        if let Some(tell) = &self.departure {
            self.departed(&event, tell);
        }
        let changed = match &mut event {
            Event::Apply(object) => {
                let (key, kept) = self.kept(object);
                let digest = kept.digest;
                let before = self.store.write().insert(key, kept);
                self.woken(object, before.map(|before| before.digest) == Some(digest))
            }
            Event::Delete(object) => {
                (self.trim)(object);
                self.store.has_come_to(object);
                self.store.write().remove(&key(&ObjectRef::from_obj(object)));
                self.woken(object, false)
            }
            Event::Init => {
                self.fresh = ByName::new();
                Vec::new()
            }
            Event::InitApply(object) => {
                let (key, kept) = self.kept(object);
                let same = self.store.read().get(&key).is_some_and(|before| before.digest == kept.digest);
                self.fresh.insert(key, kept);
                self.woken(object, same)
            }
            Event::InitDone => {
                let vanished = self.vanished();
                *self.store.write() = std::mem::take(&mut self.fresh);
                self.filled.send_replace(true);
                vanished
            }
        };
        if let Some(tell) = &mut self.beside {
            tell(&event);
        }
        for cluster in changed {
            self.changes.push(cluster);
        }
    }

    /// Tells of the object that an event takes away: deleted, replaced under its name, or not brought back by a relist.
    fn departed(&self, event: &Event<K>, tell: &Departure<K>) {
        match event {
            Event::Delete(object) => tell(object),
            Event::Apply(object) | Event::InitApply(object) => {
                let before = self.store.get(&ObjectRef::from_obj(object));
                if let Some(before) = before.filter(|before| before.uid() != object.uid()) {
                    tell(&before);
                }
            }
            Event::InitDone => {
                let gone = self.gone();
                gone.iter().filter_map(|name| self.store.get(name)).for_each(|object| tell(&object));
            }
            Event::Init => {}
        }
    }

    /// Drops what nobody reads; what is kept of the rest, and where.
    fn kept(&mut self, object: &mut K) -> (Box<str>, Kept<K>) {
        (self.trim)(object);
        self.store.has_come_to(object);
        let (digest, clues) = ((self.digest)(object), self.owner.clues(object));
        let kept = self.packer.keep(object, self.store.form(), digest, clues);
        (key(&ObjectRef::from_obj(object)), kept)
    }

    /// The owners of an object, unless it is the same as before.
    fn woken(&self, object: &K, same: bool) -> Vec<ClusterRef> {
        if same { Vec::new() } else { self.owner.of(object) }
    }

    /// The owners of objects that a relist did not bring back.
    fn vanished(&self) -> Vec<ClusterRef> {
        let gone = self.gone();
        let gone = gone.iter().filter_map(|name| self.store.get(name));
        gone.flat_map(|object| self.owner.of(object.as_ref())).collect()
    }

    /// The objects that a relist did not bring back.
    fn gone(&self) -> Vec<ObjectRef<K>> {
        let shelf = self.store.read();
        shelf.keys().filter(|key| !self.fresh.contains_key(*key)).map(|key| named(key)).collect()
    }
}
