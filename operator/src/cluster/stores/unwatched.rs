//! Kinds that may not be watched: their stores are filled by lists, or by asking for the objects of a cluster by name.
//!
//! Both speak the language of a watch, so that whoever reads a store does not know the difference. Asking is done by the
//! look itself, before it reads: nothing is in those stores that was not asked for.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use shared::plan::{Kind, ObjectName};

use super::follow::{Follow, Keepable};
use super::store::Store;

/// How often what may be listed only is listed.
const LIST_EVERY: Duration = Duration::from_secs(10);

/// Lists from time to time, in the words of a watch that begins anew.
pub(super) fn listed<K>(api: Api<K>, config: watcher::Config) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let params = ListParams {
        label_selector: config.label_selector,
        field_selector: config.field_selector,
        ..ListParams::default()
    };
    again_and_again(move || {
        let (api, params) = (api.clone(), params.clone());
        async move { Ok::<_, kube::Error>(api.list(&params).await?.items) }
    })
}

/// Reads one object from time to time, by its name.
pub(super) fn one<K>(api: Api<K>, name: String) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    again_and_again(move || {
        let (api, name) = (api.clone(), name.clone());
        async move { Ok::<_, kube::Error>(api.get_opt(&name).await?.into_iter().collect()) }
    })
}

/// Reads at once and then every `LIST_EVERY`.
fn again_and_again<K, F>(
    read: impl Fn() -> F + Clone + Send + 'static,
) -> BoxStream<'static, watcher::Result<Event<K>>>
where
    K: Send + 'static,
    F: Future<Output = kube::Result<Vec<K>>> + Send,
{
    stream::unfold(Duration::ZERO, move |pause| {
        let read = read.clone();
        async move {
            tokio::time::sleep(pause).await;
            let events: Vec<watcher::Result<Event<K>>> = match read().await {
                Ok(objects) => {
                    let objects = objects.into_iter().map(|object| Ok(Event::InitApply(object)));
                    let begins = std::iter::once(Ok(Event::Init)).chain(objects);
                    begins.chain(std::iter::once(Ok(Event::InitDone))).collect()
                }
                Err(error) => vec![Err(watcher::Error::InitialListFailed(error))],
            };
            Some((stream::iter(events), LIST_EVERY))
        }
    })
    .flatten()
    .boxed()
}

/// Nothing, at once and for ever.
pub(super) fn nothing<K: Send + 'static>() -> BoxStream<'static, watcher::Result<Event<K>>> {
    stream::iter([Ok(Event::Init), Ok(Event::InitDone)]).chain(stream::pending()).boxed()
}

/// Kinds whose objects are asked for by name.
#[derive(Clone, Default)]
pub(super) struct Asked {
    kinds: BTreeMap<Kind, Arc<dyn Ask>>,
}

impl Asked {
    /// A store that is filled by asking.
    pub(super) fn store<K>(&mut self, kind: Kind, mut follow: Follow<K>) -> Store<K>
    where
        K: Keepable + Debug + DeserializeOwned,
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let store = follow.store();
        follow.take(Event::Init);
        follow.take(Event::InitDone);
        self.kinds.insert(kind, Arc::new(Shelf { filled: Mutex::new(follow) }));
        store
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Asks for those of these objects whose kind is not watched.
    pub(super) async fn ask(&self, names: &[ObjectName], client: &Client) {
        // Made before any is awaited: a closure that lives on beside them keeps the compiler from seeing that all this
        // may move between threads.
        let shelves = names.iter().filter_map(|name| Some((self.kinds.get(&name.kind)?, name)));
        let questions: Vec<BoxFuture<'_, ()>> =
            shelves.map(|(shelf, name)| shelf.ask(client, name)).collect();
        stream::iter(questions).buffer_unordered(8).collect::<Vec<()>>().await;
    }
}

/// A store of one kind that can be asked to look for an object.
trait Ask: Send + Sync {
    fn ask<'a>(&'a self, client: &'a Client, name: &'a ObjectName) -> BoxFuture<'a, ()>;
}

struct Shelf<K: Resource<DynamicType = ()> + Keepable> {
    filled: Mutex<Follow<K>>,
}

impl<K> Ask for Shelf<K>
where
    K: Keepable + Debug + DeserializeOwned,
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    fn ask<'a>(&'a self, client: &'a Client, name: &'a ObjectName) -> BoxFuture<'a, ()> {
        async move {
            let api: Api<K> = Api::namespaced(client.clone(), &name.namespace);
            let found = match api.get_opt(&name.name).await {
                Ok(found) => found,
                Err(error) => return tracing::warn!(%error, object = %name, "could not ask for an object"),
            };
            let mut follow = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
            let known = follow.store().get(&ObjectRef::new(&name.name).within(&name.namespace));
            match (found, known) {
                (Some(object), _) => follow.take(Event::Apply(object)),
                (None, Some(gone)) => follow.take(Event::Delete((*gone).clone())),
                (None, None) => {}
            }
        }
        .boxed()
    }
}
