//! One watch, from the first list to the end of the process.
//!
//! What cannot be watched is told once, not at every attempt, and tried again for ever: rights may be given and kinds
//! installed later. A broken connection costs nothing; a refusal empties the shelf, for what lies there would be old.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::{info, warn};

use super::Shelf;
use crate::metrics::Metrics;

/// Keeps a shelf as the API server has it.
pub(super) async fn follow<K, T>(
    kind: &'static str,
    api: Api<K>,
    shelf: &Shelf<T>,
    take: fn(&K) -> T,
    metrics: &Metrics,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    T: Clone,
{
    let events = watcher(api, watcher::Config::default()).default_backoff();
    Watch { kind, shelf, take, metrics, list: Vec::new(), told: false }.run(events).await;
}

struct Watch<'a, K, T> {
    kind: &'static str,
    shelf: &'a Shelf<T>,
    take: fn(&K) -> T,
    metrics: &'a Metrics,
    list: Vec<(String, String, T)>,
    told: bool,
}

impl<K: Resource, T: Clone> Watch<'_, K, T> {
    async fn run(mut self, events: impl Stream<Item = watcher::Result<Event<K>>>) {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.event(event),
                Err(error) => self.failed(&error),
            }
        }
    }

    fn event(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.list.clear(),
            Event::InitApply(object) => {
                let (namespace, name) = place(&object);
                self.list.push((namespace, name, (self.take)(&object)));
            }
            Event::InitDone => {
                self.shelf.fill(std::mem::take(&mut self.list));
                self.metrics.watching(self.kind, true);
                if std::mem::take(&mut self.told) {
                    info!(kind = self.kind, "the kind can be watched now");
                }
            }
            Event::Apply(object) => {
                let (namespace, name) = place(&object);
                self.shelf.put(namespace, name, (self.take)(&object));
            }
            Event::Delete(object) => {
                let (namespace, name) = place(&object);
                self.shelf.take(&namespace, &name);
            }
        }
    }

    fn failed(&mut self, error: &watcher::Error) {
        self.metrics.watching(self.kind, false);
        if is_refused(error) {
            self.shelf.forget();
        }
        if !std::mem::replace(&mut self.told, true) {
            warn!(kind = self.kind, %error, "cannot watch; there are no warnings about it until it can be");
        }
    }
}

/// Whether the API server says no, rather than nothing.
fn is_refused(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => match error {
            kube::Error::Api(status) => status.code,
            _ => return false,
        },
        WatchError(status) => status.code,
        NoResourceVersion => return true,
    };
    [401, 403, 404, 405].contains(&code)
}

fn place<K: Resource>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::Status;

    use super::*;

    fn map(name: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({"metadata": {"namespace": "a", "name": name}})).unwrap()
    }

    fn refused(code: u16) -> watcher::Error {
        let status = Status { code, ..Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    async fn after(shelf: &Shelf<()>, metrics: &Metrics, events: Vec<watcher::Result<Event<ConfigMap>>>) {
        let watch = Watch { kind: "configmaps", shelf, take: |_| (), metrics, list: Vec::new(), told: false };
        watch.run(futures::stream::iter(events)).await;
    }

    #[tokio::test]
    async fn a_list_counts_when_it_is_complete_and_replaces_what_was_there() {
        let (shelf, metrics) = (Shelf::default(), Metrics::default());
        after(&shelf, &metrics, vec![Ok(Event::Init), Ok(Event::InitApply(map("x")))]).await;
        assert!(shelf.of("a").is_none());
        let list = |names: &[&str]| {
            let mut events = vec![Ok(Event::Init)];
            events.extend(names.iter().map(|name| Ok(Event::InitApply(map(name)))));
            events.push(Ok(Event::InitDone));
            events
        };
        after(&shelf, &metrics, list(&["x", "y"])).await;
        after(&shelf, &metrics, list(&["y"])).await;
        after(&shelf, &metrics, vec![Ok(Event::Apply(map("z"))), Ok(Event::Delete(map("y")))]).await;
        assert_eq!(shelf.of("a").unwrap().keys().collect::<Vec<_>>(), ["z"]);
        assert!(metrics.text().contains("watch_failed{kind=\"configmaps\"} 0"), "{}", metrics.text());
    }

    #[tokio::test]
    async fn a_missing_right_empties_the_shelf_and_a_broken_connection_does_not() {
        let (shelf, metrics) = (Shelf::default(), Metrics::default());
        after(&shelf, &metrics, vec![Ok(Event::Init), Ok(Event::InitApply(map("x"))), Ok(Event::InitDone)])
            .await;
        after(&shelf, &metrics, vec![Err(refused(500))]).await;
        assert!(shelf.of("a").is_some());
        assert!(metrics.text().contains("watch_failed{kind=\"configmaps\"} 1"));
        after(&shelf, &metrics, vec![Err(refused(403))]).await;
        assert!(shelf.of("a").is_none());
    }
}
