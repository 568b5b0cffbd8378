//! The objects of one kind, by namespace and name: what a watch has put there is read by everybody.
//!
//! It is asked like a store of kube's, and differs in how it keeps: see `kept`. So what reads it names an object, or has a
//! clue; who goes through all of them unpacks them one after the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef};
use tokio::sync::watch;

use super::StoreGone;
use super::kept::{Clue, Form, Kept, Packer};
use super::written::version;

/// By `namespace/name`.
pub(super) type ByName<K> = HashMap<Box<str>, Kept<K>>;

/// A store to read. Cheap to clone; all clones read the same one.
pub struct Store<K> {
    inner: Arc<Inner<K>>,
    ready: watch::Receiver<bool>,
}

struct Inner<K> {
    form: Form<K>,
    /// The latest version that the watch has shown, of whatever object.
    seen: AtomicU64,
    objects: RwLock<ByName<K>>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), ready: self.ready.clone() }
    }
}

impl<K> Store<K> {
    /// An empty one, and who is to say when it is filled.
    pub(super) fn new(form: Form<K>) -> (Self, watch::Sender<bool>) {
        let (filled, ready) = watch::channel(false);
        (
            Self {
                inner: Arc::new(Inner { form, seen: AtomicU64::new(0), objects: RwLock::default() }),
                ready,
            },
            filled,
        )
    }

    /// Waits until it holds what the API server holds.
    ///
    /// # Errors
    /// When it never will: its watch has ended.
    pub async fn wait_until_ready(&self) -> Result<(), StoreGone> {
        self.ready.clone().wait_for(|ready| *ready).await.map(drop).map_err(|_| StoreGone)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// How objects are kept here.
    pub(super) fn form(&self) -> &Form<K> {
        &self.inner.form
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, ByName<K>> {
        self.inner.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, ByName<K>> {
        self.inner.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Lookup<DynamicType = ()>> Store<K> {
    /// An object.
    pub fn get(&self, reference: &ObjectRef<K>) -> Option<Arc<K>> {
        self.read().get(&*key(reference))?.object(&self.inner.form)
    }

    /// Whether there is an object of this name.
    pub fn contains(&self, reference: &ObjectRef<K>) -> bool {
        self.read().contains_key(&*key(reference))
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<ObjectRef<K>> {
        self.read().keys().map(|key| named(key)).collect()
    }

    /// All objects, one after the other.
    pub fn all(&self) -> impl Iterator<Item = Arc<K>> {
        self.names().into_iter().filter_map(|name| self.get(&name))
    }

    /// What may be meant by a clue; it is to be looked at whether it is.
    pub(in crate::cluster) fn found_by(&self, clue: Clue) -> Vec<Arc<K>> {
        let shelf = self.read();
        shelf
            .values()
            .filter(|kept| kept.has(clue))
            .filter_map(|kept| kept.object(&self.inner.form))
            .collect()
    }
}

impl<K: Resource<DynamicType = ()> + Clone> Store<K> {
    /// The watch has come as far as this object.
    pub(super) fn has_come_to(&self, object: &K) {
        self.inner.seen.fetch_max(version(object).unwrap_or_default(), Ordering::AcqRel);
    }

    /// Puts an object here as the API server answered to a write of it, until the watch has its next event of it: a look that
    /// begins in between would write it once more. What the watch has come past already may be gone by now.
    pub(super) fn foresee(&self, object: &K, clue: Clue) {
        let Some(version) = version(object) else { return };
        let kept = Packer::default().keep(object, &self.inner.form, UNSEEN, [Some(clue), None]);
        let mut objects = self.write();
        if version > self.inner.seen.load(Ordering::Acquire) {
            objects.insert(key(&ObjectRef::from_obj(object)), kept);
        }
    }
}

/// The digest of what no watch has shown yet: it differs from that of the same object when one does.
const UNSEEN: u64 = 0;

/// Under which key an object stands.
pub(super) fn key<K: Lookup>(reference: &ObjectRef<K>) -> Box<str> {
    format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name).into_boxed_str()
}

/// What stands under a key. No namespace has a slash in its name.
pub(super) fn named<K: Lookup<DynamicType = ()>>(key: &str) -> ObjectRef<K> {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    let reference = ObjectRef::new(name);
    if namespace.is_empty() { reference } else { reference.within(namespace) }
}
